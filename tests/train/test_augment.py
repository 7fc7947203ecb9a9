from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from mnist_edge.recipes.train import Augmentation
from mnist_edge.train.augment import _bicubic, _largest_around, _places, augment


def bars() -> Tensor:
    """64 pictures of an upright bar, 4 pixels wide, in the middle."""
    images: Tensor = torch.zeros(64, 1, 28, 28)
    images[:, :, 6:22, 12:16] = 1.0
    return images


def changed(augmentation: Augmentation, seed: int = 0, images: Tensor | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return augment(bars() if images is None else images, augmentation, generator)


def centres(images: Tensor) -> Tensor:
    """(N, 2): the column and row of the centre of mass."""
    places = torch.arange(28.0)
    mass = images.sum((1, 2, 3))
    columns = (images.sum(2).squeeze(1) * places).sum(1) / mass
    rows = (images.sum(3).squeeze(1) * places).sum(1) / mass
    both: Tensor = torch.stack([columns, rows], dim=1)
    return both


def test_no_augmentation_changes_nothing() -> None:
    assert torch.equal(changed(Augmentation()), bars())


def test_digits_stay_in_range_and_shape() -> None:
    everything = Augmentation(
        shift_px=3, rotation_deg=20, scale=0.2, shear=0.2, elastic_px=2, thickness=1.0
    )
    result = changed(everything)
    assert result.shape == (64, 1, 28, 28)
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert result.max() <= 1 + 1e-6


def test_each_digit_gets_its_own_shift_within_the_range() -> None:
    moved = centres(changed(Augmentation(shift_px=2))) - centres(bars())
    assert moved.abs().max() <= 2.001
    assert moved.abs().max() > 1.5
    assert len(torch.unique(moved.round(decimals=3), dim=0)) > 60


def test_rotation_and_scale_keep_the_centre() -> None:
    moved = centres(changed(Augmentation(rotation_deg=25, scale=0.2))) - centres(bars())
    assert moved.abs().max() < 0.05


def test_bending_moves_parts_of_a_digit_differently_and_within_its_range() -> None:
    top = torch.zeros(64, 1, 28, 28)
    top[:, :, 7, 14] = 1
    bottom = torch.zeros(64, 1, 28, 28)
    bottom[:, :, 21, 14] = 1
    bent = changed(Augmentation(elastic_px=2.0), images=top + bottom)
    upper, lower = bent.clone(), bent.clone()
    upper[:, :, 14:] = 0
    lower[:, :, :14] = 0
    moved = torch.stack([centres(upper) - centres(top), centres(lower) - centres(bottom)])
    # Cubic interpolation passes through the nodes but overshoots a little between them.
    assert moved.abs().max() < 2 * 1.5
    assert moved.abs().max() > 1
    assert (moved[0] - moved[1]).abs().max() > 1


def test_scale_changes_the_ink_both_ways_by_its_range() -> None:
    ink = changed(Augmentation(scale=0.2)).sum((1, 2, 3)) / bars()[0].sum()
    # Width and height each by up to 1.2 either way.
    assert 0.69 < ink.min() < 0.95
    assert 1.05 < ink.max() < 1.45


def test_thickness_makes_some_strokes_wider_and_some_thinner() -> None:
    ink = changed(Augmentation(thickness=1.0)).sum((1, 2, 3)) / bars()[0].sum()
    assert ink.min() < 0.75
    assert ink.max() > 1.25


def test_the_same_generator_gives_the_same_digits() -> None:
    distortion = Augmentation(shift_px=2, rotation_deg=10, thickness=0.5)
    assert torch.equal(changed(distortion, seed=1), changed(distortion, seed=1))
    assert not torch.equal(changed(distortion, seed=1), changed(distortion, seed=2))


def test_the_largest_around_is_what_pooling_gives() -> None:
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)) - 0.5
    assert torch.equal(_largest_around(images), F.max_pool2d(images, 3, stride=1, padding=1))


def test_the_places_are_those_of_affine_grid() -> None:
    matrix = torch.rand(4, 2, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = F.affine_grid(matrix, [4, 1, 28, 28], align_corners=False)
    given = (matrix @ _places()).view(4, 2, 28, 28).permute(0, 2, 3, 1)
    torch.testing.assert_close(given, wanted, rtol=0, atol=1e-6)


def test_the_field_between_nodes_is_bicubic() -> None:
    nodes = torch.rand(4, 2, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = F.interpolate(nodes, size=(28, 28), mode="bicubic", align_corners=True)
    torch.testing.assert_close(_bicubic().T @ nodes @ _bicubic(), wanted, rtol=0, atol=1e-5)
