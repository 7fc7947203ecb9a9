"""Straight lines that belong to the paper: frames, cells, underlines, ruled and squared paper."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np

from mnist_edge.picture.components import Box, Components, components, keep
from mnist_edge.picture.layout import Digit, typical_height, union
from mnist_edge.picture.lined import may_be_lines
from mnist_edge.picture.paper import Mask, grown
from mnist_edge.picture.straight import (
    CORNER,
    SLENDER,
    Line,
    flipped,
    moved,
    straight_lines,
    turned,
)

# Of the page's longer side.
_THICKEST = 0.05
_LONGEST_GAP = 0.02  # in a pale line
_WRITTEN = 0.04  # the least size of what the lines are compared with

# Of the height of what is written.
_LONGER = 1.4  # what is longer belongs to no digit
_BEYOND = 0.12  # so far it runs on, at both ends

_EMPTY = 0.25  # of the height of a cell: what is lower is not written in it
_LARGE = 0.6  # of the page: a ruled part
_LENGTH = 0.85  # of that part
_FEW = 3  # fewer ruled lines are to be longer than what is beside them is high
_SIDES = 3  # of a frame that the border cuts, at least
_MOST = 0.7  # of its part a frame goes around
_TALL = 2.5  # times as high as what is written on it is a page
_AS_THICK = 1.5  # times what most of a frame are: a stroke is thicker
_NEAR = 2  # pixels between a line and what touches it


@dataclass(frozen=True, eq=False)
class _Group:
    """The lines of one part, which `box` just holds."""

    box: Box
    across: list[Line]
    upright: list[Line]


@dataclass(frozen=True, eq=False)
class _Written:
    """What is no line: its larger parts, and how high they are; 0 if there are none."""

    parts: Components
    height: int


def find_lines(mask: Mask) -> Mask:
    """The pixels of a page (H, W) that belong to lines and to no digit."""
    found = np.zeros_like(mask)
    groups = list(_groups(mask))
    if not groups:
        return found
    taken = _of_paper(groups, mask)
    for line in taken:
        found[line.pixels] = True
    # Where lines cross, no pixel is that of one alone.
    across = _bands([line for line in taken if not line.is_upright], mask)
    return found | (across & _bands([line for line in taken if line.is_upright], mask))


def _groups(mask: Mask) -> Iterator[_Group]:
    """The lines of each part that may hold some."""
    side = max(mask.shape)
    thickest, gap = max(3, round(_THICKEST * side)), max(2, round(_LONGEST_GAP * side))
    parts = components(grown(mask))  # pale lines have gaps
    for number, box in enumerate(parts.boxes, start=1):
        if may_be_lines(number, parts):
            place = np.s_[box.top : box.bottom, box.left : box.right]
            own: Mask = np.logical_and(mask[place], parts.labels[place] == number)
            across = [moved(line, box) for line in straight_lines(own, thickest, gap)]
            turned = straight_lines(np.ascontiguousarray(own.T), thickest, gap)
            upright = [moved(flipped(line), box) for line in turned]
            if across or upright:
                yield _Group(box, across, upright)


def _of_paper(groups: list[_Group], mask: Mask) -> list[Line]:
    """Those of some lines that nobody wrote."""
    ruled = [line for group in groups for line in _ruled(group, mask.shape)]
    framing = [line for group in groups for line in _framing(group, ruled, mask.shape)]
    if _written(mask, framing).height < _EMPTY * _cell(framing, mask.shape):
        framing = []
    written = _written(mask, framing + ruled)
    if all(line.is_upright for line in framing + ruled) and (
        _TALL * written.height > mask.shape[0]
    ):
        ruled = []  # the strokes of digits that fill the page
    many = len(ruled) >= _FEW
    taken = framing + [
        line
        for line in ruled
        if _is_apart(line, written)
        and (many or _is_across(line, mask.shape) or _is_under(line, written))
    ]
    for line in (line for group in groups for line in group.across if line not in taken):
        if line.box.width < SLENDER * line.thickness:
            continue
        written = _written(mask, [*taken, line])
        if _is_under(line, written) and _is_apart(line, written):
            taken.append(line)
    return taken


def _is_under(line: Line, written: _Written) -> bool:
    """Whether it is longer than what is written above or below it is high."""
    box, labels = line.box, written.parts.labels
    if line.is_upright:
        box, labels = turned(box), labels.T
    ink = [bool(row.any()) for row in labels[:, box.left : box.right]]
    above, before = _run(ink[: box.top][::-1])
    below, after = _run(ink[box.bottom :])
    height = above + below if max(before, after) <= _NEAR else max(above, below)
    return box.width >= _LONGER * height


def _run(ink: list[bool]) -> tuple[int, int]:
    """How long the first stretch of ink is, and how far away it begins."""
    if True not in ink:
        return 0, len(ink)
    start = ink.index(True)
    end = ink.index(False, start) if False in ink[start:] else len(ink)
    return end - start, start


def _ruled(group: _Group, shape: tuple[int, ...]) -> list[Line]:
    """Lines as long as a large part, or the page, is wide, that do not just end at others."""
    height, width = shape
    return [
        line
        for lines, others, own, side in (
            (group.across, group.upright, group.box.width, width),
            (group.upright, group.across, group.box.height, height),
        )
        for line in lines
        if own >= _LARGE * side
        and line.ends[1] - line.ends[0] >= _LENGTH * own
        and not (
            _ends_at(line, others, None, CORNER)
            if _is_across(line, shape)
            else _ends_at(line, others, side, line.near)
        )
    ]


def _is_across(line: Line, shape: tuple[int, ...]) -> bool:
    """Whether a line runs from border to border."""
    start, end = line.ends
    return start <= CORNER and end >= shape[not line.is_upright] - CORNER


def _framing(group: _Group, ruled: list[Line], shape: tuple[int, ...]) -> list[Line]:
    """Those that end at others, or at the border, on both sides, as frames and cells do."""
    height, width = shape
    across = [line for line in group.across if line not in ruled]
    upright = [line for line in group.upright if line not in ruled]
    found = [
        line
        for lines, others, side in ((across, upright, width), (upright, across, height))
        for line in lines
        if _ends_at(line, others, side, line.near)
    ]
    if len(found) < _SIDES:
        return []
    around = reduce(union, (line.box for line in found))
    if around.width < _MOST * group.box.width or around.height < _MOST * group.box.height:
        return []
    thickness = sorted(line.thickness for line in found)[len(found) // 2]
    return [line for line in found if line.thickness <= _AS_THICK * thickness + 1]


def _ends_at(line: Line, others: list[Line], side: int | None, near: float) -> bool:
    """Whether one line ends at two others, or at one and at the border, so far away."""
    start, end = line.ends
    before = [other for other in others if other.meets(start, line.levels[0], near)]
    after = [other for other in others if other.meets(end, line.levels[1], near)]
    if before and after:
        return len({*before, *after}) > 1
    if side is None:
        return False
    return bool((before and end >= side - near) or (after and start <= near))


def _cell(lines: list[Line], shape: tuple[int, ...]) -> int:
    """The side of the largest cell between lines: its shorter one."""
    tops = sorted(line.box.top for line in lines if line.box.width >= line.box.height)
    lefts = sorted(line.box.left for line in lines if line.box.width < line.box.height)
    down = max((b - a for a, b in pairwise(tops)), default=shape[0])
    across = max((b - a for a, b in pairwise(lefts)), default=shape[1])
    return min(down, across)


def _bands(lines: Sequence[Line], mask: Mask) -> Mask:
    bands = np.zeros_like(mask)
    for line in lines:
        bands[line.band] = True
    return bands & mask


def _written(mask: Mask, lines: Sequence[Line]) -> _Written:
    """What is left without some lines; where they cross, specks are left that nobody wrote."""
    rest = mask.copy()
    for line in lines:
        rest[line.pixels] = False
    parts = components(rest)
    least = _WRITTEN * max(mask.shape)
    large = [i for i, box in enumerate(parts.boxes) if max(box.width, box.height) >= least]
    if not large:
        return _Written(keep(parts, []), 0)
    digits = [Digit((i,), int(parts.areas[i]), parts.boxes[i]) for i in large]
    return _Written(keep(parts, large), typical_height(digits))


def _is_apart(line: Line, written: _Written) -> bool:
    """Whether it is longer than a digit, and runs on at both ends of what touches it."""
    labels = written.parts.labels.T if line.is_upright else written.parts.labels
    start, end = line.ends
    if not written.height or end - start < _LONGER * written.height:
        return False
    reach = _NEAR + math.ceil(line.thickness)  # a stroke that it ends in shares its last pixels
    along = np.arange(max(start - reach, 0), min(end + reach, labels.shape[1]))
    half = int(line.thickness / 2) + 1 + _NEAR
    first, last = line.levels
    rows = np.rint(first + (last - first) * ((along - start) / max(1, end - start)))
    beside = rows.astype(np.int64) + np.arange(-half, half + 1)[:, None]
    touched = along[labels[np.clip(beside, 0, len(labels) - 1), along].any(axis=0)]
    if not len(touched):
        return True
    beyond = max(1, _BEYOND * written.height)
    return bool(start <= touched[0] - beyond and touched[-1] + 1 + beyond <= end)
