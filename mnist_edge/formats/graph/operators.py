"""What each ONNX operator becomes: a step, a change to the step before, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from mnist_edge.formats.graph import functions, moves
from mnist_edge.formats.graph.layers import (
    HALVING,
    Activate,
    Convolution,
    Linear,
    Order,
    Pool,
    Shape,
    Weights,
    Window,
    is_depthwise,
    same_border,
)
from mnist_edge.formats.graph.reader import Node, Reader, Value

Kind = Literal["max", "average"]


def convolve(reader: Reader, node: Node) -> Value:
    """Conv."""
    source = reader.input(node)
    weight = node.weights(1)
    if len(source.dims) != 3 or weight.ndim != 4:
        raise node.refuse("its input is not two-dimensional")
    out, depth, *_ = weight.shape
    groups = int(node.number("group", 1))
    bias = np.zeros(out, np.float32)
    if node.inputs > 2 and node.operator.inputs[2]:
        bias = node.weights(2)
    if depth * groups != source.dims[0] or out % groups or bias.shape != (out,):
        raise node.refuse("its weights do not fit its input")
    source, weight = _summed(reader, node, source, weight, groups)
    weight = _spread(weight, node.integers("dilations", (1, 1)))
    window = _window(node, (weight.shape[2], weight.shape[3]), source.shape)
    shape = Shape(out, *window.steps(source.shape))
    return reader.append(
        Convolution(
            source=source.step,
            shape=shape,
            window=window,
            weight=weight,
            bias=bias,
            groups=groups,
        )
    )


def _summed(
    reader: Reader, node: Node, source: Value, weight: Weights, groups: int
) -> tuple[Value, Weights]:
    """What a convolution reads, and its weights; those of channels that are the same, summed."""
    area = source.shape.height * source.shape.width
    planes = source.indices.reshape(source.dims[0], -1)
    same = planes.shape[1] == area and source.dims[1:] == source.shape[1:]
    if not same or groups > 1 or len(np.unique(planes[:, 0])) == len(planes):
        return reader.picture(node, source), weight
    channels = planes[:, 0] // area
    if not np.array_equal(planes, channels[:, None] * area + np.arange(area)):
        return reader.picture(node, source), weight
    summed = np.zeros((source.shape.channels, len(weight), *weight.shape[2:]), weight.dtype)
    np.add.at(summed, channels, weight.swapaxes(0, 1))
    return source._replace(dims=tuple(source.shape), order=None), summed.swapaxes(0, 1)


def _spread(weight: Weights, dilations: tuple[int, ...]) -> Weights:
    """A dilated kernel as a larger one, with zeros between its weights."""
    if set(dilations) == {1}:
        return weight
    height, width = (
        (size - 1) * gap + 1 for size, gap in zip(weight.shape[2:], dilations, strict=True)
    )
    spread = np.zeros((*weight.shape[:2], height, width), weight.dtype)
    spread[:, :, :: dilations[0], :: dilations[1]] = weight
    return spread


def multiply(reader: Reader, node: Node) -> Value:
    """Gemm, and MatMul with a constant on its right."""
    source = reader.input(node)
    weight = node.weights(1)
    if weight.ndim != 2 or not source.dims:
        raise node.refuse("it is no product of a row with a matrix")
    if node.number("transA", 0):
        raise node.refuse("it transposes its input")
    weight = weight if node.number("transB", 0) else weight.T
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    weight = weight if alpha == 1.0 else weight * np.float32(alpha)
    out, depth = weight.shape
    bias = np.zeros(out, weight.dtype if weight.dtype.kind == "f" else np.int32)
    if node.inputs > 2 and node.operator.inputs[2]:
        given = node.weights(2).reshape(-1)
        bias = bias + (given if beta == 1.0 else given * np.float32(beta))
    if depth != source.dims[-1] or bias.shape != (out,):
        raise node.refuse("its weights do not fit its input")
    if source.size != depth:
        return _multiply_each(reader, source, weight, bias)
    order = source.indices.reshape(-1)
    placed = weight if source.order is None else _placed(weight, order, source.shape.size)
    if placed is None or depth != source.shape.size:
        source = reader.row(source)
        placed = weight
    step = Linear(source=source.step, shape=Shape(out, 1, 1), weight=placed, bias=bias)
    return reader.append(step, (*source.dims[:-1], out))


def _placed(weight: Weights, order: Order, size: int) -> Weights | None:
    """A matrix for the numbers of a step as they lie; None where one is read twice or not."""
    if order.size != size or len(np.unique(order)) != size:
        return None
    placed = np.empty_like(weight)
    placed[:, order] = weight
    return placed


def _multiply_each(reader: Reader, source: Value, weight: Weights, bias: Weights) -> Value:
    """A product along the last axis, for each of what stands before it: a 1×1 convolution."""
    out, depth = weight.shape
    indices = source.indices.reshape(-1, depth).T
    laid = source.laid_out(indices.reshape(depth, -1, 1))
    if laid.order is not None or laid.dims != laid.shape:
        laid = reader.moved(laid)
    count = laid.shape.height
    result = reader.append(
        Convolution(
            source=laid.step,
            shape=Shape(out, count, 1),
            window=Window(1, 1),
            weight=weight.reshape(out, depth, 1, 1),
            bias=bias,
        )
    )
    each = result.indices.reshape(out, count).T
    return result.laid_out(each.reshape(*source.dims[:-1], out))


def pool(reader: Reader, node: Node) -> Value:
    """MaxPool and AveragePool; the largest of 2×2 goes into the convolution before it."""
    size = node.integers("kernel_shape", ())
    if len(size) != 2:
        raise node.refuse("its input is not two-dimensional")
    if set(node.integers("dilations", (1, 1))) != {1}:
        raise node.refuse("it is dilated")
    source = reader.picture(node, reader.input(node))
    window = _window(node, (size[0], size[1]), source.shape)
    step = reader.private(source)
    if node.kind == "MaxPool":
        if window == HALVING and isinstance(step, Convolution) and may_halve(step):
            return reader.replace(source, halved(step))
        return _pool(reader, source, "max", window)
    # A mean that counts the border is over the whole window, however little of it is inside.
    counts = bool(node.number("count_include_pad", 0)) and any(window[4:])
    if counts and node.number("ceil_mode", 0):
        raise node.refuse("it rounds its size up, and counts its border")
    return _pool(reader, source, "average", window, counts_border=counts)


def may_halve(step: Convolution) -> bool:
    """Whether a 2×2 maximum may become a part of a convolution."""
    return not step.pooled and not is_depthwise(step)


def halved(step: Convolution) -> Convolution:
    """A convolution and a 2×2 maximum, in one step."""
    shape = Shape(step.shape.channels, *HALVING.steps(step.shape))
    return replace(step, shape=shape, pooled=True)


def pool_globally(reader: Reader, node: Node) -> Value:
    """GlobalMaxPool, GlobalAveragePool, ReduceMean and ReduceMax over rows and columns."""
    source = reader.input(node)
    keeps = True
    if node.kind.startswith("Reduce"):
        axes = node.whole(1) if node.inputs > 1 else node.integers("axes")
        keeps = bool(node.number("keepdims", 1))
        reduced = {axis % (len(source.dims) + 1) - 1 for axis in axes or ()}
        if len(source.dims) != 3 or len(reduced) != 2 or -1 in reduced:
            raise node.refuse("it is not over rows and columns")
        (kept,) = {0, 1, 2} - reduced
        source = source.laid_out(np.moveaxis(source.indices, kept, 0))
    else:
        kept = 0
    alone = len(source.dims) == 2  # a row for each channel
    if alone:
        source = source._replace(dims=(*source.dims, 1))
    source = reader.picture(node, source)
    kind: Kind = "max" if node.kind.endswith(("MaxPool", "Max")) else "average"
    window = Window(source.shape.height, source.shape.width)
    result = _pool(reader, source, kind, window)
    dims = [1, 1, 1]
    dims[kept] = source.shape.channels
    dims = dims[:2] if alone else dims
    return result._replace(dims=tuple(dims) if keeps else (source.shape.channels,))


def _pool(
    reader: Reader, source: Value, kind: Kind, window: Window, *, counts_border: bool = False
) -> Value:
    return reader.append(
        Pool(
            source=source.step,
            shape=Shape(source.shape.channels, *window.steps(source.shape)),
            kind=kind,
            window=window,
            counts_border=counts_border,
        )
    )


def cast(reader: Reader, node: Node) -> Value:
    """Cast, where the numbers stay what they are."""
    source = reader.input(node)
    floats, wholes = (1, 10, 11, 16), (2, 3, 4, 5, 6, 7, 12, 13)
    target = int(node.number("to", 0))
    step = reader.steps[source.step] if source.step >= 0 else None
    rounded = isinstance(step, Activate) and step.function == "round"
    if target in floats or (target in wholes and rounded):
        return source
    raise node.refuse("it cuts off fractions")


OPERATORS: dict[str, Callable[[Reader, Node], Value]] = {
    "Conv": convolve,
    "Gemm": multiply,
    "MatMul": multiply,
    "Relu": functions.rectify,
    "BatchNormalization": functions.normalize,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum"), functions.combine),
    **dict.fromkeys(("Max", "Min"), functions.bound),
    "Neg": functions.negate,
    **dict.fromkeys(
        (
            *("Sigmoid", "Tanh", "Elu", "Selu", "LeakyRelu", "PRelu"),
            *("HardSigmoid", "HardSwish", "Clip", "Round"),
        ),
        functions.activate,
    ),
    "MaxPool": pool,
    "AveragePool": pool,
    **dict.fromkeys(
        ("GlobalMaxPool", "GlobalAveragePool", "ReduceMean", "ReduceMax"), pool_globally
    ),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), moves.reshape),
    "Transpose": moves.transpose,
    "Slice": moves.cut,
    "Gather": moves.gather,
    "Tile": moves.repeat,
    "Expand": moves.repeat,
    "Concat": moves.concatenate,
    "Pad": moves.pad,
    "Resize": moves.resize,
    "SpaceToDepth": moves.rearrange,
    "DepthToSpace": moves.rearrange,
    "Identity": moves.pass_on,
    "Dropout": moves.pass_on,
    "Cast": cast,
}


def _window(node: Node, size: tuple[int, int], shape: Shape) -> Window:
    """The window of a convolution or a pooling, from its options."""
    strides = node.integers("strides", (1, 1))
    pads = node.integers("pads", (0, 0, 0, 0))
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if len(strides) != 2 or len(pads) != 4 or min(*strides, *size) < 1 or min(pads) < 0:
        raise node.refuse("its window is not two-dimensional")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(size, strides, shape, upper=automatic == "SAME_UPPER")
    elif automatic == "VALID":
        pads = (0, 0, 0, 0)
    window = Window(*size, *strides, *pads)
    if node.number("ceil_mode", 0):
        window = _rounded_up(window, shape)
    if min(window.steps(shape)) < 1:
        raise node.refuse("its kernel is larger than its input")
    return window


def _same(
    size: tuple[int, int], strides: tuple[int, ...], shape: Shape, *, upper: bool
) -> tuple[int, int, int, int]:
    """The border with which a result is as large as the input over the stride, rounded up."""
    before, after = [], []
    for length, kernel, stride in zip(shape[1:], size, strides, strict=True):
        small, large = same_border(length, kernel, stride)
        before.append(small if upper else large)
        after.append(large if upper else small)
    return before[0], before[1], after[0], after[1]


def _rounded_up(window: Window, shape: Shape) -> Window:
    """A window with as much more of a border that its last, cut ones count; none begins there."""
    grown = window
    for length, first, last, kernel, stride, side in (
        (shape.height, window.top, window.bottom, window.height, window.stride_y, "bottom"),
        (shape.width, window.left, window.right, window.width, window.stride_x, "right"),
    ):
        missing = -(length + first + last - kernel) % stride
        steps = -(-(length + first + last - kernel) // stride)
        if missing and steps * stride < length + first:
            grown = grown._replace(**{side: last + missing})
    return grown
