"""The digits on one page: found, put in rows, each with its own ink."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

from PIL import Image

from mnist_edge.picture import paper
from mnist_edge.picture.components import Box
from mnist_edge.picture.layout import Digit, group_digits, is_wide, joined, single_parts, union
from mnist_edge.picture.paper import Grey, Place
from mnist_edge.picture.parts import Parts, find_parts, ink_of
from mnist_edge.picture.rows import rows_of

_SMALL = 40  # pixels: a lower digit is looked at more closely, where the picture has more
_CLOSEST = 1200  # the side of as many pixels as are looked at then

_FAINT = 64  # of 255: a pencil that is hardly seen
_BROKEN = 3  # parts: a 5 and a 4 have two
_LOW = 12  # pixels: MNIST's digits have 20
_NEAR = 2  # pixels between a digit and a line
_DOT_SHARE = 0.015  # of the largest part; the dots of an i and a j have 0.04 and more


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """One digit of a page.

    Attributes:
        ink: its own, on a page that just holds it.
        area: pixels of it, as it was found.
        box: where it stands, in pixels of the source.
        row: from the top, from 1.
        seen: what may make it hard to read, in words.
    """

    ink: Grey
    area: int
    box: Box
    row: int
    seen: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Page:
    """The digits of a page.

    Attributes:
        digits: row by row, each row from left to right.
        whole: all their ink as one digit, where it is laid out as one and only one is expected.
    """

    digits: tuple[Found, ...]
    whole: Found | None = None


def read_page(image: Image.Image, steps: list[str], *, many: bool) -> Page:
    """Find the digits of a picture in memory.

    Args:
        image: of any mode.
        steps: told what was done.
        many: whether several digits are expected; else pieces that lie as one digit are one.
    """
    factor = paper.reduction(image.size)
    told: list[str] = []
    page = _look(image, factor, told, many=many)
    if page.digits and factor > 1:
        typical = sorted(digit.box.height for digit in page.digits)[len(page.digits) // 2]
        finer = max(1, typical // _SMALL)
        if finer < factor:
            closer: list[str] = []
            nearer = _look_closely(image, page, typical, finer, closer, many=many)
            if nearer.digits:
                page, told = nearer, closer
    steps += told
    return page


def read_sign(image: Image.Image, steps: list[str]) -> Found | None:
    """All the ink of a picture as one sign, as a letter with its dots; None where there is none."""
    ink = paper.find_ink(paper.grey_of(image, paper.reduction(image.size), steps), steps)
    parts = find_parts(ink, steps, many=False) if ink is not None else None
    if parts is None:
        return None
    first, *others = single_parts(parts.dark)
    kept = [part for part in others if part.area >= _DOT_SHARE * first.area]
    specks = len(parts.dark.boxes) - 1 - len(kept)
    if specks:
        steps.append(f"{specks} specks dropped")
    return _found(reduce(joined, kept, first), parts, image.size, 1)


def _look_closely(
    image: Image.Image, page: Page, typical: int, finer: int, steps: list[str], *, many: bool
) -> Page:
    """Cut the digits that were found out of the picture as it came, where they have more pixels."""
    box = reduce(union, (digit.box for digit in page.digits))
    place = (
        max(box.left - typical, 0),
        max(box.top - typical, 0),
        min(box.right + typical, image.width),
        min(box.bottom + typical, image.height),
    )
    width, height = size = paper.size_of(place)
    steps.append(f"looked closely at {width}x{height} pixels")
    factor = max(finer, paper.reduction(size, _CLOSEST))
    nearer = _look(image, factor, steps, place, many=many)

    def moved(digit: Found) -> Found:
        return replace(digit, box=digit.box.moved(place[0], place[1]))

    whole = moved(nearer.whole) if nearer.whole else None
    return Page(tuple(map(moved, nearer.digits)), whole)


def _look(
    image: Image.Image, factor: int, steps: list[str], place: Place | None = None, *, many: bool
) -> Page:
    ink = paper.find_ink(paper.grey_of(image, factor, steps, place), steps)
    parts = find_parts(ink, steps, many=many) if ink is not None else None
    if parts is None:
        return Page(())
    links = None if parts.faint is None else parts.faint.links
    digits = group_digits(parts.dark, links, gap=parts.gap, many=many)
    specks = len(parts.dark.boxes) - sum(len(digit.parts) for digit in digits)
    if specks:
        steps.append(f"{specks} specks dropped")
    size = paper.size_of(place) if place else image.size
    rows = rows_of([digit.box for digit in digits])
    found = tuple(
        _found(digits[index], parts, size, row)
        for row, indices in enumerate(rows, start=1)
        for index in indices
    )
    if many or len(digits) < 2 or is_wide((whole := reduce(joined, digits)).box):
        return Page(found)
    return Page(found, _found(whole, parts, size, 1))


def _found(digit: Digit, parts: Parts, size: tuple[int, int], row: int) -> Found:
    height, width = parts.ink.values.shape
    scale = max(size) / max(height, width)
    box = Box(
        left=int(digit.box.left * scale),
        top=int(digit.box.top * scale),
        right=min(round(digit.box.right * scale), size[0]),
        bottom=min(round(digit.box.bottom * scale), size[1]),
    )
    seen = tuple(_seen(digit, parts, scale))
    return Found(ink=ink_of(parts, digit), area=digit.area, box=box, row=row, seen=seen)


def _seen(digit: Digit, parts: Parts, scale: float) -> list[str]:
    """What a person would have to change, so that the digit can be read more surely."""
    box, (height, width) = digit.box, parts.ink.values.shape
    seen = []
    if parts.ink.top < _FAINT:
        seen.append("faint")
    elif parts.faint is not None and parts.faint.only_of(digit):
        seen.append("its strokes fade")
    if len(digit.parts) >= _BROKEN:
        seen.append(f"in {len(digit.parts)} parts")
    if is_wide(box):
        seen.append("as wide as two that touch")
    if box.left == 0 or box.top == 0 or box.right == width or box.bottom == height:
        seen.append("it touches the border")
    if parts.lines is not None:
        rows = slice(max(box.top - _NEAR, 0), box.bottom + _NEAR)
        columns = slice(max(box.left - _NEAR, 0), box.right + _NEAR)
        if parts.lines[rows, columns].any():
            seen.append("a frame or line touches the digit")
    if box.height * scale < _LOW:
        seen.append(f"only {round(box.height * scale)} pixels high")
    return seen
