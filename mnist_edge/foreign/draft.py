"""A graph in ONNX that is made of the layers of Keras, and what each of these is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.errors import BadInput
from mnist_edge.recipes.terms import DEFAULT_OPSET

Weights: TypeAlias = Mapping[str, NDArray[np.generic]]
Config: TypeAlias = Mapping[str, Any]


class Value(NamedTuple):
    """A result: its name, its shape as Keras has it, and whether its channels lie first."""

    name: str
    shape: tuple[int, ...]
    first: bool = False


def refuse(name: str, kind: str, why: str = "which is not known here") -> BadInput:
    """The error for a layer of which nothing can be made."""
    return BadInput(
        f"its layer {name!r:.60} is a {kind}, {why}",
        fix="export the model to ONNX where it was made, and import that",
    )


class Draft:
    """A graph so far."""

    def __init__(self, shape: tuple[int, ...], version: int = 3) -> None:
        self.version = version
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self.start = Value("picture", shape)

    def op(self, kind: str, *inputs: str | NDArray[np.generic], **options: Any) -> str:
        """Add an operator; the name of its result."""
        result = f"r{len(self._nodes)}"
        names = [i if isinstance(i, str) else self._constant(i) for i in inputs]
        self._nodes.append(helper.make_node(kind, names, [result], name=result, **options))
        return result

    def first(self, value: Value) -> str:
        """A picture with its channels first."""
        return value.name if value.first else self.op("Transpose", value.name, perm=[0, 3, 1, 2])

    def last(self, value: Value) -> str:
        """A result as Keras has it."""
        return self.op("Transpose", value.name, perm=[0, 2, 3, 1]) if value.first else value.name

    def finish(self, value: Value) -> bytes:
        """The file."""
        self._nodes.append(helper.make_node("Identity", [self.last(value)], ["scores"]))
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
            for name, shape in (("picture", self.start.shape), ("scores", value.shape))
        ]
        graph = helper.make_graph(self._nodes, "keras", ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", DEFAULT_OPSET)])
        model.ir_version = 8
        return bytes(model.SerializeToString(deterministic=True))

    def _constant(self, array: NDArray[np.generic]) -> str:
        name = f"c{len(self._constants)}"
        kept = array.astype(np.float32) if array.dtype.kind == "f" else array
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name


def weight(weights: Weights, name: str, number: int) -> NDArray[np.generic]:
    """By its name, or by its number in files that number them."""
    found = weights.get(name)
    if found is None:
        found = weights.get(str(number))
    if found is None:
        raise KeyError(f"no {name}")
    return found


def pair(value: Any) -> tuple[int, int]:
    """An option of both directions, or of each."""
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)


Layering: TypeAlias = Callable[[Draft, str, Config, Weights, Sequence[Value]], Value]
"""What writes a layer: into a draft, by its name, options and weights, from what it reads."""
