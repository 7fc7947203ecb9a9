"""How convolutions may lead from a picture to what follows, where their weights alone are known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.generic]

_SIDES = ((28, 0.0), (32, 0.3), (14, 3.0))
_KEPT = 24  # ways of a chain of convolutions that are followed, at each size
_GEOMETRIES, _OPEN = 8, 200
"""That are given; of chains that end with a mean, which all of them fit, so many."""


@dataclass
class Layer:
    """A layer with weights.

    Attributes:
        name: in the file.
        weight: (out, in, height, width) or (out, in).
        bias: (out,), or None.
        norm: what normalises its result: gain, shift, mean and variance.
    """

    name: str
    weight: Array
    bias: Array | None
    norm: tuple[Array, Array, Array, Array] | None = None

    @property
    def out(self) -> int:
        """How many channels or numbers it gives."""
        return int(self.weight.shape[0])


class Place(NamedTuple):
    """How a convolution slides, and what pools its result: 0, or the side of the window."""

    border: int
    stride: int
    pool: int
    pool_stride: int


@dataclass(frozen=True)
class Geometry:
    """A picture's side, and how each convolution slides; `mean` where all that is left is meant."""

    cost: float
    side: int
    places: tuple[Place, ...]
    mean: bool = False


def geometries(convolutions: Sequence[Layer], linears: Sequence[Layer]) -> list[Geometry]:
    """The ways from a picture to the first linear layer, the likeliest first."""
    if any(a.out != b.weight.shape[1] for a, b in itertools.pairwise(linears)):
        return []
    if not convolutions:
        size = int(linears[0].weight.shape[1])
        sides = [side for side in (28, 32, 14, 16, 20, 8) if side * side == size]
        return [Geometry(0.0, side, ()) for side in sides]
    if convolutions[0].weight.shape[1] not in (1, 3):
        return []
    features = int(linears[0].weight.shape[1]) if linears else convolutions[-1].out
    found = []
    for side, cost in _SIDES:
        ways: dict[int, list[tuple[float, tuple[Place, ...]]]] = {side: [(cost, ())]}
        before = int(convolutions[0].weight.shape[1])
        for layer in convolutions:
            if not _follows(layer, before):
                return []
            ways = _followed(ways, layer)
            before = layer.out
        for last, paths in ways.items():
            for cost_so_far, places in paths:
                if before * last * last == features:
                    found.append(Geometry(cost_so_far, side, places))
                elif before == features and last > 1:
                    mean = 1.5 if linears else 0.5
                    found.append(Geometry(cost_so_far + mean, side, places, mean=True))
    found.sort(key=lambda geometry: geometry.cost)
    return found[: _OPEN if features == before else _GEOMETRIES]


def branching(convolutions: Sequence[Layer]) -> str:
    """Which convolution does not follow the one before it, for people; empty where all do."""
    for first, second in itertools.pairwise(convolutions):
        if not _follows(second, first.out):
            return (
                f"its {second.name!r:.60} takes {second.weight.shape[1]} channels, and "
                f"{first.name!r:.60} gives {first.out}, as where a net branches"
            )
    return ""


def _follows(layer: Layer, channels: int) -> bool:
    """Whether a convolution may read so many channels: all at once, or each by itself."""
    inner = int(layer.weight.shape[1])
    return inner == channels or (inner == 1 and layer.out % channels == 0)


def _followed(
    ways: dict[int, list[tuple[float, tuple[Place, ...]]]], layer: Layer
) -> dict[int, list[tuple[float, tuple[Place, ...]]]]:
    """One convolution further."""
    further: dict[int, list[tuple[float, tuple[Place, ...]]]] = {}
    kernel = int(layer.weight.shape[2])
    if layer.weight.shape[3] != kernel:
        return {}
    for side, paths in ways.items():
        for place, cost in _places(kernel):
            after = _after(side, kernel, place)
            if not after:
                continue
            further.setdefault(after, []).extend(
                (before + cost + _unlike(places, place), (*places, place))
                for before, places in paths
            )
    return {side: sorted(paths)[:_KEPT] for side, paths in further.items()}


def _after(side: int, kernel: int, place: Place) -> int:
    """Pixels a side of what a convolution gives; 0 where it cannot slide so."""
    slid = side + 2 * place.border - kernel
    after = slid // place.stride + 1 if side and slid >= 0 else 0
    if place.pool and after:
        after = (after - place.pool) // place.pool_stride + 1
    return max(after, 0)


def _places(kernel: int) -> Iterator[tuple[Place, float]]:
    """How a convolution may slide, and how odd that would be."""
    same = kernel // 2
    borders = {0: 0.0, same: 0.0 if kernel % 2 else 1.0}
    borders |= {border: 1.5 for border in (1, 2) if border not in borders and border < kernel}
    pools = {(0, 1): 0.3, (2, 2): 0.0, (3, 3): 1.5, (3, 2): 1.5, (2, 1): 1.5, (4, 4): 2.0}
    for border, first in borders.items():
        for stride, second in ((1, 0.0), (2, 0.6), (3, 3.0)):
            halves = stride == 2 and kernel % 2 == 0 and border == same - 1
            for (pool, step), third in pools.items():
                odd = (0.0 if halves else first) + second + third
                yield Place(border, stride, pool, step), odd + (stride > 1 and pool > 0)


def _unlike(places: tuple[Place, ...], place: Place) -> float:
    """Most nets do the same everywhere."""
    if not places:
        return 0.0
    last = places[-1]
    if place == last and place.stride > 1 and not place.pool:
        return -0.6  # a stride is odd, but then it is everywhere
    halved = (last.stride > 1) == (place.stride > 1) or (not place.pool and place.stride == 1)
    return 0.4 * (bool(last.border) != bool(place.border)) + 1.2 * (not halved)
