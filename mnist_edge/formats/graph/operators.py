"""What each ONNX operator becomes: a step, a change to the step before, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from mnist_edge.formats.graph.layers import (
    Add,
    Concat,
    Convolution,
    Linear,
    Pool,
    Scale,
    Shape,
    SpaceToDepth,
    Step,
    Weights,
    Window,
)
from mnist_edge.formats.graph.reader import Node, Reader, Value


def convolve(reader: Reader, node: Node) -> Value:
    """Conv."""
    source = reader.input(node)
    weight = node.weights(1)
    if source.flat or weight.ndim != 4:
        raise node.refuse("its input is not two-dimensional")
    out, depth, *size = weight.shape
    groups = int(node.number("group", 1))
    bias = node.weights(2) if node.inputs > 2 else np.zeros(out, np.float32)
    if depth * groups != source.shape.channels or out % groups or bias.shape != (out,):
        raise node.refuse("its weights do not fit its input")
    window = _window(node, (size[0], size[1]), source.shape)
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


def multiply(reader: Reader, node: Node) -> Value:
    """Gemm, and MatMul with a constant on its right."""
    source = reader.input(node)
    weight = node.weights(1)
    if weight.ndim != 2 or not (source.flat or source.shape[1:] == (1, 1)):
        raise node.refuse("it is no product of a row with a matrix")
    if node.number("transA", 0):
        raise node.refuse("it transposes its input")
    weight = weight if node.number("transB", 0) else weight.T
    weight = weight * np.float32(node.number("alpha", 1.0))
    out, depth = weight.shape
    bias = np.zeros(out, np.float32)
    if node.inputs > 2:
        bias = bias + node.weights(2) * np.float32(node.number("beta", 1.0))
    if depth != source.shape.size or bias.shape != (out,):
        raise node.refuse("its weights do not fit its input")
    return reader.append(
        Linear(source=source.step, shape=Shape(out, 1, 1), weight=weight, bias=bias)
    )


def rectify(reader: Reader, node: Node) -> Value:
    """Relu: a mark on the step before, where nothing else reads that."""
    source = reader.input(node)
    step = reader.private(source)
    if step is not None and not isinstance(step, (Concat, SpaceToDepth)):
        return reader.replace(source, replace(step, relu=True))
    return _scale(reader, source, np.ones(1, np.float32), np.zeros(1, np.float32), relu=True)


def normalize(reader: Reader, node: Node) -> Value:
    """BatchNormalization in inference: a factor and an offset for each channel."""
    gain, shift, mean, variance = (node.weights(index) for index in range(1, 5))
    factor = gain / np.sqrt(variance + np.float32(node.number("epsilon", 1e-5)))
    return _affine(reader, node, 0, factor, shift - mean * factor)


def combine(reader: Reader, node: Node) -> Value:
    """Add, Sub, Mul and Div of a result and a constant; Add of two results."""
    left, right = node.constant(0), node.constant(1)
    if left is None and right is None:
        return _add(reader, node)
    # Sub and Div have their constant on the right; x - c and x / c are affine, c / x is not.
    index = 0 if left is None else 1
    if index == 1 and node.kind in ("Sub", "Div"):
        raise node.refuse("its left side is a constant")
    number = node.weights(1 - index)
    number = number.reshape(-1) if number.ndim < 2 else number
    one, zero = np.ones_like(number), np.zeros_like(number)
    match node.kind:
        case "Add":
            return _affine(reader, node, index, one, number)
        case "Sub":
            return _affine(reader, node, index, one, -number)
        case "Mul":
            return _affine(reader, node, index, number, zero)
        case _:
            return _affine(reader, node, index, one / number, zero)


def _add(reader: Reader, node: Node) -> Value:
    if node.kind != "Add":
        raise node.refuse("both its inputs are results")
    left, right = reader.input(node, 0), reader.input(node, 1)
    if left.shape != right.shape or left.flat != right.flat:
        raise node.refuse("its two inputs differ in shape")
    return reader.append(Add(source=left.step, other=right.step, shape=left.shape), flat=left.flat)


def _affine(reader: Reader, node: Node, index: int, factor: Weights, offset: Weights) -> Value:
    """Fold a factor and an offset into the step before, or make a step of them."""
    source = reader.input(node, index)
    channels = source.shape.channels
    # A constant of rank 1 runs along the columns, unless the result is a row of channels.
    along = factor.size == channels and (
        factor.shape in ((channels, 1, 1), (1, channels, 1, 1))
        or node.kind == "BatchNormalization"
        or source.shape[1:] == (1, 1)
    )
    if factor.size != 1 and not along:
        raise node.refuse("its constant is neither one number nor one for each channel")
    factor = np.broadcast_to(factor.reshape(-1), channels).astype(np.float32)
    offset = np.broadcast_to(offset.reshape(-1), channels).astype(np.float32)
    step = reader.private(source)
    if isinstance(step, Scale) and not step.relu:
        return reader.replace(
            source,
            replace(step, factor=step.factor * factor, offset=step.offset * factor + offset),
        )
    if isinstance(step, (Convolution, Linear)) and not step.relu and not _is_pooled(step):
        weight = step.weight * factor.reshape(-1, *[1] * (step.weight.ndim - 1))
        return reader.replace(
            source, replace(step, weight=weight, bias=step.bias * factor + offset)
        )
    return _scale(reader, source, factor, offset)


def _scale(
    reader: Reader, source: Value, factor: Weights, offset: Weights, *, relu: bool = False
) -> Value:
    channels = source.shape.channels
    return reader.append(
        Scale(
            source=source.step,
            shape=source.shape,
            factor=np.broadcast_to(factor, channels).astype(np.float32),
            offset=np.broadcast_to(offset, channels).astype(np.float32),
            relu=relu,
        ),
        flat=source.flat,
    )


def pool(reader: Reader, node: Node) -> Value:
    """MaxPool and AveragePool; the largest of 2×2 goes into the convolution before it."""
    source = reader.input(node)
    size = node.integers("kernel_shape", ())
    if source.flat or len(size) != 2:
        raise node.refuse("its input is not two-dimensional")
    window = _window(node, (size[0], size[1]), source.shape)
    halving = window == Window(2, 2, 2, 2)
    step = reader.private(source)
    if node.kind == "MaxPool":
        if halving and isinstance(step, Convolution) and not step.pooled:
            shape = Shape(step.shape.channels, *window.steps(step.shape))
            return reader.replace(source, replace(step, shape=shape, pooled=True))
        return _pool(reader, source, "max", window)
    # A mean that counts the border is over the whole window, however little of it is inside.
    counts = bool(node.number("count_include_pad", 0))
    return _pool(reader, source, "average", window, counts_border=counts)


def pool_globally(reader: Reader, node: Node) -> Value:
    """GlobalMaxPool and GlobalAveragePool."""
    source = reader.input(node)
    if source.flat:
        raise node.refuse("its input is not two-dimensional")
    window = Window(source.shape.height, source.shape.width)
    if node.kind == "GlobalMaxPool":
        return _pool(reader, source, "max", window)
    return _pool(reader, source, "average", window)


def _pool(
    reader: Reader,
    source: Value,
    kind: Literal["max", "average"],
    window: Window,
    *,
    counts_border: bool = False,
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


def reshape(reader: Reader, node: Node) -> Value:
    """Flatten, and a Reshape to one row a picture: the numbers stay where they are."""
    source = reader.input(node)
    if node.kind == "Flatten":
        fits = node.number("axis", 1) == 1
    else:
        target = node.constant(1)
        size = () if target is None else tuple(int(item) for item in target.reshape(-1))
        fits = len(size) == 2 and size[0] in (-1, 0) and size[1] in (-1, source.shape.size)
    if not fits:
        raise node.refuse("it does not give one row a picture")
    return source._replace(flat=True)


def concatenate(reader: Reader, node: Node) -> Value:
    """Concat."""
    values = [reader.input(node, index) for index in range(node.inputs)]
    areas = {value.shape[1:] for value in values}
    if node.number("axis", 1) not in (1, -3) or len(areas) > 1:
        raise node.refuse("it does not join channels")
    if any(value.flat for value in values) and areas != {(1, 1)}:
        raise node.refuse("it joins rows of pictures")
    height, width = areas.pop()
    channels = sum(value.shape.channels for value in values)
    return reader.append(
        Concat(
            sources=tuple(value.step for value in values),
            shape=Shape(channels, height, width),
        )
    )


def rearrange(reader: Reader, node: Node) -> Value:
    """SpaceToDepth."""
    source = reader.input(node)
    block = int(node.number("blocksize", 0))
    channels, height, width = source.shape
    if block < 1 or height % block or width % block or source.flat:
        raise node.refuse("its block does not divide its input")
    shape = Shape(channels * block**2, height // block, width // block)
    return reader.append(SpaceToDepth(source=source.step, shape=shape, block=block))


def pass_on(reader: Reader, node: Node) -> Value:
    """Identity and Dropout."""
    return reader.input(node)


OPERATORS: dict[str, Callable[[Reader, Node], Value]] = {
    "Conv": convolve,
    "Gemm": multiply,
    "MatMul": multiply,
    "Relu": rectify,
    "BatchNormalization": normalize,
    "Add": combine,
    "Sub": combine,
    "Mul": combine,
    "Div": combine,
    "MaxPool": pool,
    "AveragePool": pool,
    "GlobalMaxPool": pool_globally,
    "GlobalAveragePool": pool_globally,
    "Flatten": reshape,
    "Reshape": reshape,
    "Concat": concatenate,
    "SpaceToDepth": rearrange,
    "Identity": pass_on,
    "Dropout": pass_on,
}


def _window(node: Node, size: tuple[int, int], shape: Shape) -> Window:
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
