"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mnist_edge.metrics import ClassScores
from mnist_edge.plots.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    ORANGE,
    png,
    shortened,
    show_percent,
    styled,
    turned,
)
from mnist_edge.recipes.classes import DIGITS, are_digits, noun

# Light enough at its dark end for black figures.
_ERRORS = LinearSegmentedColormap.from_list("errors", ["#FCEBDD", "#E9853F"])


_MOST_DRAWN = 50  # classes; more would be too small to read
_INCHES, _LEAST_INCHES = 0.4, 6.4  # of a row


@styled()
def confusion_matrix(counts: NDArray[np.int64], classes: Sequence[str] = DIGITS) -> bytes:
    """How often each class was taken for each; only the errors are coloured.

    Args:
        counts: rows are the true classes, columns the predicted ones. Of many, those with the
            most errors are drawn.
        classes: their names.
    """
    wrong = counts.sum() - counts.trace()
    title = f"{int(wrong):,} of {int(counts.sum()):,} {noun(classes)}s misclassified"
    if len(classes) > _MOST_DRAWN:
        errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
        drawn = np.sort(np.argsort(-errors, kind="stable")[:_MOST_DRAWN])
        counts, classes = counts[np.ix_(drawn, drawn)], [classes[index] for index in drawn]
        title += f"; the {_MOST_DRAWN} classes with the most errors"
    # The diagonal holds a hundred times as many as all the rest: coloured like the errors, it
    # would be all there is to see.
    right = np.eye(len(counts), dtype=bool)
    errors = np.where(right, 0, counts)
    side = max(_LEAST_INCHES, _INCHES * len(classes))
    figure = Figure(figsize=(side, side - 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.ma.masked_equal(errors, 0), cmap=_ERRORS, vmin=1, vmax=max(2, int(errors.max())))
    for row, column in np.ndindex(counts.shape):
        count = int(counts[row, column])
        if right[row, column]:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=FAINT))
            axes.text(column, row, f"{count}", ha="center", va="center", color=INK, size=9)
        elif count:
            axes.text(column, row, f"{count}", ha="center", va="center", weight="bold", size=10)
    ticks, names = range(len(classes)), shortened(classes)
    axes.set_xticks(ticks, names, rotation=turned(names))
    axes.set_yticks(ticks, names)
    what = "digit" if are_digits(classes) else "class"
    axes.set(title=title, xlabel=f"predicted {what}", ylabel=f"true {what}")
    axes.grid(visible=False)
    borders = np.arange(-0.5, len(counts))
    axes.hlines(borders, -0.5, len(counts) - 0.5, color=FAINT, linewidth=0.7)
    axes.vlines(borders, -0.5, len(counts) - 0.5, color=FAINT, linewidth=0.7)
    axes.spines[:].set_visible(False)
    return png(figure)


@styled()
def class_scores(scores: Sequence[ClassScores], classes: Sequence[str] = DIGITS) -> bytes:
    """Precision, recall and F1 of each class, as dots on an axis that shows their differences.

    Of many classes the worst are drawn.
    """
    what = "digit" if are_digits(classes) else "class"
    title = f"Precision, recall and F1 of each {what}"
    if len(scores) > _MOST_DRAWN:
        scores = sorted(scores, key=lambda score: score.f1)[:_MOST_DRAWN]
        title = f"Precision, recall and F1 of the {_MOST_DRAWN} worst classes"
    figure = Figure(figsize=(max(9, 0.3 * len(scores)), 3.4), layout="constrained")
    axes = figure.subplots()
    digits = np.arange(len(scores))
    names = shortened([classes[score.digit] for score in scores])
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
    axes.set_xlim(-0.6, len(scores) - 0.4)
    axes.set_xticks(digits, names, rotation=turned(names))
    show_percent(axes)
    axes.grid(visible=False, axis="x")
    axes.set(title=title, xlabel=what)
    figure.legend(loc="outside lower center", ncols=3)
    return png(figure)
