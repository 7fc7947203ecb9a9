"""Data sets beside MNIST that have a name: where they lie, and how they are known again.

The addresses are torchvision's, by HTTPS, and for Fashion-MNIST, which has none there, that of its
makers. Nothing is taken for one of them before the digest of the file as it was published has been
checked, whoever brought it; of QMNIST an MD5 is all that was published.
"""

from __future__ import annotations

import hashlib
import os
import string
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mnist_edge.bundle.storage import cache_dir, open_file, readable
from mnist_edge.contract import Labels, RawImages
from mnist_edge.data.idx import as_labels, as_pictures, parse_idx, unzip
from mnist_edge.data.mnist import DATA_VARIABLE, DataSet
from mnist_edge.errors import BadInput, DataUnavailable
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import NamedData, Preprocessing

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Published:
    """A file as it was published.

    Attributes:
        url: of it.
        digest: its SHA-256 or MD5, in hexadecimal.
        most_bytes: more than it has.
    """

    url: str
    digest: str
    most_bytes: int = 64 << 20

    @property
    def name(self) -> str:
        """That the file has in a folder."""
        return self.url.rpartition("/")[2]

    def is_one(self, stream: BinaryIO) -> bool:
        """Whether what a stream gives is this file. Raises OSError where it cannot be read."""
        found = hashlib.sha256() if len(self.digest) == 64 else hashlib.md5(usedforsecurity=False)
        while block := stream.read(_BLOCK_BYTES):
            found.update(block)
        return found.hexdigest() == self.digest


@dataclass(frozen=True, kw_only=True)
class NamedSet:
    """A data set that has a name.

    Attributes:
        title: its name, for people.
        files: train images, train labels, test images, test labels; or the one archive of all.
        members: their names in that archive.
        classes: the names of the labels, by number.
        first: the label that stands for the first class.
        transposed: whether rows and columns of its pictures are exchanged.
    """

    title: str
    files: tuple[Published, ...]
    members: tuple[str, ...] = ()
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    first: int = 0
    transposed: bool = False


def _four(address: str, *digests: str, parts: tuple[str, ...]) -> tuple[Published, ...]:
    return tuple(
        Published(f"{address}{part}", digest) for part, digest in zip(parts, digests, strict=True)
    )


_LIKE_MNIST = tuple(
    f"{name}-ubyte.gz"
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)


def _emnist(split: str) -> tuple[str, ...]:
    files = (part.replace("t10k", "test") for part in _LIKE_MNIST)
    return tuple(f"gzip/emnist-{split}-{file}" for file in files)


_EMNIST = Published(
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    600 << 20,
)

NAMED: dict[NamedData, NamedSet] = {
    "fashion": NamedSet(
        title="Fashion-MNIST",
        files=_four(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            parts=_LIKE_MNIST,
        ),
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        preprocessing="plain",
    ),
    "kmnist": NamedSet(
        title="Kuzushiji-MNIST",
        files=_four(
            "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            parts=_LIKE_MNIST,
        ),
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        preprocessing="letter",
    ),
    "emnist-letters": NamedSet(
        title="EMNIST Letters",
        files=(_EMNIST,),
        members=_emnist("letters"),
        classes=tuple(string.ascii_lowercase),
        preprocessing="letter",
        first=1,
        transposed=True,
    ),
    "emnist-balanced": NamedSet(
        title="EMNIST Balanced",
        files=(_EMNIST,),
        members=_emnist("balanced"),
        # Small letters that look like their capitals count as these.
        classes=(*string.digits, *string.ascii_uppercase, *"abdefghnqrt"),
        preprocessing="letter",
        transposed=True,
    ),
    "qmnist": NamedSet(
        title="QMNIST",
        files=_four(
            "https://raw.githubusercontent.com/facebookresearch/qmnist/master/",
            "ed72d4157d28c017586c42bc6afe6370",
            "0058f8dd561b90ffdd0f734c6a30e5e4",
            "1394631089c404de565df7b7aeaf9412",
            "5b5b05890a5e13444e108efe57b788aa",
            parts=(
                "qmnist-train-images-idx3-ubyte.gz",
                "qmnist-train-labels-idx2-int.gz",
                "qmnist-test-images-idx3-ubyte.gz",
                "qmnist-test-labels-idx2-int.gz",
            ),
        ),
        classes=DIGITS,
        preprocessing="digit",
    ),
}


def find_named(name: NamedData, data_dir: Path | None) -> Path | None:
    """The folder that holds the files of a set, or None.

    Looked for in `data_dir`, else in `$MNIST_EDGE_DATA`, else in the user's cache folder; in each
    in the folder of that name, or directly.

    Raises:
        DataUnavailable: `data_dir` was named, and they are not in it.
    """
    variable = os.environ.get(DATA_VARIABLE)
    place = data_dir or (Path(variable) if variable else None)
    for base in (place,) if place else (cache_dir(),):
        for folder in (base / folder_of(name), base):
            if all((folder / file.name).is_file() for file in NAMED[name].files):
                return folder
    if data_dir is not None:
        names = ", ".join(file.name for file in NAMED[name].files)
        raise DataUnavailable(
            f"{NAMED[name].title} is not in {data_dir}",
            fix=f"put {names} into {data_dir / folder_of(name)}, as published",
        )
    return None


def folder_of(name: NamedData) -> str:
    """The folder of a set; those of one archive share it."""
    return "emnist" if NAMED[name].members else name


def read_named(name: NamedData, folder: Path) -> DataSet:
    """Read a set whose files lie in `folder`.

    Raises:
        DataUnavailable: a file is missing or cannot be read.
        BadInput: a file is damaged, or is another one.
    """
    known = NAMED[name]
    parts: list[bytes] = []
    for file in known.files:
        with _checked(file, folder / file.name, known.title) as stream:
            if known.members:
                with zipfile.ZipFile(stream) as archive:
                    parts += map(archive.read, known.members)
            else:
                parts.append(stream.read())
    train_images, train_labels = _pair(known, *parts[:2])
    test_images, test_labels = _pair(known, *parts[2:])
    return DataSet(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=known.classes,
        preprocessing=known.preprocessing,
    )


@contextmanager
def _checked(file: Published, path: Path, title: str) -> Iterator[BinaryIO]:
    """A file, once it is known to be the one that was published."""
    with readable(path, DataUnavailable, "make the file readable"), open_file(path) as stream:
        if not file.is_one(stream):
            raise BadInput(
                f"{path} is damaged or is of another data set than {title}",
                fix=f"remove it, to fetch it again, or put {file.name} of {title} there",
            )
        stream.seek(0)
        yield stream


def _pair(known: NamedSet, images: bytes, labels: bytes) -> tuple[RawImages, Labels]:
    source = known.title
    pictures = as_pictures(parse_idx(unzip(images, source=source), source=source), source=source)
    if known.transposed:
        pictures = np.ascontiguousarray(pictures.transpose(0, 2, 1))
    numbers = parse_idx(unzip(labels, source=source), source=source)
    if numbers.ndim == 2:  # QMNIST: the class, then who wrote it and when
        numbers = numbers[:, 0]
    return pictures, as_labels(numbers, pictures, source=source) - known.first
