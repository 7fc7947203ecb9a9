"""A folder of one's own as a data set, with pictures that the tests draw."""

from __future__ import annotations

import gzip
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn import draw
from hands import write_folder
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.data import folder as data
from mnist_edge.data.folder import read_folder, read_lesson
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import BadInput
from mnist_edge.picture import load_picture

pytestmark = pytest.mark.edge


def digit(name: str, seed: int) -> Image.Image:
    """As a person's: of any size, and no two alike."""
    side = 60 + 13 * seed
    return draw(int(name), size=(side, side), pen=max(3, side // 15 + seed % 3))


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "mine", ("3", "7", "1"), digit, range(8))


def read(folder: Path, **given: str) -> tuple[DataSet, list[str]]:
    told: list[str] = []
    return read_folder(folder, **given, notice=told.append), told  # type: ignore[arg-type]


def test_a_folder_a_class_becomes_a_data_set(digits: Path) -> None:
    found, told = read(digits)
    assert (found.name, found.classes, found.preprocessing) == ("folder", ("1", "3", "7"), "digit")
    assert np.bincount(found.train_labels).tolist() == [7, 7, 7]
    assert np.bincount(found.test_labels).tolist() == [1, 1, 1]
    assert any("3 classes of 8 pictures, read as digit" in line for line in told)
    assert any("one picture in 6" in line for line in told)


def test_pictures_go_through_what_predict_does_to_them(digits: Path) -> None:
    found, _ = read(digits)
    known = {image.tobytes() for image in (*found.train_images, *found.test_images)}
    assert load_picture(digits / "3" / "5.png").pixels.tobytes() in known


def test_what_is_held_out_depends_on_the_pictures_alone(digits: Path, tmp_path: Path) -> None:
    first, _ = read(digits)
    again = tmp_path / "elsewhere"
    for number, path in enumerate(sorted(digits.rglob("*.png"), reverse=True)):
        (again / path.parent.name / "deeper").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, again / path.parent.name / "deeper" / f"{number:03}.png")
    second, _ = read(again)
    assert second.sha256 == first.sha256


def test_classes_stand_in_the_order_of_people(tmp_path: Path) -> None:
    write_folder(tmp_path, ("10", "9", "2"), lambda name, seed: digit(name[0], seed), range(5))
    assert read(tmp_path)[0].classes == ("2", "9", "10")


def test_what_was_split_already_stays_split(tmp_path: Path) -> None:
    write_folder(tmp_path / "training", ("0", "4"), digit, range(6))
    write_folder(tmp_path / "testing", ("0", "4"), digit, range(6, 9))
    found, told = read(tmp_path)
    assert (len(found.train_labels), len(found.test_labels)) == (12, 6)
    assert any("testing judge" in line for line in told)


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("0", "5"), "digit"), (("A", "b"), "letter"), (("cat", "dog"), "plain")],
)
def test_the_preprocessing_follows_from_the_names(
    tmp_path: Path, names: tuple[str, ...], expected: str
) -> None:
    write_folder(tmp_path, names, lambda name, seed: digit(str(ord(name[0]) % 10), seed), range(4))
    assert read(tmp_path)[0].preprocessing == expected
    assert read(tmp_path, preprocessing="plain")[0].preprocessing == "plain"


def test_what_cannot_be_read_is_left_out_and_told(digits: Path) -> None:
    (digits / "3" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("L", (50, 50), 255).save(digits / "7" / "blank.png")
    shutil.copy(digits / "3" / "1.png", digits / "3" / "the same.png")
    shutil.copy(digits / "3" / "1.png", digits / "7" / "contrary.png")
    found, told = read(digits)
    assert len(found.train_labels) + len(found.test_labels) == 24
    (line,) = [line for line in told if line.startswith("left out")]
    assert "broken.png" in line
    assert "2 more" in line


def noise(name: str, seed: int) -> Image.Image:
    values = np.random.default_rng([len(name), ord(name[-1]), seed]).integers(0, 256, (12, 12))
    return Image.fromarray(values.astype(np.uint8))


BAD_NAMES = {
    "tab\there": "cannot be seen whole",
    "line\nend": "cannot be seen whole",
    "\u202eright to left": "cannot be seen whole",
    " blank": "cannot be seen whole",
    "x" * 200: "has a name of 200 characters",
}


@pytest.mark.parametrize(("name", "message"), BAD_NAMES.items())
def test_a_class_whose_name_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    write_folder(tmp_path, ("a",), noise, range(4))
    write_folder(tmp_path, (name,), noise, range(4))
    with pytest.raises(BadInput, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["a, b", "10²", "Ärger", "日本", "it's $5", '"quoted"', "a`b|c*d"])
def test_other_names_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, ("a", name), noise, range(4))
    assert set(read(tmp_path, preprocessing="plain")[0].classes) == {"a", name}


