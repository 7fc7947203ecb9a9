"""From ink to the 28×28 that the nets know: size, stroke and place as in MNIST.

The order is MNIST's own (LeCun et al., "The MNIST database"): fit into 20×20, then put the centre
of mass in the middle of 28×28; only the stroke width is ours to bring near.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.contract import SIDE

BOX_SIDE = 20
LETTER_SIDE = 24
"""Of a letter in EMNIST, which has two pixels around it (Cohen et al., IJCNN 2017)."""

FINE = 4
"""Strokes are measured and changed at this many times the final resolution."""

STROKE = 2.2
"""Pixels of 28 by 28: the median over MNIST, measured by `stroke_width` at the fine resolution."""

_TOLERANCE = 0.3  # half the spread between MNIST's quartiles: nothing to mend
_MAX_CHANGE = 2.0  # more would close the loops of an 8
_MARGIN = 8  # room for strokes to grow, in fine pixels
_MIN_FINE = 2  # the thinnest line, in fine pixels, that averaging down keeps


def is_mnist_digit(grey: NDArray[np.uint8]) -> bool:
    """Whether (H, W) already is normalised as MNIST is; it must then not be touched.

    Of all 70,000 digits the background is exact zero, the longer side of the ink is 18 to 20
    pixels, and the centre of mass lies within half a pixel of (14, 14).
    """
    if grey.shape != (SIDE, SIDE) or grey.max() < 200 or np.count_nonzero(grey) > SIDE * SIDE * 0.6:
        return False
    columns, rows = grey.sum(axis=0, dtype=np.int64), grey.sum(axis=1, dtype=np.int64)
    across, down = np.flatnonzero(columns), np.flatnonzero(rows)
    longest = max(across[-1] - across[0], down[-1] - down[0]) + 1
    if not BOX_SIDE - 2 <= longest <= BOX_SIDE:
        return False
    total, places = columns.sum(), np.arange(SIDE)
    centre = np.array([columns @ places, rows @ places]) / total
    return bool(np.abs(centre - SIDE / 2).max() <= 0.51)


def is_white_on_black(grey: NDArray[np.uint8]) -> bool:
    """Whether (28, 28) looks as data sets of letters do: its border black, its ink bright."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool(np.median(border) == 0 and grey.max() >= 200)


def normalise(ink: NDArray[np.uint8], steps: list[str], side: int = BOX_SIDE) -> NDArray[np.uint8]:
    """Bring ink (H, W), 0 to 255, white on black, to one MNIST-like digit (28, 28) uint8.

    A `side` of 24 pixels gives an EMNIST-like letter, whose box is what stands in the middle.
    """
    fine = _enlarge(_tight(ink))
    fine = _tight(_bring_stroke(fine, steps))
    small = _shrink(fine, side)
    return _centre(small) if side == BOX_SIDE else framed(small)


def stroke_width(ink: NDArray[np.uint8]) -> float:
    """Mean width of the strokes, in pixels.

    A stroke of width w and length l has the area w·l and an outline of 2·l, and the length of the
    outline is the total variation of the picture (the coarea formula).
    """
    values = ink.astype(np.float32)
    across = values[:-1, 1:] - values[:-1, :-1]
    down = values[1:, :-1] - values[:-1, :-1]
    outline = float(np.sqrt(across * across + down * down).sum())
    return 2 * float(values.sum()) / outline if outline else 0.0


def _tight(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut to the strokes: where on the page a digit stands says nothing about it."""
    mask = ink > 63
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _enlarge(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring the longer side to 80 pixels, with room around it for the strokes to grow."""
    scale = BOX_SIDE * FINE / max(ink.shape)
    if scale < 1:
        # Averaged down, a line thinner than two pixels would fade away.
        ink = padded(ink, round(1 / scale))
        for _ in range(round((_MIN_FINE / scale - stroke_width(ink)) / 2)):
            ink = _grow(ink, square=False)
        ink = _tight(ink)
        scale = BOX_SIDE * FINE / max(ink.shape)
    height, width = ink.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    kind = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    framed = padded(ink, 1) if scale > 1 else ink
    fine = Image.fromarray(framed).resize(size, kind, box=_inner(framed, ink))
    return padded(np.asarray(fine), _MARGIN)


def padded(ink: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    """The ink (H, W) with a black margin of so many pixels on each side."""
    # numpy.pad is an order of magnitude slower on arrays as small as these.
    height, width = ink.shape
    framed = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
    framed[margin : margin + height, margin : margin + width] = ink
    return framed


def _inner(framed: NDArray[np.uint8], ink: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    edge = (framed.shape[0] - ink.shape[0]) // 2
    return (edge, edge, edge + ink.shape[1], edge + ink.shape[0])


def _bring_stroke(fine: NDArray[np.uint8], steps: list[str]) -> NDArray[np.uint8]:
    """Thicken a thin pen and thin a felt tip: nets have seen MNIST's pencil only."""
    # Steepened at half height, so that growing moves an edge and not a slope.
    sharp = np.clip((fine.astype(np.int16) - 96) * 4, 0, 255).astype(np.uint8)
    width = stroke_width(sharp) / FINE
    change = float(np.clip(STROKE - width, -_MAX_CHANGE, _MAX_CHANGE))
    if abs(change) < _TOLERANCE:
        return fine
    steps.append(f"strokes brought from {width:.1f} to {width + change:.1f} pixels")
    for step in range(round(abs(change) * FINE / 2)):
        square = step % 2 == 1
        sharp = _grow(sharp, square=square) if change > 0 else ~_grow(~sharp, square=square)
    return sharp


def _grow(ink: NDArray[np.uint8], *, square: bool) -> NDArray[np.uint8]:
    """Move every edge out by one pixel; cross and square in turn make nearly a circle."""
    rows = ink.copy()
    np.maximum(rows[1:], ink[:-1], out=rows[1:])
    np.maximum(rows[:-1], ink[1:], out=rows[:-1])
    base = rows if square else ink
    grown = rows.copy()
    np.maximum(grown[:, 1:], base[:, :-1], out=grown[:, 1:])
    np.maximum(grown[:, :-1], base[:, 1:], out=grown[:, :-1])
    return grown


def _shrink(fine: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Average down so that the longer side is so many pixels, the brightest at 255."""
    height, width = fine.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(fine).resize(size, Image.Resampling.BOX)).astype(np.float32)
    bright: NDArray[np.uint8] = (small * (255 / small.max()) + 0.5).astype(np.uint8)
    return bright


def _centre(digit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the centre of mass on pixel (14, 14) by a whole shift, as MNIST does."""
    height, width = digit.shape
    total = digit.sum(dtype=np.int64)
    down = (digit.sum(axis=1, dtype=np.int64) @ np.arange(height)) / total
    across = (digit.sum(axis=0, dtype=np.int64) @ np.arange(width)) / total
    top = min(max(round(SIDE / 2 - down), 0), SIDE - height)
    left = min(max(round(SIDE / 2 - across), 0), SIDE - width)
    return _placed(digit, top, left)


def framed(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the middle of the box in the middle of (28, 28), as EMNIST does."""
    height, width = small.shape
    return _placed(small, (SIDE - height) // 2, (SIDE - width) // 2)


def _placed(small: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[top : top + small.shape[0], left : left + small.shape[1]] = small
    return pixels
