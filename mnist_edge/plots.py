"""Reports to figures, as PNG bytes. Drawn through matplotlib's objects: no display, no state."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mnist_edge.history import Epoch

# Okabe and Ito's colours, told apart with any colour vision.
TRAIN_COLOUR = "#0072B2"
TEST_COLOUR = "#D55E00"
_DPI = 110


def training_curves(history: Sequence[Epoch]) -> bytes:
    """Loss and accuracy of every epoch, training and test, side by side."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    epochs = [line.epoch for line in history]
    _curves(
        losses,
        epochs,
        [line.train_loss for line in history],
        [line.test_loss for line in history],
    )
    losses.set(title="Loss", ylabel="mean cross-entropy (nats)", yscale="log")
    _curves(
        accuracies,
        epochs,
        [line.train_accuracy for line in history],
        [line.test_accuracy for line in history],
    )
    accuracies.set(title="Accuracy", ylabel="share named rightly")
    accuracies.yaxis.set_major_formatter(PercentFormatter(1.0))
    accuracies.legend(loc="lower right", frameon=False)
    return _png(figure)


def _curves(axes: Axes, epochs: list[int], train: list[float], test: list[float]) -> None:
    axes.plot(epochs, train, color=TRAIN_COLOUR, marker="o", markersize=3, label="training")
    axes.plot(epochs, test, color=TEST_COLOUR, marker="s", markersize=3, label="test")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    # Without the version of the drawing library the same history gives the same bytes.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
