"""The digits whose answer an artifact changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from mnist_edge.contract import RawImages
from mnist_edge.plots.style import GREEN, INK, VERMILION, png, shortened, styled
from mnist_edge.recipes.classes import DIGITS

# Inches.
_WIDTH, _GAP, _ABOVE, _BELOW, _HEADING = 9.0, 0.3, 0.24, 0.42, 0.36
_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class FlippedDigit:
    """One digit with two answers.

    Attributes:
        index: of the digit in its set.
        label: what it is.
        before, after: the checkpoint's answer, and the artifact's.
        margin: by which the checkpoint's answer led.
    """

    index: int
    label: int
    before: int
    after: int
    margin: float


@styled()
def flip_sheet(
    groups: Sequence[tuple[str, Sequence[FlippedDigit]]],
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
    side = _WIDTH / _COLUMNS - _GAP
    row_height = side + _ABOVE + _BELOW
    shown = [(title, digits) for title, digits in groups if digits]
    rows = sum(math.ceil(len(digits) / _COLUMNS) for _, digits in shown)
    height = rows * row_height + len(shown) * _HEADING
    figure = Figure(figsize=(_WIDTH, height))
    top = height
    for title, digits in shown:
        figure.text(
            _GAP / 2 / _WIDTH, (top - _HEADING / 2) / height, title, va="center", weight="bold"
        )
        top -= _HEADING
        for place, digit in enumerate(digits):
            row, column = divmod(place, _COLUMNS)
            left = column * _WIDTH / _COLUMNS + _GAP / 2
            bottom = top - row * row_height - _ABOVE - side
            _draw(figure, digit, images, names, (left, bottom, side), height)
        top -= math.ceil(len(digits) / _COLUMNS) * row_height
    return png(figure)


def _draw(
    figure: Figure,
    digit: FlippedDigit,
    images: RawImages,
    names: Sequence[str],
    place: tuple[float, float, float],
    height: float,
) -> None:
    left, bottom, side = place
    axes = figure.add_axes(
        (left / _WIDTH, bottom / height, side / _WIDTH, side / height), frameon=False
    )
    axes.set_axis_off()
    axes.imshow(images[digit.index], cmap="gray", vmin=0, vmax=255)
    colour = {digit.before: VERMILION, digit.after: GREEN}.get(digit.label, INK)
    axes.set_title(
        f"{names[digit.before]} → {names[digit.after]}", loc="center", size=10, color=colour, pad=3
    )
    axes.annotate(
        f"is {names[digit.label]}, no. {digit.index}\nmargin {digit.margin:.2g}",
        (0.5, 0),
        (0, -3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        size=7.5,
        color=INK,
    )
