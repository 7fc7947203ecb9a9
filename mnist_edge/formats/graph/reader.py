"""Where reading an ONNX graph stands: the steps so far, and what each name stands for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from mnist_edge.errors import BadInput
from mnist_edge.formats.graph.layers import PICTURE, Move, Order, Shape, Step, Weights
from mnist_edge.formats.graph.outline import Array, Attribute, Operator, Outline

FIX = "choose another format, or a recipe of whose operators steps can be made"


class Value(NamedTuple):
    """A result in the graph: the numbers of a step, laid out in some way.

    Attributes:
        step: that gives them.
        shape: of that step.
        dims: its sizes in the graph, without the batch.
        order: for each number in the graph, which of the step's it is; None where they lie alike.
        shared: whether the same numbers are read under another name, too.
    """

    step: int
    shape: Shape
    dims: tuple[int, ...]
    order: Order | None = None
    shared: bool = False

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.dims)

    @property
    def indices(self) -> Order:
        """Which of the step's numbers each is, in its sizes."""
        order = np.arange(self.size) if self.order is None else self.order
        return order.reshape(self.dims)

    def laid_out(self, indices: Order) -> Value:
        """The same step's numbers, in another way."""
        order = indices.reshape(-1)
        whole = order.size == self.shape.size and np.array_equal(order, np.arange(order.size))
        return self._replace(dims=indices.shape, order=None if whole else order)


@dataclass(frozen=True)
class Node:
    """One operator: what it reads, of that what is constant, and its options.

    Attributes:
        types: of numbers that may be its weights.
    """

    operator: Operator
    constants: Mapping[str, Array]
    types: Sequence[str]

    @property
    def kind(self) -> str:
        """The operator's name in the standard."""
        return self.operator.kind

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Its options."""
        return self.operator.attributes

    @property
    def inputs(self) -> int:
        """How many inputs it has."""
        return len(self.operator.inputs)

    def constant(self, index: int) -> Array | None:
        """The constant that is its input number `index`, or None if it is none."""
        return self.constants.get(self.operator.inputs[index]) if index < self.inputs else None

    def weights(self, index: int) -> Weights:
        """The constant of finite numbers that is its input number `index`."""
        array = self.constant(index)
        if array is None or array.dtype.name not in self.types:
            types = " or ".join(self.types)
            name = self.operator.inputs[index]
            raise self.refuse(f"its input {name!r:.60} is no {types} constant")
        if not np.isfinite(array).all():
            raise BadInput(
                f"the weights {self.operator.inputs[index]!r:.60} hold NaN or infinity",
                fix="train again with mnist-edge train",
            )
        return cast("Weights", array.astype(np.float32) if array.dtype.kind == "f" else array)

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """An option that is a list of whole numbers."""
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple):
            raise self.refuse(f"its {name} is no list of whole numbers")
        return value

    def whole(self, index: int) -> tuple[int, ...] | None:
        """The constant whole numbers that are its input number `index`, if there are any."""
        array = self.constant(index)
        return None if array is None else tuple(int(item) for item in array.reshape(-1))

    def number(self, name: str, default: float) -> float:
        """An option that is a number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, (int, float)):
            raise self.refuse(f"its {name} is no number")
        return value

    def refuse(self, why: str) -> BadInput:
        """The error for what no step can say."""
        name = f" {self.operator.name!r:.60}" if self.operator.name else ""
        return BadInput(f"no step can be made of {self.kind}{name}: {why}", fix=FIX)


class Reader:
    """The steps so far, and the names that stand for them."""

    types: Sequence[str] = ("float32", "float16", "float64")
    """Of numbers that may be weights."""

    def __init__(self, graph: Outline) -> None:
        self.steps: list[Step] = []
        self.values: dict[str, Value] = {}
        self.constants = {
            name: tensor.numbers
            for name, tensor in graph.constants.items()
            if tensor.numbers is not None
        }
        self._uses = Counter(name for operator in graph.operators for name in operator.inputs)
        self._uses.update(graph.outputs)

    def value(self, name: str) -> Value:
        """What a name stands for. Raises BadInput for one that nothing has given yet."""
        try:
            value = self.values[name]
        except KeyError:
            raise BadInput(
                f"the graph reads {name!r:.60}, which nothing before it gives", fix=FIX
            ) from None
        return value._replace(shared=value.shared or self._uses[name] > 1)

    def input(self, node: Node, index: int = 0) -> Value:
        """What an operator reads."""
        return self.value(node.operator.inputs[index])

    def append(self, step: Step, dims: tuple[int, ...] | None = None) -> Value:
        """Add a step; its result, which has its shape where no other is named."""
        self.steps.append(step)
        return Value(len(self.steps) - 1, step.shape, tuple(step.shape) if dims is None else dims)

    def picture(self, node: Node, value: Value) -> Value:
        """A result as (channels, height, width), as a step of its own if it lies otherwise."""
        if len(value.dims) != 3:
            raise node.refuse("its input is not two-dimensional")
        if value.dims == value.shape and value.order is None:
            return value
        return self.moved(value)

    def row(self, value: Value) -> Value:
        """A result as a row of channels."""
        flat = value._replace(dims=(value.size, 1, 1))
        if flat.dims != flat.shape or flat.order is not None:
            flat = self.moved(flat)
        return flat._replace(dims=(value.size,))

    def moved(self, value: Value) -> Value:
        """A step that puts the numbers of a result where it says that they are."""
        channels, height, width = value.dims
        return self.append(
            Move(
                source=value.step,
                shape=Shape(channels, height, width),
                order=value.indices.reshape(-1),
            )
        )

    def private(self, value: Value) -> Step | None:
        """The step that gives a value, if nothing else reads it: it may be changed."""
        return None if value.step == PICTURE or value.shared else self.steps[value.step]

    def replace(self, value: Value, step: Step) -> Value:
        """Put another step in the place of the one that gives a value; its result."""
        self.steps[value.step] = step
        dims = value.dims if step.shape == value.shape else tuple(step.shape)
        return value._replace(shape=step.shape, dims=dims)
