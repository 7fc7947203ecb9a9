"""What people draw that is no digit, as skeletons: letters, signs and scribbles.

Signs that some hand uses for a digit are left out: O, I, l, S, Z, g, q, y, B and their like.
"""

from __future__ import annotations

import math
from random import Random

from mnist_edge.data.strokes.styles import Skeleton, Stroke, arc, corner

_LETTERS: dict[str, Skeleton] = {
    "A": [[(0.1, 1), *corner(0.5, 0), (0.9, 1)], [(0.25, 0.6), (0.75, 0.6)]],
    "E": [[(0.85, 0), *corner(0.2, 0), *corner(0.2, 1), (0.9, 1)], [(0.2, 0.5), (0.75, 0.5)]],
    "F": [[(0.85, 0), *corner(0.2, 0), (0.2, 1)], [(0.2, 0.45), (0.75, 0.45)]],
    "H": [[(0.15, 0), (0.15, 1)], [(0.85, 0), (0.85, 1)], [(0.15, 0.5), (0.85, 0.5)]],
    "K": [[(0.2, 0), (0.2, 1)], [(0.85, 0), *corner(0.22, 0.5), (0.9, 1)]],
    "M": [[(0.1, 1), *corner(0.15, 0), *corner(0.5, 0.7), *corner(0.85, 0), (0.9, 1)]],
    "N": [[(0.15, 1), *corner(0.15, 0), *corner(0.85, 1), (0.85, 0)]],
    "R": [[(0.2, 1), *corner(0.2, 0), *arc(0.5, 0.25, 0.3, 0.25, -90, 90), (0.2, 0.5), (0.85, 1)]],
    "W": [[(0.05, 0), *corner(0.28, 1), *corner(0.5, 0.3), *corner(0.72, 1), (0.95, 0)]],
    "round w": [[(0.05, 0.1), (0.15, 0.9), (0.4, 0.9), *corner(0.5, 0.3), (0.62, 0.9), (0.85, 0.9),
                 (0.95, 0.1)]],
    "round m": [[(0.05, 1), *corner(0.1, 0.1), (0.3, 0.05), *corner(0.45, 0.95), (0.5, 0.2),
                 (0.75, 0.05), (0.9, 0.95)]],
    "k": [[(0.25, 0), (0.2, 1)], [(0.75, 0.4), *corner(0.25, 0.7), (0.8, 1)]],
    "plus": [[(0.5, 0), (0.5, 1)], [(0, 0.5), (1, 0.5)]],
    "x": [[(0.1, 0), (0.9, 1)], [(0.9, 0), (0.1, 1)]],
    "round x": [[(0.1, 0.1), (0.35, 0.1), (0.65, 0.9), (0.9, 0.9)], [(0.9, 0), (0.1, 1)]],
    "asterisk": [[(0.5, 0), (0.5, 1)], [(0.05, 0.25), (0.95, 0.75)], [(0.95, 0.25), (0.05, 0.75)]],
    "hash": [[(0.35, 0), (0.3, 1)], [(0.7, 0), (0.65, 1)], [(0, 0.35), (1, 0.35)],
             [(0, 0.7), (1, 0.65)]],
    "equals": [[(0.1, 0.3), (0.9, 0.3)], [(0.1, 0.7), (0.9, 0.7)]],
    "minus": [[(0, 0.5), (1, 0.5)]],
    "tick": [[(0, 0.6), *corner(0.3, 1), (1, 0)]],
    "arrow": [[(0, 0.5), (1, 0.5)], [(0.65, 0.15), *corner(1, 0.5), (0.65, 0.85)]],
    "triangle": [[(0.5, 0), *corner(1, 1), *corner(0, 1), (0.5, 0)]],
    "star": [[(0.2, 1), *corner(0.5, 0), *corner(0.8, 1), *corner(0, 0.38), *corner(1, 0.38),
              (0.2, 1)]],
    "heart": [[(0.5, 0.25), (0.25, 0), (0, 0.3), *corner(0.5, 1), (1, 0.3), (0.75, 0),
               (0.5, 0.25)]],
    "house": [[(0, 1), *corner(0, 0.4), *corner(0.5, 0), *corner(1, 0.4), *corner(1, 1), (0, 1)]],
    "face": [arc(0.5, 0.5, 0.5, 0.5, 0, 370), arc(0.5, 0.5, 0.25, 0.25, 20, 160),
             [(0.35, 0.3), (0.36, 0.36)], [(0.65, 0.3), (0.66, 0.36)]],
}  # fmt: skip

_OFTEN = ("plus", "x", "round x", "W", "round w")
"""What stands beside digits in sums, and what is most like one: drawn as often as all the rest."""


def symbol(random: Random) -> Skeleton:
    """The skeleton of something that is no digit."""
    kind = random.random()
    if kind < 0.4:
        return _LETTERS[random.choice(_OFTEN)]
    if kind < 0.75:
        return _LETTERS[random.choice(tuple(_LETTERS))]
    if kind < 0.85:
        return [_blot(random)]
    return _scribble(random)


def _blot(random: Random) -> Stroke:
    """A filled spot: the pen goes round and round over an area smaller than its width allows."""
    rx, ry = random.uniform(0.2, 0.5), random.uniform(0.2, 0.5)
    return [
        (0.5 + rx * share * math.cos(share * 40), 0.5 + ry * share * math.sin(share * 40))
        for share in (i / 50 for i in range(51))
    ]


def _scribble(random: Random) -> Skeleton:
    """A pen that wanders: two to four strokes, or one long one."""
    lengths = [random.randint(6, 14)] if random.random() < 0.5 else [2 + i % 3 for i in range(4)]
    return [[(random.random(), random.random()) for _ in range(length)] for length in lengths]
