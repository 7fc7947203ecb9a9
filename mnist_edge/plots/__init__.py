"""Reports to figures, as PNG bytes. Drawn through matplotlib's objects: no display, no state.

The same input gives the same bytes, whatever the user's own settings of matplotlib.
"""

from __future__ import annotations

from mnist_edge.plots.classes import class_scores, confusion_matrix
from mnist_edge.plots.curves import training_curves
from mnist_edge.plots.digits import ReadDigit, digit_grid
from mnist_edge.plots.tradeoff import (
    RecipePoint,
    accuracy_against_latency,
    accuracy_against_size,
    accuracy_front,
)

__all__ = [
    "ReadDigit",
    "RecipePoint",
    "accuracy_against_latency",
    "accuracy_against_size",
    "accuracy_front",
    "class_scores",
    "confusion_matrix",
    "digit_grid",
    "training_curves",
]
