from __future__ import annotations

import gzip
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mnist_edge.bundle.storage import cache_dir
from mnist_edge.data import mnist as data
from mnist_edge.data.mnist import (
    DATA_VARIABLE,
    MNIST_FILES,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
)
from mnist_edge.errors import BadInput, DataUnavailable

if TYPE_CHECKING:
    from typing_extensions import Buffer

pytestmark = pytest.mark.edge

Raw = dict[str, bytes]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data set of this machine is seen, unless a test says where."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))


def write(folder: Path, raw: Raw, *, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in raw.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_the_four_files_become_four_arrays(tiny_mnist: Raw, tmp_path: Path, packed: bool) -> None:
    digits = data.read_mnist(write(tmp_path, tiny_mnist, packed=packed))
    assert digits.name == "mnist"
    assert digits.train_images.shape == (12, 28, 28)
    assert digits.test_images.dtype == np.uint8
    assert digits.train_labels.dtype == np.int64
    assert digits.train_images.tobytes() == tiny_mnist[TRAIN_IMAGES][16:]
    assert digits.test_labels.tolist() == list(tiny_mnist[TEST_LABELS][8:])


def test_the_arrays_can_be_written_to(tiny_mnist: Raw, tmp_path: Path) -> None:
    digits = data.read_mnist(write(tmp_path, tiny_mnist))
    assert digits.train_images.flags.writeable  # torch.from_numpy warns of read-only memory
    assert digits.test_labels.flags.writeable


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", list(MNIST_FILES))
def test_one_changed_bit_is_noticed(
    tiny_mnist: Raw, tmp_path: Path, name: str, packed: bool
) -> None:
    changed = bytearray(tiny_mnist[name])
    changed[-1] ^= 1
    write(tmp_path, tiny_mnist | {name: bytes(changed)}, packed=packed)
    with pytest.raises(BadInput, match=f"{name}.*another data set than MNIST"):
        data.read_mnist(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: b"", "not an IDX file"),
        (lambda raw: raw[:3], "not an IDX file"),
        (lambda raw: b"\0\0\x0d\3" + raw[4:], "not an IDX file"),  # float32
        (lambda raw: raw[:7] + b"\7" + raw[8:], "not an IDX file"),  # another count
        (lambda raw: b"<html>no such file</html>", "not an IDX file"),
        (lambda raw: raw[:-1], "shorter"),
        (lambda raw: raw + b"\0", "longer"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    tiny_mnist: Raw, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    damaged = tiny_mnist | {TRAIN_IMAGES: damage(tiny_mnist[TRAIN_IMAGES])}
    for packed in (True, False):
        folder = write(tmp_path / str(packed), damaged, packed=packed)
        with pytest.raises(BadInput, match=message) as caught:
            data.read_mnist(folder)
        assert TRAIN_IMAGES in caught.value.what
        assert TRAIN_IMAGES in caught.value.fix


def test_a_label_beyond_9_is_refused(tiny_mnist: Raw, tmp_path: Path) -> None:
    write(tmp_path, tiny_mnist | {TRAIN_LABELS: tiny_mnist[TRAIN_LABELS][:-1] + b"\x0a"})
    with pytest.raises(BadInput, match="has the label 10"):
        data.read_mnist(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: b"",
        lambda packed: b"not gzip",
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-4],
        lambda packed: packed[:100] + bytes(50) + packed[150:],
        lambda packed: packed[:-8] + bytes(8),
    ],
)
def test_a_damaged_gzip_file_is_refused(
    tiny_mnist: Raw, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = write(tmp_path, tiny_mnist) / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=path.name):
        data.read_mnist(tmp_path)


def test_a_gzip_bomb_is_not_unpacked(tiny_mnist: Raw) -> None:
    class Bomb(io.BytesIO):
        given = 0

        def readinto(self, buffer: Buffer, /) -> int:
            size = super().readinto(buffer)
            self.given += size
            return size

    expected = MNIST_FILES[TRAIN_IMAGES]
    bomb = Bomb(expected.header + bytes(1_000_000))
    with pytest.raises(BadInput, match="longer"):
        data.unpack(bomb, TRAIN_IMAGES, source="bomb.gz")
    assert bomb.given == expected.size_bytes + 1


def test_a_folder_in_place_of_a_file_is_no_file(tiny_mnist: Raw, tmp_path: Path) -> None:
    write(tmp_path, tiny_mnist, packed=False)
    (tmp_path / TEST_LABELS).unlink()
    (tmp_path / TEST_LABELS).mkdir()
    with pytest.raises(DataUnavailable, match=f"has no file {TEST_LABELS}"):
        data.read_mnist(tmp_path)


def test_an_unreadable_file_is_named(
    tiny_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    write(tmp_path, tiny_mnist)
    # Not by chmod: tests may run as root, whom no permission stops.
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(DataUnavailable, match=rf"cannot read .*{TRAIN_IMAGES}.gz: Permission"):
        data.read_mnist(tmp_path)


# --- finding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["mnist", ".", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_found_where_people_keep_it(
    tiny_mnist: Raw, tmp_path: Path, place: str, packed: bool
) -> None:
    write(tmp_path / place, tiny_mnist, packed=packed)
    assert data.find_mnist(tmp_path) == tmp_path / place


