"""Torch files of others to the nets that they may hold; nothing in them is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnist_edge.errors import BadInput
from mnist_edge.foreign.net import ForeignNet
from mnist_edge.foreign.state_dict import read_state_dict
from mnist_edge.train.weights import read_weights


def read_torch_nets(path: Path, key: str = "") -> tuple[ForeignNet, ...]:
    """The nets that the weights in a file may be of.

    Args:
        path: of what `torch.save` or safetensors wrote.
        key: which of several weights in it; empty where there is one.

    Raises:
        BadInput: it holds a program, or weights of something else than layers in a chain.
    """
    weights = read_weights(path, key)
    arrays = {name: tensor.detach().float().numpy() for name, tensor in weights.tensors.items()}
    try:
        return read_state_dict({name: np.ascontiguousarray(a) for name, a in arrays.items()})
    except BadInput as error:
        short = weights.of.rpartition(".")[2] or "CLASS"
        what = f"pickled with its class, {weights.of}, which is not run; " if weights.of else ""
        raise BadInput(
            f"{path}: {what}{error.what}", fix=error.fix.replace(":CLASS", f":{short}")
        ) from None
