"""Read an ONNX graph into the steps of `layers`, folding and fusing on the way."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.exporters.c.layers import (
    PICTURE,
    Add,
    Concat,
    Convolution,
    Linear,
    Net,
    Pool,
    Scale,
    Shape,
    SpaceToDepth,
    Step,
    Weights,
    Window,
)

Array: TypeAlias = NDArray[np.generic]
Attributes: TypeAlias = Mapping[str, object]

_FIX = "choose another format, or a recipe whose operators the C exporter knows"


class _Value(NamedTuple):
    """A result in the graph: the step that gives it, and whether a Flatten made it a row."""

    step: int
    shape: Shape
    flat: bool = False


@dataclass(frozen=True)
class _Node:
    """One operator: what it reads, of that what is constant, and its options."""

    proto: onnx.NodeProto
    attributes: Attributes
    constants: Mapping[str, Array]

    def constant(self, index: int) -> Array | None:
        """The constant that is its input number `index`, or None if it is none."""
        if index >= len(self.proto.input):
            return None
        return self.constants.get(self.proto.input[index])

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An option that is a list of whole numbers."""
        value = self.attributes.get(name, default)
        assert isinstance(value, (list, tuple))
        return tuple(int(item) for item in value)

    def number(self, name: str, default: float) -> float:
        """An option that is a number."""
        value = self.attributes.get(name, default)
        assert isinstance(value, (int, float))
        return value

    def refuse(self, why: str) -> BadInput:
        """The error for what this exporter cannot do."""
        return BadInput(f"the C exporter cannot do {self.proto.op_type}: {why}", fix=_FIX)


