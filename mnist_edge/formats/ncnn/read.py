"""Look into the two files of ncnn before it does: every shape and every size is derived again.

ncnn believes what a `.param` file says of sizes, and reads as many bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import numpy as np

from mnist_edge.contract import IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME
from mnist_edge.errors import BadInput
from mnist_edge.formats.ncnn.layers import FLOAT16_TAG, FLOAT32_TAG, Layer, read_layers

_FIX = "give the ncnn files as mnist-edge export wrote them"
_MOST_NUMBERS = 1 << 22  # that a layer gives
_MOST_WEIGHTS = 1 << 27
_MOST_WORK = 1 << 34  # multiply-adds for one picture
_MOST_STRIDE = 64

Shape: TypeAlias = tuple[int, ...]
"""(channels, height, width), or (channels,) of a row."""
Options: TypeAlias = Mapping[int, int]


class _Result(NamedTuple):
    """What a layer gives.

    Attributes:
        shape: of each of its results.
        tagged: weights that stand behind a tag.
        plain: float32 that stand behind those without one.
    """

    shape: Shape
    tagged: int = 0
    plain: int = 0


def read_ncnn(param: bytes, weights: bytes) -> int:
    """How many numbers a net gives, once its two files are found to fit each other.

    Raises:
        BadInput: they are damaged, or hold anything that our exporter does not write.
    """
    with _as_bad_input():
        results, outputs = _check_layers(read_layers(param)[0])
        _check_weights(weights, results)
    return outputs


def read_param(data: bytes) -> dict[str, str]:
    """What a `.param` file says of itself. Raises BadInput where it is none of ours."""
    with _as_bad_input():
        return read_layers(data)[1]


@contextmanager
def _as_bad_input() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, IndexError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise BadInput(f"not an ncnn file of mnist-edge: {reason!s:.200}", fix=_FIX) from None


def _check_layers(layers: Sequence[Layer]) -> tuple[list[_Result], int]:
    """What each layer gives, and how many numbers come out at the end."""
    shapes: dict[str, Shape] = {}
    results, work = [], 0
    given: set[str] = set()
    for number, layer in enumerate(layers):
        if (layer.kind == "Input") != (number == 0) or layer.kind not in _RULES:
            raise ValueError(f"the layer {layer.kind!r} is not known here")
        known, derive = _RULES[layer.kind]
        if not layer.options.keys() <= known:
            raise ValueError(f"the layer {layer.name} has options that are not known here")
        # Each result is read once: ncnn frees it then.
        inputs = [shapes.pop(name) for name in layer.inputs]
        result = derive(layer.options, inputs)
        if len(layer.outputs) != 1 and (layer.kind != "Split" or not layer.outputs):
            raise ValueError(f"the layer {layer.name} has {len(layer.outputs)} results")
        if min(result.shape) < 1 or math.prod(result.shape) > _MOST_NUMBERS:
            raise ValueError(f"a result of shape {result.shape}")
        if not 0 <= result.tagged <= _MOST_WEIGHTS:
            raise ValueError(f"a layer of {result.tagged} weights")
        if given.intersection(layer.outputs) or len(set(layer.outputs)) < len(layer.outputs):
            raise ValueError(f"the layer {layer.name} gives what is there already")
        given.update(layer.outputs)
        shapes |= dict.fromkeys(layer.outputs, result.shape)
        work += math.prod(result.shape[1:]) * result.tagged
        results.append(result)
    if work > _MOST_WORK:
        raise ValueError(f"{work:,} multiply-adds for one picture")
    names = layers[0].outputs if layers else ()
    row = shapes.get(OUTPUT_NAME, ())
    if names != (INPUT_NAME,) or len(row) != 1:
        raise ValueError(f"it does not give a row of {OUTPUT_NAME} of {INPUT_NAME}")
    return results, row[0]


def _check_weights(data: bytes, results: Sequence[_Result]) -> None:
    place = 0
    for result in results:
        if result.tagged:
            tag = int.from_bytes(data[place : place + 4], "little")
            if tag not in (FLOAT32_TAG, FLOAT16_TAG):
                raise ValueError(f"weights of the kind {tag:#x}")
            half = tag == FLOAT16_TAG
            _check_finite(data, "<f2" if half else "<f4", result.tagged, place + 4)
            place += 4 + (result.tagged * (2 if half else 4) + 3) // 4 * 4
        _check_finite(data, "<f4", result.plain, place)
        place += 4 * result.plain
    if place != len(data):
        raise ValueError(f"it has {len(data)} bytes of weights, not {place}")


def _check_finite(data: bytes, dtype: str, count: int, place: int) -> None:
    # A list that is too short is a ValueError of NumPy.
    if count and not np.isfinite(np.frombuffer(data, dtype, count, place)).all():
        raise ValueError("weights that are NaN or infinite")


def _input(options: Options, inputs: Sequence[Shape]) -> _Result:
    shape = (options[2], options[1], options[0])
    if inputs or shape != IMAGE_SHAPE:
        raise ValueError(f"its pictures are {shape}")
    return _Result(shape)


def _convolve(options: Options, inputs: Sequence[Shape]) -> _Result:
    (shape,), out, groups = inputs, options[0], options.get(7, 1)
    if groups < 1 or out < 1 or shape[0] % groups or out % groups or options[5] != 1:
        raise ValueError(f"{groups} groups of {shape[0]} channels to {out}")
    kernel, strides = (options[11], options[1]), (options[13], options[3])
    border = (options[14], options[16], options[4], options[15])
    weights = out * shape[0] // groups * kernel[0] * kernel[1]
    if options[6] != weights or options.get(9, 0) not in (0, 1):
        raise ValueError(f"a convolution of {options[6]} weights, not {weights}")
    return _Result((out, *_slide(shape, kernel, strides, border)), weights, out)


def _pool(options: Options, inputs: Sequence[Shape]) -> _Result:
    (shape,) = inputs
    kernel, strides = (options[11], options[1]), (options[12], options[2])
    border = (options[13], options[15], options[3], options[14])
    if options[0] not in (0, 1) or options[5] != 1 or options.get(6, 0) not in (0, 1):
        raise ValueError("a pooling of a kind that is not known here")
    if any(wide <= max(border) for wide in kernel):  # a window with no pixel in it
        raise ValueError(f"a border of {border} around windows of {kernel}")
    return _Result((shape[0], *_slide(shape, kernel, strides, border)))


def _slide(shape: Shape, kernel: Shape, strides: Shape, border: Shape) -> Shape:
    _, height, width = shape
    if min(*kernel, *strides) < 1 or max(*kernel, *strides, *border) > _MOST_STRIDE:
        raise ValueError(f"windows of {kernel} every {strides}")
    if min(border) < 0:
        raise ValueError(f"a border of {border}")
    sizes = height + border[0] + border[1], width + border[2] + border[3]
    if sizes[0] < kernel[0] or sizes[1] < kernel[1]:
        raise ValueError(f"windows of {kernel} over {sizes}")
    return tuple((s - k) // step + 1 for s, k, step in zip(sizes, kernel, strides, strict=True))


def _multiply(options: Options, inputs: Sequence[Shape]) -> _Result:
    (shape,), out = inputs, options[0]
    if len(shape) != 1 or options[1] != 1 or options.get(9, 0) not in (0, 1):
        raise ValueError(f"a product of a result of shape {shape}")
    if options[2] != out * shape[0]:
        raise ValueError(f"a product of {options[2]} weights, not {out * shape[0]}")
    return _Result((out,), options[2], out)


def _scale(options: Options, inputs: Sequence[Shape]) -> _Result:
    (shape,) = inputs
    if options[0] != shape[0] or options[1] != 1:
        raise ValueError(f"{options[0]} factors of {shape[0]} channels")
    return _Result(shape, 0, 2 * shape[0])


def _keep(_: Options, inputs: Sequence[Shape]) -> _Result:
    (shape,) = inputs
    return _Result(shape)


def _add(options: Options, inputs: Sequence[Shape]) -> _Result:
    left, right = inputs
    if options[0] != 0 or left != right:
        raise ValueError(f"a sum of {left} and {right}")
    return _Result(left)


def _concatenate(options: Options, inputs: Sequence[Shape]) -> _Result:
    if options[0] != 0 or len({shape[1:] for shape in inputs}) != 1:
        raise ValueError("results that cannot be joined")
    if len({len(shape) for shape in inputs}) != 1:
        raise ValueError("rows joined with pictures")
    return _Result((sum(shape[0] for shape in inputs), *inputs[0][1:]))


def _rearrange(options: Options, inputs: Sequence[Shape]) -> _Result:
    ((channels, height, width),), block = inputs, options[0]
    if block < 1 or height % block or width % block or options[1] != 1:
        raise ValueError(f"cells of {block} pixels")
    return _Result((channels * block**2, height // block, width // block))


def _flatten(options: Options, inputs: Sequence[Shape]) -> _Result:
    (shape,) = inputs
    if options[0] != math.prod(shape):
        raise ValueError(f"a row of {options[0]} numbers of {shape}")
    return _Result((options[0],))


_WINDOW = {0, 1, 11, 3, 13, 4, 14, 15, 16, 5, 6, 9}
_RULES: dict[str, tuple[set[int], Callable[[Options, Sequence[Shape]], _Result]]] = {
    "Input": ({0, 1, 2}, _input),
    "Convolution": (_WINDOW, _convolve),
    "ConvolutionDepthWise": (_WINDOW | {7}, _convolve),
    "Pooling": ({0, 1, 11, 2, 12, 3, 13, 14, 15, 5, 6}, _pool),
    "InnerProduct": ({0, 1, 2, 9}, _multiply),
    "Scale": ({0, 1}, _scale),
    **dict.fromkeys(("ReLU", "Sigmoid", "TanH", "Swish"), (set(), _keep)),
    "Split": (set(), _keep),
    "BinaryOp": ({0}, _add),
    "Concat": ({0}, _concatenate),
    "Reorg": ({0, 1}, _rearrange),
    "Reshape": ({0}, _flatten),
}
"""The options that a layer may have, and what derives its result."""
