"""Write each step of a net as one C function over constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_edge.exporters.c.layers import (
    PICTURE,
    Add,
    Concat,
    Convolution,
    Linear,
    Net,
    Pool,
    Scale,
    Shape,
    SpaceToDepth,
    Step,
    Window,
    sources,
)
from mnist_edge.exporters.c.plan import Plan, padded

# The transform of the weights of F(2x2, 3x3), see winograd.c.
_SPREAD = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])

# Pieces that are worked on together: more would leave the first-level cache.
_MOST_PIECES = 25
_NUMBERS_A_LINE = 8

# Columns of a matrix that count as few: so many classes at most.
MOST_DOTS = 16


@dataclass(frozen=True, kw_only=True)
class Code:
    """One step in C.

    Attributes:
        name: of the function.
        comment: what it does, with shapes.
        data: its weights, as definitions.
        body: the statements of the function: from `in`, or `in0`, `in1` ..., to `out`.
        macs: multiply-adds for one picture, without those whose result pooling would drop.
        inputs: the names of what it reads.
        counted: whether it is told how many pictures to work on.
    """

    name: str
    comment: str
    data: str
    body: str
    macs: int = 0
    inputs: tuple[str, ...] = ("in",)
    counted: bool = False


class _View(NamedTuple):
    """How a result is read: numbers from row to row, pixel to pixel, channel to channel."""

    row: int
    next: int
    apart: int


def write_steps(net: Net, plan: Plan) -> list[Code]:
    """The C function of each step, in order."""
    return _Writer(net, plan).write()


def define(name: str, array: NDArray[np.float32], shape: str = "") -> str:
    """A constant array in C: every number with the nine digits that float32 needs."""
    texts = [_number(value) for value in array.reshape(-1).tolist()]
    lines = [
        "    " + ", ".join(texts[i : i + _NUMBERS_A_LINE])
        for i in range(0, len(texts), _NUMBERS_A_LINE)
    ]
    note = f" /* {shape} */" if shape else ""
    return (
        f"static const float {name}[{array.size}] ALIGNED = {{{note}\n" + ",\n".join(lines) + "\n};"
    )


class _Writer:
    def __init__(self, net: Net, plan: Plan) -> None:
        self._net = net
        self._plan = plan
        self._numbers: Counter[str] = Counter()

    def write(self) -> list[Code]:
        return [self._write(index, step) for index, step in enumerate(self._net.steps)]

    def _write(self, index: int, step: Step) -> Code:
        match step:
            case Convolution():
                if step.groups == step.weight.shape[0] == self._shape(step.source).channels > 1:
                    return self._depthwise(index, step)
                return self._convolution(index, step)
            case Linear():
                return self._linear(index, step)
            case Scale():
                return self._scale(index, step)
            case Pool():
                return self._pool(index, step)
            case Add():
                return self._add(index, step)
            case Concat():
                return self._concat(index, step)
            case SpaceToDepth():
                return self._space_to_depth(index, step)

    def _name(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{kind}{self._numbers[kind]}"

    def _shape(self, source: int) -> Shape:
        return self._net.picture if source == PICTURE else self._net.steps[source].shape

    def _view(self, source: int) -> _View:
        if source in self._plan.places:
            place = self._plan.places[source]
            return _View(place.row, place.shape.channels, 1)
        _, height, width = self._net.picture
        return _View(width, 1, height * width)

    def _start(self, source: int, window: Window) -> str:
        """`in`, moved into the border by as much as a window reaches into it."""
        row, next_, _ = self._view(source)
        back = window.top * row + window.left * next_
        return f"in - {back}" if back else "in"

    def _comment(self, step: Step, what: str) -> str:
        before = " and ".join(_size(self._shape(source)) for source in sources(step))
        relu = "; ReLU" if getattr(step, "relu", False) else ""
        return f"{before} -> {_size(step.shape)}: {what}{relu}"

    def _convolution(self, index: int, step: Convolution) -> Code:
        name = self._name("conv")
        shape, window, place = self._shape(step.source), step.window, self._plan.places[index]
        outputs, height, width = step.shape
        weight = _dense(step)
        in_row, in_next, _ = self._view(step.source)
        down, right = window.stride_y * in_row, window.stride_x * in_next
        wide = padded(outputs)
        shared = f"{name}_weight, {wide}, {name}_bias"
        to = f"out + y * {place.row}, {outputs}, {int(step.relu)}"
        taps = f"{in_row}, {window.height}, {window.width * shape.channels}"
        start = self._start(step.source, window)
        if step.pooled:
            inner = (
                f"        pooled_line({width}, {outputs}, {start} + y * {2 * down}, "
                f"{right}, {down}, {taps},\n                    {shared}, {to});"
            )
        else:
            inner = (
                f"        line({width}, {outputs}, {start} + y * {down}, {right}, {taps},\n"
                f"             {shared}, {to});"
            )
        body = f"    for (int y = 0; y < {height}; y++)\n{inner}"
        rows = _padded_rows(weight.transpose(2, 3, 1, 0), wide)
        data = define(
            f"{name}_weight", rows, f"[{window.height}][{window.width}][{shape.channels}][{wide}]"
        )
        if _suits_winograd(step, shape):
            condition = f"#if LANES > 1 && LANES <= {shape.channels}"
            fast_data, fast_body = self._winograd(name, step, shape, place.row, start)
            data = f"{condition}\n{fast_data}\n#else\n{data}\n#endif"
            body = f"{condition}\n{fast_body}\n#else\n{body}\n#endif"
        elif _suits_rows(step):
            fast_data, fast_body = self._rows(name, step, shape, place.row, start)
            data = f"#if LANES > 1\n{fast_data}\n#else\n{data}\n#endif"
            body = f"#if LANES > 1\n{fast_body}\n#else\n{body}\n#endif"
        bias = define(f"{name}_bias", _padded_rows(step.bias, wide))
        results = height * width * (4 if step.pooled else 1)
        return Code(
            name=name,
            comment=self._comment(step, _describe(step)),
            data=f"{data}\n{bias}",
            body=body,
            macs=results * weight[0].size * outputs,
        )

    def _winograd(
        self, name: str, step: Convolution, shape: Shape, out_row: int, start: str
    ) -> tuple[str, str]:
        """Weights and body of the fast way to do a 3×3 convolution."""
        outputs, height, width = step.shape
        wide, depth = padded(outputs), shape.channels
        row = self._view(step.source).row
        exact = np.einsum("ay,oiyx,bx->abio", _SPREAD, step.weight.astype(np.float64), _SPREAD)
        rows = _padded_rows(exact.astype(np.float32), wide)
        data = define(f"{name}_weight", rows, f"[4][4][{depth}][{wide}], transformed")
        # As many rows at once as divide the height and stay in the cache.
        lines = max(
            n
            for n in range(1, height + 1)
            if height % n == 0 and (n == 1 or n * width <= _MOST_PIECES)
        )
        count = 16 * lines * width
        body = (
            f"    float pieces[{count * depth}] ALIGNED, products[{count * wide}] ALIGNED;\n"
            f"    for (int y = 0; y < {height}; y += {lines})\n"
            f"        winograd({lines}, {width}, {depth}, {outputs}, {start} + y * {2 * row}, {row}, "
            f"{name}_weight, {wide}, {name}_bias,\n"
            f"                 out + y * {out_row}, {out_row}, {outputs}, {int(step.relu)}, pieces, products);"
        )
        return data, body

    def _rows(
        self, name: str, step: Convolution, shape: Shape, out_row: int, start: str
    ) -> tuple[str, str]:
        """Weights and body of the fast way to do a kernel that is three strides wide."""
        outputs, height, width = step.shape
        window = step.window
        wide, length = padded(outputs), window.stride_x * shape.channels
        taps = step.weight.transpose(2, 3, 1, 0).astype(np.float64)
        taps = taps.reshape(window.height, 3, length, outputs)
        exact = np.einsum("kx,yxjo->kyjo", _SPREAD, taps)
        rows = _padded_rows(exact.astype(np.float32), wide)
        data = define(
            f"{name}_weight", rows, f"[4][{window.height}][{length}][{wide}], transformed"
        )
        lines = (2 * height - 1) * window.stride_y + window.height
        body = (
            f"    float slides[{lines * 3 * 2 * length * width}] ALIGNED, "
            f"products[{8 * width * wide}] ALIGNED;\n"
            f"    convolve_rows({height}, {width}, {outputs}, {start}, {self._view(step.source).row}, "
            f"{window.height}, {window.stride_y}, {length},\n"
            f"                  {name}_weight, {wide}, {name}_bias, out, {out_row}, {outputs}, "
            f"{int(step.relu)}, slides, products);"
        )
        return data, body

    def _depthwise(self, index: int, step: Convolution) -> Code:
        name = self._name("conv")
        window = step.window
        channels, height, width = step.shape
        taps = step.weight.transpose(2, 3, 1, 0)
        data = define(f"{name}_weight", taps, f"[{window.height}][{window.width}][{channels}]")
        return Code(
            name=name,
            comment=self._comment(step, f"{_describe(step)}, each channel by itself"),
            data=f"{data}\n{define(f'{name}_bias', step.bias)}",
            body=(
                f"    depthwise({channels}, {height}, {width}, {self._start(step.source, window)}, "
                f"{self._view(step.source).row}, {window.height}, {window.width}, "
                f"{window.stride_y}, {window.stride_x},\n              {name}_weight, {name}_bias, "
                f"out, {self._plan.places[index].row}, {int(step.relu)});"
            ),
            macs=step.shape.size * window.height * window.width,
        )

    def _linear(self, index: int, step: Linear) -> Code:
        name = self._name("linear")
        shape = self._shape(step.source)
        outputs, wide = step.shape.channels, padded(step.shape.channels)
        # From channel, row, column to the order in which the numbers lie here.
        rows = step.weight.reshape(outputs, *shape).transpose(2, 3, 1, 0)
        row = self._view(step.source).row
        data = define(f"{name}_weight", _padded_rows(rows, wide), f"[{shape.size}][{wide}]")
        bias = define(f"{name}_bias", _padded_rows(step.bias, wide))
        place, source = self._plan.places[index], self._plan.places.get(step.source)
        taps = f"{row}, {shape.height}, {shape.width * shape.channels}"
        tail = f"{name}_weight, {wide}, {name}_bias"
        counted = index >= self._plan.head
        right = source.stride if source else shape.size
        count = "count" if counted else "1"
        to = f"out, {place.stride}, {int(step.relu)}"
        if outputs <= MOST_DOTS and row in (0, shape.width * shape.channels):
            body = f"    dots({count}, {outputs}, in, {right}, {shape.size}, {tail}, {to});"
        else:
            body = f"    line({count}, {outputs}, in, {right}, {taps},\n         {tail}, {to});"
        return Code(
            name=name,
            comment=self._comment(step, "all with all"),
            data=f"{data}\n{bias}",
            body=body,
            macs=step.weight.size,
            counted=counted,
        )

    def _scale(self, index: int, step: Scale) -> Code:
        name = self._name("scale")
        channels, height, width = step.shape
        row, next_, apart = self._view(step.source)
        return Code(
            name=name,
            comment=self._comment(step, "a factor and an offset"),
            data="\n".join(
                define(f"{name}_{kind}", array)
                for kind, array in (("factor", step.factor), ("offset", step.offset))
            ),
            body=(
                f"    scale({channels}, {height}, {width}, in, {row}, {next_}, {apart}, {name}_factor, "
                f"{name}_offset,\n          out, {self._plan.places[index].row}, {channels}, {int(step.relu)});"
            ),
        )

    def _pool(self, index: int, step: Pool) -> Code:
        shape, window = self._shape(step.source), step.window
        return Code(
            name=self._name("pool"),
            comment=self._comment(step, f"{step.kind} of each {window.height} x {window.width}"),
            data="",
            body=(
                f"    pool({int(step.kind == 'max')}, {shape.channels}, {shape.height}, {shape.width}, "
                f"in, {self._view(step.source).row}, {window.height}, {window.width}, "
                f"{window.stride_y}, {window.stride_x}, {window.top}, {window.left}, "
                f"{int(step.counts_border)},\n         {step.shape.height}, {step.shape.width}, out, "
                f"{self._plan.places[index].row}, {int(step.relu)});"
            ),
        )

    def _add(self, index: int, step: Add) -> Code:
        channels, height, width = step.shape
        rows = [self._view(source).row for source in sources(step)]
        return Code(
            name=self._name("add"),
            comment=self._comment(step, "their sum"),
            data="",
            body=(
                f"    add({channels}, {height}, {width}, in0, {rows[0]}, in1, {rows[1]}, out, "
                f"{self._plan.places[index].row}, {int(step.relu)});"
            ),
            inputs=("in0", "in1"),
        )

    def _concat(self, index: int, step: Concat) -> Code:
        place = self._plan.places[index]
        lines, offset = [], 0
        for number, source in enumerate(step.sources):
            channels, height, width = self._shape(source)
            row, next_, apart = self._view(source)
            lines.append(
                f"    copy({channels}, {height}, {width}, in{number}, {row}, {next_}, {apart}, "
                f"out + {offset}, {place.row}, {place.shape.channels});"
            )
            offset += channels
        return Code(
            name=self._name("concat"),
            comment=self._comment(step, "one after the other"),
            data="",
            body="\n".join(lines),
            inputs=tuple(f"in{number}" for number in range(len(step.sources))),
        )

    def _space_to_depth(self, index: int, step: SpaceToDepth) -> Code:
        shape = self._shape(step.source)
        return Code(
            name=self._name("space"),
            comment=self._comment(step, f"each {step.block} x {step.block} becomes one"),
            data="",
            body=(
                f"    space_to_depth({shape.channels}, {step.block}, {step.shape.height}, "
                f"{step.shape.width}, in, {self._view(step.source).row}, out, "
                f"{self._plan.places[index].row});"
            ),
        )


def _dense(step: Convolution) -> NDArray[np.float32]:
    """The weights (out, in, height, width) of a convolution, with zeros between its groups."""
    outputs, depth, height, width = step.weight.shape
    if step.groups == 1:
        return step.weight
    dense = np.zeros((outputs, depth * step.groups, height, width), np.float32)
    each = outputs // step.groups
    for group in range(step.groups):
        rows, columns = (
            slice(group * each, (group + 1) * each),
            slice(group * depth, (group + 1) * depth),
        )
        dense[rows, columns] = step.weight[rows]
    return dense


def _suits_winograd(step: Convolution, shape: Shape) -> bool:
    window = step.window
    kernel = (window.height, window.width, window.stride_y, window.stride_x)
    return kernel == (3, 3, 1, 1) and step.pooled and step.groups == 1 and shape.channels >= 4


def _suits_rows(step: Convolution) -> bool:
    """With a stride of one, the sums that this adds cost what the products save."""
    window = step.window
    wide = window.stride_x > 1 and window.width == 3 * window.stride_x
    return wide and step.pooled and step.groups == 1


def _padded_rows(array: NDArray[np.float32], wide: int) -> NDArray[np.float32]:
    """`array` with zeros at the end of its last axis."""
    missing = [(0, 0)] * (array.ndim - 1) + [(0, wide - array.shape[-1])]
    return np.pad(array, missing)


def _describe(step: Convolution) -> str:
    window = step.window
    text = f"{window.height} x {window.width} convolution"
    if (window.stride_y, window.stride_x) != (1, 1):
        text += f", stride {window.stride_y} x {window.stride_x}"
    if any(window[4:]):
        text += f", border {' '.join(map(str, window[4:]))}"
    return text + (", the largest of each 2 x 2" if step.pooled else "")


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _number(value: float) -> str:
    text = f"{value:.9g}"
    return (text if "." in text or "e" in text else f"{text}.0") + "f"
