"""From a picture in memory to its ink: white strokes on black, noise and uneven light removed.

Every function is one step of the contract and gives its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mnist_edge.errors import BadInput
from mnist_edge.picture.digit import padded

Grey: TypeAlias = NDArray[np.uint8]
"""(H, W), 0 is black, 255 is white."""

Mask: TypeAlias = NDArray[np.bool_]
"""(H, W)."""

Place: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom, as Pillow has them."""

INK = 127
"""More is ink, in the `values` of `Ink`."""

WORK_SIDE = 400  # a digit that fills a twentieth of it still has MNIST's 20 pixels
MIN_SIDE = 5  # the fewest pixels across in which a digit can be told
MIN_CONTRAST = 24  # of 255: above the grain of a camera, below a hard pencil
MIN_COHERENCE = 0.18  # noise has 0, the thinnest pen on 28x28 pixels 0.4, on 10x40 pixels 0.23

_TINY_SIDE, _ENLARGED = 20, 4  # the lines of single pixels on such pages need room

_FAINTEST = 0.05  # of a typical stroke: less is the soft rim of something
_THUMB_SIDE = 48  # light changes slowly
_DEEP_SHADOW = 64
_UNEVEN = 12  # difference between half sides that is more than grain
_HIDDEN = 0.6  # of its distance in colour: an ink of less brightness than that is hidden
_SOME = 0.03  # of the ink
_STRIP_PIXELS = 1 << 18
_MOST_PIXELS = 2_000_000  # after reduction: twelve times those of a page that is no thin line
WIDE_MODES = ("F", "I", "I;16", "I;16L", "I;16B", "I;16N")
"""Of more than 8 bits."""


def from_array(array: NDArray[np.generic]) -> Image.Image:
    """Take an array as a picture.

    Args:
        array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA; a fourth channel is opacity. uint8 in
            0 to 255, floats in 0 to 1, or bool. Which of ink and paper is the brighter one is
            found from the border, as for files.

    Raises:
        BadInput: another shape, dtype or range, NaN or infinity.
    """
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise BadInput(
            f"an array of shape {array.shape} is no picture",
            fix="pass (height, width), (height, width, 3) or (height, width, 4)",
        )
    if array.dtype == np.bool_:
        return _image(array.astype(np.uint8) * np.uint8(255))
    if array.dtype == np.uint8:
        return _image(array.view(np.uint8))
    if array.dtype.kind != "f":
        raise BadInput(
            f"an array of {array.dtype} has no known range",
            fix="pass uint8 in 0 to 255, floats in 0 to 1, or bool",
        )
    floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise BadInput("the array holds NaN or infinity", fix="clean it before prediction")
    if floats.size and (floats.min() < 0 or floats.max() > 1):
        raise BadInput(
            f"the array lies in [{floats.min():g}, {floats.max():g}], floats must be in [0, 1]",
            fix="divide by its largest value, or pass uint8 in 0 to 255",
        )
    return _image((floats * 255 + 0.5).astype(np.uint8))


