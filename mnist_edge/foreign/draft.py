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
        return self.result(0, kind, *inputs, **options)

    def result(
        self, place: int, kind: str, *inputs: str | NDArray[np.generic], **options: Any
    ) -> str:
        """Add an operator with several results; the name of the one in that place."""
        result = f"r{len(self._nodes)}"
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        outputs = [""] * place + [result]
        self._nodes.append(helper.make_node(kind, names, outputs, name=result, **options))
        return result

    def shaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same numbers, as Keras has them, in other sizes."""
        sizes = np.array([-1, *shape], np.int64)
        return Value(self.op("Reshape", self.last(value), sizes), shape)

    def first(self, value: Value) -> str:
        """A picture with its channels first."""
        height, width, depth = value.shape
        return value.name if value.first else self._turned(value, (depth, height, width))

    def last(self, value: Value) -> str:
        """A result as Keras has it."""
        return self._turned(value, value.shape) if value.first else value.name

    def _turned(self, value: Value, shape: tuple[int, ...]) -> str:
        if value.shape[-1] == 1:  # ONNX Runtime 1.32 fails at a Resize between Transposes
            return self.op("Reshape", value.name, np.array([-1, *shape], np.int64))
        return self.op("Transpose", value.name, perm=[0, 2, 3, 1] if value.first else [0, 3, 1, 2])

    def finish(self, *values: Value) -> bytes:
        """The file, whose outputs these are."""
        names = ["scores", *(f"scores{number}" for number in range(1, len(values)))]
        for name, value in zip(names, values, strict=True):
            self._nodes.append(helper.make_node("Identity", [self.last(value)], [name]))
        shapes = [self.start.shape, *(value.shape for value in values)]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
            for name, shape in zip(["picture", *names], shapes, strict=True)
        ]
        graph = helper.make_graph(self._nodes, "keras", ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", DEFAULT_OPSET)])
        model.ir_version = 8
        return bytes(model.SerializeToString(deterministic=True))

    def constant(self, array: NDArray[np.generic]) -> str:
        """Keep numbers; their name."""
        name = f"c{len(self._constants)}"
        kept = array.astype(np.float32) if array.dtype.kind == "f" else array
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name


def pair(value: Any) -> tuple[int, int]:
    """An option of both directions, or of each."""
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)


class Given(NamedTuple):
    """A layer that is to be written: its name, options and weights, and what it reads."""

    draft: Draft
    name: str
    config: Config
    weights: Weights
    reads: Sequence[Value]

    @property
    def source(self) -> Value:
        """What it reads, where that is one."""
        return self.reads[0]

    @property
    def picture(self) -> Value:
        """The same, where it must be a picture. Raises BadInput."""
        if len(self.source.shape) != 3:
            raise self.refuse(
                "layer of pictures", f"but its input has the shape {self.source.shape}"
            )
        return self.source

    def op(self, kind: str, *inputs: str | NDArray[np.generic], **options: Any) -> str:
        """See `Draft.op`."""
        return self.draft.op(kind, *inputs, **options)

    def weight(self, name: str, number: int) -> NDArray[np.generic]:
        """By its name, or by its number in files that number them."""
        found = self.weights.get(name)
        if found is None:
            found = self.weights.get(str(number))
        if found is None:
            raise KeyError(f"no {name}")
        return found

    def bias(self, number: int) -> NDArray[np.generic] | None:
        """The weights of that name, where it has some."""
        return self.weight("bias", number) if self.config.get("use_bias", True) else None

    def refuse(self, kind: str, why: str = "which is not known here") -> BadInput:
        """The error for a layer of which nothing can be made."""
        return refuse(self.name, kind, why)


Layering: TypeAlias = Callable[[Given], Value]
"""What writes a layer."""
