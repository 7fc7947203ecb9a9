"""What each operator of a graph gives, from the shapes and the whole numbers that go in.

The table at the end is the list of what is let through; one operator more is one line there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from mnist_edge.formats.graph.outline import MOST_INTEGERS, Operator, Shape, Tensor


class Result(NamedTuple):
    """What an operator gives: tensors, the products they take, and numbers held meanwhile."""

    tensors: tuple[Tensor, ...]
    products: int = 0
    scratch: int = 0


Rule: TypeAlias = Callable[[Operator, Sequence[Tensor]], Result]


def _shaped(*sizes: int) -> Result:
    return Result((Tensor(sizes),))


def _same(operator: Operator, given: Sequence[Tensor]) -> Result:
    """What gives a number for each that it reads; a second output, too, is of that shape."""
    return Result((Tensor(given[0].shape),) * min(len(operator.outputs), 2))


def _passed_on(_: Operator, given: Sequence[Tensor]) -> Result:
    return Result((given[0],))


def _broadcast(_: Operator, given: Sequence[Tensor]) -> Result:
    return _shaped(*np.broadcast_shapes(*(tensor.shape for tensor in given)))


def _convolution(weight: int) -> Rule:
    """Conv and its like, whose weights (out, in, height, width) are input number `weight`."""

    def rule(operator: Operator, given: Sequence[Tensor]) -> Result:
        batch, _, *sizes = given[0].shape
        out, depth, *kernel = given[weight].shape
        after = _windows(operator, sizes, tuple(kernel))
        products = depth * math.prod(kernel) * math.prod(after)  # of one output channel
        return Result((Tensor((batch, out, *after)),), products * out * batch, products)

    return rule


def _pool(operator: Operator, given: Sequence[Tensor]) -> Result:
    batch, depth, *sizes = given[0].shape
    kernel = operator.integers("kernel_shape", ())
    after = _windows(operator, sizes, kernel)
    count = batch * depth * math.prod(after)
    return Result((Tensor((batch, depth, *after)),), count * math.prod(kernel))


def _windows(operator: Operator, sizes: Sequence[int], kernel: Shape) -> tuple[int, ...]:
    """How often a window fits into each side of a picture."""
    ones = (1,) * len(sizes)
    strides, dilations = operator.integers("strides", ones), operator.integers("dilations", ones)
    pads = operator.integers("pads", (0,) * 2 * len(sizes))
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError("a window of no size")
    if operator.attributes.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(-(-size // step) for size, step in zip(sizes, strides, strict=True))
    spans = [(side - 1) * gap + 1 for side, gap in zip(kernel, dilations, strict=True)]
    padded = [size + sum(pads[axis :: len(sizes)]) for axis, size in enumerate(sizes)]
    up = operator.integer("ceil_mode", 0)
    fits = zip(padded, spans, strides, strict=True)
    return tuple((size - span + (step - 1 if up else 0)) // step + 1 for size, span, step in fits)


def _global_pool(_: Operator, given: Sequence[Tensor]) -> Result:
    return _shaped(*given[0].shape[:2], *(1 for _ in given[0].shape[2:]))


def _matrix_product(right: int) -> Rule:
    """MatMul and its like, whose right side is input number `right`."""

    def rule(_: Operator, given: Sequence[Tensor]) -> Result:
        left, other = given[0].shape, given[right].shape
        *rows, depth = left if len(left) > 1 else (1, *left)
        *stack, other_depth, columns = other if len(other) > 1 else (*other, 1)
        if depth != other_depth:
            raise ValueError(f"{depth} and {other_depth} numbers")
        shape = (*np.broadcast_shapes(tuple(rows[:-1]), tuple(stack)), rows[-1], columns)
        return _product(shape, depth)

    return rule


def _general_product(right: int) -> Rule:
    """Gemm and its like: a product of two matrices, either of which may be turned first."""

    def rule(operator: Operator, given: Sequence[Tensor]) -> Result:
        (rows, depth), (other_depth, columns) = (
            given[index].shape[:: -1 if operator.integer(turned, 0) else 1]
            for index, turned in ((0, "transA"), (right, "transB"))
        )
        if depth != other_depth:
            raise ValueError(f"{depth} and {other_depth} numbers")
        return _product((rows, columns), depth)

    return rule


def _product(shape: Shape, depth: int) -> Result:
    tensor = Tensor(shape)
    return Result((tensor,), tensor.count * depth)


def _dynamic_quantization(_: Operator, given: Sequence[Tensor]) -> Result:
    return Result((Tensor(given[0].shape), Tensor(()), Tensor(())))


def _reshape(operator: Operator, given: Sequence[Tensor]) -> Result:
    before, wanted = given[0], given[1].integers
    if wanted is None:
        raise ValueError("a shape that is known only as it runs")
    if not operator.integer("allowzero", 0):
        wanted = tuple(size or before.shape[axis] for axis, size in enumerate(wanted))
    if -1 in wanted:
        rest = math.prod(size for size in wanted if size != -1)
        wanted = tuple(before.count // rest if size == -1 else size for size in wanted)
    after = Tensor(wanted, before.integers)
    if after.count != before.count:
        raise ValueError(f"{before.shape} to {wanted}")
    return Result((after,))


def _flatten(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    axis = operator.integer("axis", 1) % (len(shape) + 1)
    return _shaped(math.prod(shape[:axis]), math.prod(shape[axis:]))


def _transpose(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    order = operator.integers("perm", tuple(reversed(range(len(shape)))))
    if sorted(order) != list(range(len(shape))):
        raise ValueError(f"the order {order}")
    return _shaped(*(shape[axis] for axis in order))


def _squeeze(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    ones = tuple(axis for axis, size in enumerate(shape) if size == 1)
    axes = {axis % len(shape) for axis in _axes(operator, given, ones)}
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return Result((Tensor(kept, given[0].integers),))


def _unsqueeze(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = list(given[0].shape)
    axes = _axes(operator, given, ())
    for axis in sorted(axis % (len(shape) + len(axes)) for axis in axes):
        shape.insert(axis, 1)
    return Result((Tensor(tuple(shape), given[0].integers),))


def _axes(operator: Operator, given: Sequence[Tensor], default: Shape) -> Shape:
    """An attribute in old sets of operators, an input in new ones."""
    if len(given) < 2:
        return operator.integers("axes", default)
    if given[1].integers is None:
        raise ValueError("axes that are known only as it runs")
    return given[1].integers


def _concat(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = list(given[0].shape)
    axis = operator.integer("axis", 0) % len(shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in given)
    parts = [tensor.integers for tensor in given if tensor.integers is not None]
    whole = len(parts) == len(given) and len(shape) == 1 and shape[0] <= MOST_INTEGERS
    return Result((Tensor(tuple(shape), sum(parts, ()) if whole else None),))


def _resize(_: Operator, given: Sequence[Tensor]) -> Result:
    sizes = given[3].integers if len(given) > 3 else None
    shape = given[0].shape
    if not sizes or len(sizes) > len(shape):
        raise ValueError("sizes that are known only as it runs")
    return _shaped(*shape[: len(shape) - len(sizes)], *sizes)


def _pad(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    pads = given[1].integers if len(given) > 1 else operator.integers("pads", ())
    if pads is None or len(pads) != 2 * len(shape) or min(pads) < 0:
        raise ValueError("borders that are known only as it runs, or below nothing")
    return _shaped(*(size + sum(pads[axis :: len(shape)]) for axis, size in enumerate(shape)))


def _space_to_depth(operator: Operator, given: Sequence[Tensor]) -> Result:
    batch, depth, height, width = given[0].shape
    block = operator.integer("blocksize", 1)
    return _shaped(batch, depth * block * block, height // block, width // block)


def _shape(_: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    return Result((Tensor((len(shape),), shape),))


def _gather(operator: Operator, given: Sequence[Tensor]) -> Result:
    data, indices = given
    axis = operator.integer("axis", 0) % len(data.shape)
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
    integers = None
    if data.integers is not None and indices.integers is not None and len(data.shape) == 1:
        integers = tuple(data.integers[index] for index in indices.integers)
    return Result((Tensor(shape, integers),))


def _constant(operator: Operator, _: Sequence[Tensor]) -> Result:
    (value,) = operator.attributes.values()
    match value:
        case Tensor():
            return Result((value,))
        case int():
            return Result((Tensor((), (value,)),))
        case tuple():
            return Result((Tensor((len(value),), value),))
    raise ValueError("a value of another kind")


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "BatchNormalization",
            "Clip",
            "DequantizeLinear",
            "Dropout",
            "Elu",
            "HardSigmoid",
            "HardSwish",
            "LeakyRelu",
            "LogSoftmax",
            "QuantizeLinear",
            "Relu",
            "Sigmoid",
            "Softmax",
            "Tanh",
        ),
        _same,
    ),
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _broadcast),
    **dict.fromkeys(("Cast", "Identity"), _passed_on),
    "AveragePool": _pool,
    "Concat": _concat,
    "Constant": _constant,
    "Conv": _convolution(weight=1),
    "DynamicQuantizeLinear": _dynamic_quantization,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _general_product(right=1),
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "MatMul": _matrix_product(right=1),
    "MatMulInteger": _matrix_product(right=1),
    "MaxPool": _pool,
    "Pad": _pad,
    "QLinearConv": _convolution(weight=3),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "SpaceToDepth": _space_to_depth,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    # What ONNX Runtime makes of these in its own format.
    "com.microsoft.FusedConv": _convolution(weight=1),
    "com.microsoft.FusedGemm": _general_product(right=1),
    "com.microsoft.QGemm": _general_product(right=3),
}
"""By operator: what it gives for what it reads."""
