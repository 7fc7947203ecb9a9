"""What accuracy costs: the recipes side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import Bbox, BboxBase

from mnist_edge.plots.style import (
    BLUE,
    GREEN,
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
    (7, -8, "left", "top"),
    (-7, 8, "right", "bottom"),
    (0, 24, "center", "bottom"),
    (0, -24, "center", "top"),
    (24, 24, "left", "bottom"),
    (-24, -24, "right", "top"),
)


Kind: TypeAlias = Literal["ours", "reproduced", "published"]

# What is said of each kind, and its mark, colour and fill.
_KINDS: dict[Kind, tuple[str, str, str, str]] = {
    "ours": ("measured: mean and standard deviation over seeds", "o", BLUE, BLUE),
    "reproduced": ("recipes of other projects, run here", "o", BLUE, "none"),
    "published": ("published by others, with how it was come by", "D", GREEN, GREEN),
}


@dataclass(frozen=True, kw_only=True)
class RecipePoint:
    """One recipe in a comparison.

    Attributes:
        parameters: of its net.
        accuracy_mean: on the test set, 0 to 1, over `n` seeds.
        accuracy_sd: standard deviation over the seeds; 0 where n is 1.
        latency_s: of one picture; None where it was not measured.
        claim_accuracy: what the project says that it reproduces, 0 to 1; None where it is silent.
        kind: whether it is ours, another project's that was run here, or a figure that others
            published, with how it was come by as its name.
    """

    name: str
    parameters: int
    accuracy_mean: float
    accuracy_sd: float = 0.0
    n: int = 1
    latency_s: float | None = None
    claim_accuracy: float | None = None
    kind: Kind = "ours"


_Places: TypeAlias = Sequence[tuple[float, RecipePoint]]


@styled()
def accuracy_front(points: Sequence[RecipePoint]) -> bytes:
    """Test accuracy over size and over latency, side by side; at least one point has a latency."""
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    size, latency = figure.subplots(1, 2, sharey=True)
    by_size, by_latency = _by_size(points), _by_latency(points)
    _scatter(latency, by_latency)
    # The panels share their height, which the left one, with the published figures, sets for both.
    _scatter(size, by_size)
    _label_sizes(size)
    _label_latencies(latency)
    latency.set_ylabel("")
    size.xaxis.set_major_formatter(lambda count, _: f"{count / 1000:g} k")
    handles, labels = size.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    _name(figure, size, by_size)
    _name(figure, latency, by_latency)
    return png(figure)


def accuracy_against_size(points: Sequence[RecipePoint]) -> bytes:
    """Test accuracy over the number of parameters, with the claims; at least one point."""
    return _alone(_by_size(points), _label_sizes)


def accuracy_against_latency(points: Sequence[RecipePoint]) -> bytes:
    """Test accuracy over the latency of one picture; at least one point must have one."""
    return _alone(_by_latency(points), _label_latencies)


@styled()
def _alone(places: _Places, label: Callable[[Axes], None]) -> bytes:
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    _scatter(axes, places)
    label(axes)
    legend_below(axes)
    _name(figure, axes, places)
    return png(figure)


def _by_size(points: Sequence[RecipePoint]) -> _Places:
    return [(float(point.parameters), point) for point in points]


def _by_latency(points: Sequence[RecipePoint]) -> _Places:
    return [(point.latency_s * 1e6, point) for point in points if point.latency_s is not None]


def _label_sizes(axes: Axes) -> None:
    axes.set(title="Accuracy against size", xlabel="parameters")
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _label_latencies(axes: Axes) -> None:
    axes.set(title="Accuracy against latency", xlabel="µs for one picture, median")
    axes.xaxis.set_major_formatter("{x:,.6g}")


def _scatter(axes: Axes, places: _Places) -> None:
    xs = [x for x, _ in places]
    axes.set_xscale("log")
    axes.set_xlim(min(xs) / 1.6, max(xs) * 2)
    axes.xaxis.set_major_locator(FixedLocator(ticks(min(xs) / 1.6, max(xs) * 2)))
    axes.xaxis.set_minor_locator(NullLocator())
    claims = [(x, point.accuracy_mean, point.claim_accuracy) for x, point in places]
    claimed = [(x, reached, claim) for x, reached, claim in claims if claim]
    heights = [point.accuracy_mean for _, point in places]
    stretch_accuracy(axes, heights + [claim for *_, claim in claimed])
    for x, reached, claim in claimed:
        axes.plot([x, x], [reached, claim], color=VERMILION, linewidth=1, linestyle=":")
    _marks(axes, places, "ours")
    _marks(axes, places, "reproduced")
    if claimed:
        axes.plot(
            [x for x, *_ in claimed],
            [claim for *_, claim in claimed],
            linestyle="none",
            marker="_",
            markersize=14,
            markeredgewidth=2.5,
            color=VERMILION,
            label="claimed by the project that is reproduced",
        )
    _marks(axes, places, "published")
    axes.set_ylabel("test accuracy")


def _marks(axes: Axes, places: _Places, kind: Kind) -> None:
    """The points of one kind, with their spread where there are several seeds."""
    label, mark, colour, fill = _KINDS[kind]
    own = [(x, point) for x, point in places if point.kind == kind]
    if own:
        axes.errorbar(
            [x for x, _ in own],
            [point.accuracy_mean for _, point in own],
            yerr=[point.accuracy_sd if point.n > 1 else math.nan for _, point in own],
            fmt=mark,
            markersize=7,
            markerfacecolor=fill,
            capsize=3,
            color=colour,
            ecolor=GREY,
            elinewidth=1,
            label=label,
        )


def _name(figure: Figure, axes: Axes, places: _Places) -> None:
    """Write each name beside its dot, where it covers nothing that is drawn, nor another name."""
    # The layout must be known before it can be said where a name would stand.
    figure.draw_without_rendering()
    taken = list(_drawn(axes, places))
    for x, point in places:
        for right, up, across, along in _PLACES:
            text = axes.annotate(
                point.name,
                (x, point.accuracy_mean),
                (right, up),
                textcoords="offset points",
                ha=across,
                va=along,
            )
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        taken.append(box)


def _drawn(axes: Axes, places: _Places) -> Iterator[BboxBase]:
    """Where the dots, their spread and their claims stand, in pixels."""
    for x, point in places:
        mean, spread = point.accuracy_mean, point.accuracy_sd
        yield _around(axes, x, mean - spread, mean)
        yield _around(axes, x, mean, mean + spread)
        if point.claim_accuracy:
            yield _around(axes, x, *sorted((point.claim_accuracy, mean)))


def _around(axes: Axes, x: float, low: float, high: float) -> Bbox:
    (left, bottom), (right, top) = axes.transData.transform([(x, low), (x, high)])
    return Bbox.from_extents(left - _DOT / 2, bottom - _DOT / 2, right + _DOT / 2, top + _DOT / 2)
