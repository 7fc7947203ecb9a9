"""Write steps of a quantized net that have no weights: bytes moved, added, and looked up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.c.layout import move_table, resize_tables, surround_calls
from mnist_edge.formats.c.plan import Plan
from mnist_edge.formats.c.text import Code, call, define, number
from mnist_edge.formats.graph.layers import (
    Activate,
    Add,
    Border,
    Concat,
    Move,
    Pool,
    Resize,
    SpaceToDepth,
    Step,
)
from mnist_edge.formats.graph.quantized import Grid, QuantizedNet

_BYTES = np.arange(256)


def write_bytewise(
    quantized: QuantizedNet, name: str, comment: str, step: Step, plan: Plan, index: int
) -> Code:
    """The C function of a step without weights."""
    writer = _Bytewise(quantized, name, plan, index)
    match step:
        case Pool():
            data, body = writer.mean(step)
        case Add():
            data, body = writer.add(step)
        case Concat():
            data, body = writer.concatenate(step)
        case Move():
            data, body = writer.move(step)
        case Border():
            data, body = writer.surround(step)
        case Resize():
            data, body = writer.resize(step)
        case Activate():
            data, body = writer.activate(step)
        case SpaceToDepth():
            data, body = writer.space_to_depth(step)
        case _:
            raise AssertionError(f"no quantized net has a {type(step).__name__}")
    inputs: tuple[str, ...] = ("in",)
    if isinstance(step, Add):
        inputs = ("in0", "in1")
    elif isinstance(step, Concat):
        inputs = tuple(f"in{number}" for number in range(len(step.sources)))
    return Code(
        name=name,
        comment=comment,
        data=data,
        body=body,
        inputs=inputs,
        reads="uint8_t",
        writes="uint8_t",
    )


class _Bytewise:
    """Where a step stands."""

    def __init__(self, quantized: QuantizedNet, name: str, plan: Plan, index: int) -> None:
        self._grids, self._name, self._plan = quantized.grids, name, plan
        self._grid, self._place = quantized.grids[index], plan.places[index]

    def mean(self, step: Pool) -> tuple[str, str]:
        """AveragePool."""
        source, window = self._grids[step.source], step.window
        numbers = f"{self._name}_numbers"
        return define(numbers, _numbers(source)), call(
            *("mean", *self._plan.shape(step.source), "in", self._row(step.source), *window[:4]),
            *(window.top, window.left, step.counts_border, numbers),
            *(number(float(self._grid.scale)), self._grid.zero),
            *(*step.shape[1:], "out", self._place.row, step.relu),
        )

    def add(self, step: Add) -> tuple[str, str]:
        """Add."""
        tables = [
            define(f"{self._name}_{which}", _numbers(self._grids[source]))
            for which, source in (("first", step.source), ("second", step.other))
        ]
        return "\n".join(tables), call(
            *("add", *step.shape, "in0", self._row(step.source), "in1", self._row(step.other)),
            *(f"{self._name}_first", f"{self._name}_second", number(float(self._grid.scale))),
            *(self._grid.zero, "out", self._place.row, step.relu),
        )

    def concatenate(self, step: Concat) -> tuple[str, str]:
        """Concat."""
        tables, lines, offset = [], [], 0
        for index, source in enumerate(step.sources):
            shape, table = self._plan.shape(source), f"{self._name}_as{index}"
            tables.append(define(table, requantized(self._grids[source], self._grid)))
            to = (f"out + {offset}", self._place.row, self._place.shape.channels)
            lines.append(call("translate", *shape, f"in{index}", self._row(source), table, *to))
            offset += shape.channels
        return "\n".join(tables), "\n".join(lines)

    def move(self, step: Move) -> tuple[str, str]:
        """Bytes in another order, or in another grid."""
        channels, height, width = step.shape
        table = define(f"{self._name}_as", requantized(self._grids[step.source], self._grid))
        data = f"{move_table(self._name, step, self._plan)}\n{table}"
        arrays = (f"{self._name}_from", f"{self._name}_as")
        run = width * channels
        return data, call("move", height, run, "in", *arrays, "out", self._place.row)

    def surround(self, step: Border) -> tuple[str, str]:
        """Pad."""
        fill = int(quantized_bytes(np.array([step.fill], np.float32), self._grid)[0])
        filled, within = surround_calls(step, self._place, str(fill))
        table = define(f"{self._name}_as", requantized(self._grids[step.source], self._grid))
        shape, to = self._plan.shape(step.source), (within, self._place.row, step.shape.channels)
        copied = call("translate", *shape, "in", self._row(step.source), f"{self._name}_as", *to)
        return table, f"{filled}\n{copied}"

    def resize(self, step: Resize) -> tuple[str, str]:
        """Resize."""
        tables = (f"{self._name}_{t}" for t in ("rows", "lower", "columns", "right", "numbers"))
        numbers = define(f"{self._name}_numbers", _numbers(self._grids[step.source]))
        data = f"{resize_tables(self._name, step, self._plan)}\n{numbers}"
        return data, call(
            "resize",
            *(*step.shape, "in", self._row(step.source), *tables),
            *(number(float(self._grid.scale)), self._grid.zero, "out", self._place.row),
        )

    def activate(self, step: Activate) -> tuple[str, str]:
        """A function of each number, as a table."""
        results = evaluate(step, _numbers(self._grids[step.source]))
        table = define(f"{self._name}_as", quantized_bytes(results, self._grid))
        to = ("out", self._place.row, step.shape.channels)
        row = self._row(step.source)
        return table, call("translate", *step.shape, "in", row, f"{self._name}_as", *to)

    def space_to_depth(self, step: SpaceToDepth) -> tuple[str, str]:
        """SpaceToDepth."""
        channels = self._plan.shape(step.source).channels
        to = (*step.shape[1:], "in", self._row(step.source), "out", self._place.row)
        return "", call("space_to_depth", channels, step.block, *to)

    def _row(self, source: int) -> int:
        return self._plan.view(source).row


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
