"""What a file is, by its first bytes: for who takes it in, and for messages about those nobody can.

Light: the edge side asks it, too.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from mnist_edge.errors import BadInput, in_shell

if TYPE_CHECKING:
    from mnist_edge.formats.format import FileFormat

Reader: TypeAlias = Literal["onnx", "keras", "torch", ""]

PRODUCER = "mnist-edge"
"""What every model file of ours states of itself."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 512
_MOST_MEMBERS = 100_000
_MOST_NODES = 1 << 20  # bytes of a graph in which its input is looked for


class FileKind(NamedTuple):
    """What a file is.

    Attributes:
        said: with its article, such as "a Keras model".
        reader: what takes it in; empty for nothing.
        advice: what its owner may do, where nothing takes it in.
        is_program: whether to open it is to run what somebody wrote into it.
    """

    said: str
    reader: Reader = ""
    advice: str = ""
    is_program: bool = False


_EXPORT = "export the net to ONNX where it was made, and import that"
_TENSORFLOW = "make an ONNX file of it with tf2onnx, and import that"
_SAVED_MODEL = FileKind("a TensorFlow SavedModel", advice=_TENSORFLOW)
_UNKNOWN = FileKind("no model file that is known here", advice=_EXPORT)
_ARRAYS = FileKind("arrays of NumPy", advice="give the model file itself")


def kind_of(data: bytes) -> FileKind:
    """What a file is, by its bytes. Never raises, and runs nothing in it."""
    head = data[:_HEAD]
    text = head.lstrip().lower()
    if not data:
        return FileKind("an empty file", advice="copy it once more")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return FileKind("a web page", advice="download the file itself, not the page about it")
    if text.startswith(b"version https://git-lfs"):
        return FileKind("a Git LFS pointer", advice="run git lfs pull where it lies")
    if head.startswith(b"PK"):
        return _archive(data)
    if _HDF5 in (data[: len(_HDF5)], data[512 : 512 + len(_HDF5)]):
        return FileKind("a Keras model or another HDF5 file", "keras")
    if head[4:8] == b"TFL3":
        return FileKind("a TensorFlow Lite model", advice=_EXPORT)
    if head[4:8] == b"ORTM":
        return FileKind(
            "a model in ONNX Runtime's own format", advice="give the ONNX file it is of"
        )
    if head.startswith(b"\x93NUMPY"):
        return _ARRAYS
    if head.startswith(b"\x80"):
        return _pickle(head)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < len(data):
        return FileKind("a safetensors file", "torch")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")) or (
        data[257:262] == b"ustar"
    ):
        return FileKind("a compressed archive", advice="unpack it, and give the model inside")
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")):
        return FileKind("a picture", advice="give a model file; predict reads pictures")
    if head.startswith(b"\x08\x01\x12") and b"__saved_model" in data:
        return _SAVED_MODEL
    if head.startswith(b"\n") and b"\x12\x0bPlaceholder" in data[:_MOST_NODES]:
        return FileKind("a TensorFlow graph", advice=_TENSORFLOW)
    if text.startswith((b"{", b"[")):
        return FileKind("a JSON file", advice="give the model file with the weights")
    if _starts_like_onnx(data):
        return FileKind("an ONNX model", "onnx")
    return _UNKNOWN


def refuse_stranger(path: Path, data: bytes, format_: FileFormat | None) -> None:
    """Keep a model file of others from being run as ours: what it wants of a picture is not known.

    Raises:
        BadInput: others made it, or it is damaged.
    """
    kind = kind_of(data)
    try:
        if format_ is not None and format_.header(data).metadata.get("producer") == PRODUCER:
            return
    except BadInput:
        if kind is _UNKNOWN:
            raise
    raise BadInput(
        f"{path}: it is {kind.said}, and none that mnist-edge wrote",
        fix=f"make a bundle of it: mnist-edge import {in_shell(path)}"
        if kind.reader
        else kind.advice or "give a file that mnist-edge export wrote",
    )


def _archive(data: bytes) -> FileKind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()[:_MOST_MEMBERS]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return FileKind("a damaged zip archive", advice="copy it once more")
    ends = {name.rpartition("/")[2] for name in names}
    folders = {part for name in names for part in name.split("/")[:-1]}
    if {"config.json", "model.weights.h5"} <= set(names):
        return FileKind("a Keras model", "keras")
    if "constants.pkl" in ends or ("data.pkl" in ends and "code" in folders):
        return FileKind("a TorchScript archive", "torch", is_program=True)
    if "serialized_exported_program.json" in ends or "archive_format" in ends:
        return FileKind("a program of torch.export (.pt2)", "torch", is_program=True)
    if "data.pkl" in ends:
        return FileKind("a torch file", "torch")
    if "saved_model.pb" in ends:
        return _SAVED_MODEL
    if names and all(name.endswith(".npy") for name in names):
        return _ARRAYS
    inside = [name for name in names if name.endswith((".onnx", ".h5", ".keras", ".pt", ".pth"))]
    if inside:
        return FileKind("a zip archive", advice=f"unpack it, and give {inside[0]!r:.80}")
    return FileKind("a zip archive of something else", advice="give the model file itself")


def _pickle(head: bytes) -> FileKind:
    # What torch wrote before 1.6 begins with its magic number.
    if b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." in head:
        return FileKind("a torch file of the old kind", "torch")
    if b"sklearn" in head:
        return FileKind(
            "a pickled scikit-learn model", advice="export it with skl2onnx; a pickle runs code"
        )
    return FileKind("a pickle", "torch")


def _starts_like_onnx(data: bytes) -> bool:
    from mnist_edge.formats.onnx.header import read_header

    try:
        return read_header(data).ir_version > 0
    except ValueError:
        return False
