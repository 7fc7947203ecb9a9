"""What a graph must be before it is given to a runtime: every shape in it is derived again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.contract import SIDE
from mnist_edge.formats.litert.schema import DYNAMIC, Graph, Operation, Operator, Tensor, Type

_MOST_NUMBERS = 1 << 22  # that a step gives for one picture
_MOST_WORK = 1 << 34  # multiply-adds for one picture
_MOST_STRIDE = 64
_PICTURE = (DYNAMIC, SIDE, SIDE, 1)

Shape: TypeAlias = tuple[int, ...]
Options: TypeAlias = Mapping[str, int]


def check_graph(graph: Graph) -> None:
    """Raise ValueError for a graph that is not such as our exporter writes."""
    tensors = graph.tensors
    ready = {number for number, tensor in enumerate(tensors) if tensor.data}
    for tensor in tensors:
        _check_tensor(tensor)
    _check_end(tensors, graph.input, _PICTURE)
    ready.add(graph.input)
    work = 0
    for operation in graph.operations:
        if not ready.issuperset(operation.inputs):
            raise ValueError(f"{operation.operator.name} reads what nothing before it gives")
        inputs = [tensors[number] for number in operation.inputs]
        output = operation.output
        if output in ready or not 0 <= output < len(tensors):
            raise ValueError(f"{operation.operator.name} gives what is there already")
        _check_operation(operation, inputs, tensors[output])
        ready.add(output)
        work += _work(inputs, tensors[output])
    if work > _MOST_WORK:
        raise ValueError(f"{work:,} multiply-adds for one picture")
    if graph.output not in ready:
        raise ValueError("nothing gives its output")
    _check_end(tensors, graph.output, (DYNAMIC, tensors[graph.output].shape[-1]))


def _check_end(tensors: Sequence[Tensor], number: int, shape: Shape) -> None:
    if not 0 <= number < len(tensors) or tensors[number].data:
        raise ValueError("its input or its output is no result")
    tensor = tensors[number]
    if tensor.shape != shape or tensor.type not in (Type.FLOAT32, Type.INT8):
        raise ValueError(
            f"it has {tensor.type.name} of shape {tensor.shape} where {shape} is expected"
        )


def _check_tensor(tensor: Tensor) -> None:
    shape, size = tensor.shape, math.prod(tensor.shape)
    rest = shape[1:] if shape[:1] == (DYNAMIC,) else shape
    if any(length < 1 for length in rest):
        raise ValueError(f"a tensor of shape {shape}")
    if tensor.data:
        if len(tensor.data) != size * tensor.type.dtype.itemsize:
            raise ValueError(f"{len(tensor.data)} bytes for a tensor of shape {shape}")
        if not np.isfinite(constant(tensor)).all():
            raise ValueError("weights that are NaN or infinite")
    elif math.prod(rest) > _MOST_NUMBERS:
        raise ValueError(f"a tensor of shape {shape}")
    if tensor.scale.size:
        axis = shape[tensor.axis] if 0 <= tensor.axis < len(shape) else 0
        scale = tensor.scale
        if len(scale) not in (1, axis) or not (np.isfinite(scale).all() and scale.min() > 0):
            raise ValueError("a tensor has no scale for each index")
    if (tensor.type is Type.INT8) > bool(tensor.scale.size) or not -128 <= tensor.zero <= 127:
        raise ValueError("bytes that stand for no number")


def constant(tensor: Tensor) -> NDArray[np.generic]:
    """The numbers of a constant."""
    return np.frombuffer(tensor.data, tensor.type.dtype).reshape(tensor.shape)


def _check_operation(operation: Operation, inputs: Sequence[Tensor], output: Tensor) -> None:
    name, options = operation.operator.name, operation.options
    counts, derive = _RULES[operation.operator]
    if len(inputs) not in counts:
        raise ValueError(f"{name} of {len(inputs)} inputs")
    if options.get("valid", 0) not in (0, 1) or options.get("relu", 0) not in (0, 1):
        raise ValueError(f"{name} has options that are not known here")
    if output.data or (derived := derive(options, inputs)) != output.shape:
        raise ValueError(f"{name} gives {derived}, not {output.shape}")
    _check_types(operation.operator, inputs, output)


def _check_types(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    given, gives = inputs[0].type, output.type
    match operator:
        case Operator.QUANTIZE:
            fits = (given, gives) == (Type.FLOAT32, Type.INT8)
        case Operator.DEQUANTIZE:
            fits = given in (Type.INT8, Type.FLOAT16) and gives is Type.FLOAT32
        case Operator.CONV_2D | Operator.DEPTHWISE_CONV_2D | Operator.FULLY_CONNECTED:
            sums = Type.INT32 if given is Type.INT8 else Type.FLOAT32
            kinds = [tensor.type for tensor in (*inputs, output)]
            fits = kinds == [given, given, sums, given]
        case Operator.RESHAPE | Operator.PAD | Operator.GATHER | Operator.RESIZE_BILINEAR:
            fits = inputs[1].type is Type.INT32 and given is gives
        case Operator.PADV2:
            fits = inputs[1].type is Type.INT32 and given is gives is inputs[2].type
        case _:
            fits = all(tensor.type is gives for tensor in inputs)
    if not fits or (operator is not Operator.DEQUANTIZE and given is Type.FLOAT16):
        raise ValueError(f"{operator.name} of {given.name} to {gives.name}")


def _same(_: Options, inputs: Sequence[Tensor]) -> Shape:
    return inputs[0].shape


def _add(_: Options, inputs: Sequence[Tensor]) -> Shape:
    """Two results alike, or one and a constant for each channel."""
    result, other = inputs
    if other.shape not in (result.shape, result.shape[-1:]) or result.shape[0] != DYNAMIC:
        raise ValueError(f"a sum or product of {result.shape} and {other.shape}")
    return result.shape


def _reshape(_: Options, inputs: Sequence[Tensor]) -> Shape:
    size = math.prod(_result(inputs[0])[1:])
    pictures, *sizes = constant(inputs[1]).ravel().tolist() if inputs[1].data else (0,)
    if (
        pictures != DYNAMIC
        or len(sizes) not in (1, 3)
        or min(sizes) < 1
        or math.prod(sizes) != size
    ):
        raise ValueError("RESHAPE to anything but a row or a plane for each picture")
    return DYNAMIC, *sizes


def _gather(options: Options, inputs: Sequence[Tensor]) -> Shape:
    size, places = _result(inputs[0], 2)[1], constant(inputs[1]) if inputs[1].data else np.zeros(0)
    if options != {"axis": 1, "batch": 0} or places.ndim != 1 or not places.size:
        raise ValueError("GATHER of anything but the numbers of a row")
    if places.min() < 0 or places.max() >= size:
        raise ValueError("GATHER from outside of a row")
    return DYNAMIC, places.size


def _resize(options: Options, inputs: Sequence[Tensor]) -> Shape:
    sizes = constant(inputs[1]).ravel().tolist() if inputs[1].data else []
    if options != {"height": 0, "width": 0, "corners": 0, "half": 1} or len(sizes) != 2:
        raise ValueError("RESIZE_BILINEAR that is not centred on half pixels")
    return DYNAMIC, *sizes, _result(inputs[0], 4)[3]


def _pad(_: Options, inputs: Sequence[Tensor]) -> Shape:
    sizes = _result(inputs[0], 4)[1:]
    border = constant(inputs[1]) if inputs[1].data else np.zeros(0)
    if border.shape != (4, 2) or border.min() < 0 or border.max() > _MOST_STRIDE or border[0].any():
        raise ValueError("PAD by a border that is not known")
    if len(inputs) > 2 and inputs[2].shape != (1,):
        raise ValueError("PADV2 with several numbers")
    rest = (size + int(sum(ends)) for size, ends in zip(sizes, border[1:].tolist(), strict=True))
    return (DYNAMIC, *rest)


def _convolve(options: Options, inputs: Sequence[Tensor]) -> Shape:
    source, weight, bias = inputs
    depth = _result(source, 4)[3]
    out, height, width, taken = _weight(weight, 4)
    if depth % taken or out % (depth // taken) or bias.shape != (out,):
        raise ValueError("CONV_2D with weights that do not fit its input")
    return (*_slide(options, source, (height, width)), out)


def _convolve_apart(options: Options, inputs: Sequence[Tensor]) -> Shape:
    source, weight, bias = inputs
    depth = _result(source, 4)[3]
    one, height, width, out = _weight(weight, 4)
    if one != 1 or out != depth * options["multiplier"] or bias.shape != (out,):
        raise ValueError("DEPTHWISE_CONV_2D with weights that do not fit its input")
    return (*_slide(options, source, (height, width)), out)


def _multiply(_: Options, inputs: Sequence[Tensor]) -> Shape:
    source, weight, bias = inputs
    out, depth = _weight(weight, 2)
    if _result(source, 2)[1] != depth or bias.shape != (out,):
        raise ValueError("FULLY_CONNECTED with weights that do not fit its input")
    return DYNAMIC, out


def _pool(options: Options, inputs: Sequence[Tensor]) -> Shape:
    kernel = options["height"], options["width"]
    if min(kernel) < 1:
        raise ValueError(f"a window of {kernel}")
    return (*_slide(options, inputs[0], kernel), _result(inputs[0], 4)[3])


def _concatenate(options: Options, inputs: Sequence[Tensor]) -> Shape:
    *first, _ = _result(inputs[0])
    if options["axis"] != len(first) or any(_result(i)[:-1] != tuple(first) for i in inputs):
        raise ValueError("CONCATENATION of anything but channels")
    return (*first, sum(tensor.shape[-1] for tensor in inputs))


def _rearrange(options: Options, inputs: Sequence[Tensor]) -> Shape:
    _, height, width, depth = _result(inputs[0], 4)
    block = options["block"]
    if block < 1 or height % block or width % block:
        raise ValueError(f"SPACE_TO_DEPTH by {block}")
    return DYNAMIC, height // block, width // block, depth * block**2


def _slide(options: Options, source: Tensor, kernel: Sequence[int]) -> Shape:
    """The shape, but for the channels, of what a window gives."""
    strides = options["stride_y"], options["stride_x"]
    if not all(1 <= stride <= _MOST_STRIDE for stride in strides):
        raise ValueError(f"strides of {strides}")
    if options.get("dilation_x", 1) != 1 or options.get("dilation_y", 1) != 1:
        raise ValueError("a kernel with holes")
    reach = kernel if options["valid"] else (1, 1)
    sizes = zip(_result(source, 4)[1:3], reach, strides, strict=True)
    return (DYNAMIC, *((size - wide) // stride + 1 for size, wide, stride in sizes))


def _result(tensor: Tensor, rank: int = 0) -> Shape:
    """The shape of what differs from picture to picture."""
    shape = tensor.shape
    if tensor.data or shape[:1] != (DYNAMIC,) or (rank and len(shape) != rank):
        raise ValueError(f"a shape of {shape} where a result is expected")
    return shape


def _weight(tensor: Tensor, rank: int) -> Shape:
    """The shape of what does not, be it a constant or made of one of float16."""
    if len(tensor.shape) != rank or tensor.shape[0] == DYNAMIC:
        raise ValueError(f"a shape of {tensor.shape} where weights are expected")
    return tensor.shape


def _work(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Multiply-adds of an operator for one picture, at most."""
    weight = math.prod(inputs[1].shape) if len(inputs) > 2 and inputs[1].shape else 1
    pixels = math.prod(output.shape[1:-1])
    return pixels * abs(weight)


