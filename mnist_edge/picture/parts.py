"""From the ink of a page to its connected parts, and to the ink of one digit alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mnist_edge.picture.border import at_border
from mnist_edge.picture.components import Components, components, keep
from mnist_edge.picture.digit import padded
from mnist_edge.picture.faint import Faint, darkened, evened, faint_parts, pale_digits
from mnist_edge.picture.layout import Digit
from mnist_edge.picture.lined import may_hold_lines
from mnist_edge.picture.paper import INK, Grey, Ink, Mask, grown, largest_around

_FINE_SIDE = 100  # from here on strokes are wide enough to be grown without touching
_MOST_CROSSINGS = 24  # of the border by ink: more is grain
_MOST_CUT = 5  # parts by the border, beside one digit: more are grain, too

_SOFT = 50  # the rim of a stroke out of focus is as wide as the page divided by this
_FADED = 0.04  # of the ink lies apart from the dark strokes: then strokes fade

_LINE = 48  # of 255: a line may be paler than a stroke
_PALER = 24  # than the pen: so much shows where a stroke crosses a line


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """The connected parts of the dark ink, and what fainter ink adds.

    Attributes:
        ink: without what is none.
        dark: the parts.
        gap: pixels between two parts that count as none.
        faint: the parts of all ink; None where there is hardly any but the dark.
        lines: the pixels of lines that were taken out, where there were any.
    """

    ink: Ink
    dark: Components
    gap: int
    faint: Faint | None = None
    lines: Mask | None = None


def find_parts(ink: Ink, steps: list[str], *, many: bool) -> Parts | None:
    """The connected parts of the ink that may be digits; None where there are none.

    Args:
        ink: of a page.
        steps: told what was left out.
        many: whether digits of a paler ink are looked for beside the others.
    """
    ink, dark, cut = _inside(ink, steps)
    if cut > _MOST_CUT and not many:
        return None
    lines = None
    if may_hold_lines(dark):
        from mnist_edge.picture.lines import find_lines  # for which a plain page does not wait

        lines = find_lines(ink.values > _LINE)
    if lines is not None and lines.any():
        steps.append("lines of the paper taken out")
        ink, dark, _ = _inside(_without(ink, _paler(lines, ink)), steps)
    else:
        lines = None
    if not dark.boxes or _crossings(dark.labels > 0) > _MOST_CROSSINGS:
        return None
    fades = _fades(ink)
    faint = faint_parts(ink, dark, fades=fades) if fades or len(dark.boxes) > 1 else None
    if many and faint is not None and (pale := pale_digits(ink, dark, faint)):
        ink = darkened(ink, faint, pale)
        dark = components(_dark(ink))
        faint = faint_parts(ink, dark, fades=fades)
    return Parts(ink=ink, dark=dark, gap=0 if _is_fine(ink) else 1, faint=faint, lines=lines)


def ink_of(parts: Parts, digit: Digit) -> Grey:
    """The ink of one digit alone, with the soft rim that lies outside its parts."""
    ink, box = parts.ink, digit.box
    place = np.s_[max(box.top - 1, 0) : box.bottom + 1, max(box.left - 1, 0) : box.right + 1]
    wanted = np.zeros(len(parts.dark.boxes) + 1, np.bool_)
    wanted[[index + 1 for index in digit.parts]] = True
    mask = grown(wanted[parts.dark.labels[place]])
    if parts.faint is None or not (faded := parts.faint.only_of(digit)):
        return np.where(mask, ink.values[place], np.uint8(0))
    mask |= np.isin(parts.faint.parts.labels[place], faded)
    return evened(np.where(mask, ink.shares[place], np.uint8(0)), ink)


def _inside(ink: Ink, steps: list[str]) -> tuple[Ink, Components, int]:
    """The ink without what the border cuts, its dark parts, and how many were cut."""
    dark = components(_dark(ink))
    cut = at_border(dark)
    if not cut.any():
        return ink, dark, 0
    parts = "part" if cut.sum() == 1 else "parts"
    steps.append(f"{int(cut.sum())} {parts} cut by the border left out")
    pixels = np.concatenate([[False], cut])[dark.labels]
    kept = keep(dark, np.flatnonzero(~cut).tolist())
    return _without(ink, pixels), kept, int(cut.sum())


def _is_fine(ink: Ink) -> bool:
    return bool(max(ink.values.shape) > _FINE_SIDE)


def _dark(ink: Ink) -> Mask:
    # A line thinner than a pixel comes and goes; grown by one pixel, it is one part again.
    mask = ink.values > INK
    return grown(mask) if _is_fine(ink) else mask


def _fades(ink: Ink) -> bool:
    """Whether there is much faint ink that is not the soft rim of the dark."""
    dark = (ink.values > INK).view(np.uint8)
    rim = 1 + max(dark.shape) // _SOFT + _is_fine(ink)
    around = largest_around(padded(dark, rim), rim)
    apart = np.count_nonzero((ink.shares > ink.faint) & (around == 0))
    return bool(apart > _FADED * np.count_nonzero(dark))


def _without(ink: Ink, pixels: Mask) -> Ink:
    """The ink without some pixels and their soft rim."""
    paper = pixels | (grown(pixels) & (ink.values <= INK))
    return replace(
        ink,
        values=np.where(paper, np.uint8(0), ink.values),
        shares=np.where(paper, np.uint8(0), ink.shares),
    )


def _paler(lines: Mask, ink: Ink) -> Mask:
    """The pixels of lines, but those as dark as the pen where the lines are paler."""
    ours = ink.shares[(ink.values > INK) & ~grown(lines)]
    if not len(ours):
        return lines
    line, pen = np.percentile(ink.shares[lines], 75), np.percentile(ours, 50)
    return lines & (ink.shares < (pen + line) / 2) if pen > line + _PALER else lines


def _crossings(mask: Mask) -> int:
    """How often ink runs over the border: grain does all along it."""
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return sum(int(np.count_nonzero(side[1:] & ~side[:-1])) for side in sides)
