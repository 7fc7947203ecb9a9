"""Ink fainter than most: strokes that fade, and digits in a paler ink than the others.

Two levels make one outline (the hysteresis of Canny 1986): what is faint belongs to the dark ink
that it touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from mnist_edge.picture.components import Components, components
from mnist_edge.picture.digit import padded
from mnist_edge.picture.layout import Digit, single_parts, typical_height, union
from mnist_edge.picture.paper import Grey, Ink, largest_around

_RIM = 0.25  # of the ink of a stroke: less is its soft rim
_FADES_ON = 0.4  # times the size of its dark part: so far a stroke may fade on
_STROKE = 40  # a stroke is hardly wider than its digit divided by this, times two

# Of the others.
_PALEST = 0.3  # of their ink
_LOWEST, _HIGHEST = 0.5, 1.6  # of their height


@dataclass(frozen=True, eq=False)
class Faint:
    """The parts of all ink.

    Attributes:
        parts: dark and faint.
        links: (N,) for each dark part the number of the one that holds it, from 1; below 1, and
            its own, where that one is a shadow or hardly more than the dark part itself.
    """

    parts: Components
    links: NDArray[np.int64]

    def only_of(self, digit: Digit) -> list[int]:
        """The numbers of the parts that hold this digit, and nothing of others."""
        own = self.links[list(digit.parts)]
        return [
            number
            for number in sorted({*own[own > 0].tolist()})
            if np.count_nonzero(self.links == number) == np.count_nonzero(own == number)
        ]


def faint_parts(ink: Ink, dark: Components, *, fades: bool) -> Faint:
    """The parts of all ink, and which of the dark ones they hold.

    Args:
        ink: of the page.
        dark: its dark parts.
        fades: whether there is much faint ink; else it matters only where it joins dark parts.
    """
    inside = dark.labels > 0
    parts = components((ink.shares > ink.faint) | inside)
    holders = np.zeros(len(dark.boxes) + 1, np.int64)
    holders[dark.labels[inside]] = parts.labels[inside]
    holders = holders[1:]
    links = -np.arange(len(holders))
    # np.unique would import numpy.ma, which takes as long as a prediction.
    for number in sorted({*holders.tolist()}):
        held = np.flatnonzero(holders == number)
        if (fades or len(held) > 1) and _fades_out(parts, dark, number, held.tolist()):
            links[held] = number
    return Faint(parts, links)


def _fades_out(parts: Components, dark: Components, number: int, held: list[int]) -> bool:
    """Whether a part is not much larger than the dark ones in it, as shadows and lines are."""
    whole, core = parts.boxes[number - 1], reduce(union, (dark.boxes[i] for i in held))
    added = max(whole.width - core.width, whole.height - core.height)
    return added <= _FADES_ON * max(core.width, core.height) + 2


def evened(shares: Grey, ink: Ink) -> Grey:
    """The ink (H, W) of one digit, its faint stretches as dark as the rest."""
    reach = max(2, max(shares.shape) // _STROKE)
    around = largest_around(padded(shares, reach), reach)
    full = np.clip(around, ink.faint, ink.top).astype(np.float32)
    low = full * np.float32(_RIM)
    stretched = (shares.astype(np.float32) - low) * (np.float32(255) / (full - low))
    even: Grey = np.clip(stretched, 0, 255).astype(np.uint8)
    return even


def pale_digits(ink: Ink, dark: Components, faint: Faint) -> list[int]:
    """The numbers of parts without dark ink that are as large as the digits beside them."""
    holds_dark = np.zeros(len(faint.parts.boxes) + 1, np.bool_)
    holds_dark[faint.parts.labels[dark.labels > 0]] = True
    typical = typical_height(single_parts(dark))
    return [
        number
        for number, box in enumerate(faint.parts.boxes, start=1)
        if not holds_dark[number]
        and _LOWEST * typical <= box.height <= _HIGHEST * typical
        and box.width <= _HIGHEST * typical
        and _strength(ink, faint.parts, number) >= _PALEST * ink.top
    ]


def darkened(ink: Ink, faint: Faint, numbers: Sequence[int]) -> Ink:
    """The ink with some of its faint parts as dark as the rest."""
    values, shares = ink.values.copy(), ink.shares.copy()
    for number in numbers:
        box, own = faint.parts.boxes[number - 1], _strength(ink, faint.parts, number)
        place = np.s_[box.top : box.bottom, box.left : box.right]
        mine = faint.parts.labels[place] == number
        for target, full in ((values, 255), (shares, ink.top)):
            target[place][mine] = np.minimum(ink.shares[place][mine] * (full / own), full)
    return replace(ink, values=values, shares=shares)


def _strength(ink: Ink, parts: Components, number: int) -> float:
    """How dark a part is where it is darkest."""
    box = parts.boxes[number - 1]
    place = np.s_[box.top : box.bottom, box.left : box.right]
    return float(np.percentile(ink.shares[place][parts.labels[place] == number], 75))
