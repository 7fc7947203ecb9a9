"""Find, check and read a data set of digits as uint8 arrays.

MNIST is four IDX files (Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten
digits", 1998). Nothing is taken for MNIST before the SHA-256 of its raw bytes has been checked,
whoever brought the files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.manifest import DataRecord
from mnist_edge.bundle.storage import cache_dir, open_file, readable
from mnist_edge.contract import SIDE, Labels, RawImages
from mnist_edge.errors import BadInput, DataUnavailable
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import DataName, Preprocessing

DATA_VARIABLE = "MNIST_EDGE_DATA"
_BLOCK_BYTES = 1 << 20  # stays in a core's cache from one to the next


@dataclass(frozen=True, kw_only=True)
class IdxFile:
    """What one raw IDX file must hold: uint8 of this shape, bytes of this SHA-256."""

    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        """Two zeros, 8 for uint8, the rank, then each dimension as a big-endian uint32."""
        rank = len(self.shape)
        return struct.pack(f">4B{rank}I", 0, 0, 8, rank, *self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole file, header included."""
        return len(self.header) + int(np.prod(self.shape))


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"

MNIST_FILES: dict[str, IdxFile] = {
    TRAIN_IMAGES: IdxFile(
        shape=(60_000, SIDE, SIDE),
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    TRAIN_LABELS: IdxFile(
        shape=(60_000,),
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    TEST_IMAGES: IdxFile(
        shape=(10_000, SIDE, SIDE),
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    TEST_LABELS: IdxFile(
        shape=(10_000,),
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


# Compared by identity: comparing the arrays would take long and give no single answer.
@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """Digits to train on and digits to test on.

    Attributes:
        name: where the digits come from.
        train_images: (N, 28, 28) uint8, white digit on black.
        train_labels: (N,) int64.
        test_images: (M, 28, 28) uint8.
        test_labels: (M,) int64.
        classes: the names of the labels, by number.
        preprocessing: what brings any other picture into the form of these.
    """

    name: DataName
    train_images: RawImages
    train_labels: Labels
    test_images: RawImages
    test_labels: Labels
    classes: tuple[str, ...] = DIGITS
    preprocessing: Preprocessing = "digit"

    @cached_property
    def sha256(self) -> str:
        """Of the four SHA-256 digests (32 bytes each) of train images and labels, test likewise.

        Each array is taken as uint8 in C order, without header; of more than 256 classes the labels
        are taken as big-endian uint16.
        """
        whole, numbers = hashlib.sha256(), "u1" if len(self.classes) <= 256 else ">u2"
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            taken = np.ascontiguousarray(array, numbers if array.ndim == 1 else np.uint8)
            whole.update(hashlib.sha256(taken.data).digest())
        return whole.hexdigest()


def data_record(data: DataSet) -> DataRecord:
    """What a bundle says of a data set."""
    return DataRecord(
        name=data.name,
        sha256=data.sha256,
        train_size=len(data.train_labels),
        test_size=len(data.test_labels),
        classes=data.classes,
        preprocessing=data.preprocessing,
    )


def if_named(known: DataRecord, data: DataSet | None) -> DataSet | None:
    """The data set, where it is the very one that a bundle's record names."""
    return data if data is not None and data.sha256 == known.sha256 else None


def development_twin(data: DataSet, *, every: int = 12) -> DataSet:
    """The training set alone, in two: for choosing hyper-parameters without the test set.

    Of MNIST, 55,000 digits to train on and 5,000 to judge by, if not asked otherwise.

    Args:
        data: to be taken apart.
        every: so many digits one is judged by; 2 gives halves, which can tell smaller differences.
    """
    # Counted off, so the same on every machine and numpy version.
    held_out = np.arange(len(data.train_labels)) % every == every - 1
    return replace(
        data,
        train_images=data.train_images[~held_out],
        train_labels=data.train_labels[~held_out],
        test_images=data.train_images[held_out],
        test_labels=data.train_labels[held_out],
    )


def find_mnist(data_dir: Path | None) -> Path | None:
    """The folder that holds the four files of MNIST, or None where nobody named one.

    Looked for in `data_dir`, else in `$MNIST_EDGE_DATA`, else in the user's cache folder; in each,
    directly, in `mnist/`, and in `MNIST/raw/`, where torchvision puts it.

    Raises:
        DataUnavailable: a folder was named, by argument or variable, and MNIST is not in it.
    """
    if data_dir is not None:
        return _named(data_dir, "--data-dir")
    if variable := os.environ.get(DATA_VARIABLE):
        return _named(Path(variable), DATA_VARIABLE)
    try:
        return _search(cache_dir())
    except DataUnavailable:
        return None


def read_mnist(folder: Path) -> DataSet:
    """Read the four files of MNIST in `folder`, raw or compressed by gzip.

    Raises:
        DataUnavailable: a file is missing or cannot be read.
        BadInput: a file is damaged, or is not MNIST.
    """
    from concurrent.futures import ThreadPoolExecutor  # loads logging, which no device needs

    with ThreadPoolExecutor() as pool:  # neither unpacking nor hashing holds the lock
        train_images, train_labels, test_images, test_labels = pool.map(
            partial(_read, folder), (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
        )
    return DataSet(
        name="mnist",
        train_images=train_images,
        train_labels=train_labels.astype(np.int64),
        test_images=test_images,
        test_labels=test_labels.astype(np.int64),
    )


def unpack(stream: io.BufferedIOBase, name: str, *, source: str) -> NDArray[np.uint8]:
    """Read and check one file of MNIST.

    Args:
        stream: gives the raw bytes; if it decompresses, what goes wrong there is caught here.
        name: which of `MNIST_FILES` it must be.
        source: the path or address, for the message.

    Raises:
        BadInput: it is damaged, or is another file.
    """
    expected = MNIST_FILES[name]
    fix = f"replace it with {name} of MNIST"
    try:
        # One byte more than there should be: enough to notice, too little to fill the memory.
        raw = _up_to(expected.size_bytes + 1, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{source} is damaged: {error}", fix=fix) from error
    start = len(expected.header)
    if raw[:start].tobytes() != expected.header:
        raise BadInput(f"{source} is not an IDX file of {expected.shape} uint8", fix=fix)
    if len(raw) != expected.size_bytes:
        difference = "longer" if len(raw) > expected.size_bytes else "shorter"
        raise BadInput(f"{source} is {difference} than its header says", fix=fix)
    array = raw[start:].reshape(expected.shape)
    if array.ndim == 1 and array.max() >= len(DIGITS):
        raise BadInput(f"{source} has the label {array.max()}, expected 0 to 9", fix=fix)
    if hashlib.sha256(raw.data).hexdigest() != expected.sha256:
        # Fashion-MNIST, KMNIST and others use the same names and shapes.
        raise BadInput(f"{source} is damaged or is of another data set than MNIST", fix=fix)
    return array


def _up_to(most: int, stream: io.BufferedIOBase) -> NDArray[np.uint8]:
    """So many bytes, or all that there are: block by block into one place, not gathered first."""
    raw, end = np.empty(most, np.uint8), 0
    while size := stream.readinto(raw[end : end + _BLOCK_BYTES].data):
        end += size
    return raw[:end]


def _read(folder: Path, name: str) -> NDArray[np.uint8]:
    path = locate(folder, name)
    if path is None:
        raise DataUnavailable(
            f"{folder} has no file {name} or {name}.gz", fix="give the folder of all four files"
        )
    with readable(path, DataUnavailable, "make the file readable"), open_raw(path) as stream:
        return unpack(stream, name, source=str(path))


@contextmanager
def open_raw(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open one of the files, compressed by gzip or not, as what is in it."""
    with open_file(path) as stream:
        if path.suffix != ".gz":
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield unpacked


def _named(folder: Path, source: str) -> Path:
    found = _search(folder)
    if found is None:
        raise DataUnavailable(
            f"no readable MNIST in {folder} (from {source})",
            fix=f"put {', '.join(MNIST_FILES)} there, raw or .gz, or name another folder",
        )
    return found


def _search(folder: Path) -> Path | None:
    for place in (folder / "mnist", folder, folder / "MNIST" / "raw"):
        if all(locate(place, name) for name in MNIST_FILES):
            return place
    return None


def locate(folder: Path, name: str) -> Path | None:
    """A file in a folder, raw or compressed by gzip."""
    for path in (folder / name, folder / f"{name}.gz"):
        try:
            if path.is_file():
                return path
        except OSError:  # no permission to look into the folder
            continue
    return None


def balanced_sample(labels: Labels, count: int) -> NDArray[np.intp]:
    """Indices, in rising order, of the first digits of each class, `count` in all.

    Deterministic, and as even over the classes as the numbers allow.
    """
    rank = np.empty(len(labels), np.int64)
    for digit in np.unique(labels):
        members = np.flatnonzero(labels == digit)
        rank[members] = np.arange(len(members))
    return np.sort(np.argsort(rank, kind="stable")[:count])
