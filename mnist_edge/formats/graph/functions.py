"""Operators that change each number by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mnist_edge.formats.graph.layers import (
    Activate,
    Add,
    Convolution,
    Function,
    Linear,
    Numbers,
    Pool,
    Scale,
    Step,
    Weights,
)
from mnist_edge.formats.graph.reader import Node, Reader, Value

_RECTIFIED = (Scale, Convolution, Linear, Pool, Add)
_PLAIN: dict[str, Function] = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Round": "round"}
_SELU = (1.0507009873554805, 1.6732632423543772)


def rectify(reader: Reader, node: Node) -> Value:
    """Relu: a mark on the step before, where nothing else reads that."""
    return _rectified(reader, reader.input(node))


def _rectified(reader: Reader, source: Value) -> Value:
    step = reader.private(source)
    if isinstance(step, _RECTIFIED):
        return reader.replace(source, replace(step, relu=True))
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    return _scale(reader, source, one, zero, relu=True)


def activate(reader: Reader, node: Node) -> Value:
    """Sigmoid, Tanh, Elu, Selu, LeakyRelu, PRelu, HardSigmoid, HardSwish, Clip and Round."""
    source = reader.input(node)
    match node.kind:
        case "Sigmoid" | "Tanh" | "Round":
            return apply(reader, source, _PLAIN[node.kind])
        case "Elu":
            return apply(reader, source, "elu", node.number("alpha", 1.0))
        case "Selu":
            gamma, alpha = (
                node.number(name, value)
                for name, value in zip(("gamma", "alpha"), _SELU, strict=True)
            )
            result = apply(reader, source, "elu", alpha)
            return _scale(reader, result, np.full(1, gamma, np.float32), np.zeros(1, np.float32))
        case "LeakyRelu":
            return apply(reader, source, "leaky", node.number("alpha", 0.01))
        case "PRelu":
            slope = node.weights(1)
            if slope.size == 1 or not np.ptp(slope):
                return apply(reader, source, "leaky", float(slope.reshape(-1)[0]))
            return _sloped(reader, node, source, slope)
        case "HardSigmoid":
            rise, shift = node.number("alpha", 0.2), node.number("beta", 0.5)
            return apply(reader, source, "hard-sigmoid", rise, shift)
        case "HardSwish":
            return apply(reader, source, "hard-swish")
        case _:
            return _clip(reader, node, source)


def _sloped(reader: Reader, node: Node, source: Value, slope: Weights) -> Value:
    """PRelu whose slopes differ: what is above zero, less that times what is below."""
    if slope.ndim == len(source.dims) + 1:
        slope = slope[0]
    source = source._replace(shared=True)
    above = _rectified(reader, source)
    below = affine(reader, node, source, np.full((), -1.0), np.zeros(()))
    below = affine(reader, node, _rectified(reader, below), -slope, np.zeros(()))
    return _sum(reader, node, above, below)


def _clip(reader: Reader, node: Node, source: Value) -> Value:
    bounds = []
    for index, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        given = node.constant(index)
        if given is None and node.inputs > index and node.operator.inputs[index]:
            raise node.refuse("its bounds are not constant")
        bounds.append(float(given.item()) if given is not None else node.number(name, default))
    low, high = (float(np.clip(bound, -3.0e38, 3.0e38)) for bound in bounds)
    return _bounded(reader, source, low, high)


def bound(reader: Reader, node: Node) -> Value:
    """Max and Min of a result and one number."""
    index = 0 if node.constant(0) is None else 1
    number = node.constant(1 - index) if node.inputs == 2 else None
    if number is None or number.size != 1:
        raise node.refuse("it does not compare a result with one number")
    edge, source = float(number.item()), reader.input(node, index)
    if node.kind == "Max":
        return _bounded(reader, source, edge, 3.0e38)
    return _bounded(reader, source, -3.0e38, edge)


def _bounded(reader: Reader, source: Value, low: float, high: float) -> Value:
    if low == 0.0 and high >= 3.0e38:
        return _rectified(reader, source)
    return apply(reader, source, "clip", low, high)


def apply(
    reader: Reader, source: Value, function: Function, first: float = 0.0, second: float = 0.0
) -> Value:
    """A step for a function; its result, which lies as what it reads does."""
    step = Activate(
        source=source.step, shape=source.shape, function=function, first=first, second=second
    )
    return reader.append(step)._replace(dims=source.dims, order=source.order)


def normalize(reader: Reader, node: Node) -> Value:
    """BatchNormalization in inference: a factor and an offset for each channel."""
    gain, shift, mean, variance = (node.weights(i).astype(np.float64) for i in range(1, 5))
    source = reader.input(node)
    factor = gain / np.sqrt(variance + node.number("epsilon", 1e-5))
    along = (-1, *(1 for _ in source.dims[1:]))
    offset = shift - mean * factor
    return affine(reader, node, source, factor.reshape(along), offset.reshape(along))


def combine(reader: Reader, node: Node) -> Value:
    """Add, Sub, Mul and Div of a result and a constant; Add of two results; Sum as Add."""
    if node.inputs != 2:
        raise node.refuse("it has not two inputs")
    left, right = node.constant(0), node.constant(1)
    if left is None and right is None:
        return _combine_results(reader, node)
    index = 0 if left is None else 1
    source = reader.input(node, index)
    number = node.weights(1 - index).astype(np.float64)
    if number.ndim == len(source.dims) + 1 and number.shape[0] == 1:
        number = number[0]
    one, zero = np.ones_like(number), np.zeros_like(number)
    match node.kind, index:
        case "Add" | "Sum", _:
            return affine(reader, node, source, one, number)
        case "Sub", 0:
            return affine(reader, node, source, one, -number)
        case "Sub", _:
            return affine(reader, node, source, -one, number)
        case "Mul", _:
            return affine(reader, node, source, number, zero)
        case "Div", 0 if np.all(number):
            return affine(reader, node, source, one / number, zero)
    raise node.refuse("it divides a constant, or by zero")


def negate(reader: Reader, node: Node) -> Value:
    """Neg."""
    return affine(reader, node, reader.input(node), np.full((), -1.0), np.zeros(()))


def _combine_results(reader: Reader, node: Node) -> Value:
    left, right = reader.input(node, 0), reader.input(node, 1)
    if node.kind == "Mul":
        return _gate(reader, node, left, right)
    if node.kind not in ("Add", "Sum"):
        raise node.refuse("both its inputs are results")
    return _sum(reader, node, left, right)


def _sum(reader: Reader, node: Node, left: Value, right: Value) -> Value:
    if left.dims != right.dims:
        raise node.refuse("its two inputs differ in shape")
    alike = left.shape == right.shape and np.array_equal(left.indices, right.indices)
    if not alike or not _is_whole(left):
        if len(left.dims) == 3:
            left, right = (reader.picture(node, value) for value in (left, right))
        else:
            left, right = (reader.row(value) for value in (left, right))
    step = Add(source=left.step, other=right.step, shape=left.shape)
    return reader.append(step)._replace(dims=left.dims, order=left.order)


def _is_whole(value: Value) -> bool:
    """Whether each number of its step stands in a result once."""
    if value.order is None:
        return value.size == value.shape.size
    return len(value.order) == len(np.unique(value.order)) == value.shape.size


def _gate(reader: Reader, node: Node, left: Value, right: Value) -> Value:
    """A result times its own sigmoid."""
    for value, gate in ((left, right), (right, left)):
        step = reader.steps[gate.step] if gate.step >= 0 else None
        if isinstance(step, Activate) and step.source == value.step:
            alike = (value.dims, value.shape) == (gate.dims, gate.shape)
            same = alike and np.array_equal(value.indices, gate.indices)
            if same and step.function == "sigmoid":
                return apply(reader, value, "silu")
            sixth = abs(step.first - 1 / 6) < 1e-6 and step.second == 0.5
            if same and step.function == "hard-sigmoid" and sixth:
                return apply(reader, value, "hard-swish")
    raise node.refuse("both its inputs are results")


def affine(reader: Reader, node: Node, source: Value, factor: Numbers, offset: Numbers) -> Value:
    """Fold a factor and an offset, that fit the sizes of a result, into the step before.

    Where they cannot be folded they become a step.
    """
    factors, offsets = np.asarray(factor), np.asarray(offset)
    try:
        dims = np.broadcast_shapes(source.dims, factors.shape, offsets.shape)
    except ValueError:
        raise node.refuse("its constant does not fit its input") from None
    if dims != source.dims:
        source = source.laid_out(np.broadcast_to(source.indices, dims))
    order = source.indices.reshape(-1)
    if not _is_whole(source):
        source = reader.row(source)._replace(dims=dims)  # numbers that stand several times
        order = source.indices.reshape(-1)
    within = [np.empty(order.size), np.empty(order.size)]
    for placed, numbers in zip(within, (factors, offsets), strict=True):
        placed[order] = np.broadcast_to(numbers, dims).reshape(-1)
    per_channel = [placed.reshape(source.shape.channels, -1) for placed in within]
    if any(np.ptp(numbers, axis=1).any() for numbers in per_channel):
        flat = reader.row(source._replace(dims=(source.size,), order=None))
        source = flat._replace(dims=source.dims, order=source.order)
        per_channel = [placed.reshape(-1, 1) for placed in within]
    factors, offsets = (numbers[:, 0] for numbers in per_channel)
    step = reader.private(source)
    folded = None if step is None else fold_affine(step, factors, offsets)
    if folded is not None:
        return reader.replace(source, folded)
    return _scale(reader, source, factors.astype(np.float32), offsets.astype(np.float32))


def fold_affine(
    step: Step, factor: Numbers, offset: Numbers
) -> Scale | Convolution | Linear | None:
    """A step and what a factor and an offset for each channel make of its result, if that is one.

    Args:
        step: that comes before.
        factor: (channels,), in any precision.
        offset: (channels,).
    """
    if isinstance(step, Scale) and not step.relu:
        return replace(
            step,
            factor=(step.factor * factor).astype(np.float32),
            offset=(step.offset * factor + offset).astype(np.float32),
        )
    if not isinstance(step, (Convolution, Linear)) or step.relu:
        return None
    if isinstance(step, Convolution) and step.pooled and not np.all(factor > 0):
        return None  # the largest would become the smallest
    weight = step.weight * factor.reshape(-1, *[1] * (step.weight.ndim - 1))
    bias = step.bias * factor + offset
    return replace(step, weight=weight.astype(np.float32), bias=bias.astype(np.float32))


def _scale(
    reader: Reader, source: Value, factor: Weights, offset: Weights, *, relu: bool = False
) -> Value:
    channels = source.shape.channels
    step = Scale(
        source=source.step,
        shape=source.shape,
        factor=np.broadcast_to(factor, channels).astype(np.float32),
        offset=np.broadcast_to(offset, channels).astype(np.float32),
        relu=relu,
    )
    return reader.append(step)._replace(dims=source.dims, order=source.order)
