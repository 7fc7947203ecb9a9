"""Write each step of a quantized net as one C function over constants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.formats.c.bytes8 import write_bytewise
from mnist_edge.formats.c.convolve import (
    Terms,
    dense,
    multiply_less,
    slide,
    suits_winograd,
)
from mnist_edge.formats.c.document import Program
from mnist_edge.formats.c.emit import (
    MOST_DOTS,
    are_half_empty,
    in_one_piece,
    innermost,
    product,
    space_to_depth,
    winograd_files,
    write_steps,
)
from mnist_edge.formats.c.plan import LANES, LARGE_BYTES, Plan, Site, lay_out, padded
from mnist_edge.formats.c.text import Code, call, define, either, number, padded_rows
from mnist_edge.formats.graph.layers import (
    PICTURE,
    Convolution,
    Linear,
    Net,
    Pool,
    Scale,
    SpaceToDepth,
    Step,
    is_depthwise,
)
from mnist_edge.formats.graph.quantized import Grid, QuantizedNet

# What moves8.c defines.
_MOVES = "move", "translate", "surround", "resize", "add", "mean", "depthwise", "space_to_depth"

# Inputs that one step of a kernel takes in: what the instructions for sums of bytes do.
_TOGETHER = 4

_ABOUT = """\
Weights are signed bytes, results unsigned ones, sums whole numbers of 32 bits. C99 with the
   compiler's vector types and the target's instructions for sums of bytes, where there are any
   (VNNI, AVX2, SSE2; Arm's dot product and DSP); MNIST_EDGE_SCALAR does without. All of
   them give the same answers, to the last bit."""

_ANSWERS = """\
        for (int c = 0; c < @NAME@_CLASSES; c++)
            logits[i * @NAME@_CLASSES + c] = (float)(workspace[@last@ + c] - {zero}) * {scale};"""


def write_quantized(quantized: QuantizedNet) -> Program:
    """A quantized net in C.

    Raises:
        BadInput: the kernel that quantizes the picture cannot read such a one.
    """
    picture = quantized.net.picture
    if picture.channels > 1 or picture.width < LANES:
        raise BadInput(
            f"int8 in C takes a picture of one channel and at least {LANES} columns, "
            f"not {picture.channels} and {picture.width}",
            fix="choose --precision float32",
        )
    plan = lay_out(quantized.net, weight_bytes=1)
    last = quantized.grids[len(quantized.net.steps) - 1]
    notes = {index: _note(grid) for index, grid in quantized.grids.items()}
    steps = write_steps(plan, partial(_write, quantized), "uint8_t", notes)
    bodies = "".join(step.code.body for step in steps)
    moves = any(re.search(rf"\b{name}\(", bodies) for name in _MOVES)
    return Program(
        plan=plan,
        steps=steps,
        kernels=(
            *("lanes8.c", "common.c", "vectors8.c", "kernels.c"),
            *winograd_files(bodies, "terms8.c"),
            "plain8.c",
            *(("moves8.c",) if moves else ()),
        ),
        workspace=plan.size // 4 + LANES,
        marks={
            "about": _ABOUT,
            "number": "uint8_t",
            "cast": "(uint8_t *)",
            "borders": "\n".join(_fill_borders(plan, quantized)),
            "answers": _ANSWERS.format(zero=last.zero, scale=number(float(last.scale))),
            "narrow": int(_are_narrow(quantized.net)),
            "terms": _terms(plan),
            "half_empty": int(are_half_empty(quantized.net, steps)),
        },
    )


def _fill_borders(plan: Plan, quantized: QuantizedNet) -> Iterator[str]:
    yield "    /* Borders, and what is read behind a result but multiplied by zero. */"
    for start, byte, size in borders(plan, quantized):
        yield f"    FILL((uint8_t *)workspace + {start}, {byte}, {size});"


def borders(plan: Plan, quantized: QuantizedNet) -> Iterator[tuple[int, int, int]]:
    """What is read beside results: from where on, which byte, and how many of it."""
    for index, place in plan.places.items():
        if place.bordered:
            yield place.start, quantized.grids[index].zero, place.end - place.start
        elif place.shape.channels % _TOGETHER and index != len(plan.net.steps) - 1:
            for start in range(place.start, place.end, place.stride):
                yield start + place.shape.size, 0, _TOGETHER


def _are_narrow(net: Net) -> bool:
    """Whether two products of any byte with weights add up to 16 bits at most."""
    weights = [step.weight for step in net.steps if isinstance(step, (Convolution, Linear))]
    return all(255 * 2 * np.abs(weight.astype(np.int64)).max() < 2**15 for weight in weights)


def _note(grid: Grid) -> str:
    return f"; in bytes of {grid.scale:.6g}" + (f" around {grid.zero}" if grid.zero else "")


def _write(quantized: QuantizedNet, site: Site, step: Step) -> Code:
    match step:
        case Scale():
            return _bytes(site, step, quantized.grids[site.index])
        case Pool(kind="max"):
            return _pool(site, step)
        case Convolution() if is_depthwise(step):
            return _depthwise(quantized, site, step)
        case Convolution() | Linear():
            return _product(quantized, site, step)
        case SpaceToDepth():
            return space_to_depth(site, step)
    return write_bytewise(quantized, site, step)


def _bytes(site: Site, step: Scale, grid: Grid) -> Code:
    """The picture, `x · factor + offset`, in bytes, as one difference and one quotient."""
    shift, unit = picture_units(step, grid)
    _, height, width = step.shape
    lines = (height, width) if site.place.bordered else (1, height * width)
    body = call(
        *("to_bytes", *lines, "in", site.row(PICTURE)),
        *(number(float(shift)), number(float(unit)), "out", site.place.row, grid.zero),
    )
    return Code("", body)


def picture_units(step: Scale, grid: Grid) -> tuple[np.float32, np.float32]:
    """What is taken from a number of the picture, and what it is then divided by, for its byte."""
    assert step.source == PICTURE
    factor, offset = float(step.factor[0]), float(step.offset[0])
    return np.float32((0.0 - offset) / factor), np.float32(float(grid.scale) / factor)


def _pool(site: Site, step: Pool) -> Code:
    window = step.window
    body = call(
        *("pool", *site.plan.shape(step.source), "in", site.row(step.source), *window[:4]),
        *(window.top, window.left, *step.shape[1:], "out", site.place.row),
    )
    return Code("", body)


def _product(quantized: QuantizedNet, site: Site, step: Convolution | Linear) -> Code:
    """A convolution or a matrix product."""
    name, grid = site.name, quantized.grids[site.index]
    ending = f"(ending){{{name}_factor, {grid.zero}, {int(step.relu)}}}"
    weights = packed(step, site.plan)
    data = define(f"{name}_weight", weights, weights.shape, "rows, fours, outputs")
    if isinstance(step, Convolution):
        body = slide(site, step, ending)
        if _has_room(step):
            data, body = multiply_less(Code(data, body), site, step, ending, _PAIRS)
    else:
        by_dots = step.shape.channels <= MOST_DOTS or step.weight.size < LARGE_BYTES
        body = product(site, step, ending, by_dots=by_dots)
    biases = (define(f"{name}_bias", bias) for bias in offsets(quantized, step))
    factor = define(f"{name}_factor", factors(quantized, step, site.index))
    return Code("\n".join((data, either("SIGNED", *biases), factor)), body)


def _has_room(step: Convolution) -> bool:
    """Whether 36 times any result makes 32 bits, as Winograd's ways want it."""
    sums = np.abs(step.weight.reshape(len(step.weight), -1).astype(np.int64)).sum(axis=1)
    return bool(36 * 255 * sums.max() < 2**31)


def _in_pairs(exact: NDArray[np.float64]) -> NDArray[np.int16]:
    """Weights spread by Winograd's ways, as their kernels read them: (terms, in pairs, out, 2)."""
    terms, depth, outputs = exact.shape
    whole = np.rint(exact * {4: 2, 16: 4, 25: 36}[terms]).astype(np.int16)
    pairs = whole.reshape(terms, depth // 2, 2, outputs).swapaxes(2, 3)
    missing = [(0, 0), (0, 0), (0, padded(outputs) - outputs), (0, 0)]
    return np.ascontiguousarray(np.pad(pairs, missing))


_PAIRS = Terms(8, 2, _in_pairs)


def _terms(plan: Plan) -> int:
    """Channels that are spread together: 16 where all convolutions have them whose pieces are."""
    steps = [step for step in plan.net.steps if isinstance(step, Convolution)]
    depths = [step.weight.shape[1] for step in steps if suits_winograd(step, plan, _PAIRS)]
    return 16 if min(depths, default=16) >= 16 else _PAIRS.least


def _depthwise(quantized: QuantizedNet, site: Site, step: Convolution) -> Code:
    source, grid = quantized.grids[step.source], quantized.grids[site.index]
    factor = source.scale * quantized.scales[site.index] / grid.scale
    taps = step.weight.transpose(2, 3, 1, 0)[:, :, 0].astype(np.int8)
    sums = step.weight.reshape(len(step.weight), -1).astype(np.int64).sum(axis=1)
    bias = (step.bias.astype(np.int64) - source.zero * sums).astype(np.int32)
    arrays = {f"{site.name}_weight": taps, f"{site.name}_bias": bias, f"{site.name}_factor": factor}
    body = call(
        *("depthwise", *step.shape, site.plan.start(step.source, step.window)),
        *(site.row(step.source), *step.window[:4], *arrays, grid.zero, "out", site.place.row),
        step.relu,
    )
    return Code("\n".join(define(name, numbers) for name, numbers in arrays.items()), body)


def packed(step: Convolution | Linear, plan: Plan) -> NDArray[np.int8]:
    """Weights as kernels read them: (rows, fours of inputs, out, 4)."""
    if isinstance(step, Convolution):
        rows = dense(step).transpose(2, 3, 1, 0)
    else:
        rows = innermost(step, plan)
        if in_one_piece(step, plan):
            rows = rows.reshape(1, -1, 1, len(step.weight))
    height, width, depth, outputs = rows.shape
    runs = rows.astype(np.int8).reshape(height, width * depth, outputs)
    missing = -runs.shape[1] % _TOGETHER
    runs = np.pad(runs, [(0, 0), (0, missing), (0, padded(outputs) - outputs)])
    fours = runs.reshape(height, -1, _TOGETHER, padded(outputs))
    return np.ascontiguousarray(fours.transpose(0, 1, 3, 2))


def factors(quantized: QuantizedNet, step: Convolution | Linear, index: int) -> NDArray[np.float32]:
    """What makes of a sum a number in units of the result, for each output."""
    # In the order of ONNX Runtime's own float32 operations, so that they round alike.
    source, grid = quantized.grids[step.source], quantized.grids[index]
    factor = source.scale * quantized.scales[index] / grid.scale
    return padded_rows(factor, padded(len(factor)))


def offsets(
    quantized: QuantizedNet, step: Convolution | Linear
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where sums begin: the bias, less what the byte that stands for zero adds to a sum.

    First for a target that takes bytes less 128, then for all others.
    """
    zero = quantized.grids[step.source].zero
    weight = step.weight.reshape(len(step.weight), -1).astype(np.int64).sum(axis=1)
    bias = step.bias.astype(np.int64) - zero * weight
    signed, plain = (
        padded_rows(offset.astype(np.int32), padded(len(bias)))
        for offset in (bias + 128 * weight, bias)
    )
    return signed, plain
