"""Read a statically quantized ONNX graph: the same steps, and what its whole numbers stand for.

The graph is one with pairs of `QuantizeLinear` and `DequantizeLinear` around each operator, as
`formats.onnx.static` makes it. Steps of such a net hold the whole numbers of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mnist_edge.errors import BadInput
from mnist_edge.formats.graph import functions, moves
from mnist_edge.formats.graph.layers import (
    PICTURE,
    Border,
    Convolution,
    Linear,
    Move,
    Net,
    Pool,
    Scale,
    SpaceToDepth,
    Step,
    Weights,
)
from mnist_edge.formats.graph.operators import convolve, multiply, pool, pool_globally
from mnist_edge.formats.graph.outline import Outline
from mnist_edge.formats.graph.read import Operators, read_steps
from mnist_edge.formats.graph.reader import FIX, Node, Reader, Value


class Grid(NamedTuple):
    """What a byte stands for: `(byte - zero) · scale`."""

    scale: np.float32
    zero: int


class Unit(NamedTuple):
    """What one in a constant stands for.

    Attributes:
        scale: (1,), or one for each index along an axis.
        axis: which that is.
    """

    scale: Weights
    axis: int


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedNet:
    """A net that computes with bytes.

    Attributes:
        net: its steps. The first `Scale`s the picture, before it is quantized.
        grids: of the result of each step.
        scales: of the weights of convolutions and matrix products, (out,), by step.
    """

    net: Net
    grids: Mapping[int, Grid]
    scales: Mapping[int, Weights]


class _Reader(Reader):
    """The steps so far and how their results are quantized; `units` are those of constants."""

    types = ("float32", "int8", "int32")

    def __init__(self, graph: Outline) -> None:
        super().__init__(graph)
        self.grids: dict[int, Grid] = {}
        self.scales: dict[int, Weights] = {}
        self.units: dict[str, Unit] = {}

    def grid(self, node: Node) -> Grid:
        """Of what an operator reads."""
        try:
            return self.grids[self.input(node).step]
        except KeyError:
            raise node.refuse("its input is not quantized") from None

    def append(self, step: Step, dims: tuple[int, ...] | None = None) -> Value:
        """Add a step; what only moves numbers gives them as they were quantized."""
        value = super().append(step, dims)
        match step:
            case Move() | Border() | SpaceToDepth() | Pool(kind="max"):
                if step.source in self.grids:
                    self.grids[value.step] = self.grids[step.source]
        return value

    def unit(self, node: Node, index: int) -> Unit:
        """Of a constant that an operator reads."""
        name = node.operator.inputs[index]
        try:
            return self.units[name]
        except KeyError:
            raise node.refuse(f"its weights {name!r:.60} are not quantized") from None


def read_quantized(data: bytes) -> QuantizedNet:
    """The steps of a statically quantized classifier.

    Raises:
        BadInput: as for `read_graph`, or something in the graph is not quantized, not to 8 bits,
            or may overflow.
    """
    net, reader = read_steps(data, _Reader, _OPERATORS)
    if len(net.steps) - 1 not in reader.grids:
        raise BadInput("no int8 can be made of the graph: the logits are not quantized", fix=FIX)
    return QuantizedNet(net=net, grids=reader.grids, scales=reader.scales)


def _quantize(reader: _Reader, node: Node) -> Value:
    """QuantizeLinear: a mark on the step before."""
    scale, zero = node.weights(1), node.constant(2) if node.inputs > 2 else None
    if scale.size != 1 or zero is None or zero.dtype != np.uint8:
        raise node.refuse("it does not give unsigned bytes with one scale")
    value = reader.input(node)
    if value.step == PICTURE:
        channels = value.shape.channels
        picture = Scale(
            source=PICTURE,
            shape=value.shape,
            factor=np.ones(channels, np.float32),
            offset=np.zeros(channels, np.float32),
        )
        value = value._replace(step=reader.append(picture).step)
    elif value.shared and value.step not in reader.grids:
        raise node.refuse("its input is read as it is, too")
    grid = Grid(np.float32(scale.item()), int(zero.item()))
    if reader.grids.setdefault(value.step, grid) != grid:
        step = Move(source=value.step, shape=value.shape, order=np.arange(value.shape.size))
        value = value._replace(step=reader.append(step).step)
        reader.grids[value.step] = grid
    return value


def _dequantize(reader: _Reader, node: Node) -> Value | None:
    """DequantizeLinear: nothing, or a constant of whole numbers."""
    array = node.constant(0)
    if array is None:
        reader.grid(node)
        return reader.input(node)
    zero = node.constant(2) if node.inputs > 2 else None
    if array.dtype not in (np.int8, np.int32) or (zero is not None and np.any(zero)):
        raise node.refuse("it is of a constant other than signed whole numbers around zero")
    name = node.operator.outputs[0]
    reader.constants[name] = array
    reader.units[name] = Unit(node.weights(1).reshape(-1), int(node.number("axis", 1)))
    return None


def _weighted(operator: Callable[[Reader, Node], Value]) -> Callable[[_Reader, Node], Value]:
    """Conv, Gemm or MatMul of bytes and signed bytes."""

    def read(reader: _Reader, node: Node) -> Value:
        grid, weight = reader.grid(node), reader.unit(node, 1)
        if node.number("alpha", 1.0) != 1.0 or node.number("beta", 1.0) != 1.0:
            raise node.refuse("it has factors")
        value = operator(reader, node)
        step = reader.steps[value.step]
        assert isinstance(step, (Convolution, Linear))
        axis = 0 if node.kind == "Conv" or node.number("transB", 0) else 1
        if weight.scale.size not in (1, len(step.weight)) or weight.axis not in (axis, axis - 2):
            raise node.refuse("its weights have no scale for each output")
        scale = np.broadcast_to(weight.scale, len(step.weight))
        if node.inputs > 2:
            bias = reader.unit(node, 2).scale
            if not np.allclose(bias, grid.scale * scale, rtol=1e-4, atol=0.0):
                raise node.refuse("its bias has not the scale of its sums")
        if _largest_sum(step) >= 2**31:
            raise node.refuse("its sums may pass 32 bits")
        reader.scales[value.step] = scale
        return value

    return read


def _largest_sum(step: Convolution | Linear) -> int:
    """That bytes can give, whichever way a target counts them."""
    weight = np.abs(step.weight.reshape(len(step.weight), -1).astype(np.int64))
    return int((512 * weight.sum(axis=1) + np.abs(step.bias)).max())


def _on_bytes(operator: Callable[[Reader, Node], Value]) -> Callable[[_Reader, Node], Value]:
    """An operator all of whose results so far are quantized."""

    def read(reader: _Reader, node: Node) -> Value:
        for index in range(node.inputs):
            value = reader.values.get(node.operator.inputs[index])
            if value is not None and value.step not in reader.grids:
                raise node.refuse("its input is not quantized")
        return operator(reader, node)

    return read


def _rectify(reader: _Reader, node: Node) -> Value:
    """Relu after what ends in a sum."""
    value = functions.rectify(reader, node)
    step = reader.steps[value.step]
    if isinstance(step, Scale) or (isinstance(step, Pool) and step.kind == "max"):
        raise node.refuse("it follows neither a Conv nor a Gemm")
    return value


def _combine(reader: _Reader, node: Node) -> Value:
    """Add, Sub, Mul and Div of the picture and a constant; Add of two results."""
    if node.constant(0) is None and node.constant(1) is None:
        return _on_bytes(functions.combine)(reader, node)
    value = functions.combine(reader, node)
    step = reader.steps[value.step]
    if not isinstance(step, Scale) or step.source != PICTURE or value.step in reader.grids:
        raise node.refuse("only the picture, before it is quantized, may have another scale")
    return value


_OPERATORS: Operators[_Reader] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Conv": _weighted(convolve),
    "Gemm": _weighted(multiply),
    "MatMul": _weighted(multiply),
    "Relu": _rectify,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _combine),
    **dict.fromkeys(
        (*("Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSigmoid", "HardSwish", "Clip", "Round"),),
        _on_bytes(functions.activate),
    ),
    "MaxPool": _on_bytes(pool),
    "AveragePool": _on_bytes(pool),
    "GlobalAveragePool": _on_bytes(pool_globally),
    "Concat": _on_bytes(moves.concatenate),
    "Pad": _on_bytes(moves.pad),
    "Resize": _on_bytes(moves.resize),
    "SpaceToDepth": _on_bytes(moves.rearrange),
    **dict.fromkeys(("Flatten", "Reshape"), moves.reshape),
    "Transpose": moves.transpose,
    "Gather": moves.gather,
    "Identity": moves.pass_on,
    "Dropout": moves.pass_on,
}
