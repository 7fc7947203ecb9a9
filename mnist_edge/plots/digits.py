"""Digits with what a net made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnist_edge.contract import RawImages
from mnist_edge.plots.style import GREEN, INK, VERMILION, png, shortened, styled
from mnist_edge.recipes.classes import DIGITS

# Inches. Every digit has the same place for its words, whether it needs three lines or two.
_WIDTH, _GAP, _ABOVE, _BELOW = 9.0, 0.2, 0.24, 0.56


@dataclass(frozen=True, kw_only=True)
class ReadDigit:
    """One digit and its reading.

    Attributes:
        index: of the digit in its data set.
        label: the true class.
        predicted: the class of the largest probability.
        probability: of `predicted`, 0 to 1.
        label_probability: of `label`, 0 to 1.
    """

    index: int
    label: int
    predicted: int
    probability: float
    label_probability: float

    @property
    def right(self) -> bool:
        """Whether the digit was classified correctly."""
        return self.predicted == self.label


@styled()
def digit_grid(
    digits: Sequence[ReadDigit],
    images: RawImages,
    classes: Sequence[str] = DIGITS,
    *,
    columns: int = 8,
) -> bytes:
    """Digits in rows, each with the class named and its probability; errors with the true class.

    Args:
        digits: at least one.
        images: the whole data set, (N, 28, 28), which the digits index.
        classes: their names.
        columns: digits in a row.
    """
    names = shortened(classes)
    rows = math.ceil(len(digits) / columns)
    side = _WIDTH / columns - _GAP
    row_height = side + _ABOVE + _BELOW
    height = rows * row_height
    figure = Figure(figsize=(_WIDTH, height))
    for place, digit in enumerate(digits):
        row, column = divmod(place, columns)
        left = (column + 0.5) * _WIDTH / columns - side / 2
        bottom = height - row * row_height - _ABOVE - side
        axes = figure.add_axes(
            (left / _WIDTH, bottom / height, side / _WIDTH, side / height), frameon=False
        )
        axes.set_axis_off()
        axes.imshow(images[digit.index], cmap="gray", vmin=0, vmax=255)
        _caption(axes, digit, names)
    return png(figure)


def _caption(axes: Axes, digit: ReadDigit, names: Sequence[str]) -> None:
    label, predicted = names[digit.label], names[digit.predicted]
    if digit.right:
        title, below = label, percent(digit.probability)
    else:
        title = f"{label} read as {predicted}"
        below = (
            f"as {predicted}: {percent(digit.probability)}\n"
            f"as {label}: {percent(digit.label_probability)}"
        )
    colour = GREEN if digit.right else VERMILION
    axes.set_title(title, loc="center", size=10, color=colour, pad=3)
    axes.annotate(
        f"{below}\nno. {digit.index}",
        (0.5, 0),
        (0, -3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        size=8.5,
        color=INK,
    )


def percent(probability: float) -> str:
    """A probability that never looks surer than it is: 99.97 % is not 100 %."""
    if probability > 0.999:
        return ">99.9%"
    if probability < 0.001:
        return "<0.1%"
    return f"{probability:.1%}"
