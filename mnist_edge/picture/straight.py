"""Straight lines: of a mask, what runs from side to side with the same width all along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.picture.components import Box
from mnist_edge.picture.lined import SHORTEST, WHOLE
from mnist_edge.picture.paper import Mask

_THIN = 0.5  # of the length of a line no stroke crosses it
_STEEPEST = 0.12  # a page that leans more is to be turned first

SLENDER = 10  # times as long as thick is a line, and no stroke
CORNER = 3  # pixels between a line and the one that it ends at
_LOOSE = 0.05  # of its length, more
_MOST_LINES = 60

_Pixels: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows and columns."""


@dataclass(frozen=True, eq=False)
class _Runs:
    """The unbroken stretches of ink in each column; `end` lies just outside."""

    column: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Line:
    """A line from left to right, or from top to bottom.

    Attributes:
        box: around it.
        pixels: that are its alone.
        band: all pixels from end to end, those included that strokes share.
        levels: its height where it begins and where it ends, or how far to the right it is there.
        thickness: across it.
        is_upright: whether it runs from top to bottom.
    """

    box: Box
    pixels: _Pixels
    band: _Pixels
    levels: tuple[float, float]
    thickness: float
    is_upright: bool = False

    @property
    def ends(self) -> tuple[int, int]:
        """Where it begins and ends, in its own direction."""
        box = self.box
        return (box.top, box.bottom) if self.is_upright else (box.left, box.right)

    @property
    def near(self) -> float:
        """How far from its end another line may be."""
        return CORNER + _LOOSE * (self.ends[1] - self.ends[0])

    def meets(self, place: float, level: float, near: float) -> bool:
        """Whether another line, on this level of its own, comes near it at a place."""
        (start, end), (first, last) = self.ends, self.levels
        at = first + (last - first) * (level - start) / max(1, end - start)
        return start - near <= level <= end + near and abs(place - at) <= near + self.thickness / 2


def straight_lines(mask: Mask, thickest: int, gap: int) -> Iterator[Line]:
    """Lines of small slope from left to right in a part (H, W).

    Args:
        mask: of the part.
        thickest: pixels.
        gap: pixels, the longest in a pale line.
    """
    width = mask.shape[1]
    runs = _runs(mask)
    length = runs.end - runs.start
    thin = np.flatnonzero(length <= thickest)
    least = max(SHORTEST * width, 2 * CORNER)
    slopes = np.arange(-_STEEPEST, _STEEPEST, 2 / max(width, 20))
    for _ in range(_MOST_LINES):
        if len(thin) < _THIN * least:
            return
        x = runs.column[thin] - width / 2
        y = (runs.start[thin] + runs.end[thin] - 1) / 2
        count, slope, level = max(_best_level(x, y, slope) for slope in slopes.tolist())
        if count < _THIN * least:
            return
        on_it = np.abs(y - slope * x - level) <= 1.5
        slope, level = fit = _fitted(runs, thin[on_it], width)
        thickness = float(np.median(length[thin[on_it]]))
        on_it = np.abs(y - slope * x - level) <= 1 + thickness / 2
        mine, thin = thin[on_it], thin[~on_it]
        mine = mine[length[mine] <= 1.45 * thickness + 1.1]
        line = _line(mask, runs, mine, fit, thickness, gap)
        if line is not None and line.box.width >= SLENDER * thickness:
            line = _with_bends(line, runs, fit, width)
        if line is not None and line.box.width >= max(least, 3 * thickness):
            yield line
            if line.box.width > width / 2:  # the others of a page lie as it does
                alike = np.abs(slopes - slope) < 0.02
                slopes = slopes[alike] if alike.any() else slopes


def _best_level(
    x: NDArray[np.float64], y: NDArray[np.float64], slope: float
) -> tuple[int, float, float]:
    """How many of the points lie on the fullest line of that slope, and its height at x = 0."""
    levels = y - slope * x
    low = float(levels.min())
    counts = np.bincount((levels - low).astype(np.int64))
    pairs = counts[:-1] + counts[1:] if len(counts) > 1 else counts
    best = int(pairs.argmax())
    return int(pairs[best]), slope, low + best + (1 if len(counts) > 1 else 0.5)


def _fitted(runs: _Runs, chosen: NDArray[np.int64], width: int) -> tuple[float, float]:
    """Slope and height at the middle column of the line with the least squares.

    Summed in whole numbers: what lies just on the edge of a drawn line is not left to rounding.
    """
    x, y = 2 * runs.column[chosen] - width, runs.start[chosen] + runs.end[chosen] - 1  # twice each
    count, sum_x, sum_y = len(chosen), int(x.sum()), int(y.sum())
    power = count * int(x @ x) - sum_x * sum_x
    slope = (count * int(x @ y) - sum_x * sum_y) / power if power else 0.0
    return slope, (sum_y - slope * sum_x) / (2 * count)


