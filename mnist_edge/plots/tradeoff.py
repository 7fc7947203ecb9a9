"""What accuracy costs: the recipes side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
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


@dataclass(frozen=True, kw_only=True)
class RecipePoint:
    """One recipe in a comparison.

    Attributes:
        parameters: of its net.
        accuracy_mean: on the test set, 0 to 1, over `n` seeds.
        accuracy_sd: standard deviation over the seeds; 0 where n is 1.
        latency_s: of one picture; None where it was not measured.
        claim_accuracy: what the project says that it reproduces, 0 to 1; None where it is silent.
        reproduced: whether it is another project's.
    """

    name: str
    parameters: int
    accuracy_mean: float
    accuracy_sd: float
    n: int
    latency_s: float | None
    claim_accuracy: float | None
    reproduced: bool = False


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A figure that others published: accuracy on the test set, 0 to 1, and how it was come by."""

    name: str
    parameters: int
    accuracy: float


@styled()
def accuracy_front(points: Sequence[RecipePoint], anchors: Sequence[Anchor]) -> bytes:
    """Test accuracy over size and over latency, side by side; at least one point has a latency."""
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    size, latency = figure.subplots(1, 2, sharey=True)
    by_size = [(float(point.parameters), point) for point in points]
    by_latency = [(p.latency_s * 1e6, p) for p in points if p.latency_s is not None]
    _scatter(size, by_size, anchors)
    _scatter(latency, by_latency, ())
    # The panels share their height, which the left one, with the anchors, has set for both.
    _stretch(size, by_size, anchors)
    _label_sizes(size)
    _label_latencies(latency)
    latency.set_ylabel("")
    size.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count / 1000:g} k"))
    handles, labels = size.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    _name(figure, size, by_size, anchors)
    _name(figure, latency, by_latency, ())
    return png(figure)


@styled()
def accuracy_against_size(points: Sequence[RecipePoint]) -> bytes:
    """Test accuracy over the number of parameters, with the claims; at least one point."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    places = [(float(point.parameters), point) for point in points]
    _scatter(axes, places, ())
    _label_sizes(axes)
    legend_below(axes)
    _name(figure, axes, places, ())
    return png(figure)


@styled()
def accuracy_against_latency(points: Sequence[RecipePoint]) -> bytes:
    """Test accuracy over the latency of one picture; at least one point must have one."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    places = [(p.latency_s * 1e6, p) for p in points if p.latency_s is not None]
    _scatter(axes, places, ())
    _label_latencies(axes)
    legend_below(axes)
    _name(figure, axes, places, ())
    return png(figure)


def _label_sizes(axes: Axes) -> None:
    axes.set(title="Accuracy against size", xlabel="parameters")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))


def _label_latencies(axes: Axes) -> None:
    axes.set(title="Accuracy against latency", xlabel="µs for one picture, median")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda duration, _: f"{duration:,.6g}"))


_Places: TypeAlias = Sequence[tuple[float, RecipePoint]]


def _scatter(axes: Axes, places: _Places, anchors: Sequence[Anchor]) -> None:
    xs = [x for x, _ in places] + [float(anchor.parameters) for anchor in anchors]
    axes.set_xscale("log")
    axes.set_xlim(min(xs) / 1.6, max(xs) * 2)
    axes.xaxis.set_major_locator(FixedLocator(ticks(min(xs) / 1.6, max(xs) * 2)))
    axes.xaxis.set_minor_locator(NullLocator())
    _stretch(axes, places, anchors)
    for x, point in places:
        if point.claim_accuracy:
            heights = [point.accuracy_mean, point.claim_accuracy]
            axes.plot([x, x], heights, color=VERMILION, linewidth=1, linestyle=":")
    _measured(
        axes,
        [place for place in places if not place[1].reproduced],
        "measured: mean and standard deviation over seeds",
    )
    others = [place for place in places if place[1].reproduced]
    _measured(axes, others, "recipes of other projects, run here", fill="none")
    claims = [(x, point.claim_accuracy) for x, point in places if point.claim_accuracy]
    label = "claimed by the project that is reproduced"
    _marks(axes, claims, label, marker="_", markersize=14, markeredgewidth=2.5, color=VERMILION)
    published = [(float(anchor.parameters), anchor.accuracy) for anchor in anchors]
    _marks(
        axes,
        published,
        "published by others, with how it was come by",
        marker="D",
        markersize=6,
        color=GREEN,
    )
    axes.set_ylabel("test accuracy")


def _stretch(axes: Axes, places: _Places, anchors: Sequence[Anchor]) -> None:
    claims = [point.claim_accuracy for _, point in places if point.claim_accuracy]
    published = [anchor.accuracy for anchor in anchors]
    stretch_accuracy(axes, [point.accuracy_mean for _, point in places] + claims + published)


def _measured(axes: Axes, places: _Places, label: str, *, fill: str = BLUE) -> None:
    if not places:
        return
    axes.errorbar(
        [x for x, _ in places],
        [point.accuracy_mean for _, point in places],
        yerr=[point.accuracy_sd if point.n > 1 else math.nan for _, point in places],
        fmt="o",
        markersize=7,
        markerfacecolor=fill,
        capsize=3,
        color=BLUE,
        ecolor=GREY,
        elinewidth=1,
        label=label,
    )


def _marks(
    axes: Axes,
    dots: Sequence[tuple[float, float]],
    label: str,
    *,
    marker: str,
    markersize: float,
    color: str,
    markeredgewidth: float = 1.0,
) -> None:
    if not dots:
        return
    axes.plot(
        [x for x, _ in dots],
        [accuracy for _, accuracy in dots],
        linestyle="none",
        marker=marker,
        markersize=markersize,
        markeredgewidth=markeredgewidth,
        color=color,
        label=label,
    )


def _dots(places: _Places, anchors: Sequence[Anchor]) -> list[tuple[float, float, str]]:
    """Where a name belongs: x, accuracy, name."""
    return [
        *((x, point.accuracy_mean, point.name) for x, point in places),
        *((float(anchor.parameters), anchor.accuracy, anchor.name) for anchor in anchors),
    ]


def _name(figure: Figure, axes: Axes, places: _Places, anchors: Sequence[Anchor]) -> None:
    """Write each name beside its dot, where it covers nothing that is drawn, nor another name."""
    # The layout must be known before it can be said where a name would stand.
    figure.draw_without_rendering()
    taken = list(_drawn(axes, places, anchors))
    for x, y, name in _dots(places, anchors):
        for right, up, across, along in _PLACES:
            text = axes.annotate(
                name, (x, y), (right, up), textcoords="offset points", ha=across, va=along
            )
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        taken.append(box)


def _drawn(axes: Axes, places: _Places, anchors: Sequence[Anchor]) -> Iterator[BboxBase]:
    """Where the dots, their spread and their claims stand, in pixels."""
    for x, y, _ in _dots(places, anchors):
        yield _around(axes, x, y, y)
    for x, point in places:
        yield _around(axes, x, point.accuracy_mean - point.accuracy_sd, point.accuracy_mean)
        yield _around(axes, x, point.accuracy_mean, point.accuracy_mean + point.accuracy_sd)
        if point.claim_accuracy:
            yield _around(axes, x, *sorted((point.claim_accuracy, point.accuracy_mean)))


def _around(axes: Axes, x: float, low: float, high: float) -> Bbox:
    (left, bottom), (right, top) = axes.transData.transform([(x, low), (x, high)])
    return Bbox.from_extents(left - _DOT / 2, bottom - _DOT / 2, right + _DOT / 2, top + _DOT / 2)
