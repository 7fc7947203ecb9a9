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
from PIL import Image, ImageDraw, ImageFilter

from mnist_edge.picture import Picture, to_picture

VECTORS = Path(__file__).parent / "vectors" / "pictures.json"
TOLERANCE = 2  # of 255: another order of additions rounds otherwise
ABOUT = (
    "Each case: a picture of `height` rows, `width` columns and `channels` (1 grey, 3 RGB, 4 RGBA) "
    "as `pixels`, and the 28x28 grey bytes that a net must be fed, as `digit`; both are base64 of "
    "a zlib stream of bytes, row by row. `digit` may differ by `tolerance` in any byte. `blank` "
    "is true where there is nothing to read; `steps` tells what was done, for people. `others` are "
    "further digits, packed alike, for pieces that may be one: what the net is surest of counts."
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
    yield "a frame that the digit touches", _framed(_lined_page(), (50, 30, 118, 124))
    yield "a cell with its neighbours", _celled(_lined_page())
    yield "a frame along the border", _framed(five, (0, 0, 83, 83))
    yield "an underline", _underlined(_lined_page())
    yield "squared paper", _ruled(_lined_page(), squared=True)
    yield "lines paler than the pen", _ruled(_lined_page(), squared=True, grey=150)
    yield "a frame drawn by hand", _framed(_lined_page(), (50, 30, 118, 124), bent=True)
    yield "a 5 whose bar is apart", _cut(five, (40, 10, 44, 30))
    yield "a digit in pieces", _broken(draw(0, size=(120, 120), pen=7))
    yield "a dry pen", _dry(draw(2, size=(160, 160), pen=10))
    yield "half a digit at the border", _beside_half(five)
    yield "a table beside the paper", _on_a_table(draw(3, size=(120, 120), pen=8))
    yield "very little ink", _far(draw(1, size=(40, 40), pen=4), (300, 360))
    yield "a small digit far away", _far(draw(7, size=(60, 60), pen=5), (1300, 1100))
    yield "lines of single pixels", draw(4, size=(18, 18), pen=1)
    yield "five pixels", draw(1, size=(5, 5), pen=1)
    yield "higher than wide by far", _far(draw(1, size=(30, 90), pen=4), (120, 40))
    yield "half paper, half table", _half_dark(five)
    yield "an ink as bright as its paper", _coloured(five, ink=(230, 60, 60), paper=(80, 150, 80))
    yield "a card with its own paper", _card(five)
    yield "half opaque ink", _transparent(Image.eval(five, lambda v: 128 + v // 2), (0, 0, 0))
    yield "a grain as of film", _grained(draw(8, size=(90, 90), pen=7))
    yield "grain alone", _grained(Image.new("L", (90, 90), 200))
    yield "a shadow's edge", _half_shaded(five)
    yield "two halves far apart", _apart(draw(0, size=(120, 120), pen=7))
    yield "a long bar above", _cut(draw(5, size=(120, 120), pen=7), (0, 26, 120, 34))
    yield "two digits and a dot", _dotted(_side_by_side(five, draw(3, size=(84, 84), pen=6)))
    yield "opaque colours", five.convert("RGBA")
    yield "a box and nothing in it", _framed(Image.new("L", (160, 160), 255), (50, 30, 118, 124))
    yield "nothing but lines", _ruled(Image.new("L", (160, 160), 255), squared=True)
    yield "a margin", _upright(_lined_page())
    yield "an underline apart", _underlined(_lined_page(), lower=14)
    yield "ink all along the border", _stripes(five)
    yield "much that the border cuts", _stripes(five, step=20)
    yield "one dot of ink", _dotted(Image.new("L", (300, 300), 255))
    yield "hardly any ink", _hardly_any()
    yield "a wide part at the border", _with_bar(draw(6, size=(160, 160), pen=8))
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
        "others": [packed(one.pixels) for (one,) in picture.others],
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


def _lined_page() -> Image.Image:
    return draw(5, size=(160, 160), box=(0.35, 0.25, 0.65, 0.75), pen=7)


def _ruled(image: Image.Image, *, squared: bool = False, grey: int = 60) -> Image.Image:
    array = np.array(image)
    for start in range(10, 160, 40):
        np.minimum(array[start : start + 2], grey, out=array[start : start + 2])
        if squared:
            np.minimum(array[:, start : start + 2], grey, out=array[:, start : start + 2])
    return Image.fromarray(array)


def _framed(
    image: Image.Image, box: tuple[int, int, int, int], *, bent: bool = False
) -> Image.Image:
    left, top, right, bottom = box
    bend = 3 if bent else 0
    corners = [
        (left, top),
        (right, top + bend),
        (right - bend, bottom),
        (left + bend, bottom - bend),
    ]
    framed = image.copy()
    ImageDraw.Draw(framed).line([*corners, corners[0]], fill=40, width=2)
    return framed


def _celled(image: Image.Image) -> Image.Image:
    framed = _framed(image, (6, 24, 152, 132))
    pen = ImageDraw.Draw(framed)
    for column in (45, 118):
        pen.line((column, 24, column, 132), fill=40, width=2)
    return framed


def _underlined(image: Image.Image, lower: int = 0) -> Image.Image:
    lined = image.copy()
    ImageDraw.Draw(lined).line((12, 119 + lower, 150, 122 + lower), fill=40, width=2)
    return lined


def _upright(image: Image.Image) -> Image.Image:
    lined = image.copy()
    ImageDraw.Draw(lined).line((40, 0, 42, 159), fill=40, width=2)
    return lined


def _apart(image: Image.Image) -> Image.Image:
    array = np.full((image.height, image.width + 24), 255, np.uint8)
    half = image.width // 2
    array[:, :half] = np.asarray(image)[:, :half]
    array[:, half + 24 :] = np.asarray(image)[:, half:]
    return Image.fromarray(array)


def _stripes(image: Image.Image, step: int = 6) -> Image.Image:
    array = np.array(image)
    for start in range(2, image.width, step):
        array[:8, start : start + 3] = 30
        array[-8:, start : start + 3] = 30
    return Image.fromarray(array)


def _hardly_any() -> Image.Image:
    """Uneven paper, and a stroke of a few pixels."""
    across = np.linspace(225, 205, 200)[None].repeat(200, axis=0)
    page = Image.fromarray(across.astype(np.uint8))
    ImageDraw.Draw(page).line((96, 80, 104, 112), fill=90, width=2)
    return page


def _with_bar(image: Image.Image) -> Image.Image:
    barred = image.copy()
    ImageDraw.Draw(barred).line((0, 4, 120, 24, 130, 150), fill=30, width=5)
    return barred


def _cut(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    cut = image.copy()
    ImageDraw.Draw(cut).rectangle(box, fill=255)
    return cut


def _broken(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[34:37], array[78:82] = 255, 255
    array[:, 58:61] = 255
    return Image.fromarray(array)


def _dry(image: Image.Image) -> Image.Image:
    ink = 255.0 - np.asarray(image)
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    strength = np.clip(0.5 + 0.6 * np.sin(x / 9) * np.cos(y / 11), 0.1, 1)
    return Image.fromarray((255 - ink * strength).astype(np.uint8))


def _beside_half(image: Image.Image) -> Image.Image:
    page = _side_by_side(image, draw(8, size=(84, 84), pen=6))
    return page.crop((0, 0, image.width + 42, image.height))


def _on_a_table(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[:14], array[:, -9:] = 45, 45
    return Image.fromarray(array)


def _far(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    page = Image.new("L", size, 255)
    page.paste(image, (size[0] * 2 // 3 - image.width // 2, size[1] // 2 - image.height // 2))
    return page


def _half_dark(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[42:] = 255 - array[42:]
    return Image.fromarray(array)


def _card(image: Image.Image) -> Image.Image:
    card = image.convert("RGBA")
    opaque = Image.new("L", image.size, 0)
    ImageDraw.Draw(opaque).rectangle((4, 4, image.width - 5, image.height - 5), fill=255)
    card.putalpha(opaque)
    return card


def _grained(image: Image.Image) -> Image.Image:
    grain = np.random.default_rng(1).normal(0, 12, (image.height, image.width))
    return Image.fromarray(np.clip(np.asarray(image) * 0.8 + 30 + grain, 0, 255).astype(np.uint8))


def _half_shaded(image: Image.Image) -> Image.Image:
    array = np.asarray(image).astype(float)
    array[:, 40:] *= 0.55
    return Image.fromarray(array.astype(np.uint8))


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
