"""A folder of one's own as a data set: a folder a class of pictures of any size, or IDX files.

Pictures go through the very preprocessing that `predict` will give others. What is held out to
judge by is chosen by what the pictures hold, so it is the same on every machine and whatever the
files are called: of each class, the sixth whose pixels have the smallest SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.storage import read_file, readable
from mnist_edge.contract import Labels, RawImages
from mnist_edge.data.idx import as_labels, as_pictures, read_idx
from mnist_edge.data.mnist import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    DataSet,
    locate,
)
from mnist_edge.errors import BadInput, MnistEdgeError
from mnist_edge.machine import usable_threads
from mnist_edge.picture.digit import is_mnist_digit
from mnist_edge.picture.files import find_pictures
from mnist_edge.picture.several import load_pictures
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.classes import DIGITS, check_classes
from mnist_edge.recipes.terms import Preprocessing

LEAST_OF_A_CLASS = 4
"""Pictures: three to train on, and one to judge by."""

NAMES_FILE = "classes.txt"
"""Beside IDX files: the names of their classes, one a line."""

_HELD_OUT = 6  # of so many one
_MOST_PICTURES = 500_000
_MOST_NAMES_BYTES = 1 << 20
_TRAIN, _TEST = ("train", "training"), ("test", "testing")
_LAYOUT = "give a folder that holds a folder of pictures for each class"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Pictures with labels: (N, 28, 28) uint8 and (N,) int64."""

    images: RawImages
    labels: Labels


def read_folder(
    folder: Path,
    preprocessing: Preprocessing | None = None,
    *,
    progress: Progress = silent,
    notice: Callable[[str], None] = lambda _: None,
) -> DataSet:
    """Read a folder of one's own.

    Where it holds the folders `train` and `test`, each with the classes in it, that is the split.

    Args:
        folder: of a folder a class, or of four IDX files that are named as MNIST's.
        preprocessing: of its pictures; by default `digit` where the classes are digits, `letter`
            where all have names of one character, else `plain`.
        progress: in pictures.
        notice: told how the pictures were taken, and which were left out.

    Raises:
        BadInput: it is no such folder, a class is empty or has too few pictures, there are fewer
            than 2 classes or more than 1,000, or a class has a name that cannot be.
    """
    if locate(folder, TRAIN_IMAGES) is not None:
        return _read_idx_folder(folder, preprocessing, notice)
    train = next((folder / name for name in _TRAIN if (folder / name).is_dir()), None)
    test = next((folder / name for name in _TEST if (folder / name).is_dir()), None)
    parted = train is not None and test is not None
    places = _classes(train if parted and train else folder)
    names = tuple(places)
    try:
        check_classes(names)
    except ValueError as error:
        raise BadInput(f"{folder} cannot be taken: {error}", fix=_LAYOUT) from None
    chosen = preprocessing or _suited(names)
    kept = _read(places, chosen, LEAST_OF_A_CLASS, progress, notice)
    if parted and test:
        others = {name: test / place.name for name, place in places.items()}
        parts = _joined(kept), _joined(_read(others, chosen, 1, progress, notice))
        how = f"the pictures in {test.name} judge the others"
    else:
        parts = _split(kept)
        how = f"one picture in {_HELD_OUT} of each class is held out to judge by, chosen by SHA-256"
    counts = sorted({len(images) for images in kept})
    each = " to ".join(f"{count:,}" for count in {counts[0]: 0, counts[-1]: 0})
    notice(f"{folder}: {len(names)} classes of {each} pictures, read as {chosen} (--preprocessing)")
    notice(how)
    train_part, test_part = parts
    return DataSet(
        name="folder",
        train_images=train_part.images,
        train_labels=train_part.labels,
        test_images=test_part.images,
        test_labels=test_part.labels,
        classes=names,
        preprocessing=chosen,
    )


def read_lesson(
    folder: Path,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    *,
    progress: Progress = silent,
    notice: Callable[[str], None] = lambda _: None,
) -> tuple[Pictures, Pictures]:
    """Read pictures that are to correct a net, in folders that have names of its classes.

    Returns:
        Those to train on, and those held back to judge by.

    Raises:
        BadInput: there is no class of that name, or a class has fewer than two pictures.
    """
    places = _classes(folder)
    for name in places:
        if name not in classes:
            known = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
            raise BadInput(
                f"{folder / name!s:.200} is no class of this net, which has {known}",
                fix="name each folder by the class that its pictures show",
            )
    kept = _read(places, preprocessing, 2, progress, notice)
    numbers = [classes.index(name) for name in places]
    return _split(kept, numbers)


def _classes(folder: Path) -> dict[str, Path]:
    """The folders of classes by name, in the order of people: 2 before 10."""
    with readable(folder, BadInput, _LAYOUT):
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
        places = {unicodedata.normalize("NFC", p.name): p for p in inside if p.is_dir()}
    if not places:
        pictures = any(file != folder for file in find_pictures([folder]))
        held = "pictures, but no folder of a class" if pictures else "no folder of a class"
        raise BadInput(f"{folder} holds {held}", fix=_LAYOUT)
    return dict(sorted(places.items(), key=lambda entry: natural(entry[0])))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts the numbers in a name by value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _suited(names: Sequence[str]) -> Preprocessing:
    if set(names) <= set(DIGITS):
        return "digit"
    return "letter" if all(len(name) == 1 for name in names) else "plain"


