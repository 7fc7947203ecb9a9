"""Any picture to the (1, 1, 28, 28) that the nets take: the preprocessing contract.

`decode` reads the file, `paper` finds the ink on it, `page` the digits in the ink, `digit` brings
each to MNIST's size, stroke and place. A picture that already is an MNIST digit goes through
untouched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.contract import SIDE, Images, to_images
from mnist_edge.picture import paper
from mnist_edge.picture.components import Box
from mnist_edge.picture.decode import read_pages
from mnist_edge.picture.digit import (
    BOX_SIDE,
    LETTER_SIDE,
    is_mnist_digit,
    is_white_on_black,
    normalise,
)
from mnist_edge.picture.page import Found, read_page, read_sign
from mnist_edge.picture.plain import shrink
from mnist_edge.picture.touching import halves
from mnist_edge.recipes.terms import Preprocessing

Source: TypeAlias = Path | str | bytes | BinaryIO | Image.Image | NDArray[np.generic]
"""A path, the bytes of a file, a binary stream, or a picture in memory."""

_TWO_WIDE = 0.8  # times its height: two that touch are not narrower

MAX_PAGES = 100
"""More of one file are not read."""

MAX_PAGE_PIXELS = 400_000_000
"""After so many pixels of all pages no further one is read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What the net is fed, and how it came about.

    Attributes:
        pixels: (28, 28) uint8, white digit on black; all zero where `blank`.
        steps: what was done, in order; empty for a picture that already was an MNIST digit.
        blank: whether there is nothing to read.
        boxes: the digits found, row by row from left to right, in pixels of the upright source.
        read: which of the boxes is that of `pixels`.
        row: of the digit, from the top of its page, from 1.
        page: of the file, from 1.
        notes: what a user should know in any case.
        seen: what may make the digit hard to read, for where it is not read surely.
        ink: the digit as it was found, where it may be several that touch.
        others: see `other_readings`.
    """

    pixels: NDArray[np.uint8]
    steps: tuple[str, ...]
    blank: bool
    boxes: tuple[Box, ...]
    read: int = 0
    row: int = 1
    page: int = 1
    notes: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    ink: NDArray[np.uint8] | None = None
    others: tuple[tuple[Picture, ...], ...] = ()

    @property
    def box(self) -> Box:
        """Where the digit of `pixels` stands; there is none in a blank picture."""
        return self.boxes[self.read]

    @property
    def images(self) -> Images:
        """The picture as input of a net: (1, 1, 28, 28) float32 in [0, 1]."""
        return to_images(self.pixels[None])


def load_picture(source: Source, preprocessing: Preprocessing = "digit") -> Picture:
    """Read and normalise one picture with one digit on it; of several pages the first.

    Arrays: see `paper.from_array` for shapes, types and ranges.

    Args:
        source: of the picture.
        preprocessing: for another net than one of digits, what its training pictures went through.
            A `letter` is all the ink, in EMNIST's frame; a `plain` picture is only made smaller.

    Raises:
        BadInput: the source is no picture, or is damaged, too large or too small.
    """
    image = next(_pages(source))
    match preprocessing:
        case "digit":
            return to_picture(image)
        case "letter":
            return _letter(image)
        case "plain":
            return _plain(image)


def to_picture(image: Image.Image) -> Picture:
    """Normalise a picture in memory. With several digits on it, the largest is taken."""
    if _is_ready(image):
        return _ready(image)
    steps: list[str] = []
    notes: tuple[str, ...] = ()
    if getattr(image, "is_animated", False):
        steps.append("first frame taken")
        notes = ("the first of several pages read",)
    page = read_page(image, steps, many=False)
    if not page.digits:
        return _blank(steps, notes)
    if len(page.digits) == 1:
        return replace(_picture(page.digits[0], steps), notes=notes)
    others: tuple[tuple[Picture, ...], ...] = ()
    if page.whole is not None:
        whole = _picture(page.whole, [*steps, "all pieces taken as one digit"])
        others = ((replace(whole, notes=notes),),)
    steps.append(f"the largest of {len(page.digits)} digits taken")
    read = max(range(len(page.digits)), key=lambda index: page.digits[index].area)
    note = f"{len(page.digits)} digits found, the largest read"
    boxes = tuple(digit.box for digit in page.digits)
    largest = replace(_picture(page.digits[read], steps), boxes=boxes, read=read)
    return replace(largest, notes=(*notes, note), others=others)


def split_digits(source: Source) -> tuple[Picture, ...]:
    """Read a picture with any number of digits: one `Picture` for each, in reading order.

    Of several pages all are read, one after the other. Of a picture that is blank, one that says
    so. Raises as `load_picture` does.
    """
    pictures: list[Picture] = []
    blank = _blank([], ())
    pixels = 0
    for number, image in enumerate(_pages(source), start=1):
        if number > MAX_PAGES or pixels > MAX_PAGE_PIXELS:
            note = f"only the first {number - 1} pages read"
            pictures = [replace(p, notes=(*p.notes, note)) for p in pictures]
            blank = replace(blank, notes=(*blank.notes, note))
            break
        pixels += image.width * image.height
        steps: list[str] = []
        pictures += [replace(picture, page=number) for picture in _split(image, steps)]
        if number == 1:
            blank = _blank(steps, ())
    return tuple(pictures) or (blank,)


def other_readings(picture: Picture) -> tuple[tuple[Picture, ...], ...]:
    """Other ways to read the ink of a picture: each gives what would take the picture's place.

    One digit in pieces; or, of a digit as wide as two may be, ways to part it.
    """
    if picture.ink is None:
        return picture.others
    (box,) = picture.boxes
    if box.width < _TWO_WIDE * box.height:
        return ()
    return tuple(tuple(_half(picture, ink) for ink in pair) for pair in halves(picture.ink))


def _half(picture: Picture, ink: NDArray[np.uint8]) -> Picture:
    """One side of a digit that is parted."""
    assert picture.ink is not None
    (whole,) = picture.boxes
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    down, across = whole.height / ink.shape[0], whole.width / ink.shape[1]
    box = Box(
        left=whole.left + int(columns[0] * across),
        top=whole.top + int(rows[0] * down),
        right=whole.left + round((columns[-1] + 1) * across),
        bottom=whole.top + round((rows[-1] + 1) * down),
    )
    steps = ["parted from the digit that it touches"]
    pixels = normalise(ink, steps)
    return replace(
        picture, pixels=pixels, steps=(*picture.steps, *steps), boxes=(box,), ink=ink, seen=()
    )


def _pages(source: Source) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        return iter((source,))
    if isinstance(source, np.ndarray):
        return iter((paper.from_array(source),))
    return read_pages(source)


def _is_ready(image: Image.Image) -> bool:
    return _fits(image) and is_mnist_digit(np.asarray(image))


def _fits(image: Image.Image) -> bool:
    return image.mode == "L" and image.size == (SIDE, SIDE) and not image.has_transparency_data


def _ready(image: Image.Image) -> Picture:
    box = Box(left=0, top=0, right=SIDE, bottom=SIDE)
    return Picture(pixels=np.array(image), steps=(), blank=False, boxes=(box,))


def _letter(image: Image.Image) -> Picture:
    """All the ink as one sign, its dots and accents included; 28×28 white on black as it is."""
    if _fits(image) and is_white_on_black(np.asarray(image)):
        return _ready(image)
    steps: list[str] = []
    sign = read_sign(image, steps)
    return _blank(steps, ()) if sign is None else _picture(sign, steps, side=LETTER_SIDE)


def _plain(image: Image.Image) -> Picture:
    """The whole picture; 28×28 as it is."""
    if _fits(image):
        return _ready(image)
    steps: list[str] = []
    pixels = shrink(image, steps)
    box = Box(left=0, top=0, right=image.width, bottom=image.height)
    return Picture(pixels=pixels, steps=tuple(steps), blank=False, boxes=(box,))


def _split(image: Image.Image, steps: list[str]) -> list[Picture]:
    """The digits of one page."""
    if _is_ready(image):
        return [_ready(image)]
    return [
        replace(_picture(digit, steps), ink=digit.ink)
        for digit in read_page(image, steps, many=True).digits
    ]


def _picture(digit: Found, common: list[str], side: int = BOX_SIDE) -> Picture:
    steps = [*common]
    pixels = normalise(digit.ink, steps, side)
    return Picture(
        pixels=pixels,
        steps=tuple(steps),
        blank=False,
        boxes=(digit.box,),
        row=digit.row,
        seen=digit.seen,
    )


def _blank(steps: list[str], notes: tuple[str, ...]) -> Picture:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    told = (*steps, "no ink found")
    return Picture(pixels=pixels, steps=told, blank=True, boxes=(), notes=notes)
