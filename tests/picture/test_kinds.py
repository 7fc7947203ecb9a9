"""What people draw beside, around and instead of one clean digit: read by the shipped net.

A line of the table is a kind of picture that was once read wrongly. Each is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawn import draw, encode
from PIL import Image, ImageDraw

from mnist_edge.picture import MAX_PAGES, split_digits
from mnist_edge.predict import Predictor, Reading, predict_files

pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.edge

SHIPPED = Path(__file__).parents[2] / "exports" / "default"


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    if not SHIPPED.is_dir():
        pytest.skip("the shipped bundle is not here")
    with Predictor.load(SHIPPED) as loaded:
        yield loaded


def row(
    digits: str, *, height: int = 60, gap: int = 16, pen: int = 6, ink: int = 0, margin: int = 40
) -> Image.Image:
    """A row of digits on white paper."""
    cut = [tight(draw(int(digit), size=(3 * height, 3 * height), pen=pen * 2)) for digit in digits]
    sized = [one.resize((max(4, one.width * height // one.height), height)) for one in cut]
    width = sum(one.width for one in sized) + gap * (len(sized) - 1) + 2 * margin
    page = np.full((height + 2 * margin, width), 255, np.uint8)
    left = margin
    for one in sized:
        place = page[margin : margin + height, left : left + one.width]
        np.minimum(place, np.maximum(np.asarray(one), ink), out=place)
        left += one.width + gap
    return Image.fromarray(page)


def tight(image: Image.Image) -> Image.Image:
    ink = np.asarray(image) < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))


def stacked(*pages: Image.Image) -> Image.Image:
    sheet = Image.new(
        "L", (max(page.width for page in pages), sum(page.height for page in pages)), 255
    )
    top = 0
    for page in pages:
        sheet.paste(page, (0, top))
        top += page.height
    return sheet


def beside(*pages: Image.Image) -> Image.Image:
    sheet = Image.new(
        "L", (sum(page.width for page in pages), max(page.height for page in pages)), 255
    )
    left = 0
    for page in pages:
        sheet.paste(page, (left, sheet.height - page.height))
        left += page.width
    return sheet


def with_dot(image: Image.Image, share: float) -> Image.Image:
    """A dot in the corner, of that share of the digit's height."""
    size = max(2, round(share * 0.7 * image.height))
    ImageDraw.Draw(image).ellipse((12, 12, 12 + size, 12 + size), fill=0)
    return image


def thin(digit: int, peak: float) -> Image.Image:
    """A thin pen on a large canvas, saved at 28 pixels."""
    small = draw(digit, size=(200, 200), pen=2).resize((28, 28), Image.Resampling.BOX)
    ink = 255 - np.asarray(small).astype(float)
    return Image.fromarray((255 - ink * (255 * peak / ink.max())).astype(np.uint8))


def fading(digit: int) -> Image.Image:
    """A dry pen: ink comes and goes along the strokes."""
    ink = 255.0 - np.asarray(draw(digit, pen=12))
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    strength = np.clip(0.5 + 0.6 * np.sin(x / 17) * np.cos(y / 19), 0.12, 1)
    return Image.fromarray((255 - ink * strength).astype(np.uint8))


def ruled(image: Image.Image, grey: int, *, squared: bool = False, step: int = 60) -> Image.Image:
    lined = np.array(image)
    for start in range(31, lined.shape[0], step):
        lined[start : start + 2] = np.minimum(lined[start : start + 2], grey)
    if squared:
        for start in range(31, lined.shape[1], step):
            lined[:, start : start + 2] = np.minimum(lined[:, start : start + 2], grey)
    return Image.fromarray(lined)


def framed(image: Image.Image, grey: int) -> Image.Image:
    edge = (12, 12, image.width - 13, image.height - 13)
    ImageDraw.Draw(image).rectangle(edge, outline=grey, width=2)
    return image


