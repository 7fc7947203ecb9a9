"""Digits with what a net made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnist_edge.plots.style import GREEN, GREY, VERMILION, png, styled
from mnist_edge.signature import RawImages

_CELL_WIDTH, _CELL_HEIGHT = 1.13, 1.42  # inches


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
        """Whether the digit was named rightly."""
        return self.predicted == self.label


@styled()
def digit_grid(digits: Sequence[ReadDigit], images: RawImages, *, columns: int = 8) -> bytes:
    """Digits in rows, each with the class named and its probability; errors with the true class.

    Args:
        digits: at least one.
        images: the whole data set, (N, 28, 28), which the digits index.
        columns: digits in a row.
    """
    rows = math.ceil(len(digits) / columns)
    figure = Figure(figsize=(columns * _CELL_WIDTH, rows * _CELL_HEIGHT))
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    for axes, digit in zip(cells, digits, strict=False):
        axes.imshow(images[digit.index], cmap="gray", vmin=0, vmax=255)
        _caption(axes, digit)
    return png(figure)


def _caption(axes: Axes, digit: ReadDigit) -> None:
    if digit.right:
        title, below = f"{digit.predicted}", percent(digit.probability)
    else:
        title = f"{digit.label} read as {digit.predicted}"
        below = f"{percent(digit.probability)}, not {percent(digit.label_probability)}"
    axes.set_title(title, loc="center", size=10, color=GREEN if digit.right else VERMILION, pad=3)
    for text, drop in ((below, -0.04), (f"no. {digit.index}", -0.19)):
        axes.text(
            0.5,
            drop,
            text,
            transform=axes.transAxes,
            ha="center",
            va="top",
            size=8.5,
            color=GREY if text.startswith("no.") else "black",
        )


def percent(probability: float) -> str:
    """A probability that never looks surer than it is: 99.97 % is not 100 %."""
    if probability >= 0.995:
        return f"{math.floor(probability * 1000) / 10:.1f}%"
    if probability < 0.01:
        return "<1%"
    return f"{probability:.0%}"
