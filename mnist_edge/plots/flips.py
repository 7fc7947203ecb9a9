"""The digits whose answer an artifact changed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from mnist_edge.contract import RawImages
from mnist_edge.plots.digits import WIDTH, Sheet
from mnist_edge.plots.style import GREEN, INK, VERMILION, png, shortened, styled
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.verify.decisions import Flip

_SHEET = Sheet(columns=8, gap=0.3, below=0.42)
_HEADING = 0.36  # inches


@styled()
def flip_sheet(
    groups: Sequence[tuple[str, Sequence[Flip]]],
    images: RawImages,
    classes: Sequence[str] = DIGITS,
) -> bytes:
    """A contact sheet: under the name of each artifact, the digits that it answers otherwise.

    Args:
        groups: artifacts with their digits; at least one digit in all.
        images: the whole set, (N, 28, 28), which the digits index.
        classes: their names.
    """
    names = shortened(classes)
    shown = [(title, digits) for title, digits in groups if digits]
    heights = [math.ceil(len(digits) / _SHEET.columns) * _SHEET.row_height for _, digits in shown]
    height = top = sum(heights) + len(shown) * _HEADING
    figure = Figure(figsize=(WIDTH, height))
    for (title, digits), taken in zip(shown, heights, strict=True):
        left, middle = _SHEET.gap / 2 / WIDTH, (top - _HEADING / 2) / height
        figure.text(left, middle, title, va="center", weight="bold")
        top -= _HEADING
        for place, flip in enumerate(digits):
            before, after, label = (names[n] for n in (flip.reference, flip.candidate, flip.label))
            words = (
                f"{before} → {after}",
                f"is {label}, no. {flip.index}\nmargin {flip.margin:.2g}",
            )
            colour = {flip.reference: VERMILION, flip.candidate: GREEN}.get(flip.label, INK)
            _SHEET.draw(figure, images[flip.index], place, top, words, colour, size=7.5)
        top -= taken
    return png(figure)
