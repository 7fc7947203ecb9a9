"""Drawn digits and signs: framed as MNIST's, the same from the same seed, and told apart."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_edge.contract import RawImages
from mnist_edge.data import strokes
from mnist_edge.data.strokes import stroke_digits, stroke_symbols
from mnist_edge.data.strokes.styles import SKELETONS, Skeleton
from mnist_edge.picture.digit import STROKE, is_mnist_digit, stroke_width

pytestmark = pytest.mark.edge


def unit(images: RawImages) -> NDArray[np.float64]:
    flat = images.reshape(len(images), -1).astype(np.float64)
    scaled: NDArray[np.float64] = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return scaled


def test_the_same_seed_gives_the_same_digits_and_the_first_of_more() -> None:
    few, _ = stroke_digits(20, seed=4)
    more, _ = stroke_digits(30, seed=4)
    assert np.array_equal(few, more[:20])
    assert not np.array_equal(few, stroke_digits(20, seed=5)[0])


def test_the_classes_take_turns() -> None:
    images, labels = stroke_digits(25, seed=0)
    assert (images.shape, labels.shape) == ((25, 28, 28), (25,))
    assert (str(images.dtype), str(labels.dtype)) == ("uint8", "int64")
    assert labels.tolist() == [*range(10), *range(10), *range(5)]


def test_they_are_framed_as_the_digits_of_mnist_are() -> None:
    images, _ = stroke_digits(200, seed=1)
    assert np.mean([is_mnist_digit(image) for image in images]) > 0.95
    assert np.median([stroke_width(image) for image in images]) == pytest.approx(STROKE, abs=0.5)


def test_no_two_digits_are_alike() -> None:
    images, _ = stroke_digits(300, seed=2)
    assert len(np.unique(images.reshape(300, -1), axis=0)) == 300


def test_a_digit_is_most_like_digits_of_its_own_class() -> None:
    known, known_labels = stroke_digits(1000, seed=0)
    asked, labels = stroke_digits(200, seed=1)
    nearest = (unit(asked) @ unit(known).T).argmax(axis=1)
    assert np.mean(known_labels[nearest] == labels) > 0.9


def wide(stroke: list[tuple[float, float]]) -> float:
    across = [x for x, _ in stroke]
    return max(across) - min(across)


# What tells a hand from others by its skeleton, and at least so often it is drawn.
HANDS: dict[str, tuple[int, Callable[[Skeleton], bool], float]] = {
    "a slashed 0": (0, lambda s: len(s) == 2, 0.1),
    "a 0 begun above its loop": (0, lambda s: s[0][0][1] < -0.02, 0.05),
    "a 1 with a foot wider than it is high": (1, lambda s: len(s) == 2 and wide(s[1]) > 1, 0.05),
    "a 1 with a flag as long as its stem": (1, lambda s: s[0][0][1] > 0.55, 0.22),
    "a 1 that is one line": (1, lambda s: len(s) == 1 and len(s[0]) == 2, 0.1),
    "a narrow 3": (3, lambda s: wide(s[0]) < 0.46, 0.1),
    "a 4 whose bar turns into a short stem": (4, lambda s: len(s) == 1 and s[0][0][0] > 0.7, 0.04),
    "a 6 whose loop crosses its back": (6, lambda s: s[0][-1][0] < 0.5 - wide(s[0]) / 2, 0.05),
    "a 6 that is a spiral": (6, lambda s: len(s) == 1 and wide(s[0]) > 0.7, 0.03),
    "a barred 7": (7, lambda s: len(s) == 2, 0.4),
}


@pytest.mark.parametrize("hand", HANDS)
def test_hands_that_mnist_lacks_are_drawn(hand: str) -> None:
    digit, is_written_so, least = HANDS[hand]
    drawn = [SKELETONS[digit](Random(seed)) for seed in range(500)]
    assert np.mean([is_written_so(skeleton) for skeleton in drawn]) > least


def test_a_thin_or_faint_pen_comes_out_as_a_picture_of_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clean, labels = stroke_digits(300, seed=3)
    monkeypatch.setattr(strokes, "_PHOTOGRAPHED", 1.0)
    faint, _ = stroke_digits(300, seed=4)
    assert np.mean([is_mnist_digit(image) for image in faint]) > 0.95
    assert np.median([stroke_width(image) for image in faint]) == pytest.approx(STROKE, abs=0.5)
    # They are grey where the clean ones are black or white, and the same digits.
    assert np.mean((faint > 20) & (faint < 230)) > np.mean((clean > 20) & (clean < 230))
    nearest = (unit(faint) @ unit(clean).T).argmax(axis=1)
    assert np.mean(labels[nearest] == np.arange(300) % 10) > 0.75


def test_symbols_are_drawn_as_digits_are() -> None:
    images = stroke_symbols(50, seed=3)
    assert (images.shape, str(images.dtype)) == ((50, 28, 28), "uint8")
    assert images.reshape(50, -1).max(axis=1).min() > 200
    assert np.array_equal(images[:20], stroke_symbols(20, seed=3))


def test_nothing_is_drawn_where_nothing_is_asked_for() -> None:
    assert stroke_digits(0, seed=0)[0].shape == stroke_symbols(0, seed=0).shape == (0, 28, 28)
