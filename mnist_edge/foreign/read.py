"""Any file of others to the nets that it may hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_edge.bundle.storage import read_file, readable
from mnist_edge.errors import BadInput, needed_to
from mnist_edge.foreign.kinds import kind_of
from mnist_edge.foreign.net import ForeignNet

MOST_BYTES = 1 << 30


def read_file_of_others(
    path: Path, read_torch: Callable[[Path], tuple[ForeignNet, ...]]
) -> tuple[tuple[ForeignNet, ...], str]:
    """The nets that a file may hold, and the SHA-256 of its bytes.

    Raises:
        BadInput: it cannot be read, or holds no net that can be taken in.
        MissingDependency: what reads it is not installed.
    """
    if path.is_dir() and (path / "saved_model.pb").is_file():
        path = path / "saved_model.pb"  # which is named for what it is
    with readable(path, BadInput, "give the path of a model file"):
        data = read_file(path, most=MOST_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    if kind_of(data).reader == "torch":
        return read_torch(path), digest
    with about(path):
        return _nets(data, path.parent), digest


@contextmanager
def about(path: Path) -> Iterator[None]:
    """What is wrong with a file is said with its name."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{path}: {error.what}", fix=error.fix) from None


def _nets(data: bytes, folder: Path) -> tuple[ForeignNet, ...]:
    kind = kind_of(data)
    match kind.reader:
        case "onnx":
            with needed_to("import an ONNX model", extra="onnx"):
                from mnist_edge.foreign.onnx import read_onnx
            return read_onnx(data, folder)
        case "keras":
            with needed_to("import a Keras model", extra="keras"):
                import h5py  # type: ignore[import-untyped]  # noqa: F401  # run in a process apart

                from mnist_edge.foreign.keras import read_keras
            return read_keras(data)
    raise BadInput(f"it is {kind.said}", fix=kind.advice or "export the net to ONNX")
