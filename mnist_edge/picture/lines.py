"""Straight lines that belong to the paper: frames, cells, underlines, ruled and squared paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.picture.components import Box, Components, components
from mnist_edge.picture.layout import Digit, typical_height
from mnist_edge.picture.paper import Mask

_SHORTEST = 0.25  # of the page, in its direction

# Of the page's longer side.
_THICKEST = 1 / 40
_LONGEST_GAP = 0.4  # where strokes cross it
_WRITTEN = 0.06  # the least size of what the lines are compared with

_STEEPEST = 0.12  # a page that leans more is to be turned first
_FILLED = 0.5  # of its length

_ACROSS_PAGE = 0.9  # of the page: so long it is ruled, unless what is written is as long
_FEW = 3  # fewer lines are none where hardly anything is written beside them
_LOW = 0.25  # of the page

# Of the height of what is written.
_LONGER = 1.4  # what is longer belongs to no digit
_BEYOND = 0.12  # so far it runs on, at both ends

_WIDER = 1.2  # than high; one digit seldom is
_SMALL = 48  # pixels: on a smaller page a line is as short as a stroke
_CORNER = 3  # pixels between a line and the one that it ends at
_MOST_LINES = 60


@dataclass(frozen=True, eq=False)
class _Runs:
    """The unbroken stretches of ink in each column; `end` lies just outside."""

    column: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Line:
    """A line from left to right, and the pixels that are its alone."""

    box: Box
    pixels: Mask


def may_hold_lines(parts: Components) -> bool:
    """Whether a part lies as no digit does: across the page, very wide, or around others."""
    height, width = parts.labels.shape
    if max(height, width) < _SMALL:
        return False
    for box in parts.boxes:
        if box.width < _SHORTEST * width and box.height < _SHORTEST * height:
            continue
        if box.width == width or box.height == height or box.width > _WIDER * box.height:
            return True
        if any(_is_inside(other, box) for other in parts.boxes if other is not box):
            return True
    return False


def find_lines(mask: Mask) -> Mask:
    """The pixels of a page (H, W) that belong to lines and to no digit."""
    across = list(_straight(mask))
    upright = [_flipped(line) for line in _straight(np.ascontiguousarray(mask.T))]
    if not across and not upright:
        return np.zeros_like(mask)
    found = _of_paper(across, upright, mask)
    rest = mask & ~found
    for line in across + upright:
        if not (line.pixels & found).any():
            written = [
                digit
                for digit in _written(rest & ~line.pixels)
                if not any(_is_inside(digit.box, _wider(other.box)) for other in across + upright)
            ]
            if written and _is_apart(line, written, _LONGER * typical_height(written)):
                found |= line.pixels
    return found


def _of_paper(across: list[_Line], upright: list[_Line], mask: Mask) -> Mask:
    """Ruled lines, and those that end at others on both sides, as frames and cells do."""
    height, width = mask.shape
    framing = [line for line in across if _ends_at(line, upright)]
    framing += [line for line in upright if _ends_at(line, across)]
    ruled = [line for line in across if line.box.width >= _ACROSS_PAGE * width]
    ruled += [line for line in upright if line.box.height >= _ACROSS_PAGE * height]
    ruled = [line for line in ruled if line not in framing]
    rest = mask.copy()
    for line in ruled + framing:
        rest &= ~line.pixels
    written = _written(rest)
    found = np.zeros_like(mask)
    if not written:
        return found
    typical = typical_height(written)
    if len(ruled) < _FEW and typical < _LOW * min(height, width):
        ruled = []
    if framing and typical < _LOW * max(line.box.height for line in framing):
        framing = []
    for line in ruled:
        if _is_apart(line, written, _LONGER * typical):
            found |= line.pixels
    for line in framing:
        if _is_apart(line, written, 0):
            found |= line.pixels
    return found


def _written(mask: Mask) -> list[Digit]:
    least = _WRITTEN * max(mask.shape)
    parts = components(mask)
    return [
        Digit((index,), int(area), box)
        for index, (area, box) in enumerate(zip(parts.areas, parts.boxes, strict=True))
        if max(box.width, box.height) >= least
    ]


def _is_apart(line: _Line, written: list[Digit], longest: float) -> bool:
    """Whether it is longer than that, and runs on at both ends of what it touches."""
    height = typical_height(written)
    box, others = line.box, [digit.box for digit in written]
    if box.height > box.width:
        box, others = _across(box), [_across(other) for other in others]
    if box.width < longest:
        return False
    touching = [other for other in others if _touch(box, other)]
    left = min((other.left for other in touching), default=box.right)
    right = max((other.right for other in touching), default=box.left)
    beyond = max(1, _BEYOND * height)
    return box.left <= left - beyond and box.right >= right + beyond


def _ends_at(line: _Line, others: Sequence[_Line]) -> bool:
    """Whether both ends of a line are at some other line."""
    box, boxes = line.box, [other.box for other in others]
    if box.height > box.width:
        box, boxes = _across(box), [_across(other) for other in boxes]
    level, near = (box.top + box.bottom) / 2, _CORNER
    meeting = [o for o in boxes if o.top - near <= level <= o.bottom + near]
    return all(
        any(o.left - near <= end <= o.right + near for o in meeting)
        for end in (box.left, box.right)
    )


def _straight(mask: Mask) -> Iterator[_Line]:
    """Lines of small slope; of each, the pixels that no stroke shares."""
    height, width = mask.shape
    side = max(height, width)
    runs = _runs(mask)
    length = runs.end - runs.start
    thin = np.flatnonzero(length <= max(3, _THICKEST * side))
    least = _SHORTEST * width
    slopes = np.arange(-_STEEPEST, _STEEPEST, 2 / max(width, 20))
    for _ in range(_MOST_LINES):
        if len(thin) < _FILLED * least:
            return
        x = runs.column[thin] - width / 2
        y = (runs.start[thin] + runs.end[thin] - 1) / 2
        count, slope, level = max(_best_level(x, y, slope) for slope in slopes.tolist())
        if count < _FILLED * least:
            return
        on_it = np.abs(y - slope * x - level) <= 1.5
        slope, level = _fitted(x[on_it], y[on_it])
        thickness = float(np.median(length[thin[on_it]]))
        on_it = np.abs(y - slope * x - level) <= 1 + thickness / 2
        mine, thin = thin[on_it], thin[~on_it]
        line = _line(runs, mine[length[mine] <= 1.6 * thickness + 1], mask.shape)
        if line is not None and line.box.width >= least:
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


def _fitted(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and height at x = 0 of the line with the least squares."""
    middle, centred = float(y.mean()), x - x.mean()
    power = float(centred @ centred)
    slope = float(centred @ y) / power if power else 0.0
    return slope, middle - slope * float(x.mean())


