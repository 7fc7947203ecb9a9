"""What each operator of a graph gives, from the shapes and the whole numbers that go in.

The table at the end is the list of what is let through; one operator more is one line there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.graph.outline import MOST_INTEGERS, Operator, Shape, Tensor


class Result(NamedTuple):
    """What an operator gives: tensors, the products they take, and numbers held meanwhile."""

    tensors: tuple[Tensor, ...]
    products: int = 0
    scratch: int = 0


ABSENT = Tensor((0,))
"""In the place of an input that is left out."""

Rule: TypeAlias = Callable[[Operator, Sequence[Tensor]], Result]


def _shaped(*sizes: int) -> Result:
    return Result((Tensor(sizes),))


def _same(operator: Operator, given: Sequence[Tensor]) -> Result:
    """What gives a number for each that it reads; a second output, too, is of that shape."""
    return Result((Tensor(given[0].shape),) * min(len(operator.outputs), 2))


def _passed_on(_: Operator, given: Sequence[Tensor]) -> Result:
    return Result((given[0],))


def _broadcast(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = np.broadcast_shapes(*(tensor.shape for tensor in given))
    compute = _ARITHMETIC.get(operator.kind)
    known = [tensor for tensor in given if tensor.integers is not None]
    if compute is None or len(known) < len(given) or math.prod(shape) > MOST_INTEGERS:
        return _shaped(*shape)
    # Shapes are computed with, too.
    sides = (np.array(tensor.integers, object).reshape(tensor.shape) for tensor in known)
    rows = zip(*(np.broadcast_to(side, shape).reshape(-1).tolist() for side in sides), strict=True)
    return Result((Tensor(shape, tuple(_within(compute(*row)) for row in rows)),))


def _within(number: int) -> int:
    """A number that no runtime computes otherwise: 32 bits hold it, and it divides as it should."""
    if not _fits(number):
        raise ValueError(f"the size {number}")
    return int(number)


def _fits(number: int) -> bool:
    return -(1 << 31) <= number < 1 << 31


def _divided(number: int, divisor: int) -> tuple[int, int]:
    """How often, and what is left."""
    if min(number, divisor) < 0:
        raise ValueError("a size below nothing")
    return divmod(number, divisor)


_ARITHMETIC: dict[str, Callable[..., int]] = {
    "Add": lambda left, right: _within(left) + _within(right),
    "Sub": lambda left, right: _within(left) - _within(right),
    "Mul": lambda left, right: _within(left) * _within(right),
    "Div": lambda number, divisor: _divided(number, divisor)[0],
    "Mod": lambda number, divisor: _divided(number, divisor)[1],
    "Equal": lambda left, right: left == right,
    "Where": lambda chosen, left, right: left if chosen else right,
}


_WHOLE = (6, 7)  # int32 and int64


def _cast(operator: Operator, given: Sequence[Tensor]) -> Result:
    """Numbers of another type; whole ones are known after it where that may hold them."""
    integers = given[0].integers or ()
    kept = operator.integer("to", 0) in _WHOLE and all(_fits(number) for number in integers)
    return Result((given[0] if kept else Tensor(given[0].shape),))


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


def _fused_matrix_product(operator: Operator, given: Sequence[Tensor]) -> Result:
    """A product of stacks of matrices, either of which may be turned first."""
    turned = [
        Tensor((*tensor.shape[:-2], *tensor.shape[:-3:-1])) if operator.integer(name, 0) else tensor
        for name, tensor in zip(("transA", "transB"), given, strict=False)
    ]
    if operator.integer("transBatchA", 0) or operator.integer("transBatchB", 0):
        raise ValueError("stacks that are turned")
    return _matrix_product(right=1)(operator, turned)


def _quantized_pair(_: Operator, given: Sequence[Tensor]) -> Result:
    """Two tensors, each with its scale and zero point behind it."""
    return _shaped(*np.broadcast_shapes(given[0].shape, given[3].shape))


def _quantized_concat(operator: Operator, given: Sequence[Tensor]) -> Result:
    """Tensors, each with its scale and zero point, behind those of the result."""
    return _concat(operator, [Tensor(tensor.shape) for tensor in given[2::3]])


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
    integers = _laid_out(given[0], lambda numbers: numbers.transpose(order))
    return Result((Tensor(tuple(shape[axis] for axis in order), integers),))


def _laid_out(
    tensor: Tensor, lay: Callable[[NDArray[np.object_]], NDArray[np.object_]]
) -> tuple[int, ...] | None:
    """The whole numbers of a tensor in another order, where they are known."""
    if tensor.integers is None:
        return None
    return tuple(lay(np.array(tensor.integers, object).reshape(tensor.shape)).reshape(-1).tolist())


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
    scales = given[2].scales if len(given) > 2 else None
    if sizes is None and scales:
        last = shape[len(shape) - len(scales) :]
        sizes = tuple(_scaled(size, scale) for size, scale in zip(last, scales, strict=True))
    if not sizes or len(sizes) > len(shape):
        raise ValueError("sizes that are known only as it runs")
    return _shaped(*shape[: len(shape) - len(sizes)], *sizes)


def _scaled(size: int, scale: float) -> int:
    if not 0 < scale < 1 << 16:
        raise ValueError(f"the scale {scale}")
    return _within(math.floor(size * scale))


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


def _shape(operator: Operator, given: Sequence[Tensor]) -> Result:
    whole = given[0].shape
    shape = whole[operator.integer("start", 0) : operator.integer("end", len(whole))]
    return Result((Tensor((len(shape),), shape),))


def _slice(operator: Operator, given: Sequence[Tensor]) -> Result:
    data = given[0]
    rank = len(data.shape)
    old = len(given) == 1  # attributes in old sets of operators, inputs in new ones
    starts, ends, axes, steps = (
        operator.integers(name, ()) if old else _known(given, place, name)
        for place, name in enumerate(("starts", "ends", "axes", "steps"), 1)
    )
    axes = axes or tuple(range(len(starts)))
    steps = steps or (1,) * len(starts)
    parts = [slice(None)] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # An end below the first place, where a step goes back, is not Python's -1.
        stop = None if step < 0 and end < -data.shape[axis] else end
        parts[axis % rank] = slice(start, stop, step)
    sizes = tuple(len(range(size)[part]) for size, part in zip(data.shape, parts, strict=True))
    integers = _laid_out(data, lambda numbers: numbers[tuple(parts)])
    return Result((Tensor(sizes, integers),))


def _known(given: Sequence[Tensor], place: int, name: str) -> Shape:
    """The whole numbers of an input; none where it is left out."""
    if place >= len(given) or given[place] == ABSENT:
        return ()
    integers = given[place].integers
    if integers is None:
        raise ValueError(f"{name} that are known only as it runs")
    return integers


def _split(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    axis = operator.integer("axis", 0) % len(shape)
    parts = _known(given, 1, "parts") or operator.integers("split", ())
    if not parts:
        count = len(operator.outputs)
        each = -(-shape[axis] // count)
        parts = (each,) * (count - 1) + (shape[axis] - each * (count - 1),)
    if sum(parts) != shape[axis] or min(parts) < 0:
        raise ValueError(f"{shape[axis]} in parts of {parts}")
    return Result(tuple(Tensor((*shape[:axis], n, *shape[axis + 1 :])) for n in parts))


def _expand(_: Operator, given: Sequence[Tensor]) -> Result:
    return _shaped(*np.broadcast_shapes(given[0].shape, _known(given, 1, "sizes")))


def _filled(operator: Operator, given: Sequence[Tensor]) -> Result:
    sizes = _known(given, 0, "sizes")
    value = operator.attributes.get("value")
    count = math.prod(sizes)
    if isinstance(value, Tensor) and value.integers and 0 <= count <= MOST_INTEGERS:
        return Result((Tensor(sizes, value.integers * count),))
    return _shaped(*sizes)


def _tile(_: Operator, given: Sequence[Tensor]) -> Result:
    counts = _known(given, 1, "counts")
    return _shaped(*(size * n for size, n in zip(given[0].shape, counts, strict=True)))


def _range(_: Operator, given: Sequence[Tensor]) -> Result:
    (start,), (end,), (step,) = (_known(given, place, "ends") for place in range(3))
    numbers = range(_within(start), _within(end), _within(step))
    few = tuple(numbers) if len(numbers) <= MOST_INTEGERS else None
    return Result((Tensor((len(numbers),), few),))


def _reduce(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    axes = _known(given, 1, "axes") or operator.integers("axes", ())
    if not axes and operator.integer("noop_with_empty_axes", 0):
        return _shaped(*shape)
    gone = {axis % len(shape) for axis in axes or range(len(shape))}
    return _without(shape, gone, operator.integer("keepdims", 1))


def _choice(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = given[0].shape
    axis = operator.integer("axis", 0) % len(shape)
    return _without(shape, {axis}, operator.integer("keepdims", 1))


def _without(shape: Shape, gone: set[int], kept: int) -> Result:
    sizes = [1 if axis in gone else size for axis, size in enumerate(shape)]
    return _shaped(*(size for axis, size in enumerate(sizes) if kept or axis not in gone))


def _largest(operator: Operator, given: Sequence[Tensor]) -> Result:
    shape = list(given[0].shape)
    (count,) = _known(given, 1, "a count") or (operator.integer("k", 0),)
    shape[operator.integer("axis", -1) % len(shape)] = count
    return Result((Tensor(tuple(shape)),) * 2)


def _recurrent(gates: int) -> Rule:
    """RNN and its like: over (steps, batch, depth) with weights (ways, gates * hidden, depth)."""

    def rule(operator: Operator, given: Sequence[Tensor]) -> Result:
        if operator.integer("layout", 0):
            raise ValueError("the batch comes first")
        steps, batch, depth = given[0].shape
        ways, rows, _ = given[1].shape
        hidden = given[2].shape[-1]
        if rows != gates * hidden:
            raise ValueError(f"{rows} rows for {hidden} numbers")
        last = Tensor((ways, batch, hidden))
        every = Tensor((steps, ways, batch, hidden))
        return Result((every, last, last), every.count * gates * (depth + hidden), every.count)

    return rule


def _depth_to_space(operator: Operator, given: Sequence[Tensor]) -> Result:
    batch, depth, height, width = given[0].shape
    block = operator.integer("blocksize", 1)
    return _shaped(batch, depth // (block * block), height * block, width * block)


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
            *("Abs", "BatchNormalization", "CastLike", "Ceil", "Celu", "Clip", "DequantizeLinear"),
            *("Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
            *("Hardmax", "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "Log"),
            *("LogSoftmax", "Mish", "Neg", "Not", "PRelu", "QuantizeLinear", "Reciprocal", "Relu"),
            *("Round", "Selu", "Sigmoid", "Sign", "Softmax", "Softplus", "Softsign", "Sqrt"),
            *("Tanh", "ThresholdedRelu"),
        ),
        _same,
    ),
    **dict.fromkeys(
        (
            *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
            *("Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where"),
        ),
        _broadcast,
    ),
    **dict.fromkeys(
        ("ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"), _reduce
    ),
    "ArgMax": _choice,
    "ArgMin": _choice,
    "Cast": _cast,
    "Identity": _passed_on,
    "AveragePool": _pool,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Conv": _convolution(weight=1),
    "ConvInteger": _convolution(weight=1),
    "DepthToSpace": _depth_to_space,
    "DynamicQuantizeLinear": _dynamic_quantization,
    "Expand": _expand,
    "Flatten": _flatten,
    "GRU": _recurrent(gates=3),
    "Gather": _gather,
    "Gemm": _general_product(right=1),
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "LSTM": _recurrent(gates=4),
    "MatMul": _matrix_product(right=1),
    "MatMulInteger": _matrix_product(right=1),
    "MaxPool": _pool,
    "Pad": _pad,
    "QLinearConv": _convolution(weight=3),
    "QLinearMatMul": _matrix_product(right=3),
    "RNN": _recurrent(gates=1),
    "Range": _range,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "TopK": _largest,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    # What ONNX Runtime makes of these in its own format.
    **dict.fromkeys(
        (
            *("com.microsoft.BiasGelu", "com.microsoft.FastGelu", "com.microsoft.Gelu"),
            *("com.microsoft.QLinearLeakyRelu", "com.microsoft.QLinearSigmoid"),
            *("com.microsoft.QLinearSoftmax", "com.microsoft.QuickGelu"),
        ),
        _same,
    ),
    "com.microsoft.FusedMatMul": _fused_matrix_product,
    "com.microsoft.QLinearAdd": _quantized_pair,
    "com.microsoft.QLinearAveragePool": _pool,
    "com.microsoft.QLinearConcat": _quantized_concat,
    "com.microsoft.QLinearGlobalAveragePool": _global_pool,
    "com.microsoft.QLinearMul": _quantized_pair,
    "com.microsoft.FusedConv": _convolution(weight=1),
    "com.microsoft.FusedGemm": _general_product(right=1),
    "com.microsoft.QGemm": _general_product(right=3),
}
"""By operator: what it gives for what it reads."""