def reduction(size: tuple[int, int], side: int = WORK_SIDE) -> int:
    """How many times a picture is reduced, so that it has at most so many pixels squared."""
    factor = math.ceil(math.sqrt(size[0] * size[1]) / side)
    return max(1, min(factor, min(size) // MIN_SIDE))


def grey_of(image: Image.Image, factor: int, steps: list[str], place: Place | None = None) -> Grey:
    """One brightness per pixel, whatever the mode, of a picture reduced so many times.

    Args:
        image: of any mode.
        factor: see `reduction`.
        steps: told what was done.
        place: the part to look at; the whole by default.
    """
    place = place or (0, 0, *image.size)
    width, height = size_of(place)
    if min(width, height) < MIN_SIDE:
        raise BadInput(
            f"{width}x{height} pixels are too few for a digit",
            fix=f"give a picture of at least {MIN_SIDE}x{MIN_SIDE} pixels",
        )
    if width * height > factor**2 * _MOST_PIXELS:
        raise BadInput(
            f"{width}x{height} pixels are a line and no page", fix="cut the digits out of it"
        )
    if image.mode in WIDE_MODES:
        image, place = _scale_depth(image, place, steps), (0, 0, width, height)
    if image.has_transparency_data:
        return _composite(reduced(image, place, "RGBA", factor, steps), steps)
    image = reduced(image, place, "L" if image.mode in ("1", "L") else "RGB", factor, steps)
    return np.asarray(image) if image.mode == "L" else _weigh_colours(image, steps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ink:
    """White ink on black paper.

    Attributes:
        values: (H, W); paper is 0, the typical stroke 255, with a soft edge between.
        shares: (H, W) how much darker than the paper each pixel is, before paper was made black.
        faint: the least share that may be a stroke, for it stands out of the paper's own grain.
        top: the share of the typical stroke.
    """

    values: Grey
    shares: Grey
    faint: int
    top: int


def find_ink(grey: Grey, steps: list[str]) -> Ink | None:
    """The ink on a page of either polarity; None where there is nothing but paper."""
    if int(grey.max()) - int(grey.min()) < MIN_CONTRAST:
        return None
    dark = _turn_dark_on_bright(grey, steps)
    ink = _flatten_light(dark, steps)
    if _coherence(ink) < MIN_COHERENCE:
        return None
    if min(ink.shape) < _TINY_SIDE:
        steps.append(f"enlarged {_ENLARGED} times")
        size = (_ENLARGED * ink.shape[1], _ENLARGED * ink.shape[0])
        ink = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC))
    counts = np.bincount(ink.ravel(), minlength=256)
    level = _otsu(counts)
    if not counts[level + 1 :].any():
        return None
    if _quantile(counts, level, 0.5) < MIN_CONTRAST <= int(ink.max()) // 2:
        level = int(ink.max()) // 3  # so little ink that the two tones parted are the paper's
    paper = counts[: level + 1]
    # Ruled lines are paler than the pen: what has not half the ink of the strokes is none.
    level = max(level, _quantile(counts, level, 0.9) // 2)
    top = _quantile(counts, level, 0.5)
    if top < MIN_CONTRAST:
        return None
    grain = int(np.searchsorted(np.cumsum(paper), 0.9 * paper.sum()))
    faint = min(max(2 * grain + 2, round(_FAINTEST * top)), level // 2)
    return Ink(values=_clear_paper(ink, level, top), shares=ink, faint=faint, top=top)


def size_of(place: Place) -> tuple[int, int]:
    """Its width and height."""
    return place[2] - place[0], place[3] - place[1]


def grown(mask: Mask) -> Mask:
    """The mask and every pixel that touches it."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    wider = rows.copy()
    wider[:, 1:] |= rows[:, :-1]
    wider[:, :-1] |= rows[:, 1:]
    return wider


def _image(array: NDArray[np.uint8]) -> Image.Image:
    if 0 in array.shape:
        raise BadInput(f"an array of shape {array.shape} is empty", fix="pass a picture")
    return Image.fromarray(np.ascontiguousarray(array))


def _scale_depth(image: Image.Image, place: Place, steps: list[str]) -> Image.Image:
    """Bring 16 and 32 bits to 8 by the picture's own range: Pillow would clip them at 255."""
    low, high = math.inf, -math.inf
    for _, values in _wide_strips(image, place):
        if not np.isfinite(values).all():
            raise BadInput("the picture holds NaN or infinity", fix="save it as an 8-bit PNG")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    span = high - low
    steps.append(f"range {low:g} to {high:g} scaled to 8 bits")
    scaled = Image.new("L", size_of(place))
    for top, values in _wide_strips(image, place):
        grey = ((values - low) * (255 / span if span else 0)).astype(np.uint8)
        scaled.paste(Image.fromarray(grey), (0, top))
    return scaled


def _wide_strips(image: Image.Image, place: Place) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for top, strip in _strips(image, place, 1):
        yield top, np.asarray(strip).astype(np.float64)


def _strips(image: Image.Image, place: Place, factor: int) -> Iterator[tuple[int, Image.Image]]:
    """A picture from top to bottom in parts, whose copies take little memory.

    Args:
        image: which may be large.
        place: the part of it that is wanted.
        factor: of which the height of each part is a multiple, but for the last.

    Yields:
        The first row of each part, counted from that of the place, and the part.
    """
    left, top, right, bottom = place
    rows = factor * max(1, _STRIP_PIXELS // ((right - left) * factor))
    for row in range(top, bottom, rows):
        yield row - top, image.crop((left, row, right, min(bottom, row + rows)))


def reduced(
    image: Image.Image, place: Place, mode: str, factor: int, steps: list[str]
) -> Image.Image:
    """Average large pictures down: a digit is as readable, and all that follows is faster."""
    if factor == 1:
        image = image if size_of(place) == image.size else image.crop(place)
        return image if image.mode == mode else image.convert(mode)
    steps.append(f"reduced {factor} times")
    if image.mode == mode != "RGBA":  # of which Pillow would make a copy, multiplied by opacity
        return image.reduce(factor, place)
    width, height = size_of(place)
    small = Image.new(mode, (-(-width // factor), -(-height // factor)))
    for top, strip in _strips(image, place, factor):
        small.paste(strip.convert(mode).reduce(factor), (0, top // factor))
    return small


def _weigh_colours(image: Image.Image, steps: list[str]) -> Grey:
    """Brightness, or where that hides an ink, how far each pixel is from the paper's colour."""
    luma = np.asarray(image.convert("L"))
    bands = [np.asarray(band) for band in image.split()]
    far = np.zeros_like(luma)
    for band in bands:
        np.maximum(far, _distance(band, _median(_border(band))), out=far)
    level = _median(_border(luma))
    strong = far > max(MIN_CONTRAST, int(far.max()) // 2)
    hidden = strong & (_distance(luma, level) < far * np.float32(_HIDDEN))
    if np.count_nonzero(hidden) <= _SOME * np.count_nonzero(strong):
        return luma
    steps.append("distance from the paper's colour taken")
    return 255 - far if level >= 128 else far


def _distance(band: Grey, level: int) -> Grey:
    return np.maximum(band, np.uint8(level)) - np.minimum(band, np.uint8(level))


def _composite(image: Image.Image, steps: list[str]) -> Grey:
    """Lay a transparent picture on the paper that lets its ink be seen.

    A drawing on nothing gets paper of the other brightness. A card that is opaque for the most
    part and has its own two tones gets paper of its own.
    """
    grey = np.asarray(image.convert("RGB").convert("L")).astype(np.float32)
    alpha = np.asarray(image.getchannel("A")).astype(np.float32) / 255
    if not alpha.any():
        return np.zeros_like(grey, np.uint8)
    opaque = grey[alpha > 0.5] if (alpha > 0.5).any() else grey[alpha > 0]
    if alpha.min() == 1:
        return grey.astype(np.uint8)
    is_card = opaque.size > grey.size / 2 and np.ptp(np.percentile(opaque, (2, 98))) > 64
    middle = float(np.median(opaque))
    opposite = 255.0 if middle < 128 else 0.0
    paper = middle if is_card else opposite
    steps.append(f"transparency laid on {'black' if paper < 128 else 'white'}")
    return (grey * alpha + paper * (1 - alpha) + 0.5).astype(np.uint8)


def _turn_dark_on_bright(grey: Grey, steps: list[str]) -> Grey:
    """Make the ink the dark side. Paper is what the border shows; MNIST's own is black."""
    border = _border(grey)
    middle = (int(grey.max()) + int(grey.min())) / 2
    bright = float((border > middle).mean())
    # A frame or a dark table along the border is not the paper.
    if 0.4 < bright < 0.6 or (bright < 0.5) != (np.count_nonzero(grey > middle) < grey.size / 2):
        bright = float(_has_dark_strokes(grey))
    if bright >= 0.5:
        steps.append("inverted, for the border is bright")
        return grey
    return 255 - grey


def _has_dark_strokes(grey: Grey) -> bool:
    """Whether what stands out of its surroundings is dark: few pixels, and far from them.

    At the border nothing is known of one side, so it has no say.
    """
    reach = max(2, max(grey.shape) // 20)
    around = Image.fromarray(grey).filter(ImageFilter.BoxBlur(reach))
    rim = min(reach, min(grey.shape) // 4)
    inner = np.s_[rim : grey.shape[0] - rim, rim : grey.shape[1] - rim]
    out = grey[inner].astype(np.float32) - np.asarray(around)[inner]
    return float(np.vdot(out, out * out)) < 0


def _flatten_light(dark: Grey, steps: list[str]) -> Grey:
    """Divide by the paper's own brightness, so that a shadow is not taken for ink.

    The paper is the morphological closing over a third of the side: wider than any stroke.
    """
    sides = _border_levels(dark)
    paper: NDArray[np.float32] | np.float32 = np.float32(_median(_border(dark)))
    if max(sides) - min(sides) > _UNEVEN:
        paper = _closing(dark)
        steps.append("uneven light flattened")
    missing = np.maximum(paper - dark.astype(np.float32), 0)
    # In deep shadow a step of brightness is a large share, and means nothing.
    share = missing / np.maximum(paper, np.float32(_DEEP_SHADOW))
    ink: Grey = (share * np.float32(255)).astype(np.uint8)
    return ink


def _border(grey: Grey) -> Grey:
    """The outermost ring of pixels."""
    return np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])


def _border_levels(grey: Grey) -> list[int]:
    """The brightness at the eight half sides."""
    height, width = grey.shape[0] // 2, grey.shape[1] // 2
    rows, columns = (grey[0], grey[-1]), (grey[:, 0], grey[:, -1])
    pieces = [piece for row in rows for piece in (row[:width], row[width:])]
    pieces += [piece for column in columns for piece in (column[:height], column[height:])]
    return [_median(piece) for piece in pieces]


def _closing(dark: Grey) -> NDArray[np.float32]:
    thumb = Image.fromarray(dark)
    thumb.thumbnail((_THUMB_SIDE, _THUMB_SIDE), Image.Resampling.BOX)
    reach = max(thumb.size) // 6
    widest = largest_around(padded(np.asarray(thumb), reach), reach)
    # The smallest around is the largest of the negative; one pixel more, for the blur to look at.
    negative = padded(np.clip(255 - _carried_on(widest, reach), 0, 255).astype(np.uint8), 1)
    closed = Image.fromarray(255 - largest_around(negative, reach))
    smooth = closed.filter(ImageFilter.BoxBlur(1)).crop((1, 1, thumb.width + 1, thumb.height + 1))
    return np.asarray(smooth.resize(dark.shape[::-1], Image.Resampling.BILINEAR)).astype(np.float32)


def _carried_on(values: Grey, reach: int) -> NDArray[np.int16]:
    """Mirrored beyond each border in place and value: the slope goes on, and leaves no dark rim."""
    carried = values.astype(np.int16)
    for _ in range(2):
        inward = np.minimum(np.arange(reach, 0, -1), len(carried) - 1)
        before = 2 * carried[0] - carried[inward]
        after = 2 * carried[-1] - carried[-1 - inward[::-1]]
        carried = np.concatenate([before, carried, after]).T
    return carried


def largest_around(values: Grey, reach: int) -> Grey:
    """The largest value in the square that reaches so far each way, where all of it is inside.

    By halves, along one axis after the other: Pillow's MaxFilter takes twenty times as long.
    """
    side = 2 * reach + 1
    for _ in range(2):
        covered = 1
        while covered < side:
            step = min(covered, side - covered)
            values = np.maximum(values[step:], values[:-step])
            covered += step
        values = values.T
    return values


def _otsu(counts: NDArray[np.int64]) -> int:
    """The level that parts ink from paper best, given how often each one occurs (Otsu 1979)."""
    below, mass = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    separation = (mass[-1] / below[-1] * below - mass) ** 2 / np.maximum(below * above, 1)
    return int(separation[:-1].argmax())


def _quantile(counts: NDArray[np.int64], level: int, share: float) -> int:
    """The brightness under which `share` of the pixels above `level` lie."""
    below = np.cumsum(counts[level + 1 :])
    return level + 1 + int(np.searchsorted(below, share * below[-1]))


def _median(values: NDArray[np.uint8]) -> int:
    # numpy.median takes ten times as long for the few values of a border.
    middle = values.size // 2
    return int(np.partition(values, middle)[middle])


def _coherence(ink: Grey) -> float:
    """Correlation of neighbours: strokes have it, noise has none."""
    centred = ink.astype(np.float32) - np.float32(ink.mean())
    power = float(np.vdot(centred, centred)) / centred.size
    if not power:
        return 0.0
    across = float(np.vdot(centred[:, 1:], centred[:, :-1])) / centred[:, 1:].size
    down = float(np.vdot(centred[1:], centred[:-1])) / centred[1:].size
    return (across + down) / (2 * power)


def _clear_paper(ink: Grey, level: int, top: int) -> Grey:
    """Stretch so that paper is 0 and the typical stroke is 255, with a soft edge between."""
    low = min(level, top - 1) / 2
    stretched = (ink.astype(np.float32) - low) * (255 / (top - low))
    cleared: Grey = np.clip(stretched, 0, 255).astype(np.uint8)
    return cleared
