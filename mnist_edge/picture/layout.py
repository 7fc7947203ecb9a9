"""Which connected parts make up one digit, and which are dust."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.picture.components import Box, Components

# Of the typical height on the page.
_DIGIT_HEIGHT = 0.5  # a lower part may belong to a digit beside it
_LEAST_HEIGHT = 0.3  # a lower one that stands alone is dust
_STACKED = 0.12  # between the halves of a digit that is broken across

_SPECK_SHARE = 0.03  # of a typical digit's area; the bar of a 5 has a tenth or more
_REACH = 0.6  # times a part's own size: as near as that, it belongs to what is there
_LONGEST_REACH = 0.25  # times the height of what is there
_OVERLAP = 0.4  # of the narrower of two
_ONE_WIDE = 1.1  # times its height; what is wider is more than one digit
_WHOLE = 2.2  # times the height of the pieces: higher is more than one digit
_FULL_HEIGHT = 0.85  # of two parts together: each of them is a digit
_MOST_DUST, _DUST_SHARE = 30, 0.25  # of specks, of all ink: more is the grain of noise
_MOST_PARTS = 200  # the largest; more are no handwriting, and would take long


@dataclass(frozen=True, eq=False)
class Digit:
    """The parts of one digit, by index, and the smallest box around them."""

    parts: tuple[int, ...]
    area: int
    box: Box


def group_digits(
    parts: Components, links: NDArray[np.int64] | None, *, gap: int, many: bool
) -> list[Digit]:
    """Put the parts into digits; what is left out is dust.

    Args:
        parts: of the ink.
        links: for each part a number that it shares with those that fainter ink joins to it.
        gap: pixels between parts that count as none.
        many: whether the picture may hold more than one digit.
    """
    digits = single_parts(parts)
    if len(digits) > 1 and links is not None:
        digits = _join_by_faint_ink(digits, links, many=many)
    if len(digits) > 1:
        near = _join_near(digits, parts, gap, many=many)
        if not many and any(is_wide(digit.box) for digit in near):
            near = _join_near(digits, parts, gap, many=True)
        digits = near
    kept = _without_dust(digits)
    return [] if _is_grain(parts, kept) else kept


def single_parts(parts: Components) -> list[Digit]:
    """Each of the larger parts by itself, the largest first."""
    order = np.argsort(-parts.areas, kind="stable")[:_MOST_PARTS].tolist()
    return [Digit((index,), int(parts.areas[index]), parts.boxes[index]) for index in order]


def union(one: Box, other: Box) -> Box:
    """The smallest box around two."""
    return Box(
        left=min(one.left, other.left),
        top=min(one.top, other.top),
        right=max(one.right, other.right),
        bottom=max(one.bottom, other.bottom),
    )


def typical_height(digits: list[Digit]) -> int:
    """The height of which half of the ink is higher: dust has no say."""
    ranked = sorted(digits, key=lambda digit: digit.box.height)
    areas = np.cumsum([digit.area for digit in ranked])
    return ranked[int(np.searchsorted(areas, areas[-1] / 2))].box.height


def joined(one: Digit, other: Digit) -> Digit:
    """The parts of two as those of one."""
    return Digit(one.parts + other.parts, one.area + other.area, union(one.box, other.box))


def is_wide(box: Box) -> bool:
    """Whether it is wider than one digit is."""
    return box.width > _ONE_WIDE * box.height


def _size(digit: Digit) -> int:
    return max(digit.box.width, digit.box.height)


def _join_by_faint_ink(digits: list[Digit], links: NDArray[np.int64], *, many: bool) -> list[Digit]:
    """Pieces of a stroke that fades are one, unless they are larger than a digit."""
    found: dict[int, list[Digit]] = {}
    for digit in digits:
        found.setdefault(int(links[digit.parts[0]]), []).append(digit)
    result, highest = [], _WHOLE * typical_height(digits)
    for pieces in found.values():
        whole = pieces[0]
        for piece in pieces[1:]:
            whole = joined(whole, piece)
        apart = many and (is_wide(whole.box) or whole.box.height > highest)
        result += pieces if apart else [whole]
    return result


def _join_near(digits: list[Digit], parts: Components, gap: int, *, many: bool) -> list[Digit]:
    """The smallest first, each to the larger one that is nearest, where the two can be one."""
    typical = typical_height(digits)
    owner = np.full(len(parts.boxes) + 1, -1)
    alive = dict(enumerate(sorted(digits, key=_size)))
    for number, digit in alive.items():
        owner[[index + 1 for index in digit.parts]] = number
    for number in list(alive)[:-1]:
        small = alive[number]
        for other in _around(small, number, parts, owner, gap):
            large = alive[other]
            if _size(large) >= _size(small) and _can_be_one(large, small, typical, many=many):
                alive[other] = joined(large, small)
                owner[[index + 1 for index in small.parts]] = other
                del alive[number]
                break
    return list(alive.values())


def _around(
    digit: Digit, number: int, parts: Components, owner: NDArray[np.int64], gap: int
) -> list[int]:
    """The others within reach, the one with the most ink there first."""
    box, reach = digit.box, int(_REACH * _size(digit)) + gap + 1
    window = parts.labels[
        max(box.top - reach, 0) : box.bottom + reach, max(box.left - reach, 0) : box.right + reach
    ]
    counts = np.bincount(owner[window].ravel() + 1)
    counts[0] = 0
    if number + 1 < len(counts):
        counts[number + 1] = 0
    return [int(found) - 1 for found in np.argsort(-counts) if counts[found]]


def _can_be_one(large: Digit, small: Digit, typical: int, *, many: bool) -> bool:
    one, other, both = large.box, small.box, union(large.box, small.box)
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    gap = max(-across, -down, 0)
    if gap > _LONGEST_REACH * max(one.height, one.width):
        return False
    overlap = across > _OVERLAP * min(one.width, other.width)
    if overlap and down > 0:
        return True
    if not many:
        return overlap or min(one.height, other.height) < _FULL_HEIGHT * both.height
    if other.height < _DIGIT_HEIGHT * typical:
        return True
    return overlap and -down <= _STACKED * both.height and both.height <= 1.2 * typical


def _is_grain(parts: Components, digits: list[Digit]) -> bool:
    """Whether there is so much dust that what is larger is dust, too."""
    dust = len(parts.boxes) - sum(len(digit.parts) for digit in digits)
    area = int(parts.areas.sum())
    return dust > _MOST_DUST and area - sum(digit.area for digit in digits) > _DUST_SHARE * area


def _without_dust(digits: list[Digit]) -> list[Digit]:
    if len(digits) == 1:
        return digits
    typical = typical_height(digits)
    tall = [digit.area for digit in digits if digit.box.height >= _DIGIT_HEIGHT * typical]
    area = sorted(tall)[len(tall) // 2]
    return [
        digit
        for digit in digits
        if digit.box.height >= _LEAST_HEIGHT * typical and digit.area >= _SPECK_SHARE * area
    ]