def _levels(fit: tuple[float, float], left: int, right: int, width: int) -> tuple[float, float]:
    """The height of a line where it begins and where it ends."""
    slope, level = fit
    return slope * (left - width / 2) + level, slope * (right - width / 2) + level


def _line(
    mask: Mask,
    runs: _Runs,
    mine: NDArray[np.int64],
    fit: tuple[float, float],
    thickness: float,
    gap: int,
) -> Line | None:
    """The longest stretch of a line that is ink all along; None if it is mostly strokes."""
    if not len(mine):
        return None
    height, width = mask.shape
    slope, level = fit
    own = np.zeros(width, np.bool_)
    own[runs.column[mine]] = True
    rows = np.rint(slope * (np.arange(width) - width / 2) + level).astype(np.int64)
    ink = own.copy()
    for step in (-1, 0, 1):
        ink |= mask[np.clip(rows + step, 0, height - 1), np.arange(width)]
    columns = np.flatnonzero(ink)
    breaks = np.flatnonzero(np.diff(columns) > gap) + 1
    stretch = max(np.split(columns, breaks), key=len)
    mine_there = np.flatnonzero(own[stretch[0] : stretch[-1] + 1])
    if not len(mine_there):
        return None
    left, right = int(stretch[0] + mine_there[0]), int(stretch[0] + mine_there[-1]) + 1
    if len(mine_there) < _THIN * (right - left) or ink[left:right].mean() < WHOLE:
        return None
    mine = mine[(runs.column[mine] >= left) & (runs.column[mine] < right)]
    start, end = runs.start[mine], runs.end[mine]
    box = Box(left=left, top=int(start.min()), right=right, bottom=int(end.max()))
    lengths = end - start
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    pixels = np.repeat(start, lengths) + within, np.repeat(runs.column[mine], lengths)
    half = int(thickness / 2) + 1
    along = np.arange(left, right)
    steps = np.arange(-half, half + 1)
    band = np.clip(rows[along] + steps[:, None], 0, height - 1).ravel(), np.tile(along, len(steps))
    return Line(box, pixels, band, _levels(fit, left, right, width), thickness)


def _with_bends(line: Line, runs: _Runs, fit: tuple[float, float], width: int) -> Line:
    """A line with what goes on at its ends, and only bends away."""
    (start, end), thickness = line.ends, line.thickness
    added: list[tuple[int, int, int]] = []
    for column, step in ((start - 1, -1), (end, 1)):
        edge = line.pixels[0][line.pixels[1] == column - step]
        low, high = int(edge.min()), int(edge.max()) + 1
        while True:
            here = slice(*np.searchsorted(runs.column, (column, column + 1)).tolist())
            level, _ = _levels(fit, column, column, width)
            go_on = [
                (top, bottom)
                for top, bottom in zip(
                    runs.start[here].tolist(), runs.end[here].tolist(), strict=True
                )
                if top < high
                and low < bottom
                and bottom - top <= 1.6 * thickness + 1
                and abs((top + bottom - 1) / 2 - level) <= thickness + 2
            ]
            if len(go_on) != 1:
                break
            low, high = go_on[0]
            added.append((column, low, high))
            column += step
    if not added:
        return line
    rows = np.concatenate([np.arange(low, high) for _, low, high in added])
    columns = np.concatenate([np.full(high - low, column) for column, low, high in added])
    pixels = np.concatenate([line.pixels[0], rows]), np.concatenate([line.pixels[1], columns])
    left, right = int(pixels[1].min()), int(pixels[1].max()) + 1
    box = Box(left=left, top=int(pixels[0].min()), right=right, bottom=int(pixels[0].max()) + 1)
    levels = _levels(fit, left, right, width)
    return replace(line, box=box, pixels=pixels, levels=levels)


def _runs(mask: Mask) -> _Runs:
    height, width = mask.shape
    padded = np.zeros((width, height + 2), np.int8)
    padded[:, 1:-1] = mask.T
    steps = np.diff(padded.ravel())
    column, start = np.divmod(np.flatnonzero(steps == 1), height + 2)
    end = np.flatnonzero(steps == -1) % (height + 2)
    return _Runs(column, start, end)


def turned(box: Box) -> Box:
    """A box with rows and columns changed for each other."""
    return Box(left=box.top, top=box.left, right=box.bottom, bottom=box.right)


def flipped(line: Line) -> Line:
    """A line with rows and columns changed for each other."""
    return replace(
        line,
        box=turned(line.box),
        pixels=line.pixels[::-1],
        band=line.band[::-1],
        is_upright=not line.is_upright,
    )


def moved(line: Line, box: Box) -> Line:
    """A line that was found within a box, on the page of that box."""
    (rows, columns), (down, along), (first, last) = line.pixels, line.band, line.levels
    away = box.left if line.is_upright else box.top
    return replace(
        line,
        box=line.box.moved(box.left, box.top),
        pixels=(rows + box.top, columns + box.left),
        band=(down + box.top, along + box.left),
        levels=(first + away, last + away),
    )