def _read(
    places: Mapping[str, Path],
    preprocessing: Preprocessing,
    least: int,
    progress: Progress,
    notice: Callable[[str], None],
) -> list[RawImages]:
    """The pictures of each class, each once, in the order of their digests."""
    files = {name: _files(name, place) for name, place in places.items()}
    total = sum(map(len, files.values()))
    if total > _MOST_PICTURES:
        raise BadInput(
            f"{total:,} pictures are more than {_MOST_PICTURES:,}", fix="give fewer of each class"
        )
    sources = [file for found in files.values() for file in found]
    loaded = load_pictures(
        sources, many=False, preprocessing=preprocessing, processes=usable_threads()
    )
    left_out: list[str] = []
    kept: list[RawImages] = []
    done, seen = 0, set[bytes]()
    for name, found in files.items():
        pixels: dict[bytes, NDArray[np.uint8]] = {}
        for file in found:
            result = next(loaded)
            done += 1
            progress(done, total, "pictures")
            if isinstance(result, MnistEdgeError):
                left_out.append(result.what)
            elif result[0].blank:
                left_out.append(f"{file}: nothing is on it")
            elif (digest := hashlib.sha256(result[0].pixels.tobytes()).digest()) in seen:
                left_out.append(f"{file}: another class has the same")
            else:
                pixels[digest] = result[0].pixels
        seen.update(pixels)
        if len(pixels) < least:
            why = f"; {left_out[-1]}" if left_out and len(found) >= least else ""
            raise BadInput(
                f"the class {name!r:.60} has {len(pixels)} pictures that can be read and differ, "
                f"where {least} are the fewest{why}",
                fix="put more into its folder, or take it out",
            )
        kept.append(np.stack([pixels[digest] for digest in sorted(pixels)]))
    if left_out:
        more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        notice(f"left out: {left_out[0]}{more}")
    return kept


def _files(name: str, place: Path) -> list[Path]:
    found = [file for file in find_pictures([place]) if file != place]
    if not found:
        raise BadInput(
            f"the class {name!r:.60} is empty: no pictures in {place}",
            fix="put pictures into it, such as 1.png or 1.jpg, or take it out",
        )
    return found


def _split(kept: Sequence[RawImages], numbers: Sequence[int] = ()) -> tuple[Pictures, Pictures]:
    """What is trained on, and the first of each class, which judge."""
    held_out = [max(1, round(len(images) / _HELD_OUT)) for images in kept]
    train = [images[count:] for images, count in zip(kept, held_out, strict=True)]
    test = [images[:count] for images, count in zip(kept, held_out, strict=True)]
    return _joined(train, numbers), _joined(test, numbers)


def _joined(kept: Sequence[RawImages], numbers: Sequence[int] = ()) -> Pictures:
    """The pictures of all classes, which take turns."""
    labels = np.repeat(
        np.array(numbers or range(len(kept)), np.int64), [len(images) for images in kept]
    )
    turn = np.concatenate([np.arange(len(images)) / len(images) for images in kept])
    order = np.argsort(turn, kind="stable")
    return Pictures(images=np.concatenate(list(kept))[order], labels=labels[order])


def _read_idx_folder(
    folder: Path, preprocessing: Preprocessing | None, notice: Callable[[str], None]
) -> DataSet:
    train_images, train_labels = _pair(folder, TRAIN_IMAGES, TRAIN_LABELS)
    test_images, test_labels = _pair(folder, TEST_IMAGES, TEST_LABELS)
    most = int(max(train_labels.max(), test_labels.max()))
    names = _names(folder, most)
    lacking = sorted(set(range(len(names))) - set(train_labels.tolist()))
    if lacking:
        raise BadInput(
            f"{folder} has no picture of the class {names[lacking[0]]!r:.60} to train on",
            fix=f"give labels from 0 without gaps, or other names in {NAMES_FILE}",
        )
    looked = [is_mnist_digit(image) for image in train_images[:100]]
    like_mnist = set(names) <= set(DIGITS) and sum(looked) > 0.9 * len(looked)
    chosen = preprocessing or ("digit" if like_mnist else "plain")
    notice(
        f"{folder}: IDX files of {len(names)} classes, taken as they are; other pictures are read "
        f"as {chosen} (--preprocessing)"
    )
    return DataSet(
        name="folder",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=names,
        preprocessing=chosen,
    )


def _pair(folder: Path, images: str, labels: str) -> tuple[RawImages, Labels]:
    paths = [locate(folder, name) for name in (images, labels)]
    for path, name in zip(paths, (images, labels), strict=True):
        if path is None:
            raise BadInput(f"{folder} has no {name}", fix="put all four files there, raw or .gz")
    assert paths[0] is not None
    assert paths[1] is not None
    pictures = as_pictures(read_idx(paths[0]), source=str(paths[0]))
    return pictures, as_labels(read_idx(paths[1]), pictures, source=str(paths[1]))


def _names(folder: Path, most: int) -> tuple[str, ...]:
    """The names of labels up to `most`: those in a file beside them, else their numbers."""
    path = folder / NAMES_FILE
    try:
        names = tuple(map(str, range(most + 1)))
        if path.exists():
            text = read_file(path, most=_MOST_NAMES_BYTES).decode("utf-8")
            names = tuple(text.splitlines())
        check_classes(names)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{folder}: {getattr(error, 'strerror', None) or error}",
            fix=f"give a name for each label in {NAMES_FILE}, one a line",
        ) from None
    if len(names) <= most:
        raise BadInput(
            f"{folder} has labels up to {most}, but {len(names)} names of classes",
            fix=f"give a name for each label in {NAMES_FILE}, one a line",
        )
    return names
