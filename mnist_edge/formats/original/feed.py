"""Our picture as a net of others wants it, in NumPy: what its graph holds in front, said twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.imported import Contract
from mnist_edge.contract import SIDE

Pixels = NDArray[np.floating[Any]]


def feed(images: Pixels, contract: Contract) -> Pixels:
    """Pictures as the net wants them.

    Args:
        images: (N, 1, 28, 28) of our contract, in the precision of the result.
        contract: of the net.

    Returns:
        (N, channels, side, side), or with the channels last.
    """
    pixels = images.swapaxes(2, 3) if contract.transposed else images
    pixels = _fitted(pixels, contract)
    if contract.inverted:
        pixels = 1 - pixels
    # Rounded as the graph holds them, so that both agree in double precision, too.
    mean, std = (float(np.float32(number)) for number in (contract.norm.mean, contract.norm.std))
    pixels = (pixels - mean) / std
    pixels = np.repeat(pixels, contract.channels, axis=1)
    if contract.channels_last:
        pixels = pixels.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels.astype(images.dtype, copy=False))


def border(side: int) -> tuple[int, int]:
    """How many pixels a border takes on the two sides of a picture of 28."""
    first = (side - SIDE) // 2
    return first, side - SIDE - first


def _fitted(pixels: Pixels, contract: Contract) -> Pixels:
    if contract.fit == "pad":
        edge = border(contract.side)
        return np.pad(pixels, ((0, 0), (0, 0), edge, edge))
    if contract.fit == "resize":
        ways = _interpolation(contract.side).astype(pixels.dtype)
        return ways @ pixels @ ways.T
    return pixels


def _interpolation(side: int) -> NDArray[np.float64]:
    """(side, 28): linear interpolation between the middles of pixels, as `Resize` has it."""
    places = np.clip((np.arange(side) + 0.5) * SIDE / side - 0.5, 0, SIDE - 1)
    left = np.minimum(places.astype(int), SIDE - 2)
    share = places - left
    ways = np.zeros((side, SIDE))
    ways[np.arange(side), left] = 1 - share
    ways[np.arange(side), left + 1] = share
    return ways
