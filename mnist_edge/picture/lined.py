"""Whether a page may hold straight lines at all: asked of each, before they are looked for."""

from __future__ import annotations

from mnist_edge.picture.components import Box, Components
from mnist_edge.picture.paper import Mask

SHORTEST = 0.25
"""A line is as long, of a part in its direction."""

WHOLE = 0.9
"""So much of a line's length is ink, its own or that of a stroke."""

_SMALL = 48  # pixels: on a smaller page a line is as short as a stroke
_WIDER = 1.2  # than high; one digit seldom is

_RIM = 0.15  # of its side: so near its edge lie the sides of a box


def may_hold_lines(parts: Components) -> bool:
    """Whether a part lies as no digit does: across the page, very wide, around others or a box."""
    return max(parts.labels.shape) >= _SMALL and any(
        may_be_lines(number, parts) for number in range(1, len(parts.boxes) + 1)
    )


def may_be_lines(number: int, parts: Components) -> bool:
    """Whether a part, counted from 1, lies as no digit does."""
    box, (height, width) = parts.boxes[number - 1], parts.labels.shape
    if max(box.width, box.height) < SHORTEST / 2 * max(height, width):
        return False
    if box.width >= width - 2 or box.height >= height - 2 or box.width > _WIDER * box.height:
        return True
    if any(_is_inside(other, box) for other in parts.boxes if other is not box):
        return True
    own = parts.labels[box.top : box.bottom, box.left : box.right] == number
    return _has_sides(own) or _has_sides(own.T)


def _has_sides(mask: Mask) -> bool:
    """Whether there is ink all along the upper and the lower edge."""
    rows = max(1, round(_RIM * len(mask)))
    return bool(min(mask[:rows].any(axis=0).mean(), mask[-rows:].any(axis=0).mean()) >= WHOLE)


def _is_inside(one: Box, other: Box) -> bool:
    return (
        other.left < one.left
        and other.top < one.top
        and one.right < other.right
        and one.bottom < other.bottom
    )