_RULES: dict[Operator, tuple[Sequence[int], Callable[[Options, Sequence[Tensor]], Shape]]] = {
    Operator.ADD: ((2,), _add),
    Operator.AVERAGE_POOL_2D: ((1,), _pool),
    Operator.CONCATENATION: (range(1, 65), _concatenate),
    Operator.CONV_2D: ((3,), _convolve),
    Operator.DEPTHWISE_CONV_2D: ((3,), _convolve_apart),
    Operator.DEQUANTIZE: ((1,), _same),
    Operator.ELU: ((1,), _same),
    Operator.FULLY_CONNECTED: ((3,), _multiply),
    Operator.GATHER: ((2,), _gather),
    Operator.LOGISTIC: ((1,), _same),
    Operator.MAXIMUM: ((2,), _add),
    Operator.MAX_POOL_2D: ((1,), _pool),
    Operator.MINIMUM: ((2,), _add),
    Operator.MUL: ((2,), _add),
    Operator.PAD: ((2,), _pad),
    Operator.PADV2: ((3,), _pad),
    Operator.QUANTIZE: ((1,), _same),
    Operator.RELU: ((1,), _same),
    Operator.RESHAPE: ((2,), _reshape),
    Operator.RESIZE_BILINEAR: ((2,), _resize),
    Operator.ROUND: ((1,), _same),
    Operator.SPACE_TO_DEPTH: ((1,), _rearrange),
    Operator.TANH: ((1,), _same),
}