def _line(runs: _Runs, mine: NDArray[np.int64], shape: tuple[int, ...]) -> _Line | None:
    """The longest stretch of some runs without a gap too long for strokes; None if it is thin."""
    if not len(mine):
        return None
    columns = np.array(sorted({*runs.column[mine].tolist()}))
    breaks = np.flatnonzero(np.diff(columns) > _LONGEST_GAP * max(shape)) + 1
    stretch = max(np.split(columns, breaks), key=len)
    left, right = int(stretch[0]), int(stretch[-1]) + 1
    if len(stretch) < _FILLED * (right - left):
        return None
    mine = mine[(runs.column[mine] >= left) & (runs.column[mine] < right)]
    top, bottom = int(runs.start[mine].min()), int(runs.end[mine].max())
    edges = np.zeros((shape[0] + 1, shape[1]), np.int8)
    edges[runs.start[mine], runs.column[mine]] = 1
    np.add.at(edges, (runs.end[mine], runs.column[mine]), -1)
    pixels = np.cumsum(edges, axis=0)[:-1] > 0
    return _Line(Box(left=left, top=top, right=right, bottom=bottom), pixels)


def _runs(mask: Mask) -> _Runs:
    height, width = mask.shape
    padded = np.zeros((width, height + 2), np.int8)
    padded[:, 1:-1] = mask.T
    steps = np.diff(padded.ravel())
    column, start = np.divmod(np.flatnonzero(steps == 1), height + 2)
    end = np.flatnonzero(steps == -1) % (height + 2)
    return _Runs(column, start, end)


def _across(box: Box) -> Box:
    return Box(left=box.top, top=box.left, right=box.bottom, bottom=box.right)


def _flipped(line: _Line) -> _Line:
    return _Line(_across(line.box), line.pixels.T)


def _wider(box: Box) -> Box:
    return Box(
        left=box.left - _CORNER,
        top=box.top - _CORNER,
        right=box.right + _CORNER,
        bottom=box.bottom + _CORNER,
    )


def _is_inside(one: Box, other: Box) -> bool:
    return (
        other.left < one.left
        and other.top < one.top
        and one.right < other.right
        and one.bottom < other.bottom
    )


def _touch(one: Box, other: Box) -> bool:
    """Whether two boxes overlap, or have less than two pixels between them."""
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return across < 2 and down < 2
