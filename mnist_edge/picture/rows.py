"""The order in which digits are read: row by row, each from left to right."""

from __future__ import annotations

from mnist_edge.picture.components import Box

# Of the lower of two: so much they share in height where they stand in one row,
_LEVEL = 0.5
_ASTRAY = 0.15  # and where one of them strays from it, and nothing stands above or below it.
_BESIDE = 0.3  # of the narrower: more in common stand above each other


def rows_of(boxes: list[Box]) -> list[list[int]]:
    """Put boxes into rows, from the top; each is the indices of its boxes, left to right.

    A box goes on the row whose last box it stands beside, so that a row may climb or fall.
    """
    rows: list[list[int]] = []
    for index in sorted(range(len(boxes)), key=lambda i: boxes[i].left):
        box = boxes[index]
        beside = [row for row in rows if _shared(boxes[row[-1]], box) > _LEVEL]
        if beside:
            max(beside, key=lambda row: boxes[row[-1]].right).append(index)
        else:
            rows.append([index])
    rows = _without_strays(rows, boxes)
    return sorted(rows, key=lambda row: sum(_middle(boxes[i]) for i in row) / len(row))


def _without_strays(rows: list[list[int]], boxes: list[Box]) -> list[list[int]]:
    """Put what strays out of a row back into it: the shortest row first, into the longest."""
    ordered = sorted(rows, key=len)
    kept = []
    for number, row in enumerate(ordered):
        for other in reversed(ordered[number + 1 :]):
            if _fits(row, other, boxes):
                other.extend(row)
                other.sort(key=lambda index: boxes[index].left)
                break
        else:
            kept.append(row)
    return kept


def _fits(row: list[int], other: list[int], boxes: list[Box]) -> bool:
    """Whether each box of a row stands beside those of another that are next to it."""
    for box in (boxes[index] for index in row):
        if any(_across(box, boxes[index]) > _BESIDE for index in other):
            return False
        left = [index for index in other if boxes[index].left < box.left][-1:]
        right = [index for index in other if boxes[index].left >= box.left][:1]
        if max(_shared(boxes[index], box) for index in left + right) < _ASTRAY:
            return False
    return True


def _across(one: Box, other: Box) -> float:
    shared = min(one.right, other.right) - max(one.left, other.left)
    return shared / min(one.width, other.width)


def _shared(one: Box, other: Box) -> float:
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    return shared / min(one.height, other.height)


def _middle(box: Box) -> float:
    return (box.top + box.bottom) / 2
