"""Write a convolution as C: as it stands, or by one of Winograd's ways to save products."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.c.plan import LANES, Plan, Site, padded
from mnist_edge.formats.c.text import Code, call, define, either, padded_rows
from mnist_edge.formats.graph.layers import Convolution, Linear, Step, is_depthwise

# How F(2, 3) spreads the three weights of a row, or of a column, over four products: see rows.c
# and winograd.c.
_SPREAD = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])

# The same of F(3, 3), over five products: see winograd3.c.
_SPREAD3 = np.array([[3, 0, 0], [-3, -3, -3], [-1, 1, -1], [1, 2, 4], [0, 0, 6]]) / 6

# Pieces of the input that are worked on together: more would leave the second-level cache.
_MOST_PIECES = 25


def write_convolution(site: Site, step: Convolution) -> Code:
    """A convolution in float32."""
    if is_depthwise(step):
        return _depthwise(site, step)
    data, body = multiply_less(_direct(site, step), site, step, step.relu, _FLOAT32)
    bias = define(f"{site.name}_bias", padded_rows(step.bias, padded(step.shape.channels)))
    return Code(f"{data}\n{bias}", body)


def describe(step: Convolution) -> str:
    """A convolution in a few words."""
    window = step.window
    text = f"{window.height} x {window.width} convolution"
    if (window.stride_y, window.stride_x) != (1, 1):
        text += f", stride {window.stride_y} x {window.stride_x}"
    if any(window[4:]):
        text += f", border {' '.join(map(str, window[4:]))}"
    if step.groups > 1:
        text += f", {step.groups} groups"
    return text + (", the largest of each 2 x 2" if step.pooled else "")


def _direct(site: Site, step: Convolution) -> Code:
    """The way that fits every convolution."""
    rows = padded_rows(dense(step).transpose(2, 3, 1, 0), padded(step.shape.channels))
    data = define(f"{site.name}_weight", rows, rows.shape)
    return Code(data, slide(site, step, step.relu))


def slide(site: Site, step: Convolution, ending: object) -> str:
    """The statement that gives the results row by row; `ending` is what the kernels call so."""
    outputs, height, width = step.shape
    window, plan = step.window, site.plan
    row, next_, _ = plan.view(step.source)
    down, right = window.stride_y * row, window.stride_x * next_
    down, lines = (2 * down, (right, down)) if step.pooled else (down, (right,))
    statement = call(
        *("pooled_line" if step.pooled else "line", width, outputs),
        *(f"{plan.start(step.source, window)} + y * {down}", *lines),
        *(row, window.height, window.width * plan.shape(step.source).channels),
        *(f"{site.name}_weight", padded(outputs), f"{site.name}_bias"),
        *(f"out + y * {site.place.row}", outputs, ending),
        indent=8,
    )
    return f"    for (int y = 0; y < {height}; y++)\n{statement}"


class Terms(NamedTuple):
    """What the kernels of a precision want of Winograd's ways.

    Attributes:
        least: channels of the narrowest vectors that they work on.
        together: neighbouring terms that one product takes.
        arrange: makes what stands in C of spread weights, (terms, in, out). In whole numbers, 4
            terms are halves, 16 fourths, 25 thirty-sixths.
    """

    least: int
    together: int
    arrange: Callable[[NDArray[np.float64]], NDArray[np.generic]]


def _arranged(exact: NDArray[np.float64]) -> NDArray[np.float32]:
    return padded_rows(exact.astype(np.float32), padded(exact.shape[-1]))


_FLOAT32 = Terms(4, 1, _arranged)


def multiply_less(plain: Code, site: Site, step: Convolution, ending: object, terms: Terms) -> Code:
    """A convolution by one of Winograd's ways; `plain` where none fits, and for other targets."""
    weight = step.weight.astype(np.float64)
    plan = site.plan
    if suits_winograd(step, plan, terms):
        spread = _SPREAD3 if _suits_threes(step) else _SPREAD
        exact = np.einsum("ay,oiyx,bx->abio", spread, weight, spread)
        exact = exact.reshape(-1, *exact.shape[2:])
        body = (_threes if _suits_threes(step) else _twos)(site, step, ending)
        # A vector of its kernel holds neighbouring channels of one pixel.
        condition = f"WINOGRAD && LANES <= {plan.shape(step.source).channels}"
        if not step.pooled:
            condition += f" && {step.shape.channels} % LANES == 0"
    elif _suits_rows(step, plan, terms):
        taps = weight.transpose(2, 3, 1, 0).reshape(len(weight[0, 0]), 3, -1, len(weight))
        exact = np.einsum("kx,yxjo->kyjo", _SPREAD, taps).reshape(4, -1, len(weight))
        body, condition = _rows(site, step, ending), "WINOGRAD"
    else:
        return plain
    arranged = terms.arrange(exact)
    data = define(f"{site.name}_weight", arranged, arranged.shape, "transformed")
    return Code(either(condition, data, plain.data), either(condition, body, plain.body))


def _twos(site: Site, step: Convolution, ending: object) -> str:
    """The body, where pieces give 2×2 results of which one is kept."""
    outputs, height, width = step.shape
    wide, depth = padded(outputs), site.plan.shape(step.source).channels
    row = site.plan.view(step.source).row
    lines = _lines(height, width)
    count = 16 * lines * width
    statement = call(
        *("winograd", lines, width, depth, outputs),
        f"{site.plan.start(step.source, step.window)} + y * {2 * row}",
        *_between(site, row, wide),
        *(outputs, ending, "pieces", "products"),
        indent=8,
    )
    return (
        f"    term pieces[{count * depth}] ALIGNED;\n"
        f"    tally products[{count * wide}] ALIGNED;\n"
        f"    for (int y = 0; y < {height}; y += {lines})\n{statement}"
    )


