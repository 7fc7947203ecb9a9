"""Which digits are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mnist_edge.metrics import ClassScores
from mnist_edge.plots.style import BLUE, FAINT, GREY, INK, ORANGE, png, show_percent, styled
from mnist_edge.recipes.classes import DIGITS

# Light enough at its dark end for black figures.
_ERRORS = LinearSegmentedColormap.from_list("errors", ["#FCEBDD", "#E9853F"])


@styled()
def confusion_matrix(counts: NDArray[np.int64]) -> bytes:
    """How often each digit was taken for each; only the errors are coloured.

    Args:
        counts: (10, 10), rows are the true digits, columns the predicted ones.
    """
    # The diagonal holds a hundred times as many as all the rest: coloured like the errors, it
    # would be all there is to see.
    right = np.eye(len(counts), dtype=bool)
    errors = np.where(right, 0, counts)
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.ma.masked_equal(errors, 0), cmap=_ERRORS, vmin=1, vmax=max(2, int(errors.max())))
    for row, column in np.ndindex(counts.shape):
        count = int(counts[row, column])
        if right[row, column]:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=FAINT))
            axes.text(column, row, f"{count}", ha="center", va="center", color=INK, size=9)
        elif count:
            axes.text(column, row, f"{count}", ha="center", va="center", weight="bold", size=10)
    ticks = range(len(DIGITS))
    axes.set_xticks(ticks, DIGITS)
    axes.set_yticks(ticks, DIGITS)
    axes.set(
        title=f"{int(errors.sum()):,} of {int(counts.sum()):,} digits named wrongly",
        xlabel="digit named",
        ylabel="true digit",
    )
    axes.grid(visible=False)
    borders = np.arange(-0.5, len(counts))
    axes.hlines(borders, -0.5, len(counts) - 0.5, color=FAINT, linewidth=0.7)
    axes.vlines(borders, -0.5, len(counts) - 0.5, color=FAINT, linewidth=0.7)
    axes.spines[:].set_visible(False)
    return png(figure)


@styled()
def class_scores(scores: Sequence[ClassScores]) -> bytes:
    """Precision, recall and F1 of each digit, as dots on an axis that shows their differences."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    digits = np.array([score.digit for score in scores])
    precisions = np.array([score.precision for score in scores])
    recalls = np.array([score.recall for score in scores])
    f1s = np.array([score.f1 for score in scores])
    apart = 0.18  # equal figures must not hide each other
    axes.plot(
        [digits - apart, digits, digits + apart],
        [precisions, f1s, recalls],
        color=GREY,
        linewidth=1,
        alpha=0.6,
    )
    for label, places, values, colour, marker in (
        ("precision", digits - apart, precisions, BLUE, "o"),
        ("F1", digits, f1s, INK, "D"),
        ("recall", digits + apart, recalls, ORANGE, "s"),
    ):
        size = 4.5 if marker == "D" else 6.5
        axes.plot(
            places, values, linestyle="", marker=marker, markersize=size, color=colour, label=label
        )
    low = min(precisions.min(), recalls.min())
    axes.set_ylim(low - 0.12 * (1 - low) - 0.0005, 1 + 0.06 * (1 - low) + 0.0003)
    axes.set_xlim(-0.6, len(DIGITS) - 0.4)
    axes.set_xticks(digits, [str(digit) for digit in digits])
    show_percent(axes)
    axes.grid(visible=False, axis="x")
    axes.set(title="Precision, recall and F1 of each digit", xlabel="digit")
    figure.legend(loc="outside lower center", ncols=3)
    return png(figure)
