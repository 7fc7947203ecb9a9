"""IDX files of any size: what MNIST, and most sets that are made like it, come in."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.storage import open_file, readable
from mnist_edge.contract import SIDE, Labels, RawImages
from mnist_edge.errors import BadInput, DataUnavailable

_TYPES: dict[int, np.dtype[Any]] = {
    8: np.dtype(np.uint8),
    9: np.dtype(np.int8),
    11: np.dtype(">i2"),
    12: np.dtype(">i4"),
}
_MOST_BYTES = 1 << 30  # unpacked: a million pictures
_FIX = "give IDX files as MNIST has them"


def parse_idx(raw: bytes, *, source: str) -> NDArray[np.generic]:
    """The array of an IDX file. Raises BadInput where the bytes are none."""
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES or not 1 <= raw[3] <= 3:
        raise BadInput(f"{source} is not an IDX file of whole numbers", fix=_FIX)
    kind, rank = _TYPES[raw[2]], raw[3]
    start = 4 + 4 * rank
    if len(raw) < start:
        raise BadInput(f"{source} is shorter than its header", fix=_FIX)
    shape = struct.unpack(f">{rank}I", raw[4:start])
    if len(raw) - start != math.prod(shape) * kind.itemsize:
        raise BadInput(f"{source} is not as long as its header says", fix=_FIX)
    array: NDArray[np.generic] = np.frombuffer(raw, kind, offset=start).reshape(shape)
    return array


def unzip(packed: bytes, *, source: str) -> bytes:
    """What is in a gzip file. Raises BadInput where it is damaged, or far too much."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise BadInput(f"{source} is damaged: {error}", fix=_FIX) from None
    if len(raw) > _MOST_BYTES:
        raise BadInput(f"{source} unpacks to more than {_MOST_BYTES >> 30} GiB", fix=_FIX)
    return raw


def read_idx(path: Path) -> NDArray[np.generic]:
    """The array of an IDX file, packed by gzip or not.

    Raises:
        BadInput: it is none, or is damaged.
        DataUnavailable: it cannot be read.
    """
    with readable(path, DataUnavailable, "make the file readable"), open_file(path) as stream:
        data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise BadInput(f"{path} is longer than {_MOST_BYTES >> 30} GiB", fix=_FIX)
    return parse_idx(
        unzip(data, source=str(path)) if path.suffix == ".gz" else data, source=str(path)
    )


def as_pictures(array: NDArray[np.generic], *, source: str) -> RawImages:
    """An array as pictures. Raises BadInput where it is no (N, 28, 28) of bytes."""
    if array.dtype != np.uint8 or array.shape[1:] != (SIDE, SIDE) or not len(array):
        raise BadInput(
            f"{source} holds {array.dtype} of shape {array.shape}, not bytes (N, {SIDE}, {SIDE})",
            fix="give pictures of another size as files, in a folder a class",
        )
    return array.astype(np.uint8)


def as_labels(array: NDArray[np.generic], pictures: RawImages, *, source: str) -> Labels:
    """An array as the labels of pictures. Raises BadInput where it is no row of so many."""
    if array.shape != (len(pictures),):
        raise BadInput(
            f"{source} holds numbers of shape {array.shape} for {len(pictures):,} pictures",
            fix=_FIX,
        )
    labels = array.astype(np.int64)
    if labels.min() < 0:
        raise BadInput(f"{source} has the label {labels.min()}", fix=_FIX)
    return labels
