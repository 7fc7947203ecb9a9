"""Drawn digits and signs: framed as MNIST's, the same from the same seed, and told apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_edge.contract import RawImages
from mnist_edge.data.strokes import stroke_digits, stroke_symbols
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


def test_symbols_are_drawn_as_digits_are() -> None:
    images = stroke_symbols(50, seed=3)
    assert (images.shape, str(images.dtype)) == ((50, 28, 28), "uint8")
    assert images.reshape(50, -1).max(axis=1).min() > 200
    assert np.array_equal(images[:20], stroke_symbols(20, seed=3))


def test_nothing_is_drawn_where_nothing_is_asked_for() -> None:
    assert stroke_digits(0, seed=0)[0].shape == stroke_symbols(0, seed=0).shape == (0, 28, 28)
