"""The order in which digits are read: row by row, each from left to right."""

from __future__ import annotations

from mnist_edge.picture.components import Box

_LEVEL = 0.5  # of the lower of two: so much they share in height where they stand in one row


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
    return sorted(rows, key=lambda row: sum(_middle(boxes[i]) for i in row) / len(row))


def _shared(one: Box, other: Box) -> float:
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    return shared / min(one.height, other.height)


def _middle(box: Box) -> float:
    return (box.top + box.bottom) / 2
