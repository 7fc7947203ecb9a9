"""Pictures of nets that tell no digits apart: a letter is all its ink, a plain one is left so."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist_edge.picture import load_picture

pytestmark = pytest.mark.edge


def an_i() -> Image.Image:
    """A stem, and a dot that is small and far from it."""
    page = Image.new("L", (200, 300), 255)
    pencil = ImageDraw.Draw(page)
    pencil.rectangle((90, 120, 110, 280), fill=0)
    pencil.ellipse((92, 40, 108, 56), fill=0)
    return page


def box_of(pixels: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def test_the_dot_of_an_i_belongs_to_the_letter() -> None:
    picture = load_picture(an_i(), "letter")
    assert picture.box.top < 60
    rows = picture.pixels.any(axis=1)
    parts = np.count_nonzero(np.diff(np.concatenate([[0], rows, [0]]).astype(int)) == 1)
    assert parts == 2
    assert load_picture(an_i(), "digit").box.top > 100  # where it counts as dust


def test_a_letter_stands_in_emnists_frame() -> None:
    top, bottom, left, right = box_of(load_picture(an_i(), "letter").pixels)
    assert bottom - top + 1 == 24
    assert top == 2
    assert abs((left + right + 1) - 28) <= 1


def test_a_letter_that_is_framed_already_is_left_alone() -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[3:25, 10:14] = 250
    np.testing.assert_array_equal(load_picture(Image.fromarray(pixels), "letter").pixels, pixels)
    inverted = load_picture(Image.fromarray(255 - pixels), "letter")
    assert inverted.steps


def test_an_empty_page_holds_no_letter() -> None:
    assert load_picture(Image.new("L", (100, 80), 255), "letter").blank


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_a_plain_picture_is_made_smaller_and_nothing_else(mode: str) -> None:
    grey = np.tile(np.linspace(0, 255, 112, dtype=np.uint8), (56, 1))
    image = Image.fromarray(grey)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode != "L":
        image = image.convert(mode)
    picture = load_picture(image, "plain")
    assert not picture.blank
    assert not picture.pixels[:7].any()  # twice as wide as high
    assert not picture.pixels[21:].any()
    row = picture.pixels[14].astype(int)
    assert row[0] < 40
    assert row[-1] > 210
    if mode != "1":
        assert (np.diff(row) > 0).all()


def test_what_is_transparent_is_black_in_a_plain_picture() -> None:
    image = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    ImageDraw.Draw(image).rectangle((10, 10, 29, 29), fill=(200, 200, 200, 255))
    pixels = load_picture(image, "plain").pixels
    assert pixels[0, 0] == 0
    assert pixels[14, 14] == 200


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3000, 2), (5000, 5000)])
def test_a_plain_picture_may_have_any_size(size: tuple[int, int]) -> None:
    picture = load_picture(Image.new("L", size, 77), "plain")
    assert picture.pixels.shape == (28, 28)
    assert picture.pixels.max() == 77
