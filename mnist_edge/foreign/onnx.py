"""ONNX files of others, as they lie on disk: one, or one and its weights beside it."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

from mnist_edge.bundle.storage import read_file
from mnist_edge.errors import BadInput, in_shell
from mnist_edge.foreign.graph import damage_told, parse
from mnist_edge.foreign.net import ForeignNet

MOST_BYTES = 1 << 30


def read_onnx(data: bytes, folder: Path) -> tuple[ForeignNet, ...]:
    """The net in an ONNX file.

    Args:
        data: the file.
        folder: where weights that it keeps in other files may lie; nowhere else is looked.

    Raises:
        BadInput: it is no ONNX file, or a file that it names is missing, elsewhere, or too short.
    """
    with damage_told():
        return (ForeignNet(graph=_whole(data, folder), said="an ONNX model", kind="onnx"),)


def _whole(data: bytes, folder: Path) -> bytes:
    """The file with its weights inside."""
    model = parse(data)
    outside = [t for t in _tensors(model) if t.data_location == TensorProto.EXTERNAL]
    if outside:
        files: dict[str, bytes] = {}
        for tensor in outside:
            _take_inside(tensor, folder, files)
        data = model.SerializeToString(deterministic=True)
    return data


def _tensors(model: onnx.ModelProto) -> list[TensorProto]:
    nodes = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    inside = (a.t for node in nodes for a in node.attribute if a.HasField("t"))
    return [*model.graph.initializer, *inside]


def _take_inside(tensor: TensorProto, folder: Path, files: dict[str, bytes]) -> None:
    """Put the numbers of a tensor where the tensor is. `files` are those that were read."""
    says = {entry.key: entry.value for entry in tensor.external_data}
    name = says.get("location", "")
    if not name or Path(name).name != name:
        raise BadInput(
            f"its weights lie in {name!r:.80}, which is no file beside it",
            fix="put that file beside it, and name it so",
        )
    if name not in files:
        path = folder / name
        try:
            # What a link leads to lies elsewhere.
            if path.is_symlink():
                raise BadInput(f"{path} is a link, and no file", fix="put the file itself there")
            files[name] = read_file(path, most=MOST_BYTES - sum(map(len, files.values())))
        except OSError as error:
            raise BadInput(
                f"its weights lie in {name}, which cannot be read: {error.strerror}",
                fix=f"put {in_shell(name)} beside it",
            ) from None
    whole = files[name]
    try:
        offset = int(says.get("offset", "0"))
        length = int(says.get("length", len(whole) - offset))
    except ValueError:
        offset, length = -1, 0
    if offset < 0 or length < 0 or offset + length > len(whole):
        raise BadInput(
            f"{name} is shorter than the weights {tensor.name!r:.60} say", fix="copy it once more"
        )
    tensor.raw_data = whole[offset : offset + length]
    del tensor.external_data[:]
    tensor.data_location = TensorProto.DEFAULT
