"""What a benchmark has measured: how latencies are spread, steady, and traded for accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mnist_edge.plots.style import (
    BLUE,
    GREY,
    INK,
    png,
    show_percent,
    styled,
    ticks,
)
from mnist_edge.stats import share

_MOST_DOTS = 1500  # of one process in a figure
_PERCENTILES = (50, 90, 99)
_FEW_TICKS = 3
_MARKERS = "os^Dv<>PX*h"  # one more than there are colours: no pair of both comes twice
_COLUMNS = (45, 145, 205)  # points from the axes to the right edge of each


@dataclass(frozen=True, kw_only=True)
class LatencySeries:
    """One row of a benchmark, as far as it is drawn.

    Attributes:
        label: of the row.
        warmups_s: of each process, in order.
        samples_s: of each process, in order; at least one, none empty.
        lasted_s: of each process: how long its warm-up and its timed runs took together, of which
            not all need be among the samples.
        told: what is written beside the row: p50, times as long as the fastest, first answer.
        images_per_s: batch size to rate and its interval's limits.
    """

    label: str
    warmups_s: tuple[tuple[float, ...], ...]
    samples_s: tuple[tuple[float, ...], ...]
    lasted_s: tuple[tuple[float, float], ...]
    told: tuple[str, str, str]
    images_per_s: dict[int, tuple[float, float, float]]


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """One artifact: accuracy on `digits` test digits, latency's median and limits, bytes."""

    label: str
    accuracy: float
    digits: int
    p50_s: tuple[float, float, float]
    size_bytes: int


@styled()
def latency_distributions(series: Sequence[LatencySeries]) -> bytes:
    """Every latency on a logarithmic axis, its percentiles marked; the first series on top."""
    figure = Figure(figsize=(9, 1.4 + 0.5 * len(series)), layout="constrained")
    axes = figure.subplots()
    pooled = [_microseconds(np.concatenate(row.samples_s)) for row in series]
    low, high = min(map(np.min, pooled)), max(np.percentile(row, 99.9) for row in pooled)
    bins = np.geomspace(low * 0.95, high * 1.05, 160)
    for place, samples in enumerate(reversed(pooled)):
        counts, _ = np.histogram(samples, bins)
        heights = 0.75 * np.sqrt(counts / counts.max())  # the root shows the tail, too
        axes.fill_between(bins[:-1], place, place + heights, step="post", color=BLUE, lw=0)
        for percentile in _PERCENTILES:
            at = float(np.percentile(samples, percentile))
            axes.plot([at, at], [place - 0.14, place], color=INK, linewidth=1.4)
    axes.set_yticks(range(len(series)), [row.label for row in reversed(series)])
    axes.set_ylim(-0.45, len(series))
    axes.set(title="Latency of one picture", xlabel="µs, up to p99.9; marks: p50, p90, p99")
    axes.set_xscale("log")
    _round_numbers(axes, low * 0.9, high * 1.1, most=7)
    _tell(axes, series)
    return png(figure)


