"""Where digits that touch may be parted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_edge.picture.paper import INK, Grey

_MIDDLE = 0.2  # of the width on either side stays whole
_APART = 0.12  # of the width lies between two cuts
_MOST_CUTS = 3
_MEANDER = 8  # of 255: what a step aside costs, in ink


def halves(ink: Grey) -> list[tuple[Grey, Grey]]:
    """Ways to cut the ink (H, W) of one part into a left and a right half.

    Each cut runs from top to bottom along the way that crosses least ink; the cheapest first.
    """
    width = ink.shape[1]
    first, last = round(_MIDDLE * width), round((1 - _MIDDLE) * width)
    if last - first < 2:
        return []
    costs, came = _cheapest_ways(ink[:, first:last])
    found: list[tuple[Grey, Grey]] = []
    for _ in range(_MOST_CUTS):
        end = int(costs.argmin())
        if not np.isfinite(costs[end]):
            break
        way = first + _way_to(end, came)
        left = np.arange(width) < way[:, None]
        pair = np.where(left, ink, np.uint8(0)), np.where(left, np.uint8(0), ink)
        if min(half.max() for half in pair) > INK:
            found.append(pair)
        near = round(_APART * width) + 1
        costs[max(end - near, 0) : end + near + 1] = np.inf
    return found


def _cheapest_ways(ink: Grey) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """What the cheapest way to each pixel of the last row costs, and the steps that lead there."""
    height, width = ink.shape
    costs = ink[0].astype(np.float32)
    came = np.zeros((height, width), np.int8)
    for row in range(1, height):
        before = np.full((3, width), np.inf, np.float32)
        before[1] = costs
        before[0, 1:] = costs[:-1] + _MEANDER
        before[2, :-1] = costs[1:] + _MEANDER
        best = before.argmin(axis=0)
        came[row] = best - 1
        costs = np.take_along_axis(before, best[None], axis=0)[0] + ink[row]
    return costs, came


def _way_to(end: int, came: NDArray[np.int8]) -> NDArray[np.int64]:
    """The column of each row on the way that ends there."""
    way = np.empty(len(came), np.int64)
    for row in range(len(came) - 1, -1, -1):
        way[row] = end
        end += int(came[row, end])
    return way
