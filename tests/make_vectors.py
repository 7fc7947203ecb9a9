"""Writes tests/vectors/pictures.json: the preprocessing contract, for other languages to test by.

    python tests/make_vectors.py

Every picture is drawn here. The file says itself how it is to be read.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from drawn import draw
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mnist_edge.picture import Picture, to_picture

VECTORS = Path(__file__).parent / "vectors" / "pictures.json"
TOLERANCE = 2  # of 255: another order of additions rounds otherwise
ABOUT = (
    "Each case: a picture of `height` rows, `width` columns and `channels` (1 grey, 3 RGB, 4 RGBA) "
    "as `pixels`, and the 28x28 grey bytes that a net must be fed, as `digit`; both are base64 of "
    "a zlib stream of bytes, row by row. `digit` may differ by `tolerance` in any byte. `blank` "
    "is true where there is nothing to read; `steps` tells what was done, for people."
)


def cases() -> Iterator[tuple[str, Image.Image]]:
    """Name and picture: every digit, then one case for each step of the contract."""
    for digit in range(10):
        yield f"digit {digit}", draw(digit, size=(84, 84), pen=6)
    five = draw(5, size=(84, 84), pen=6)
    yield "white on black", draw(5, size=(84, 84), pen=6, ink=255, paper=0)
    yield "thin pen", draw(5, size=(120, 120), pen=2)
    yield "felt tip", draw(5, size=(84, 84), pen=13)
    yield "pale pencil", draw(5, size=(84, 84), pen=6, ink=190, paper=225)
    yield "small, in a corner", draw(5, size=(160, 160), box=(0.7, 0.05, 0.85, 0.25), pen=4)
    yield "wide", draw(5, size=(160, 84), pen=6)
    yield "large enough to be reduced", draw(5, size=(900, 900), pen=60)
    yield "a few pixels", draw(5, size=(28, 28), pen=2)
    yield "soft focus", five.filter(ImageFilter.GaussianBlur(2))
    yield "shadow over a corner", _shaded(five)
    yield "specks of dust", _speckled(five)
    yield "a dot far away", _dotted(five)
    yield "ruled paper", _ruled(draw(5, size=(160, 160), box=(0.3, 0.25, 0.6, 0.75), pen=8))
    yield "strokes that fade", _fading(draw(5, size=(160, 160), pen=8))
    yield "a dark strip at the edge", _beside_a_strip(five)
    yield "two digits", _side_by_side(draw(4, size=(84, 84), pen=6), draw(1, size=(70, 70), pen=5))
    yield "blue on yellow", _coloured(five, ink=(20, 30, 160), paper=(250, 230, 90))
    yield "yellow on white", _coloured(five, ink=(255, 240, 0), paper=(255, 255, 255))
    yield "black on nothing", _transparent(five, (0, 0, 0))
    yield "white on nothing", _transparent(five, (255, 255, 255))
    yield "already normalised", Image.fromarray(to_picture(five).pixels)
    yield "blank paper", Image.new("L", (60, 60), 240)
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    yield "noise", Image.fromarray(noise)
    yield "nothing at all", Image.new("RGBA", (60, 60))


def document() -> dict[str, object]:
    """What the file holds."""
    described = [_case(name, image, to_picture(image)) for name, image in cases()]
    return {"about": ABOUT, "tolerance": TOLERANCE, "cases": described}


def packed(array: NDArray[np.uint8]) -> str:
    """Bytes of an array, as `ABOUT` says."""
    return base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()


def unpacked(text: str) -> NDArray[np.uint8]:
    """What `packed` was given, as one row."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)


def _case(name: str, image: Image.Image, picture: Picture) -> dict[str, object]:
    return {
        "name": name,
        "width": image.width,
        "height": image.height,
        "channels": len(image.getbands()),
        "pixels": packed(np.asarray(image)),
        "blank": picture.blank,
        "digit": packed(picture.pixels),
        "steps": picture.steps,
    }


def _shaded(image: Image.Image) -> Image.Image:
    height, width = image.height, image.width
    light = np.linspace(1, 0.4, width)[None] * np.linspace(1, 0.7, height)[:, None]
    return Image.fromarray((np.asarray(image) * light).astype(np.uint8))


def _speckled(image: Image.Image) -> Image.Image:
    array = np.array(image)
    for row, column in ((8, 8), (70, 12), (15, 75)):
        array[row : row + 2, column] = 0
    return Image.fromarray(array)


def _dotted(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[4:10, 4:10] = 0
    return Image.fromarray(array)


def _ruled(image: Image.Image) -> Image.Image:
    array = np.array(image)
    for row in range(10, 160, 40):
        array[row : row + 2] = 60
    return Image.fromarray(array)


def _fading(image: Image.Image) -> Image.Image:
    across = np.abs(np.linspace(-1, 1, image.width))[None] * 0.8 + 0.2
    return Image.fromarray((255 - (255 - np.asarray(image)) * across).astype(np.uint8))


def _beside_a_strip(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[:, :4] = 30
    return Image.fromarray(array)


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    sheet = Image.new("L", (left.width + right.width, left.height), 255)
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width, 0))
    return sheet


def _coloured(
    image: Image.Image, *, ink: tuple[int, int, int], paper: tuple[int, int, int]
) -> Image.Image:
    white = np.asarray(image)[:, :, None] > 127
    return Image.fromarray(np.where(white, paper, ink).astype(np.uint8))


def _transparent(image: Image.Image, ink: tuple[int, int, int]) -> Image.Image:
    drawn = Image.new("RGBA", image.size, (*ink, 0))
    drawn.putalpha(Image.eval(image, lambda value: 255 - value))
    return drawn


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(document(), indent=1) + "\n")
