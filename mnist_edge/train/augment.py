"""Distortion of training digits: each digit of a batch gets its own, in a few tensor operations."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812  (its customary name)
from torch import Tensor

from mnist_edge.contract import SIDE
from mnist_edge.recipes.train import Augmentation

_NODES = 5  # along each side: 7 pixels apart, about a third of a digit


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Distort each digit by itself.

    Args:
        images: (N, 1, 28, 28) float32 in [0, 1].
        augmentation: the ranges.
        generator: of the random numbers, on the CPU whatever the device, so that the draws are
            the same everywhere.

    Returns:
        (N, 1, 28, 28) float32 in [0, 1].
    """
    images = _move(images, augmentation, generator)
    if augmentation.thickness:
        images = _change_strokes(images, augmentation.thickness, generator)
    return images


def _move(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Rotate, shear, scale, shift and bend, in one bilinear interpolation."""
    if not augmentation.moves:
        return images
    draws = torch.rand(6, len(images), generator=generator) * 2 - 1
    angle = draws[0] * math.radians(augmentation.rotation_deg)
    shear = draws[1] * augmentation.shear
    # Scales are drawn on a logarithmic axis: half the size is as likely as twice the size.
    width, height = torch.exp(draws[2:4] * math.log1p(augmentation.scale))
    # affine_grid counts in half widths of the picture.
    shift = draws[4:6] * (2 * augmentation.shift_px / SIDE)
    cos, sin = angle.cos(), angle.sin()
    # Rows of rotation · shear · scale, the map from a place in the result to one in the source.
    matrix = torch.stack(
        [
            torch.stack([width * cos, height * (shear * cos - sin), shift[0]], dim=1),
            torch.stack([width * sin, height * (shear * sin + cos), shift[1]], dim=1),
        ],
        dim=1,
    )
    # One product for all digits, a fraction of what F.affine_grid takes.
    places = matrix.to(images.device) @ _places().to(images.device)
    if augmentation.elastic_px:
        places += _bend(len(images), augmentation.elastic_px, generator).to(images.device)
    grid = places.view(-1, 2, SIDE, SIDE).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)


@cache
def _places() -> Tensor:
    """The centre of every pixel in half widths from the middle, (3, 784): x, y, and 1."""
    centres = (torch.arange(SIDE) * 2 + 1) / SIDE - 1
    return torch.stack([centres.repeat(SIDE), centres.repeat_interleave(SIDE), torch.ones(SIDE**2)])


def _bend(count: int, elastic_px: float, generator: torch.Generator) -> Tensor:
    """A smooth random displacement of every place, (count, 2, 784) in half widths.

    As the elastic distortion of Simard, Steinkraus and Platt (2003), but drawn at a few nodes and
    interpolated between them: a Gaussian filter over 784 draws a digit costs far more.
    """
    nodes = torch.rand(count, 2, _NODES, _NODES, generator=generator) * 2 - 1
    bicubic = _bicubic()
    field = bicubic.T @ (nodes @ bicubic)
    return field.flatten(2) * (2 * elastic_px / SIDE)


@cache
def _bicubic() -> Tensor:
    """What each node weighs at each pixel of a row, (nodes, 28)."""
    nodes = torch.eye(_NODES).view(1, _NODES, _NODES, 1)
    rows = F.interpolate(nodes, size=(SIDE, 1), mode="bicubic", align_corners=True)
    return rows.view(_NODES, SIDE)


def _change_strokes(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Blend each digit with its dilation or erosion by a 3×3 square, by up to `amount`.

    Pens differ in width more than MNIST's writers did; the blend gives every width between.
    """
    draws = (torch.rand(len(images), 1, 1, 1, generator=generator) * 2 - 1) * amount
    draws = draws.to(images.device)
    wider, thinner = _largest_around(images), -_largest_around(-images)
    return images + draws.clamp(min=0) * (wider - images) + draws.clamp(max=0) * (images - thinner)


def _largest_around(images: Tensor) -> Tensor:
    """The largest of the 3×3 pixels around each: what F.max_pool2d gives in 25 times the time."""
    padded = F.pad(images, (1, 1, 1, 1), value=-math.inf)
    rows = torch.maximum(torch.maximum(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:])
    above, within, below = rows[..., :-2, :], rows[..., 1:-1, :], rows[..., 2:, :]
    return torch.maximum(torch.maximum(above, within), below)
