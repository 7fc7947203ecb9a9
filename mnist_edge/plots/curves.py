"""The course of a training."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnist_edge.bundle.history import Epoch
from mnist_edge.plots.style import (
    BLUE,
    VERMILION,
    legend_below,
    png,
    stretch_accuracy,
    stretch_loss,
    styled,
)

# More epochs than this, and the markers hide the line.
_MARKED_EPOCHS = 20


@styled()
def training_curves(history: Sequence[Epoch]) -> bytes:
    """Loss and accuracy after each epoch, training and test, side by side."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    epochs = [line.epoch for line in history]
    train = [line.train_loss for line in history]
    test = [line.test_loss for line in history]
    _curves(losses, epochs, train, test, "{:.4f}")
    stretch_loss(losses, train + test)
    losses.set(title="Loss", ylabel="mean cross-entropy in nats")
    train = [line.train_accuracy for line in history]
    test = [line.test_accuracy for line in history]
    _curves(accuracies, epochs, train, test, "{:.2%}")
    stretch_accuracy(accuracies, train + test)
    accuracies.set(title="Accuracy", ylabel="digits classified correctly")
    return png(figure)


def _curves(
    axes: Axes, epochs: list[int], train: list[float], test: list[float], form: str
) -> None:
    size = 4.5 if len(epochs) <= _MARKED_EPOCHS else 0
    for name, values, colour, marker in (
        ("training", train, BLUE, "o"),
        ("test", test, VERMILION, "s"),
    ):
        label = f"{name}, last {form.format(values[-1])}"
        axes.plot(epochs, values, color=colour, marker=marker, markersize=size, label=label)
    legend_below(axes)
    axes.set_xlabel("epoch")
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
