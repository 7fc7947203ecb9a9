"""Any picture to the (1, 1, 28, 28) that the nets take: the preprocessing contract.

`decode` reads the file, `paper` finds the ink on it, `digit` brings the ink to MNIST's size,
stroke and place. A picture that already is an MNIST digit goes through untouched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.contract import SIDE, Images, to_images
from mnist_edge.picture import paper
from mnist_edge.picture.components import Box
from mnist_edge.picture.decode import FORMATS, MAX_BYTES, MAX_PIXELS, read_picture
from mnist_edge.picture.digit import is_mnist_digit, normalise
from mnist_edge.picture.layout import group_digits, union

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Box",
    "Picture",
    "Source",
    "load_picture",
    "read_picture",
    "split_digits",
    "to_picture",
]

Source: TypeAlias = Path | str | bytes | BinaryIO | Image.Image | NDArray[np.generic]
"""A path, the bytes of a file, a binary stream, or a picture in memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What the net is fed, and how it came about.

    Attributes:
        pixels: (28, 28) uint8, white digit on black; all zero where `blank`.
        steps: what was done, in order; empty for a picture that already was an MNIST digit.
        blank: whether there is nothing to read.
        boxes: the digits found, left to right, in pixels of the upright source.
    """

    pixels: NDArray[np.uint8]
    steps: tuple[str, ...]
    blank: bool
    boxes: tuple[Box, ...]

    @property
    def images(self) -> Images:
        """The picture as input of a net: (1, 1, 28, 28) float32 in [0, 1]."""
        return to_images(self.pixels[None])


@dataclass(frozen=True, eq=False)
class _Digit:
    """The ink of one digit, alone on its page, and where it stands."""

    ink: NDArray[np.uint8]
    area: int
    box: Box


def load_picture(source: Source) -> Picture:
    """Read and normalise one picture with one digit on it.

    Arrays: see `paper.from_array` for shapes, types and ranges.

    Raises:
        BadInput: the source is no picture, or is damaged, too large or too small.
    """
    return to_picture(_image(source))


def to_picture(image: Image.Image) -> Picture:
    """Normalise a picture in memory. With several digits on it, the largest is taken."""
    if _is_ready(image):
        box = Box(left=0, top=0, right=SIDE, bottom=SIDE)
        return Picture(pixels=np.array(image), steps=(), blank=False, boxes=(box,))
    steps: list[str] = []
    digits = _find_digits(image, steps)
    if not digits:
        return _blank(steps)
    boxes = tuple(digit.box for digit in digits)
    if len(digits) > 1:
        steps.append(f"the largest of {len(digits)} digits taken")
    largest = max(digits, key=lambda digit: digit.area)
    pixels = normalise(largest.ink, steps)
    return Picture(pixels=pixels, steps=tuple(steps), blank=False, boxes=boxes)


def split_digits(source: Source) -> tuple[Picture, ...]:
    """Read a picture with any number of digits: one `Picture` for each, left to right.

    Of a blank picture, one that says so. Raises as `load_picture` does.
    """
    image = _image(source)
    if _is_ready(image):
        return (to_picture(image),)
    common: list[str] = []
    pictures = []
    for digit in _find_digits(image, common):
        steps = [*common]
        pixels = normalise(digit.ink, steps)
        pictures.append(Picture(pixels=pixels, steps=tuple(steps), blank=False, boxes=(digit.box,)))
    return tuple(pictures) or (_blank(common),)


def _image(source: Source) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return paper.from_array(source)
    return read_picture(source)


def _is_ready(image: Image.Image) -> bool:
    return (
        image.mode == "L"
        and image.size == (SIDE, SIDE)
        and not image.has_transparency_data
        and is_mnist_digit(np.asarray(image))
    )


def _find_digits(image: Image.Image, steps: list[str]) -> list[_Digit]:
    if getattr(image, "n_frames", 1) > 1:
        steps.append("first frame taken")
    grey = paper.grey_of(image, steps)
    ink = paper.find_ink(grey, steps)
    if ink is None:
        return []
    ink, parts = paper.drop_noise(ink, steps)
    groups = group_digits(parts)
    scale = max(image.size) / max(grey.shape)
    digits = []
    for group in groups:
        box = reduce(union, (parts.boxes[index] for index in group))
        area = int(parts.areas[list(group)].sum())
        alone = ink if len(groups) == 1 else paper.keep_parts(ink, parts, group)
        digits.append(_Digit(alone, area, _scaled(box, scale, image.size)))
    return digits


def _scaled(box: Box, scale: float, size: tuple[int, int]) -> Box:
    return Box(
        left=int(box.left * scale),
        top=int(box.top * scale),
        right=min(round(box.right * scale), size[0]),
        bottom=min(round(box.bottom * scale), size[1]),
    )


def _blank(steps: list[str]) -> Picture:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    return Picture(pixels=pixels, steps=(*steps, "no ink found"), blank=True, boxes=())
