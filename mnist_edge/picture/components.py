"""Connected components of a mask, by its runs, in NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in pixels: `right` and `bottom` lie just outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    def moved(self, right: int, down: int) -> Box:
        """The same box so many pixels away."""
        return Box(
            left=self.left + right,
            top=self.top + down,
            right=self.right + right,
            bottom=self.bottom + down,
        )


@dataclass(frozen=True, eq=False)
class Components:
    """The connected parts of a mask, in the order of their topmost pixels.

    Attributes:
        labels: (H, W) int64; 0 is background, the parts count from 1.
        areas: (N,) pixels of each part.
        boxes: of each part.
    """

    labels: NDArray[np.int64]
    areas: NDArray[np.int64]
    boxes: tuple[Box, ...]


def components(mask: NDArray[np.bool_]) -> Components:
    """Find the 8-connected parts of a mask (H, W).

    Each row is cut into runs; runs that touch in neighbouring rows are edges of a graph, whose
    parts are found by hooking each root to the smallest one it meets (Shiloach and Vishkin 1982).
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded.ravel())
    stride = width + 2
    # Keys are row * stride + column, so one sorted search serves all rows at once.
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    roots = _connect(*_touching(starts, ends, stride), len(starts))
    is_root = roots == np.arange(len(roots))
    part = (np.cumsum(is_root) - 1)[roots]
    count, lengths = int(is_root.sum()), ends - starts
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = np.repeat(part + 1, lengths)
    rows, left = np.divmod(starts, stride)
    if count == 1:  # one digit a page is what most pages are, and this takes a tenth of the time
        right = int((left + lengths).max())
        box = Box(left=int(left.min()), top=int(rows[0]), right=right, bottom=int(rows[-1]) + 1)
        return Components(labels, np.array([lengths.sum()]), (box,))
    edges = np.full((4, count), np.iinfo(np.int64).max)
    for edge, values in zip(edges, (left, rows, -(left + lengths), -(rows + 1)), strict=True):
        np.minimum.at(edge, part, values)
    edges[2:] *= -1
    boxes = (Box(left=a, top=b, right=c, bottom=d) for a, b, c, d in edges.T.tolist())
    areas = np.bincount(part, weights=lengths, minlength=count).astype(np.int64)
    return Components(labels, areas, tuple(boxes))


def keep(parts: Components, kept: Sequence[int]) -> Components:
    """Some of the parts, numbered afresh."""
    if len(kept) == len(parts.boxes):
        return parts
    numbers = np.zeros(len(parts.boxes) + 1, np.int64)
    numbers[[index + 1 for index in kept]] = np.arange(len(kept)) + 1
    boxes = tuple(parts.boxes[index] for index in kept)
    return Components(numbers[parts.labels], parts.areas[list(kept)], boxes)


def _touching(
    starts: NDArray[np.int64], ends: NDArray[np.int64], stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of runs in neighbouring rows that share a column or a corner."""
    first = np.searchsorted(ends, starts + stride, "left")
    last = np.searchsorted(starts, ends + stride, "right")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + within


def _connect(upper: NDArray[np.int64], lower: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The smallest node that each of `count` nodes reaches over the edges."""
    root = np.arange(count)
    while True:
        one, other = root[upper], root[lower]
        if (one == other).all():
            return root
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while (root != (shorter := root[root])).any():
            root = shorter