def read_graph(data: bytes) -> Net:
    """The steps of a float32 classifier.

    Args:
        data: an ONNX file with one input (N, channels, height, width) and one output (N, classes).

    Raises:
        BadInput: not an ONNX file, an operator or an option that is not known here, a dynamic
            shape other than the batch, external data, a dangling name, weights that are no numbers.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise BadInput(f"not an ONNX file: {error}", fix="export it again") from None
    return _Reader(model.graph).read(hashlib.sha256(data).hexdigest())


class _Reader:
    """Walks the nodes in order and keeps the steps so far."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._steps: list[Step] = []
        self._values: dict[str, _Value] = {}
        self._constants: dict[str, Array] = {
            tensor.name: _array(tensor) for tensor in graph.initializer
        }
        self._uses = Counter(name for node in graph.node for name in node.input)
        self._uses.update(output.name for output in graph.output)

    def read(self, sha256: str) -> Net:
        inputs = [value for value in self._graph.input if value.name not in self._constants]
        if len(inputs) != 1 or len(self._graph.output) != 1:
            raise BadInput("the graph has not one input and one output", fix=_FIX)
        picture = _picture_shape(inputs[0])
        self._values[inputs[0].name] = _Value(PICTURE, picture)
        for node in self._graph.node:
            self._read_node(node)
        output = self._value(self._graph.output[0].name)
        if output.step != len(self._steps) - 1 or output.shape[1:] != (1, 1):
            raise BadInput("the output of the graph is no row of logits of its last step", fix=_FIX)
        return Net(steps=tuple(self._steps), picture=picture, sha256=sha256)

    def _read_node(self, proto: onnx.NodeProto) -> None:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        node = _Node(proto, attributes, self._constants)
        if proto.op_type == "Constant" and isinstance(
            value := attributes.get("value"), onnx.TensorProto
        ):
            self._constants[proto.output[0]] = _array(value)
            return
        operator = _OPERATORS.get(proto.op_type) if proto.domain in ("", "ai.onnx") else None
        if operator is None:
            known = ", ".join(sorted(_OPERATORS))
            raise BadInput(
                f"the C exporter does not know the operator {proto.op_type!r:.60}, only {known}",
                fix=_FIX,
            )
        self._values[proto.output[0]] = operator(self, node)

    def _value(self, name: str) -> _Value:
        try:
            return self._values[name]
        except KeyError:
            raise BadInput(
                f"the graph reads {name!r:.60}, which nothing before it gives", fix=_FIX
            ) from None

    def _input(self, node: _Node, index: int = 0) -> _Value:
        return self._value(node.proto.input[index])

    def _append(self, step: Step, *, flat: bool = False) -> _Value:
        self._steps.append(step)
        return _Value(len(self._steps) - 1, step.shape, flat)

    def _private(self, node: _Node, index: int = 0) -> Step | None:
        """The step that gives an input, if nothing else reads it: it may be changed."""
        value = self._input(node, index)
        if value.step == PICTURE or self._uses[node.proto.input[index]] > 1:
            return None
        return self._steps[value.step]

    def _replace(self, value: _Value, step: Step) -> _Value:
        self._steps[value.step] = step
        return value._replace(shape=step.shape)

    def convolve(self, node: _Node) -> _Value:
        source = self._input(node)
        weight = self._weight(node, 1)
        out, depth, *size = weight.shape
        groups = int(node.number("group", 1))
        bias = self._weight(node, 2) if len(node.proto.input) > 2 else np.zeros(out, np.float32)
        if source.flat or len(size) != 2:
            raise node.refuse("its input is not two-dimensional")
        if depth * groups != source.shape.channels or out % groups or bias.shape != (out,):
            raise node.refuse("its weights do not fit its input")
        window = _window(node, (size[0], size[1]), source.shape)
        shape = Shape(out, *window.steps(source.shape))
        return self._append(
            Convolution(
                source=source.step,
                shape=shape,
                window=window,
                weight=weight,
                bias=bias,
                groups=groups,
            )
        )

    def multiply(self, node: _Node) -> _Value:
        """Gemm, and MatMul with a constant on its right."""
        source = self._input(node)
        weight = self._weight(node, 1)
        if weight.ndim != 2 or not (source.flat or source.shape[1:] == (1, 1)):
            raise node.refuse("it is no product of a row with a matrix")
        if node.number("transA", 0):
            raise node.refuse("it transposes its input")
        weight = weight if node.number("transB", 0) else weight.T
        weight = weight * np.float32(node.number("alpha", 1.0))
        out, depth = weight.shape
        bias = np.zeros(out, np.float32)
        if len(node.proto.input) > 2:
            bias = bias + self._weight(node, 2) * np.float32(node.number("beta", 1.0))
        if depth != source.shape.size or bias.shape != (out,):
            raise node.refuse("its weights do not fit its input")
        return self._append(
            Linear(source=source.step, shape=Shape(out, 1, 1), weight=weight, bias=bias)
        )

    def rectify(self, node: _Node) -> _Value:
        source = self._input(node)
        step = self._private(node)
        if step is not None and not isinstance(step, (Concat, SpaceToDepth)):
            return self._replace(source, replace(step, relu=True))
        return self._scale(source, np.ones(1, np.float32), np.zeros(1, np.float32), relu=True)

    def normalize(self, node: _Node) -> _Value:
        """BatchNormalization in inference: a factor and an offset for each channel."""
        gain, shift, mean, variance = (self._weight(node, index) for index in range(1, 5))
        factor = gain / np.sqrt(variance + np.float32(node.number("epsilon", 1e-5)))
        return self._affine(node, 0, factor, shift - mean * factor)

    def combine(self, node: _Node) -> _Value:
        """Add, Sub, Mul and Div of a result and a constant; Add of two results."""
        operator = node.proto.op_type
        left, right = node.constant(0), node.constant(1)
        if left is None and right is None:
            return self._add(node)
        # Sub and Div have their constant on the right; x - c and x / c are affine, c / x is not.
        index = 0 if left is None else 1
        if index == 1 and operator in ("Sub", "Div"):
            raise node.refuse("its left side is a constant")
        number = self._weight(node, 1 - index)
        number = number.reshape(-1) if number.ndim < 2 else number
        one, zero = np.ones_like(number), np.zeros_like(number)
        match operator:
            case "Add":
                return self._affine(node, index, one, number)
            case "Sub":
                return self._affine(node, index, one, -number)
            case "Mul":
                return self._affine(node, index, number, zero)
            case _:
                return self._affine(node, index, one / number, zero)

    def _add(self, node: _Node) -> _Value:
        if node.proto.op_type != "Add":
            raise node.refuse("both its inputs are results")
        left, right = self._input(node, 0), self._input(node, 1)
        if left.shape != right.shape or left.flat != right.flat:
            raise node.refuse("its two inputs differ in shape")
        return self._append(
            Add(source=left.step, other=right.step, shape=left.shape), flat=left.flat
        )

    def _affine(self, node: _Node, index: int, factor: Weights, offset: Weights) -> _Value:
        """Fold a factor and an offset into the step before, or make a step of them."""
        source = self._input(node, index)
        channels = source.shape.channels
        # A constant of rank 1 runs along the columns, unless the result is a row of channels.
        along = factor.size == channels and (
            factor.shape in ((channels, 1, 1), (1, channels, 1, 1))
            or node.proto.op_type == "BatchNormalization"
            or source.shape[1:] == (1, 1)
        )
        if factor.size != 1 and not along:
            raise node.refuse("its constant is neither one number nor one for each channel")
        factor = np.broadcast_to(factor.reshape(-1), channels).astype(np.float32)
        offset = np.broadcast_to(offset.reshape(-1), channels).astype(np.float32)
        step = self._private(node, index)
        if isinstance(step, Scale) and not step.relu:
            return self._replace(
                source,
                replace(step, factor=step.factor * factor, offset=step.offset * factor + offset),
            )
        if isinstance(step, (Convolution, Linear)) and not step.relu and not _is_pooled(step):
            weight = step.weight * factor.reshape(-1, *[1] * (step.weight.ndim - 1))
            return self._replace(
                source, replace(step, weight=weight, bias=step.bias * factor + offset)
            )
        return self._scale(source, factor, offset)

    def _scale(
        self, source: _Value, factor: Weights, offset: Weights, *, relu: bool = False
    ) -> _Value:
        channels = source.shape.channels
        return self._append(
            Scale(
                source=source.step,
                shape=source.shape,
                factor=np.broadcast_to(factor, channels).astype(np.float32),
                offset=np.broadcast_to(offset, channels).astype(np.float32),
                relu=relu,
            ),
            flat=source.flat,
        )

    def pool(self, node: _Node) -> _Value:
        source = self._input(node)
        size = node.integers("kernel_shape", ())
        if source.flat or len(size) != 2:
            raise node.refuse("its input is not two-dimensional")
        window = _window(node, (size[0], size[1]), source.shape)
        halving = window == Window(2, 2, 2, 2)
        step = self._private(node)
        if node.proto.op_type == "MaxPool":
            if halving and isinstance(step, Convolution) and not step.pooled:
                shape = Shape(step.shape.channels, *window.steps(step.shape))
                return self._replace(source, replace(step, shape=shape, pooled=True))
            return self._pool(source, "max", window)
        counts = bool(node.number("count_include_pad", 0))
        return self._pool(source, "average", window, counts_border=counts)

    def pool_globally(self, node: _Node) -> _Value:
        source = self._input(node)
        if source.flat:
            raise node.refuse("its input is not two-dimensional")
        window = Window(source.shape.height, source.shape.width)
        kind = "max" if node.proto.op_type == "GlobalMaxPool" else "average"
        return self._pool(source, kind, window)

    def _pool(
        self, source: _Value, kind: str, window: Window, *, counts_border: bool = False
    ) -> _Value:
        return self._append(
            Pool(
                source=source.step,
                shape=Shape(source.shape.channels, *window.steps(source.shape)),
                kind="max" if kind == "max" else "average",
                window=window,
                counts_border=counts_border,
            )
        )

    def reshape(self, node: _Node) -> _Value:
        """Flatten, and a Reshape to one row a picture: the numbers stay where they are."""
        source = self._input(node)
        if node.proto.op_type == "Flatten":
            fits = node.number("axis", 1) == 1
        else:
            target = node.constant(1)
            size = () if target is None else tuple(int(item) for item in target.reshape(-1))
            fits = len(size) == 2 and size[0] in (-1, 0) and size[1] in (-1, source.shape.size)
        if not fits:
            raise node.refuse("it does not give one row a picture")
        return source._replace(flat=True)

    def concatenate(self, node: _Node) -> _Value:
        values = [self._input(node, index) for index in range(len(node.proto.input))]
        areas = {value.shape[1:] for value in values}
        if node.number("axis", 1) not in (1, -3) or len(areas) > 1:
            raise node.refuse("it does not join channels")
        if any(value.flat for value in values) and areas != {(1, 1)}:
            raise node.refuse("it joins rows of pictures")
        height, width = areas.pop()
        channels = sum(value.shape.channels for value in values)
        return self._append(
            Concat(
                sources=tuple(value.step for value in values),
                shape=Shape(channels, height, width),
            )
        )

    def rearrange(self, node: _Node) -> _Value:
        """SpaceToDepth."""
        source = self._input(node)
        block = int(node.number("blocksize", 0))
        channels, height, width = source.shape
        if block < 1 or height % block or width % block or source.flat:
            raise node.refuse("its block does not divide its input")
        shape = Shape(channels * block**2, height // block, width // block)
        return self._append(SpaceToDepth(source=source.step, shape=shape, block=block))

    def pass_on(self, node: _Node) -> _Value:
        return self._input(node)

    def _weight(self, node: _Node, index: int) -> Weights:
        array = node.constant(index)
        if array is None or array.dtype != np.float32:
            raise node.refuse(f"its input {node.proto.input[index]!r:.60} is no float32 constant")
        if not np.isfinite(array).all():
            raise BadInput(
                f"the weights {node.proto.input[index]!r:.60} hold NaN or infinity",
                fix="train again with mnist-edge train",
            )
        return array.astype(np.float32, copy=False)


_OPERATORS: dict[str, Callable[[_Reader, _Node], _Value]] = {
    "Conv": _Reader.convolve,
    "Gemm": _Reader.multiply,
    "MatMul": _Reader.multiply,
    "Relu": _Reader.rectify,
    "BatchNormalization": _Reader.normalize,
    "Add": _Reader.combine,
    "Sub": _Reader.combine,
    "Mul": _Reader.combine,
    "Div": _Reader.combine,
    "MaxPool": _Reader.pool,
    "AveragePool": _Reader.pool,
    "GlobalMaxPool": _Reader.pool_globally,
    "GlobalAveragePool": _Reader.pool_globally,
    "Flatten": _Reader.reshape,
    "Reshape": _Reader.reshape,
    "Concat": _Reader.concatenate,
    "SpaceToDepth": _Reader.rearrange,
    "Identity": _Reader.pass_on,
    "Dropout": _Reader.pass_on,
}


def _array(tensor: onnx.TensorProto) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise BadInput(
            f"the weights {tensor.name!r:.60} lie in another file",
            fix="save the graph as one file, without external data",
        )
    array: Array = onnx.numpy_helper.to_array(tensor)
    return array


def _picture_shape(value: onnx.ValueInfoProto) -> Shape:
    dimensions = [d.dim_value for d in value.type.tensor_type.shape.dim]
    if len(dimensions) != 4 or min(dimensions[1:]) < 1:
        raise BadInput(
            f"the input {value.name!r:.60} has no fixed channels, height and width", fix=_FIX
        )
    return Shape(*dimensions[1:])


def _window(node: _Node, size: tuple[int, int], shape: Shape) -> Window:
    """The window of a convolution or a pooling, from its options."""
    if node.attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise node.refuse("it uses auto_pad")
    if set(node.integers("dilations", (1, 1))) != {1} or node.number("ceil_mode", 0):
        raise node.refuse("it is dilated, or rounds its size up")
    window = Window(*size, *node.integers("strides", (1, 1)), *node.integers("pads", (0, 0, 0, 0)))
    if min(window.steps(shape)) < 1:
        raise node.refuse("its kernel is larger than its input")
    return window


def _is_pooled(step: Step) -> bool:
    return isinstance(step, Convolution) and step.pooled
