"""Which connected parts make up one digit, and in what order the digits are read."""

from __future__ import annotations

from mnist_edge.picture.components import Box, Components

# Shares of the highest, of the largest part, and of the narrower of two.
_DIGIT_HEIGHT = 0.5
_DIGIT_AREA = 0.15
_OVERLAP = 0.4


def group_digits(parts: Components) -> tuple[tuple[int, ...], ...]:
    """Put the parts into digits, left to right; each is the indices of its parts.

    A part is a digit of its own if it is about as high as the highest one. Parts whose columns
    overlap are one digit in two strokes, and smaller ones, such as the bar of a 5, go to the
    digit that is nearest.
    """
    order = sorted(range(len(parts.boxes)), key=lambda index: -int(parts.areas[index]))
    tallest = max(box.height for box in parts.boxes)
    largest = int(parts.areas.max())
    digits: list[list[int]] = []
    boxes: list[Box] = []
    for index in order:
        box = parts.boxes[index]
        is_large = (
            box.height >= _DIGIT_HEIGHT * tallest and parts.areas[index] >= _DIGIT_AREA * largest
        )
        nearest = min(range(len(digits)), key=lambda k: _gap(boxes[k], box), default=None)
        if nearest is None or (is_large and not _is_same_digit(boxes[nearest], box)):
            digits.append([index])
            boxes.append(box)
        else:
            digits[nearest].append(index)
            boxes[nearest] = union(boxes[nearest], box)
    ranked = sorted(zip(boxes, digits, strict=True), key=lambda pair: pair[0].left)
    return tuple(tuple(digit) for _, digit in ranked)


def union(one: Box, other: Box) -> Box:
    """The smallest box around two."""
    return Box(
        left=min(one.left, other.left),
        top=min(one.top, other.top),
        right=max(one.right, other.right),
        bottom=max(one.bottom, other.bottom),
    )


def _is_same_digit(one: Box, other: Box) -> bool:
    """Two large parts are strokes of one digit if they share columns and rows, as in an open 4."""
    columns = min(one.right, other.right) - max(one.left, other.left)
    rows = min(one.bottom, other.bottom) - max(one.top, other.top)
    return columns > _OVERLAP * min(one.width, other.width) and rows > 0


def _gap(one: Box, other: Box) -> int:
    across = max(one.left - other.right, other.left - one.right, 0)
    down = max(one.top - other.bottom, other.top - one.bottom, 0)
    return across + down