def empty_class(folder: Path) -> None:
    (folder / "5").mkdir()


def one_class(folder: Path) -> None:
    for name in ("1", "3"):
        shutil.rmtree(folder / name)


def too_few(folder: Path) -> None:
    for path in list((folder / "1").iterdir())[3:]:
        path.unlink()


def all_alike(folder: Path) -> None:
    for path in (folder / "1").iterdir():
        shutil.copy(folder / "3" / "0.png", path)


def no_classes(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.rename(folder / f"{path.parent.name}-{path.name}")
    for name in ("1", "3", "7"):
        (folder / name).rmdir()


def nothing(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"no folder")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (empty_class, "the class '5' is empty"),
        (one_class, "1 class, where 2 to 1,000"),
        (too_few, "'1' has 3 pictures that can be read and differ, where 4 are the fewest"),
        (all_alike, "'1' has 1 pictures|'3' has"),
        (no_classes, "pictures, but no folder of a class"),
        (nothing, "no folder of a class"),
        (a_file, "cannot read"),
    ],
)
def test_a_folder_that_cannot_be_taken_is_refused(
    digits: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(digits)
    with pytest.raises(BadInput, match=message):
        read(digits)


def test_more_pictures_than_fit_are_refused(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_MOST_PICTURES", 20)
    with pytest.raises(BadInput, match="24 pictures are more than 20"):
        read(digits)


# --- IDX ----------------------------------------------------------------------------------------


def idx(array: NDArray[np.generic], kind: int = 8) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 12)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return tmp_path


def test_idx_files_are_taken_as_they_are(idx_folder: Path) -> None:
    found, _ = read(idx_folder)
    assert (found.classes, found.preprocessing) == (("0", "1", "2"), "plain")
    assert found.train_images.shape == (30, 28, 28)
    assert found.test_labels.tolist() == [0, 1, 2] * 4


def test_a_file_beside_them_names_their_classes(idx_folder: Path) -> None:
    (idx_folder / "classes.txt").write_text("cat\ndog\nred panda\n")
    assert read(idx_folder)[0].classes == ("cat", "dog", "red panda")
    (idx_folder / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(BadInput, match="labels up to 2, but 2 names"):
        read(idx_folder)


@pytest.mark.parametrize("count", [1000, 1001])
def test_a_thousand_classes_are_taken_and_one_more_is_not(tmp_path: Path, count: int) -> None:
    for part in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        labels = np.arange(count).astype(">i2")
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels, 11))
    if count > 1000:
        with pytest.raises(BadInput, match="1,001 classes, where 2 to 1,000 can be"):
            read(tmp_path)
    else:
        assert len(read(tmp_path)[0].classes) == count


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\3" + bytes(12), "not an IDX file"),
        (b"\0\0\x08\3", "shorter than its header"),
        (idx(np.zeros((30, 28, 28), np.uint8))[:-1], "not as long as its header says"),
        (b"\0\0\x08\3" + b"\xff" * 12, "not as long as its header says"),
        (idx(np.zeros((30, 32, 32), np.uint8)), r"not bytes \(N, 28, 28\)"),
        (idx(np.zeros((0, 28, 28), np.uint8)), r"not bytes \(N, 28, 28\)"),
        (idx(np.zeros((7, 28, 28), np.uint8)), "numbers of shape"),
    ],
)
def test_a_bad_idx_file_is_refused_by_name(idx_folder: Path, raw: bytes, message: str) -> None:
    (idx_folder / "train-images-idx3-ubyte").write_bytes(raw)
    with pytest.raises(BadInput, match=message) as caught:
        read(idx_folder)
    assert "train-" in str(caught.value)


# --- Corrected pictures -------------------------------------------------------------------------


def test_a_lesson_may_have_some_of_the_classes_and_few_pictures(digits: Path) -> None:
    shutil.rmtree(digits / "7")
    shutil.rmtree(digits / "1")
    train, test = read_lesson(digits, tuple("0123456789"), "digit")
    assert set(train.labels.tolist()) == set(test.labels.tolist()) == {3}
    assert (len(train.labels), len(test.labels)) == (7, 1)


def test_a_lesson_of_an_unknown_class_is_refused(digits: Path) -> None:
    with pytest.raises(BadInput, match="7 is no class of this net, which has 1, 3"):
        read_lesson(digits, ("1", "3"), "digit")
