"""Digits drawn with a pen, for tests that may not use real ones."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

# Strokes on a unit square, (x, y) with y down; an arc is a list of many points.
Stroke = list[tuple[float, float]]


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Stroke:
    angles = np.radians(np.linspace(start, end, 40))
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in angles]


STROKES: dict[int, list[Stroke]] = {
    0: [_arc(0.5, 0.5, 0.3, 0.46, 0, 360)],
    1: [[(0.38, 0.2), (0.52, 0.04), (0.5, 0.96)]],
    2: [[*_arc(0.5, 0.28, 0.27, 0.24, 190, 390), (0.22, 0.94), (0.8, 0.94)]],
    3: [_arc(0.48, 0.27, 0.26, 0.23, 200, 450), _arc(0.48, 0.72, 0.3, 0.24, 270, 510)],
    4: [[(0.6, 0.04), (0.18, 0.64), (0.84, 0.64)], [(0.62, 0.36), (0.62, 0.97)]],
    5: [
        [(0.76, 0.05), (0.3, 0.05), (0.27, 0.45), *_arc(0.48, 0.67, 0.28, 0.28, 235, 505)],
    ],
    6: [[(0.66, 0.05), (0.42, 0.3), *_arc(0.5, 0.7, 0.26, 0.26, 190, 550)]],
    7: [[(0.2, 0.06), (0.8, 0.06), (0.42, 0.96)]],
    8: [_arc(0.5, 0.27, 0.22, 0.22, 0, 360), _arc(0.5, 0.73, 0.28, 0.24, 0, 360)],
    9: [_arc(0.48, 0.3, 0.25, 0.25, 0, 360), [(0.73, 0.3), (0.7, 0.6), (0.6, 0.96)]],
}

HANDS: dict[str, tuple[int, list[Stroke]]] = {
    "a 1 with a wide foot": (
        1,
        [[(0.0, 0.65), (0.62, 0.1), (0.48, 0.85)], [(0.1, 1.0), (1.2, 0.85)]],
    ),
    "a 1 with a straight wide foot": (
        1,
        [[(0.3, 0.5), (0.5, 0.0), (0.5, 1.0)], [(-0.2, 1.0), (1.1, 1.02)]],
    ),
    "a 1 with a long flag": (1, [[(0.1, 0.6), (0.6, 0.0), (0.42, 1.0)]]),
    "a 1 with a flag that swings": (
        1,
        [[(0.0, 0.5), (0.2, 0.18), (0.6, 0.0), (0.5, 0.5), (0.45, 1.0)]],
    ),
    "a narrow 3": (
        3,
        [
            [
                (0.2, 0.37),
                (0.2, 0.1),
                (0.35, 0.01),
                (0.53, 0.0),
                (0.65, 0.08),
                (0.65, 0.28),
                (0.43, 0.4),
                (0.65, 0.6),
                (0.8, 0.76),
                (0.77, 0.92),
                (0.59, 1.0),
                (0.38, 0.92),
            ]
        ],
    ),
    "a curled 4": (
        4,
        [
            [
                (0.95, 0.0),
                (0.1, 0.58),
                (0.12, 0.64),
                (0.77, 0.68),
                (0.75, 0.62),
                (0.66, 0.55),
                (0.66, 0.72),
                (0.58, 1.0),
            ]
        ],
    ),
    "a slashed 0": (0, [_arc(0.5, 0.5, 0.3, 0.46, -60, 310), [(0.85, 0.05), (0.15, 0.95)]]),
    "a barred 7": (7, [[(0.15, 0.05), (0.85, 0.03), (0.4, 1.0)], [(0.3, 0.52), (0.85, 0.48)]]),
    "a 6 whose loop crosses its back": (
        6,
        [[(0.7, 0.0), (0.35, 0.35), *_arc(0.5, 0.72, 0.28, 0.25, 190, -170), (0.1, 0.7)]],
    ),
}
"""Hands that MNIST's writers did not have, by their names."""


def draw(
    digit: int,
    *,
    size: tuple[int, int] = (280, 280),
    box: tuple[float, float, float, float] = (0.2, 0.15, 0.8, 0.85),
    pen: int = 18,
    ink: int = 0,
    paper: int = 255,
    strokes: list[Stroke] | None = None,
) -> Image.Image:
    """A digit as from a mouse: grey, round pen.

    Args:
        digit: 0 to 9.
        size: width and height of the picture, in pixels.
        box: left, top, right, bottom of the digit, as shares of the picture.
        pen: its width in pixels.
        ink: brightness of the strokes.
        paper: brightness of all else.
        strokes: of another hand.
    """
    image = Image.new("L", size, paper)
    pencil = ImageDraw.Draw(image)
    left, top, right, bottom = box
    for stroke in strokes or STROKES[digit]:
        points = [
            ((left + x * (right - left)) * size[0], (top + y * (bottom - top)) * size[1])
            for x, y in stroke
        ]
        pencil.line(points, fill=ink, width=pen, joint="curve")
        radius = pen / 2 - 0.5
        for x, y in (points[0], points[-1]):
            pencil.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return image


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of two pictures, a little blurred: 1 for the same, about 0 for unrelated ones."""
    return float(np.corrcoef(_blurred(one), _blurred(other))[0, 1])


def _blurred(array: NDArray[np.uint8]) -> NDArray[np.float64]:
    image = Image.fromarray(array).filter(ImageFilter.GaussianBlur(1.5))
    return np.asarray(image).ravel().astype(np.float64)


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The bytes of a file in that format."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