def _tell(axes: Axes, series: Sequence[LatencySeries]) -> None:
    """Write the figures beside the rows, as a table of three columns."""
    headers = ("p50 µs", "time\n(99 % interval)", "first\nanswer ms")
    lines = [headers, *(row.told for row in series)]
    for place, line in zip(range(len(series), -1, -1), lines, strict=True):
        for cell, points in zip(line, _COLUMNS, strict=True):
            axes.annotate(
                cell,
                (1, place - 0.3 if line is headers else place + 0.1),
                (points, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                fontweight="bold" if line is headers else "normal",
                annotation_clip=False,
            )


@styled()
def samples_over_time(series: Sequence[LatencySeries]) -> bytes:
    """Every process of every series from its first run on, the warm-up in grey."""
    figure = Figure(figsize=(9, 0.6 + 1.4 * len(series)), layout="constrained")
    panels = figure.subplots(len(series), 1, squeeze=False)[:, 0]
    for axes, row in zip(panels, series, strict=True):
        for warmup, samples, lasted_s in zip(
            row.warmups_s, row.samples_s, row.lasted_s, strict=True
        ):
            begin_s = 0.0
            for part, part_s, colour in ((warmup, lasted_s[0], GREY), (samples, lasted_s[1], BLUE)):
                ends_s = begin_s + np.linspace(0, part_s, len(part))
                step = -(-len(part) // _MOST_DOTS) or 1
                values = _microseconds(np.asarray(part))[::step]
                axes.plot(ends_s[::step], values, ".", color=colour, markersize=1.5, alpha=0.5)
                begin_s += part_s
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        powers = [10.0**power for power in range(-3, 9)]
        if sum(low <= power <= high for power in powers) < _FEW_TICKS:
            # With one or two numbers along the axis a reader could not tell how high a dot is.
            low = max(power for power in powers if power <= low)
            high = min(power for power in powers if power >= high)
        axes.yaxis.set_major_locator(FixedLocator(powers))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(low, high)
        axes.set_title(row.label, fontsize=9)
    panels[0].set_title(f"{series[0].label}: µs, a dot a run, warm-up in grey", fontsize=9)
    panels[-1].set_xlabel("seconds from the first run of each process, about")
    return png(figure)


@styled()
def throughput_by_batch(series: Sequence[LatencySeries]) -> bytes:
    """Images per second over the batch size, on two logarithmic axes."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    rates = [rate for row in series for rate in row.images_per_s.values()]
    sizes = sorted({size for row in series for size in row.images_per_s})
    for index, row in enumerate(series):
        values = np.asarray([row.images_per_s[size] for size in sorted(row.images_per_s)])
        axes.errorbar(
            sorted(row.images_per_s),
            values[:, 0],
            yerr=(values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]),
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=5,
            capsize=2,
            linewidth=1.2,
            label=row.label,
        )
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(
        FixedLocator(ticks(min(r[1] for r in rates), max(r[2] for r in rates)))
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(
        title="Throughput, with 99 % intervals", xlabel="batch size", ylabel="images per second"
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    return png(figure)


@styled()
def tradeoffs(points: Sequence[Tradeoff]) -> bytes:
    """Accuracy over latency, with 99 % intervals of both; the area of a dot is its bytes."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    front = _front(points)
    for index, point in enumerate(points):
        middle, low, high = (1e6 * figure_s for figure_s in point.p50_s)
        right = share(round(point.accuracy * point.digits), point.digits)
        (dot,) = axes.plot(
            middle,
            point.accuracy,
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=6,
            linestyle="none",
            label=f"{point.label}, {point.size_bytes / 1e3:,.1f} kB{'*' * (point.label in front)}",
        )
        axes.errorbar(
            middle,
            point.accuracy,
            xerr=[[middle - low], [high - middle]],
            yerr=[[point.accuracy - right.low], [right.high - point.accuracy]],
            fmt="none",
            color=dot.get_color(),
            elinewidth=0.8,
            capsize=2,
        )
        area = point.size_bytes / 1e3
        axes.scatter(middle, point.accuracy, s=area, color=dot.get_color(), alpha=0.25, lw=0)
    lows, highs = [p.p50_s[1] * 1e6 for p in points], [p.p50_s[2] * 1e6 for p in points]
    axes.set_xlim(min(lows) / 1.5, max(highs) * 1.5)
    _round_numbers(axes, min(lows) / 1.5, max(highs) * 1.5)
    show_percent(axes)
    axes.margins(y=0.12)  # for the largest areas
    axes.set(
        title="Accuracy, latency and bytes (area), with 99 % intervals",
        xlabel="µs for one picture, median",
        ylabel=f"accuracy on {points[0].digits:,} test digits",
    )
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        fontsize=8,
        title="* no other one is better in all three",
        title_fontsize=8,
    )
    return png(figure)


def _front(points: Sequence[Tradeoff]) -> set[str]:
    """Those that no other one beats in accuracy, latency and bytes at once."""

    def beaten(point: Tradeoff, by: Tradeoff) -> bool:
        mine = (-point.accuracy, point.p50_s[0], point.size_bytes)
        others = (-by.accuracy, by.p50_s[0], by.size_bytes)
        return others != mine and all(o <= m for o, m in zip(others, mine, strict=True))

    return {p.label for p in points if not any(beaten(p, other) for other in points)}


def _round_numbers(axes: Axes, low: float, high: float, *, most: int = 9) -> None:
    numbers = ticks(low, high)
    if len(numbers) > most:
        numbers = [number for number in numbers if math.log10(number).is_integer()]
    axes.xaxis.set_major_locator(FixedLocator(numbers))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _microseconds(
    samples_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(samples_s) * 1e6