def test_the_argument_goes_before_the_variable_and_the_variable_before_the_cache(
    tiny_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, variable = (write(tmp_path / name, tiny_mnist) for name in ("given", "variable"))
    cached = write(cache_dir() / "mnist", tiny_mnist)
    assert data.find_mnist(None) == cached
    monkeypatch.setenv(DATA_VARIABLE, "")
    assert data.find_mnist(None) == cached
    monkeypatch.setenv(DATA_VARIABLE, str(variable))
    assert data.find_mnist(None) == variable
    assert data.find_mnist(given) == given


def test_a_named_folder_without_mnist_is_an_error(
    tiny_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(cache_dir() / "mnist", tiny_mnist)  # not what was asked for
    empty = tmp_path / "empty"
    with pytest.raises(DataUnavailable, match="--data-dir") as caught:
        data.find_mnist(empty)
    assert TRAIN_IMAGES in caught.value.fix
    monkeypatch.setenv(DATA_VARIABLE, str(empty))
    with pytest.raises(DataUnavailable, match=f"no readable MNIST in {empty}.*{DATA_VARIABLE}"):
        data.find_mnist(None)


def test_three_files_of_four_are_not_mnist(tiny_mnist: Raw, tmp_path: Path) -> None:
    write(cache_dir() / "mnist", {k: v for k, v in tiny_mnist.items() if k != TEST_IMAGES})
    assert data.find_mnist(None) is None


def test_a_path_that_cannot_be_looked_up_holds_no_mnist(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 5000), Path("nul\0byte")):
        with pytest.raises(DataUnavailable, match="no readable MNIST"):
            data.find_mnist(path)


def test_a_user_without_a_home_has_no_cache_but_may_name_a_folder(
    tiny_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(DataUnavailable, match="no home folder") as caught:
        cache_dir()
    assert DATA_VARIABLE in caught.value.fix
    assert data.find_mnist(None) is None
    assert data.find_mnist(write(tmp_path, tiny_mnist)) == tmp_path


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("LOCALAPPDATA", "relative")
    assert cache_dir() == Path.home() / ".cache" / "mnist-edge"


# --- data sets ---------------------------------------------------------------------------------


def noise(train: int = 24, test: int = 6) -> data.DataSet:
    rng = np.random.default_rng(1)
    return data.DataSet(
        name="rendered",
        train_images=rng.integers(0, 256, (train, 28, 28), np.uint8),
        train_labels=rng.integers(0, 10, train),
        test_images=rng.integers(0, 256, (test, 28, 28), np.uint8),
        test_labels=rng.integers(0, 10, test),
    )


def test_the_digest_is_the_one_that_is_documented() -> None:
    digits = noise()
    parts = [
        hashlib.sha256(digits.train_images.tobytes()).digest(),
        hashlib.sha256(bytes(digits.train_labels.tolist())).digest(),
        hashlib.sha256(digits.test_images.tobytes()).digest(),
        hashlib.sha256(bytes(digits.test_labels.tolist())).digest(),
    ]
    assert digits.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("which", ["train_images", "train_labels", "test_images", "test_labels"])
def test_the_digest_depends_on_each_array(which: str) -> None:
    digits = noise()
    getattr(digits, which).flat[0] ^= 1
    changed = data.DataSet(
        name="rendered",
        train_images=digits.train_images,
        train_labels=digits.train_labels,
        test_images=digits.test_images,
        test_labels=digits.test_labels,
    )
    assert changed.sha256 != noise().sha256


def test_the_twin_splits_the_training_digits_and_never_sees_the_test_digits() -> None:
    digits = noise(train=120)
    twin = data.development_twin(digits)
    assert (len(twin.train_labels), len(twin.test_labels)) == (110, 10)
    both = np.concatenate([twin.train_images, twin.test_images])
    assert sorted(map(bytes, both)) == sorted(map(bytes, digits.train_images))
    for images, labels in (
        (twin.train_images, twin.train_labels),
        (twin.test_images, twin.test_labels),
    ):
        known = dict(zip(map(bytes, digits.train_images), digits.train_labels, strict=True))
        assert [known[bytes(image)] for image in images] == labels.tolist()


def test_the_twin_is_always_the_same_and_has_its_own_digest() -> None:
    digits = noise()
    twins = [data.development_twin(digits) for _ in range(2)]
    assert twins[0].sha256 == twins[1].sha256 != digits.sha256


@pytest.mark.real_data
def test_real_mnist_is_read_as_it_is_known(mnist_dir: Path) -> None:
    digits = data.read_mnist(mnist_dir)
    assert digits.train_images.shape == (60_000, 28, 28)
    assert digits.test_images.shape == (10_000, 28, 28)
    assert np.bincount(digits.test_labels)[:3].tolist() == [980, 1135, 1032]
    assert digits.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert digits.sha256 == "31ca189320ce511d314d85ee5cc02082b343a328bec028418f911405d558d666"
    twin = data.development_twin(digits)
    assert (len(twin.train_labels), len(twin.test_labels)) == (55_000, 5_000)
