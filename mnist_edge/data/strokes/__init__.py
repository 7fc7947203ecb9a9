"""Drawn digits and other signs, normalised as pictures are: the hands that MNIST lacks.

MNIST's writers were American. Elsewhere a 1 has a flag and a foot, a 7 a bar, a 9 a curled tail;
nets that never saw them fail on them. Skeletons of strokes (`styles`, `symbols`) are bent, tilted
and drawn with a pen, then go through the contract that a user's picture goes through; some of them
as a small photograph of a thin or faint pen.
"""

from __future__ import annotations

import math
from functools import cache
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_edge.contract import SIDE, Labels, RawImages
from mnist_edge.data.mnist import DataSet
from mnist_edge.data.strokes.styles import SKELETONS, Skeleton
from mnist_edge.data.strokes.symbols import symbol
from mnist_edge.picture import to_picture
from mnist_edge.picture.digit import normalise, padded
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.train import TrainRecipe

N = TypeVar("N", bound=np.generic)

NO_DIGIT = len(DIGITS)
"""The label of a training picture that the net shall be unsure of."""

_LEAST_OF_AN_EPOCH = 12_000  # a fifth of MNIST

_DATA_SEED = 11  # not that of what is shipped, trained on, or sets ranges
_LARGE = 120
"""Pixels of a digit before it is photographed."""

_PHOTOGRAPHED = 0.3
"""The share that is drawn large, and seen small and grey on paper."""

_SAMPLES = 5
"""Points drawn between two points of a skeleton."""


def training_set(recipe: TrainRecipe, data: DataSet) -> tuple[RawImages, Labels]:
    """The training digits, and what the recipe has drawn beside them.

    Returns:
        (N, 28, 28) uint8 and (N,) int64; the label of what is no digit is `NO_DIGIT`.
    """
    images, labels = data.train_images, data.train_labels
    if data.name == "folder":
        images, labels = _repeated(images), _repeated(labels)
    if not recipe.strokes and not recipe.symbols:
        return images, labels
    digits, named = stroke_digits(recipe.strokes, seed=recipe.seed)
    symbols = stroke_symbols(recipe.symbols, seed=recipe.seed)
    return (
        np.concatenate([images, digits, symbols]),
        np.concatenate([labels, named, np.full(recipe.symbols, NO_DIGIT)]),
    )


