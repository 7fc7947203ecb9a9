"""Torch files of others to the nets that they may hold; nothing in them is run."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mnist_edge.bundle.storage import read_file
from mnist_edge.errors import BadInput
from mnist_edge.foreign.kinds import kind_of
from mnist_edge.foreign.net import ForeignNet
from mnist_edge.foreign.state_dict import read_state_dict
from mnist_edge.train.importing import learned, read_document

_MOST_BYTES = 1 << 30
_OURS = ("torch", "collections", "numpy", "builtins")


def read_torch_nets(path: Path, key: str = "") -> tuple[ForeignNet, ...]:
    """The nets that the weights in a file may be of.

    Args:
        path: of what `torch.save` or safetensors wrote.
        key: which of several weights in it; empty where there is one.

    Raises:
        BadInput: it holds a program, or weights of something else than layers in a chain.
    """
    tensors = read_weights(path, key)
    arrays = {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}
    try:
        return read_state_dict({name: np.ascontiguousarray(a) for name, a in arrays.items()})
    except BadInput as error:
        raise BadInput(f"{path}: {error.what}", fix=error.fix) from None


def read_weights(path: Path, key: str) -> dict[str, Tensor]:
    """The weights in a file by name. Raises as `read_torch_nets` does."""
    program = kind_of(read_file(path, most=_MOST_BYTES))
    if "TorchScript" in program.said or ".pt2" in program.said:
        raise BadInput(
            f"{path} is {program.said}: that is a program, which import does not run",
            fix="export the net to ONNX where it was made, and import that",
        )
    try:
        document = read_document(path)
    except BadInput:
        name = _pickled_class(path)
        if not name:
            raise
        short = name.rpartition(".")[2]
        raise BadInput(
            f"{path} is a whole model, pickled: a {name}; a pickle is a program, which is not run",
            fix="save its weights with torch.save(model.state_dict(), path), and import those; "
            f"with --architecture FILE.py:{short} where its layers are no chain",
        ) from None
    return learned(_chosen(document, path, key), path)


def _chosen(document: dict[str, Any], path: Path, key: str) -> dict[str, object]:
    """The weights that are meant, of a file that may hold several."""
    several = {
        str(name): value
        for name, value in document.items()
        if isinstance(value, dict) and any(isinstance(item, Tensor) for item in value.values())
    }
    if key:
        if key not in several:
            raise BadInput(
                f"{path} holds no weights under {key!r:.60}",
                fix=f"choose --key of {', '.join(several) or 'nothing: leave it out'}",
            )
        return several[key]
    if any(isinstance(value, Tensor) for value in document.values()) or not several:
        return document
    if len(several) > 1:
        raise BadInput(
            f"{path} holds several weights: {', '.join(several)}", fix="choose one with --key NAME"
        )
    return next(iter(several.values()))


def _pickled_class(path: Path) -> str:
    """The first class of somebody's own that a pickle names; empty where it names none."""
    try:
        data = read_file(path, most=_MOST_BYTES)
        if data[:2] == b"PK":
            with zipfile.ZipFile(path) as archive:
                (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
                data = archive.read(name)
        for step, argument, _ in pickletools.genops(data):
            if step.name == "GLOBAL" and isinstance(argument, str):
                module, _, kind = argument.partition(" ")
                if module.partition(".")[0] not in _OURS or module.startswith("torch.nn.modules"):
                    return f"{module}.{kind}" if module != "__main__" else kind
    except (ValueError, OSError, zipfile.BadZipFile, IndexError):
        return ""
    return ""
