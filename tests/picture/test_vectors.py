"""The JSON vectors of the preprocessing contract hold for our own implementation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from make_vectors import VECTORS, cases, unpacked

from mnist_edge.picture import load_picture

pytestmark = pytest.mark.edge

DOCUMENT = json.loads(VECTORS.read_text())
NAMES = [case["name"] for case in DOCUMENT["cases"]]


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=NAMES)
def test_a_vector_gives_its_digit(case: dict[str, Any]) -> None:
    shape = (case["height"], case["width"], case["channels"])
    pixels = unpacked(case["pixels"]).reshape(shape[:2] if shape[2] == 1 else shape)
    picture = load_picture(pixels)
    found = [picture.pixels, *(one.pixels for (one,) in picture.others)]
    expected = [unpacked(digit).reshape(28, 28) for digit in (case["digit"], *case["others"])]
    assert len(found) == len(expected)
    off = np.array(found).astype(int) - np.array(expected)
    assert np.abs(off).max() <= DOCUMENT["tolerance"]
    assert (picture.blank, list(picture.steps)) == (case["blank"], case["steps"])


def test_every_case_that_is_drawn_stands_in_the_file() -> None:
    drawn = list(cases())
    assert [name for name, _ in drawn] == NAMES
    for (_, image), case in zip(drawn, DOCUMENT["cases"], strict=True):
        assert (image.width, image.height) == (case["width"], case["height"])


def test_no_two_of_the_ten_digits_give_the_same() -> None:
    assert len({case["digit"] for case in DOCUMENT["cases"][:10]}) == 10
