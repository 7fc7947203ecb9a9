"""Digits with what a net made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnist_edge.contract import RawImages
from mnist_edge.plots.style import GREEN, INK, VERMILION, png, shortened, styled
from mnist_edge.recipes.classes import DIGITS

# Inches.
WIDTH, _ABOVE = 9.0, 0.24


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Digits in rows. Every digit has the same place for its words, however many lines it needs.

    Attributes:
        columns: digits in a row.
        gap: inches between two of them, and
        below: under each, for its words.
    """

    columns: int
    gap: float
    below: float

    @property
    def row_height(self) -> float:
        """Inches."""
        return self._side + _ABOVE + self.below

    @property
    def _side(self) -> float:
        return WIDTH / self.columns - self.gap

    def draw(
        self,
        figure: Figure,
        image: NDArray[np.uint8],
        place: int,
        top: float,
        words: tuple[str, str],
        colour: str,
        *,
        size: float,
    ) -> None:
        """Draw the digit of that place, counted from the first row, whose upper edge is `top`."""
        row, column = divmod(place, self.columns)
        left = column * WIDTH / self.columns + self.gap / 2
        bottom, height = top - row * self.row_height - _ABOVE - self._side, figure.get_figheight()
        axes = figure.add_axes(
            (left / WIDTH, bottom / height, self._side / WIDTH, self._side / height), frameon=False
        )
        axes.set_axis_off()
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        above, below = words
        axes.set_title(above, loc="center", size=10, color=colour, pad=3)
        axes.annotate(
            below,
            (0.5, 0),
            (0, -3),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            size=size,
            color=INK,
        )


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
    sheet = Sheet(columns=columns, gap=0.2, below=0.56)
    height = math.ceil(len(digits) / columns) * sheet.row_height
    figure = Figure(figsize=(WIDTH, height))
    for place, digit in enumerate(digits):
        title, below = _words(digit, names)
        colour = GREEN if digit.right else VERMILION
        words = title, f"{below}\nno. {digit.index}"
        sheet.draw(figure, images[digit.index], place, height, words, colour, size=8.5)
    return png(figure)


def _words(digit: ReadDigit, names: Sequence[str]) -> tuple[str, str]:
    """What stands above a digit, and below it."""
    label, predicted = names[digit.label], names[digit.predicted]
    if digit.right:
        return label, percent(digit.probability)
    surely, hardly = percent(digit.probability), percent(digit.label_probability)
    return f"{label} read as {predicted}", f"as {predicted}: {surely}\nas {label}: {hardly}"


def percent(probability: float) -> str:
    """A probability that never looks surer than it is: 99.97 % is not 100 %."""
    if probability > 0.999:
        return ">99.9%"
    if probability < 0.001:
        return "<0.1%"
    return f"{probability:.1%}"
