"""Digits rendered from the TrueType fonts that matplotlib ships: a data set without a network.

Each digit is a glyph under its own affine map and waves, drawn with its own pen: a glyph is kept
as a signed distance field, so that the thickness and the softness of its strokes are two numbers
(C. Green, "Improved Alpha-Tested Magnification for Vector Textures and Special Effects", SIGGRAPH
2007). The result is framed as MNIST is.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mnist_edge.contract import SIDE, Labels, RawImages
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import MissingDependency, install_advice
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.classes import DIGITS

Floats: TypeAlias = NDArray[np.float32]

# The fonts whose 0 to 9 are plain digits. DejaVu Sans Mono has a dot in its zero.
_SANS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique", "cmss10")
_SERIF = (
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmti10", "cmtt10"),
)

_FIELD = 96  # side of a distance field, in cells
_GLYPH = 60  # height of the glyph in it
_CANVAS = 64  # side of the canvas on which a digit is drawn before it is framed
_BOX = 20  # side of the box that holds the ink of an MNIST digit
_CHUNK = 500  # digits drawn at once: their arrays stay in the processor's cache


def rendered_data(
    train_size: int = 20_000,
    test_size: int = 4_000,
    seed: int = 0,
    progress: Progress = silent,
) -> DataSet:
    """Render a whole data set. The same arguments and library versions give the same digits.

    Raises:
        MissingDependency: matplotlib, whose fonts are used, is not installed.
    """
    total = train_size + test_size
    note = "digits rendered"
    train, test = SeedSequence(seed).spawn(2)
    train_images, train_labels = _render(
        train_size, train, lambda done: progress(done, total, note)
    )
    test_images, test_labels = _render(
        test_size, test, lambda done: progress(train_size + done, total, note)
    )
    return DataSet(
        name="rendered",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def _render(
    count: int, seed: SeedSequence, report: Callable[[int], None]
) -> tuple[RawImages, Labels]:
    """Digits (count, 28, 28) uint8, each class equally often, in random order; and their labels."""
    rng = default_rng(seed)
    fields, classes = _glyphs()
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(DIGITS))
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    for start in range(0, count, _CHUNK):
        chunk = slice(start, min(start + _CHUNK, count))
        choices = [rng.choice(np.flatnonzero(classes == label)) for label in labels[chunk]]
        for image, canvas in zip(images[chunk], _draw(fields[choices], rng), strict=True):
            image[:] = _framed(canvas)
        report(chunk.stop)
    return images, labels


def _draw(fields: Floats, rng: Generator) -> RawImages:
    """Draw each glyph once with its own distortion and pen: (N, _CANVAS, _CANVAS) uint8."""
    count = len(fields)

    def uniform(low: float, high: float) -> Floats:
        return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)

    # For every pixel of the canvas, where in the field it looks: the inverse of the distortion.
    # The ranges are bounded, so that hardly a digit leaves the canvas and none folds over itself.
    axis = np.linspace(-1.4, 1.4, _CANVAS, dtype=np.float32)
    y, x = axis[None, :, None], axis[None, None, :]
    angle, aspect = uniform(-0.2, 0.2), np.exp(uniform(-0.35, 0.15))
    cos, sin = np.cos(angle), np.sin(angle)
    u = (cos * x - sin * y) * aspect
    v = (sin * x + cos * y) / aspect
    u = u * (1 + uniform(-0.3, 0.3) * v) + uniform(-0.2, 0.5) * v
    v = v + uniform(-0.3, 0.3) * v * v
    u = u + uniform(0.0, 0.12) * np.sin(uniform(2, 6) * v + uniform(0, 2 * np.pi))
    v = v + uniform(0.0, 0.12) * np.sin(uniform(2, 6) * u + uniform(0, 2 * np.pi))
    distance = _sample(fields, u, v)

    half_width = uniform(1.5, 4.5)
    softness = uniform(1.8, 4.0)
    ink = 0.5 - (distance - half_width) / softness
    drawn: RawImages = (np.clip(ink, 0.0, 1.0) * 255).astype(np.uint8)
    return drawn


def _sample(fields: Floats, u: NDArray[np.floating], v: NDArray[np.floating]) -> Floats:
    """The nearest cell of each field at (u, v) in [-1, 1]."""
    scale = np.float32((_FIELD - 1) / 2)
    column = np.clip((u + 1) * scale + 0.5, 0, _FIELD - 1).astype(np.intp)
    row = np.clip((v + 1) * scale + 0.5, 0, _FIELD - 1).astype(np.intp)
    distance: Floats = fields[np.arange(len(fields))[:, None, None], row, column]
    return distance


def _framed(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One drawn digit, sized and placed as MNIST does it: (28, 28) uint8.

    The tight box around the ink, padded to a square, resampled to 20x20 by area, brightest pixel
    at 255, shifted by whole pixels until the centre of mass falls on pixel (14, 14).
    """
    rows, columns = np.flatnonzero(canvas.any(1)), np.flatnonzero(canvas.any(0))
    ink = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = ink.shape
    side = max(height, width)
    square = np.zeros((side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = ink
    box = Image.fromarray(square).resize((_BOX, _BOX), Image.Resampling.BOX)
    small = np.asarray(box, np.float32)
    small = np.rint(small * (255 / small.max()))
    middle = np.arange(_BOX) @ np.stack([small.sum(1), small.sum(0)], 1) / small.sum()
    # The box must stay inside; no digit is so lopsided that this clips its shift by much.
    y, x = np.clip(np.rint(SIDE / 2 - middle).astype(int), 0, SIDE - _BOX)
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[y : y + _BOX, x : x + _BOX] = small
    return image


@cache
def _glyphs() -> tuple[Floats, NDArray[np.int64]]:
    """The distance fields of every glyph (G, _FIELD, _FIELD), and their classes (G,)."""
    folder = _font_folder()
    fields, classes = [], []
    for name in (*_SANS, *_SERIF):
        font = ImageFont.truetype(str(folder / f"{name}.ttf"), _FIELD)
        # Printed ones have a foot and a flag; most written ones are a bare stroke.
        for character in (*DIGITS, "l", "I") if name in _SANS else DIGITS:
            fields.append(_distance_field(_glyph(font, character)))
            classes.append(1 if character in "lI" else DIGITS.index(character))
    return np.stack(fields), np.array(classes)


def _glyph(font: ImageFont.FreeTypeFont, character: str) -> NDArray[np.bool_]:
    """One glyph, `_GLYPH` cells high, in the middle of a field: (_FIELD, _FIELD) bool."""
    left, top, right, bottom = font.getbbox(character)
    glyph = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(glyph).text((-left, -top), character, font=font, fill=255)
    width = round(glyph.width * _GLYPH / glyph.height)
    field = Image.new("L", (_FIELD, _FIELD))
    field.paste(glyph.resize((width, _GLYPH)), ((_FIELD - width) // 2, (_FIELD - _GLYPH) // 2))
    return np.asarray(field) > 127


def _distance_field(inside: NDArray[np.bool_]) -> Floats:
    """Distance of each cell to the line that a fine pen would have drawn the glyph with.

    The distance to the outline is negative inside and lowest along the middle of the strokes.
    Raised by the depth of the finer strokes' middle, all fonts have the same hair's thickness,
    bold or not, and the pen gives each its own.
    """
    field = _distance_to(inside) - _distance_to(~inside)
    neighbours = np.stack([np.roll(field, step, axis) for axis in (0, 1) for step in (-1, 1)])
    ridge = inside & (field <= neighbours.min(0))
    return field - np.float32(np.quantile(field[ridge], 0.75))


def _distance_to(mask: NDArray[np.bool_]) -> Floats:
    """Euclidean distance of every cell to the nearest true cell of a square mask.

    Separable: along the columns first, then the lower envelope of the parabolas along the rows
    (P. Felzenszwalb, D. Huttenlocher, "Distance Transforms of Sampled Functions", 2012).
    """
    axis = np.arange(len(mask), dtype=np.float32)
    square = (axis[:, None] - axis) ** 2
    column = np.where(mask[None], square[:, :, None], np.inf).min(1)
    distance: Floats = np.sqrt((column[:, None, :] + square[None]).min(2))
    return distance


def _font_folder() -> Path:
    # Found without importing matplotlib, which takes half a second and writes a font cache.
    found = importlib.util.find_spec("matplotlib")
    for location in (found and found.submodule_search_locations) or ():
        folder = Path(location, "mpl-data", "fonts", "ttf")
        if folder.is_dir():
            return folder
    raise MissingDependency(
        "matplotlib, whose fonts are needed to render digits, is not installed",
        fix=install_advice({"matplotlib"}),
    )
