"""What accuracy costs: the recipes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Bbox, BboxBase

from mnist_edge.plots.style import (
    BLUE,
    GREY,
    VERMILION,
    legend_below,
    png,
    stretch_accuracy,
    styled,
    ticks,
)

_DOT = 10  # pixels that a dot takes

# Where a name may stand beside its dot: offset in points, and how it is aligned.
_PLACES = (
    (8, 0, "left", "center"),
    (-8, 0, "right", "center"),
    (0, 9, "center", "bottom"),
    (0, -9, "center", "top"),
    (7, 8, "left", "bottom"),
    (-7, -8, "right", "top"),
)


@dataclass(frozen=True, kw_only=True)
class RecipePoint:
    """One recipe in a comparison.

    Attributes:
        parameters: of its net.
        accuracy_mean: on the test set, 0 to 1, over `n` seeds.
        accuracy_sd: standard deviation over the seeds; 0 where n is 1.
        latency_s: of one picture; None where it was not measured.
        claim_accuracy: what the project says that it reproduces, 0 to 1; None where it is silent.
    """

    name: str
    parameters: int
    accuracy_mean: float
    accuracy_sd: float
    n: int
    latency_s: float | None
    claim_accuracy: float | None


@styled()
def accuracy_against_size(points: Sequence[RecipePoint]) -> bytes:
    """Test accuracy over the number of parameters, with the claims; at least one point."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    _scatter(figure, axes, [(float(point.parameters), point) for point in points])
    axes.set(title="Accuracy against size", xlabel="parameters")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    return png(figure)


@styled()
def accuracy_against_latency(points: Sequence[RecipePoint]) -> bytes:
    """Test accuracy over the latency of one picture; at least one point must have one."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    _scatter(figure, axes, [(p.latency_s * 1e6, p) for p in points if p.latency_s is not None])
    axes.set(title="Accuracy against latency", xlabel="µs for one picture, median")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda duration, _: f"{duration:,.6g}"))
    return png(figure)


def _scatter(figure: Figure, axes: Axes, places: Sequence[tuple[float, RecipePoint]]) -> None:
    xs = [x for x, _ in places]
    accuracies = [point.accuracy_mean for _, point in places]
    claims = [(x, p.accuracy_mean, p.claim_accuracy) for x, p in places if p.claim_accuracy]
    axes.set_xscale("log")
    axes.set_xlim(min(xs) / 1.6, max(xs) * 1.6)
    axes.xaxis.set_major_locator(FixedLocator(ticks(min(xs) / 1.6, max(xs) * 1.6)))
    axes.xaxis.set_minor_locator(NullLocator())
    stretch_accuracy(axes, accuracies + [claim for _, _, claim in claims])
    for x, measured, claim in claims:
        axes.plot([x, x], [measured, claim], color=VERMILION, linewidth=1, linestyle=":")
    axes.errorbar(
        xs,
        accuracies,
        yerr=[point.accuracy_sd for _, point in places],
        fmt="o",
        markersize=7,
        capsize=3,
        color=BLUE,
        ecolor=GREY,
        elinewidth=1,
        label="measured: mean and standard deviation over seeds",
    )
    if claims:
        axes.plot(
            [x for x, _, _ in claims],
            [claim for _, _, claim in claims],
            linestyle="none",
            marker="_",
            markersize=14,
            markeredgewidth=2.5,
            color=VERMILION,
            label="claimed by the project that is reproduced",
        )
    axes.set_ylabel("test accuracy")
    legend_below(axes)
    _name(figure, axes, [(x, point.accuracy_mean, point.name) for x, point in places])


def _name(figure: Figure, axes: Axes, dots: Sequence[tuple[float, float, str]]) -> None:
    """Write each name beside its dot, where it covers no other dot and no other name."""
    # The layout must be known before it can be said where a name would stand.
    figure.draw_without_rendering()
    taken: list[BboxBase] = [_around(*axes.transData.transform((x, y))) for x, y, _ in dots]
    for x, y, name in dots:
        for right, up, across, along in _PLACES:
            text = axes.annotate(
                name, (x, y), (right, up), textcoords="offset points", ha=across, va=along
            )
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        taken.append(box)


def _around(x: float, y: float) -> Bbox:
    return Bbox.from_bounds(x - _DOT / 2, y - _DOT / 2, _DOT, _DOT)