def _threes(site: Site, step: Convolution, ending: object) -> str:
    """Likewise, where the results can be cut into pieces of 3×3."""
    outputs = step.shape.channels
    height, width = _unpooled(step)
    wide, depth = padded(outputs), site.plan.shape(step.source).channels
    row = site.plan.view(step.source).row
    across = width // 3
    lines = height // 3 if step.pooled else _lines(height // 3, across)
    count = lines * across
    body = (
        f"    term pieces[{25 * count * depth}] ALIGNED;\n"
        f"    tally products[{25 * count * wide}] ALIGNED;\n"
    )
    if step.pooled:
        body += f"    tally results[{9 * count * wide}] ALIGNED;\n"
    statement = call(
        *("winograd3", 3 * lines, width, depth, outputs),
        f"{site.plan.start(step.source, step.window)} + y * {row}",
        *_between(site, row, wide),
        *(outputs, ending, "pieces", "products", "results" if step.pooled else 0),
        indent=8,
    )
    return f"{body}    for (int y = 0; y < {height}; y += {3 * lines})\n{statement}"


def _between(site: Site, row: int, wide: int) -> tuple[object, ...]:
    """What both kernels take between where the input starts and how the results end."""
    weights = (f"{site.name}_weight", wide, f"{site.name}_bias")
    return (row, *weights, f"out + y * {site.place.row}", site.place.row)


def _lines(height: int, across: int) -> int:
    """As many rows of pieces at once as divide the height and stay in the cache."""
    fitting = (n for n in range(1, height + 1) if height % n == 0 and n * across <= _MOST_PIECES)
    return max(fitting, default=1)


def _unpooled(step: Convolution) -> tuple[int, int]:
    """Height and width of the results, those that pooling drops among them."""
    scale = 2 if step.pooled else 1
    return scale * step.shape.height, scale * step.shape.width


def _rows(site: Site, step: Convolution, ending: object) -> str:
    """Likewise, where a kernel is three strides wide."""
    outputs, height, width = step.shape
    window, wide = step.window, padded(outputs)
    length = window.stride_x * site.plan.shape(step.source).channels
    lines = (2 * height - 1) * window.stride_y + window.height
    statement = call(
        *("convolve_rows", height, width, outputs, site.plan.start(step.source, window)),
        *(site.plan.view(step.source).row, window.height, window.stride_y, length),
        *(f"{site.name}_weight", wide, f"{site.name}_bias", "out", site.place.row, outputs, ending),
        *("slides", "products"),
    )
    return (
        f"    term slides[{lines * 3 * 2 * length * width}] ALIGNED;\n"
        f"    tally products[{8 * width * wide}] ALIGNED;\n{statement}"
    )


def _depthwise(site: Site, step: Convolution) -> Code:
    taps = step.weight.transpose(2, 3, 1, 0)[:, :, 0]
    weight, bias = f"{site.name}_weight", f"{site.name}_bias"
    body = call(
        *("depthwise", *step.shape, site.plan.start(step.source, step.window)),
        *(site.row(step.source), *step.window[:4], weight, bias, "out", site.place.row),
        step.relu,
    )
    return Code(f"{define(weight, taps, taps.shape)}\n{define(bias, step.bias)}", body)


def multiply_adds(step: Step) -> int:
    """For one picture, without those whose result pooling would drop."""
    match step:
        case Convolution():
            weight = step.weight if is_depthwise(step) else dense(step)
            return weight.size * step.shape.height * step.shape.width * (4 if step.pooled else 1)
        case Linear():
            return step.weight.size
    return 0


def dense(step: Convolution) -> NDArray[np.float32]:
    """The weights (out, in, height, width) of a convolution, with zeros between its groups."""
    if step.groups == 1:
        return step.weight
    outputs, depth, height, width = step.weight.shape
    dense = np.zeros((step.groups, outputs // step.groups, step.groups, depth, height, width))
    for group, weight in enumerate(np.split(step.weight, step.groups)):
        dense[group, :, group] = weight
    return dense.reshape(outputs, -1, height, width).astype(np.float32)


def suits_winograd(step: Convolution, plan: Plan, terms: Terms) -> bool:
    """Whether pieces of 4×4 or 5×5 do for a convolution."""
    kernel, depth = step.window[:4], plan.shape(step.source).channels
    fits = depth >= terms.least and depth % terms.together == 0
    plain = kernel == (3, 3, 1, 1) and step.groups == 1
    return fits and plain and (step.pooled or _suits_threes(step))


def _suits_threes(step: Convolution) -> bool:
    height, width = _unpooled(step)
    small = not step.pooled or height * width <= 9 * _MOST_PIECES
    return height % 3 == width % 3 == 0 and small


def _suits_rows(step: Convolution, plan: Plan, terms: Terms) -> bool:
    """With a stride of one, the sums that this adds cost what the products save."""
    window = step.window
    wide = window.stride_x > 1 and window.width == 3 * window.stride_x
    length = window.stride_x * plan.shape(step.source).channels
    fits = length % terms.together == 0 and 2 * length * step.shape.width >= LANES
    return wide and fits and step.pooled and step.groups == 1
