"""Write steps of a quantized net that have no weights: bytes moved, added, and looked up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.c.layout import move_table, resize_tables, surround_calls
from mnist_edge.formats.c.plan import Site
from mnist_edge.formats.c.text import Code, call, define, number
from mnist_edge.formats.graph.layers import (
    Activate,
    Add,
    Border,
    Concat,
    Move,
    Pool,
    Resize,
    Step,
)
from mnist_edge.formats.graph.quantized import Grid, QuantizedNet

_BYTES = np.arange(256)


def write_bytewise(quantized: QuantizedNet, site: Site, step: Step) -> Code:
    """A step without weights."""
    writer = _Bytewise(quantized, site)
    match step:
        case Pool():
            return writer.mean(step)
        case Add():
            return writer.add(step)
        case Concat():
            return writer.concatenate(step)
        case Move():
            return writer.move(step)
        case Border():
            return writer.surround(step)
        case Resize():
            return writer.resize(step)
        case Activate():
            return writer.activate(step)
    raise AssertionError(f"no quantized net has a {type(step).__name__}")


class _Bytewise:
    """Where a step stands, and what the bytes around it stand for."""

    def __init__(self, quantized: QuantizedNet, site: Site) -> None:
        self._grids, self._grid, self._site = quantized.grids, quantized.grids[site.index], site

    def mean(self, step: Pool) -> Code:
        """AveragePool."""
        site, window = self._site, step.window
        data, numbers = self._table("numbers", _numbers(self._grids[step.source]))
        body = call(
            *("mean", *site.plan.shape(step.source), "in", site.row(step.source), *window[:4]),
            *(window.top, window.left, step.counts_border, numbers, *self._units()),
            *(*step.shape[1:], "out", site.place.row, step.relu),
        )
        return Code(data, body)

    def add(self, step: Add) -> Code:
        """Add."""
        site = self._site
        first, left = self._table("first", _numbers(self._grids[step.source]))
        second, right = self._table("second", _numbers(self._grids[step.other]))
        body = call(
            *("add", *step.shape, "in0", site.row(step.source), "in1", site.row(step.other)),
            *(left, right, *self._units(), "out", site.place.row, step.relu),
        )
        return Code(f"{first}\n{second}", body)

    def concatenate(self, step: Concat) -> Code:
        """Concat."""
        site, tables, lines, offset = self._site, [], [], 0
        for index, source in enumerate(step.sources):
            shape = site.plan.shape(source)
            data, table = self._as_ours(source, f"as{index}")
            tables.append(data)
            to = (f"out + {offset}", site.place.row, site.place.shape.channels)
            lines.append(call("translate", *shape, f"in{index}", site.row(source), table, *to))
            offset += shape.channels
        return Code("\n".join(tables), "\n".join(lines))

    def move(self, step: Move) -> Code:
        """Bytes in another order, or in another grid."""
        channels, height, width = step.shape
        data, table = self._as_ours(step.source)
        to = ("in", f"{self._site.name}_from", table, "out", self._site.place.row)
        body = call("move", height, width * channels, *to)
        return Code(f"{move_table(self._site, step)}\n{data}", body)

    def surround(self, step: Border) -> Code:
        """Pad."""
        site, (data, table) = self._site, self._as_ours(step.source)
        fill = int(quantized_bytes(np.array([step.fill], np.float32), self._grid)[0])
        filled, within = surround_calls(step, site.place, str(fill))
        to = (table, within, site.place.row, step.shape.channels)
        shape = site.plan.shape(step.source)
        copied = call("translate", *shape, "in", site.row(step.source), *to)
        return Code(data, f"{filled}\n{copied}")

    def resize(self, step: Resize) -> Code:
        """Resize."""
        site = self._site
        data, numbers = self._table("numbers", _numbers(self._grids[step.source]))
        tables = (f"{site.name}_{table}" for table in ("rows", "lower", "columns", "right"))
        body = call(
            "resize",
            *(*step.shape, "in", site.row(step.source), *tables, numbers),
            *(*self._units(), "out", site.place.row),
        )
        return Code(f"{resize_tables(site, step)}\n{data}", body)

    def activate(self, step: Activate) -> Code:
        """A function of each number, as a table."""
        results = evaluate(step, _numbers(self._grids[step.source]))
        data, table = self._table("as", quantized_bytes(results, self._grid))
        to = (table, "out", self._site.place.row, step.shape.channels)
        row = self._site.row(step.source)
        return Code(data, call("translate", *step.shape, "in", row, *to))

    def _units(self) -> tuple[str, int]:
        """What a result's bytes stand for, as kernels take it."""
        return number(float(self._grid.scale)), self._grid.zero

    def _as_ours(self, source: int, what: str = "as") -> tuple[str, str]:
        """What each byte of a source is in the result, as a table and its name."""
        return self._table(what, requantized(self._grids[source], self._grid))

    def _table(self, what: str, numbers: NDArray[np.generic]) -> tuple[str, str]:
        """An array of 256 numbers, and its name."""
        name = f"{self._site.name}_{what}"
        return define(name, numbers), name


def _numbers(grid: Grid) -> NDArray[np.float32]:
    """What each byte stands for."""
    return ((_BYTES - grid.zero).astype(np.float32) * grid.scale).astype(np.float32)


def quantized_bytes(numbers: NDArray[np.float32], grid: Grid) -> NDArray[np.uint8]:
    """Numbers to the nearest bytes of a grid, of two the even one."""
    whole: NDArray[np.float32] = np.rint(numbers.astype(np.float32) / grid.scale) + grid.zero
    return np.clip(whole, 0, 255).astype(np.uint8)


def requantized(before: Grid, after: Grid) -> NDArray[np.uint8]:
    """What each byte of a grid is in another."""
    return quantized_bytes(_numbers(before), after)


def evaluate(step: Activate, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The function of a step, of each number."""
    wide = x.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-wide))
    hard = np.clip(wide / 6 + 0.5, 0, 1)
    match step.function:
        case "sigmoid":
            result = sigmoid
        case "tanh":
            result = np.tanh(wide)
        case "elu":
            result = np.where(wide < 0, step.first * np.expm1(np.minimum(wide, 0)), wide)
        case "leaky":
            result = np.where(wide < 0, step.first * wide, wide)
        case "clip":
            result = np.clip(wide, step.first, step.second)
        case "hard-sigmoid":
            result = np.clip(step.first * wide + step.second, 0, 1)
        case "hard-swish":
            result = wide * hard
        case "silu":
            result = wide * sigmoid
        case "round":
            result = np.rint(wide)
    return result.astype(np.float32)