def celled(digits: str, grey: int) -> Image.Image:
    pages = [row(digit, margin=12, height=50) for digit in digits]
    side = max(page.width for page in pages)
    sheet = Image.new("L", (20 + side * len(pages), 20 + pages[0].height), 255)
    pencil = ImageDraw.Draw(sheet)
    for index, page in enumerate(pages):
        left = 10 + index * side
        sheet.paste(page, (left + (side - page.width) // 2, 10))
    for index in range(len(pages)):
        left = 10 + index * side
        pencil.rectangle((left, 10, left + side, 9 + pages[0].height), outline=grey, width=2)
    return sheet


def underlined(image: Image.Image, grey: int, *, level: int = 0) -> Image.Image:
    level = level or image.height - 30
    ImageDraw.Draw(image).line((8, level, image.width - 8, level), fill=grey, width=2)
    return image


def far(digit: int) -> Image.Image:
    photo = Image.new("L", (3000, 4000), 225)
    photo.paste(draw(digit, size=(90, 90), pen=6, ink=40, paper=225), (1900, 2600))
    return photo


def beside_a_strip(image: Image.Image) -> Image.Image:
    strip = np.array(image)
    strip[:, : max(3, image.width // 30)] = 20
    return Image.fromarray(strip)


def cut_off(digits: str) -> Image.Image:
    """A row, and half a digit at the right border."""
    page = row(digits + "8", margin=40)
    return page.crop((0, 0, page.width - 40 - 22, page.height))


def coloured(*inks: tuple[str, tuple[int, int, int]]) -> Image.Image:
    sheets = []
    for digit, colour in inks:
        opacity = np.asarray(row(digit, margin=12))[:, :, None] / 255
        sheets.append(opacity * 255 + (1 - opacity) * np.array(colour))
    return Image.fromarray(np.concatenate(sheets, axis=1).astype(np.uint8))


def pixel_row() -> Image.Image:
    """4722 as lines of single pixels, ten high."""
    rows = (
        "...11..1111111..111111...111111",
        "...11.......1..1.....1..1.....1",
        "..1.1.......1........1........1",
        "..1.1......1........1........1.",
        ".1..1......1.......1........1..",
        ".1..1.....1.......1........1...",
        "1111111...1......1........1....",
        "....1....1......1........1.....",
        "....1....1.....1.......11......",
        "....1....1.....1111111.11111111",
    )
    ink = np.array([[mark == "1" for mark in line] for line in rows])
    page = np.full((10, 40), 238, np.uint8)
    page[:, 4:35][ink] = 60
    return Image.fromarray(page)


def form(*rows: str, grey: int = 40, astray: int = 0) -> Image.Image:
    """Rows of cells with a digit in each; every third sits so much too high."""
    side = 70
    page = Image.new("L", (side * len(rows[0]) + 40, (side + 24) * len(rows) + 30), 255)
    pen = ImageDraw.Draw(page)
    for number, digits in enumerate(rows):
        top = 20 + number * (side + 24)
        for place, digit in enumerate(digits):
            left = 20 + place * side
            pen.rectangle((left, top, left + side, top + side), outline=grey, width=2)
            one = tight(draw(int(digit), size=(120, 120), pen=10))
            one = one.resize((max(5, one.width * 44 // one.height), 44))
            ink = Image.eval(one, lambda value: 255 - value)
            up = astray if place % 3 == 1 else 0
            page.paste(0, (left + (side - one.width) // 2, top + 13 - up), ink)
    return page


def boxed(digit: int, grey: int) -> Image.Image:
    """A small frame on a large page, which the digit touches."""
    page = row(str(digit), margin=110)
    left, right = 110 - 6, page.width - 110 + 14
    ImageDraw.Draw(page).rectangle((left, 96, right, 171), outline=grey, width=2)
    return page


def framed_by_hand(digits: str) -> Image.Image:
    page = row(digits)
    right, bottom = page.width - 20, page.height - 16
    corners = [(18, 22), (right, 17), (right - 3, bottom), (20, bottom - 5), (18, 22)]
    ImageDraw.Draw(page).line(corners, fill=60, width=3)
    return page


def cut_frame(digits: str) -> Image.Image:
    """A frame that goes on beyond the right border."""
    page = framed(row(digits), 40)
    return page.crop((0, 0, page.width - 25, page.height))


def along_the_border(image: Image.Image) -> Image.Image:
    """Cut so close that the frame is the border."""
    rimmed = image.copy()
    size = (0, 0, image.width - 1, image.height - 1)
    ImageDraw.Draw(rimmed).rectangle(size, outline=20, width=3)
    return rimmed


def fine_squares(image: Image.Image, grey: int, step: int) -> Image.Image:
    return ruled(ruled(image, grey, squared=True, step=step), grey, step=step)


YELLOW, BLACK, RED = (240, 200, 0), (0, 0, 0), (200, 20, 20)

LINED: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "ruled": ruled,
    "squared": lambda image, grey: ruled(image, grey, squared=True),
    "framed": framed,
    "underlined": underlined,
}


def lined(kind: str, grey: int) -> Image.Image:
    return LINED[kind](draw(5, pen=14), grey)


def dotted(digit: int, share: float) -> Image.Image:
    return with_dot(draw(digit), share)


ONE: dict[str, tuple[Callable[[], Image.Image], str]] = {
    **{
        f"dot of {share:.0%} beside a {digit}": (partial(dotted, digit, share), str(digit))
        for share in (0.04, 0.08, 0.14)
        for digit in (1, 5, 7)
    },
    **{
        f"thin pen, {peak:.0%}, {digit}": (partial(thin, digit, peak), str(digit))
        for peak in (0.4, 1.0)
        for digit in (0, 2, 3, 5)
    },
    **{f"dry pen, {digit}": (partial(fading, digit), str(digit)) for digit in (0, 2, 3, 5)},
    **{
        f"{kind}, grey {grey}": (partial(lined, kind, grey), "5")
        for kind in LINED
        for grey in (0, 80, 110, 140)
    },
    **{
        f"a {digit} in a small frame, grey {grey}": (partial(boxed, digit, grey), str(digit))
        for digit in (2, 5, 8)
        for grey in (0, 90)
    },
    "squares smaller than the digit": (lambda: fine_squares(draw(3, pen=14), 60, 37), "3"),
    "a frame along the border": (lambda: along_the_border(draw(3)), "3"),
    "a small digit on a large photo": (lambda: far(3), "3"),
    "a dark strip at the edge": (lambda: beside_a_strip(draw(3)), "3"),
}

MANY: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "two rows": (lambda: stacked(row("12345"), row("67890")), "12345/67890"),
    "rows that climb": (
        lambda: stacked(row("2357"), row("4689")).rotate(
            2, Image.Resampling.BICUBIC, fillcolor=255, expand=True
        ),
        "2357/4689",
    ),
    "small digits beside tall ones": (
        lambda: beside(row("5", margin=20), row("0", height=26, margin=20, pen=4),
                       row("0", height=26, margin=20, pen=4), row("6", margin=20)),
        "5006",
    ),
    "a dot far from a row": (lambda: with_dot(row("237"), 0.05), "237"),
    "cells": (lambda: celled("273", 0), "273"),
    "three rows of cells": (lambda: form("235", "476", "893"), "235/476/893"),
    "digits that leave their cells": (lambda: form("2357", "4682", astray=22), "2357/4682"),
    "a digit that strays from its row": (
        lambda: beside(row("23"), stacked(row("5"), Image.new("L", (60, 30), 255)), row("7")),
        "2357",
    ),
    "a frame drawn by hand": (lambda: framed_by_hand("2357"), "2357"),
    "a frame that the border cuts": (lambda: cut_frame("2357"), "2357"),
    "small squares": (lambda: fine_squares(row("2357", pen=8), 90, 30), "2357"),
    "cells paler than the pen": (lambda: celled("2735", 90), "2735"),
    "a framed row": (lambda: framed(row("2435"), 0), "2435"),
    "an underlined row": (lambda: underlined(row("2435"), 0), "2435"),
    **{
        f"{digits} that touch": (partial(row, digits, gap=-5), digits)
        for digits in ("27", "23", "53", "26")
    },
    "half a digit at the border": (lambda: cut_off("235"), "235"),
    "inks of several colours": (
        lambda: coloured(("2", YELLOW), ("3", BLACK), ("7", RED)), "237"
    ),
    "lines of single pixels": (pixel_row, "4722"),
}  # fmt: skip


def in_rows(readings: tuple[Reading, ...]) -> str:
    """What was read, a slash between rows, a question mark for what was rejected."""
    text = ""
    for index, reading in enumerate(readings):
        if index and reading.picture.row != readings[index - 1].picture.row:
            text += "/"
        digit = reading.prediction.digit
        text += "?" if digit is None else str(digit)
    return text


@pytest.mark.parametrize("kind", ONE)
def test_one_digit_is_read_as_it_was_meant(predictor: Predictor, kind: str) -> None:
    make, digit = ONE[kind]
    prediction = predictor(make())
    assert str(prediction.digit) == digit, prediction


@pytest.mark.parametrize("kind", MANY)
def test_every_digit_of_a_page_is_read_in_its_place(predictor: Predictor, kind: str) -> None:
    make, digits = MANY[kind]
    (result,) = predict_files(predictor, [make()], many=True)
    assert in_rows(result.readings) == digits


def test_specks_far_from_the_digit_are_counted(predictor: Predictor) -> None:
    (picture,) = split_digits(with_dot(draw(5), 0.05))
    assert "1 specks dropped" in picture.steps


def test_all_pages_are_read_where_many_digits_are_and_else_the_first_with_a_note(
    predictor: Predictor,
) -> None:
    pages = [draw(digit) for digit in (2, 3, 7)]
    for form in ("TIFF", "GIF"):
        data = encode(pages[0], form, save_all=True, append_images=pages[1:])
        (result,) = predict_files(predictor, [data], many=True)
        assert [r.prediction.digit for r in result.readings] == [2, 3, 7]
        assert [r.picture.page for r in result.readings] == [1, 2, 3]
        assert "the first of several pages read" in predictor(data).notes


def test_no_more_than_so_many_pages_are_read_and_that_is_said() -> None:
    page = draw(1, size=(28, 28), pen=3)
    data = encode(page, "TIFF", save_all=True, append_images=[page] * (MAX_PAGES + 5))
    pictures = split_digits(data)
    assert len(pictures) == MAX_PAGES
    assert pictures[0].notes == (f"only the first {MAX_PAGES} pages read",)


def test_what_is_not_read_surely_says_what_was_seen() -> None:
    class Unsure:
        name, version, device = "unsure", "1", "cpu"

        def run(self, images: np.ndarray) -> np.ndarray:
            return np.zeros((len(images), 10), np.float32)

        def close(self) -> None:
            pass

    with Predictor(Unsure(), reject_below=0.5) as unsure:  # type: ignore[arg-type]
        assert (
            "a frame or line touches the digit" in unsure(underlined(row("3"), 0, level=99)).notes
        )
        touching = unsure(tight(draw(3)))
        assert "it touches the border" in touching.notes
        assert "faint" in unsure(draw(3, ink=215, paper=250)).notes
        small = unsure(draw(3, size=(30, 30), box=(0.3, 0.35, 0.6, 0.65), pen=2))
        assert any("pixels high" in note for note in small.notes)


def test_the_softened_confidence_decides_what_is_rejected() -> None:
    class Two:
        name, version, device = "two", "1", "cpu"

        def run(self, images: np.ndarray) -> np.ndarray:
            logits = np.full((len(images), 10), -99.0, np.float32)
            logits[:, 3], logits[:, 8] = 1.0, 0.0
            return logits

        def close(self) -> None:
            pass

    probability = 1 / (1 + math.exp(-1))
    softened = 1 / (1 + math.exp(-0.5))
    for below, temperature, digit in (
        (probability - 0.01, 1.0, 3),
        (softened + 0.01, 2.0, None),
        (softened - 0.01, 2.0, 3),
    ):
        two = Predictor(Two(), reject_below=below, reject_temperature=temperature)  # type: ignore[arg-type]
        prediction = two(draw(3))
        assert prediction.digit == digit
        assert max(prediction.probabilities) == pytest.approx(probability, abs=1e-3)