def _repeated(array: NDArray[N]) -> NDArray[N]:
    """A small set several times over, so that an epoch of a recipe has its steps all the same."""
    times = max(1, _LEAST_OF_AN_EPOCH // len(array))
    return np.concatenate([array] * times)


def stroke_digits(count: int, *, seed: int) -> tuple[RawImages, Labels]:
    """Draw digits, each by another hand.

    Args:
        count: how many; the classes take turns.
        seed: the same seed gives the same digits, and the first of more.

    Returns:
        (count, 28, 28) uint8, white on black, as `picture.digit.normalise` leaves them; and
        (count,) int64 labels.
    """
    random = Random(seed)  # noqa: S311  (no secret depends on it)
    labels = np.arange(count, dtype=np.int64) % len(DIGITS)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for index, label in enumerate(labels.tolist()):
        images[index] = _draw(SKELETONS[label](random), random)
    return images, labels


def drawn_data(train_size: int = 4000, test_size: int = 1000) -> DataSet:
    """A data set where there is no other: nothing was trained on it, and no net knows it well."""
    images, labels = stroke_digits(train_size + test_size, seed=_DATA_SEED)
    return DataSet(
        name="drawn",
        train_images=images[:train_size],
        train_labels=labels[:train_size],
        test_images=images[train_size:],
        test_labels=labels[train_size:],
    )


def stroke_symbols(count: int, *, seed: int) -> RawImages:
    """Draw what is no digit: letters, signs, blots and scribbles, (count, 28, 28) uint8."""
    random = Random(seed)  # noqa: S311
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for index in range(count):
        images[index] = _draw(symbol(random), random)
    return images


def _draw(skeleton: Skeleton, random: Random) -> NDArray[np.uint8]:
    """Write a skeleton in some hand with some pen, and normalise it."""
    u = random.uniform
    tremor, softness = u(0.0, 0.03), round(4 * min(1.0, u(0.2, 1.6)))
    curves = [
        _spline(len(stroke), softness)
        @ [(random.gauss(x, tremor), random.gauss(y, tremor)) for x, y in stroke]
        for stroke in skeleton
    ]
    points = np.concatenate(curves)
    for axis in (0, 1):  # bends, the same for all strokes of a digit
        points[:, axis] += u(0, 0.035) * np.sin(u(2, 9) * points[:, 1 - axis] + u(0, 6))
    slope, slant, width = u(-0.18, 0.18), u(-0.3, 0.35), math.exp(u(-0.3, 0.3))
    side = math.exp(u(math.log(24), math.log(90)))  # from a coarse photo to a canvas
    points @= np.array(
        [[side * width * math.cos(slope), side * math.sin(slope)],
         [-side * width * slant, side * math.cos(slope)]]
    )  # fmt: skip
    lengths = [len(curve) for curve in curves]
    if random.random() < _PHOTOGRAPHED:
        ink = _ink(points * (_LARGE / side), lengths, pen=_LARGE * u(0.01, 0.12))
        return _photographed(ink, random)
    return normalise(_ink(points, lengths, pen=max(1.0, side * u(0.03, 0.14))), [])


def _photographed(ink: NDArray[np.uint8], random: Random) -> NDArray[np.uint8]:
    """Bring ink to a few pixels by area, faint on grained paper, and read it as a picture is."""
    u = random.uniform
    scale = u(18, 48) / max(ink.shape)
    size = (max(3, round(ink.shape[1] * scale)), max(3, round(ink.shape[0] * scale)))
    small = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BOX))
    small = padded(small, round(max(size) * u(0.15, 0.5)))
    grain = np.random.default_rng(random.getrandbits(32)).normal(0, u(0, 3), small.shape)
    paper, strength = u(180, 250), u(0.4, 1.0) / small.max()
    grey = np.clip(paper * (1 - strength * small) + grain, 0, 255)
    picture = to_picture(Image.fromarray(grey.astype(np.uint8)))
    # What is read in pieces is a matter of reading, not of the hand.
    return picture.pixels if len(picture.boxes) == 1 else normalise(ink, [])


def _ink(points: NDArray[np.float64], lengths: list[int], *, pen: float) -> NDArray[np.uint8]:
    """Draw strokes of so many points each with a round pen, on a page that just holds them."""
    points = points - (points.min(axis=0) - pen - 1)
    width, height = np.ceil(points.max(axis=0) + pen + 1).astype(int).tolist()
    page = Image.new("L", (width, height))
    pencil = ImageDraw.Draw(page)
    radius, start = (pen - 1) / 2, 0
    for length in lengths:
        stroke = points[start : start + length]
        start += length
        pencil.line(stroke.ravel().tolist(), fill=255, width=round(pen))
        # Round ends, and round corners, which only the points of the skeleton can be.
        for x, y in stroke[::_SAMPLES].tolist():
            pencil.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(page)


@cache
def _spline(count: int, softness: int) -> NDArray[np.float64]:
    """The weights of `count` points in those of a curve through them.

    A Catmull-Rom spline, blended with straight lines: `softness` 4 is the one, 0 the other.
    """
    rows = []
    for start in range(count - 1):
        for step in range(_SAMPLES):
            t = step / _SAMPLES
            soft = 0.5 * np.array(
                [
                    -t + 2 * t**2 - t**3,
                    2 - 5 * t**2 + 3 * t**3,
                    t + 4 * t**2 - 3 * t**3,
                    t**3 - t**2,
                ]
            )
            straight = np.array([0, 1 - t, t, 0])
            row = np.zeros(count)
            places = np.clip(np.arange(start - 1, start + 3), 0, count - 1)
            np.add.at(row, places, soft * softness / 4 + straight * (1 - softness / 4))
            rows.append(row)
    rows.append(np.eye(count)[-1])
    return np.array(rows)
