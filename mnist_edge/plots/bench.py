"""What a benchmark has measured: how latencies are spread, steady, and traded for accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from mnist_edge.bench.report import BenchReport, Measurement
from mnist_edge.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    mark,
    png,
    show_percent,
    styled,
    ticks,
)
from mnist_edge.stats import share

_MOST_DOTS = 1500  # of one process in a figure
_VISIBLE = 0.001
_PERCENTILES = (50, 90, 99)
_FEW_TICKS = 3
_MARKERS = "os^Dv<>PX*h"  # of another number than the colours: no pair of both comes twice
_COLUMNS = (45, 145, 205)  # points from the axes to the right edge of each


@styled()
def latency_distributions(
    rows: Sequence[Measurement], told: Sequence[tuple[str, str, str]]
) -> bytes:
    """Every latency on a logarithmic axis, its percentiles marked; the first row on top.

    Args:
        rows: usable ones.
        told: what is written beside each: p50, times as long as the fastest, first answer.
    """
    figure = Figure(figsize=(9, 1.4 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    pooled = [_microseconds(row.samples_s) for row in rows]
    low, high = min(map(np.min, pooled)), max(np.percentile(row, 99.9) for row in pooled)
    bins = np.geomspace(low * 0.95, high * 1.05, 160)
    for place, samples in enumerate(reversed(pooled)):
        counts, _ = np.histogram(samples, bins)
        heights = 0.75 * np.sqrt(counts / counts.max())  # the root shows the tail, too
        axes.fill_between(bins[:-1], place, place + heights, step="post", color=BLUE, lw=0)
        for percentile in _PERCENTILES:
            at = float(np.percentile(samples, percentile))
            axes.plot([at, at], [place - 0.14, place], color=INK, linewidth=1.4)
    axes.set_yticks(range(len(rows)), [row.label for row in reversed(rows)])
    axes.set_ylim(-0.45, len(rows))
    axes.set(title="Latency of one picture", xlabel="µs, up to p99.9; marks: p50, p90, p99")
    axes.set_xscale("log")
    _round_numbers(axes, low * 0.9, high * 1.1, most=7)
    _tell(axes, told)
    return png(figure)


def _tell(axes: Axes, told: Sequence[tuple[str, str, str]]) -> None:
    """Write the figures beside the rows, as a table of three columns."""
    headers = ("p50 µs", "time\n(99 % interval)", "first\nanswer ms")
    lines = [headers, *told]
    for place, line in zip(range(len(told), -1, -1), lines, strict=True):
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
def samples_over_time(report: BenchReport, rows: Sequence[Measurement]) -> bytes:
    """Usable rows from their first run on, and below them what disturbed them."""
    below = _disturbed(report)
    count = len(rows) + len(below)
    figure = Figure(figsize=(9, 0.6 + 1.4 * count), layout="constrained")
    panels = figure.subplots(count, 1, squeeze=False, sharex=report.in_turns)[:, 0]
    draw = _draw_turns if report.in_turns else _draw_processes
    for axes, row in zip(panels, rows, strict=False):
        draw(axes, row)
        axes.set_yscale("log")
        _whole_powers(axes)
        axes.set_title(row.label, fontsize=9)
    for axes, show in zip(panels[len(rows) :], below, strict=True):
        show(axes, report)
    what = "a dot a turn, its first run in grey" if report.in_turns else "a dot a run"
    panels[0].set_title(f"{rows[0].label}: µs, {what}", fontsize=9)
    since = "seconds from the beginning; workers are restarted where there is nothing"
    panels[-1].set_xlabel(
        since if report.in_turns else "seconds from the first run of each process, about"
    )
    return png(figure)


def _draw_turns(axes: Axes, row: Measurement) -> None:
    for run in row.runs:
        turns = run.single.turns
        for values, colour in ((turns.first_s, GREY), (turns.medians_s, BLUE)):
            _dot(axes, turns.began_s, values, colour)


def _draw_processes(axes: Axes, row: Measurement) -> None:
    """Each process from its first run on, the warm-up in grey: reports of before."""
    for run in row.runs:
        begin_s = 0.0
        for values, part_s, colour in (
            (run.single.warmup_s, sum(run.single.warmup_s), GREY),
            (run.single.samples_s, float(np.mean(run.single.samples_s)) * run.single.runs, BLUE),
        ):
            _dot(axes, begin_s + np.linspace(0, part_s, len(values)), values, colour)
            begin_s += part_s


def _dot(
    axes: Axes, at_s: ArrayLike, values_s: ArrayLike, colour: str, most: int = _MOST_DOTS
) -> None:
    """Durations over time, so many of them at most."""
    step = -(-np.size(values_s) // most) or 1
    shown = np.asarray(at_s)[::step], _microseconds(values_s)[::step]
    axes.plot(*shown, ".", color=colour, markersize=1.5, alpha=0.5)


def _whole_powers(axes: Axes) -> None:
    low, high = axes.get_ylim()
    powers = [10.0**power for power in range(-3, 9)]
    if sum(low <= power <= high for power in powers) < _FEW_TICKS:
        # With one or two numbers along the axis a reader could not tell how high a dot is.
        low = max(power for power in powers if power <= low)
        high = min(power for power in powers if power >= high)
    mark(axes.yaxis, powers, "{x:,.6g}")
    axes.set_ylim(low, high)


def _disturbed(report: BenchReport) -> list[Callable[[Axes, BenchReport], None]]:
    """The panels of what went on beside; none for reports of before."""
    panels: list[Callable[[Axes, BenchReport], None]] = [_draw_speed] if report.in_turns else []
    if report.moments:
        panels.append(_draw_others)
    return panels


def _draw_speed(axes: Axes, report: BenchReport) -> None:
    turns = [run.single.turns for row in report.rows for run in row.runs]
    at_s = np.concatenate([turn.began_s for turn in turns])
    loops_s = np.concatenate([turn.loop_s for turn in turns])
    _dot(axes, at_s, loops_s, VERMILION, most=4 * _MOST_DOTS)
    # One that was interrupted would leave no height for the rest.
    axes.set_ylim(0, 1.3 * float(np.quantile(_microseconds(loops_s), 0.99)))
    axes.set_title("the processor's speed: µs of a loop that is always the same", fontsize=9)


def _draw_others(axes: Axes, report: BenchReport) -> None:
    at_s = [moment.at_s for moment in report.moments]
    axes.step(at_s, [moment.wanting for moment in report.moments], where="pre", color=INK, lw=0.9)
    axes.set_ylim(bottom=0)
    told = ["other programs that wanted a processor"]
    for name, colour, shares in (
        ("% stolen by the host", VERMILION, [moment.stolen for moment in report.moments]),
        ("% held back by the quota", ORANGE, [moment.throttled for moment in report.moments]),
    ):
        if max(shares) > _VISIBLE:
            percent = [100 * share for share in shares]
            axes.step(at_s, percent, where="pre", color=colour, lw=0.9, label=name)
            told.append(name)
    if len(told) > 1:
        axes.legend(loc="upper right", fontsize=7)
    axes.set_title(", ".join(told), fontsize=9)


@styled()
def throughput_by_batch(rows: Sequence[Measurement]) -> bytes:
    """Images per second over the batch size, on two logarithmic axes."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    rates = [rate.images_per_s for row in rows for rate in row.throughput]
    sizes = sorted({rate.batch_size for row in rows for rate in row.throughput})
    for index, row in enumerate(rows):
        found = sorted(row.throughput, key=lambda rate: rate.batch_size)
        values = np.asarray(
            [(r.images_per_s.value, r.images_per_s.low, r.images_per_s.high) for r in found]
        )
        axes.errorbar(
            [rate.batch_size for rate in found],
            values[:, 0],
            yerr=(values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]),
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=5,
            capsize=2,
            linewidth=1.2,
            label=row.label,
        )
    mark(axes.xaxis, sizes, "{x:g}")
    mark(axes.yaxis, ticks(min(r.low for r in rates), max(r.high for r in rates)), "{x:,.0f}")
    axes.set(
        title="Throughput, with 99 % intervals", xlabel="batch size", ylabel="images per second"
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    return png(figure)


@styled()
def tradeoffs(rows: Sequence[Measurement]) -> bytes:
    """Accuracy over latency, with 99 % intervals of both; the area of a dot is its bytes."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    front = _front(rows)
    for index, point in enumerate(rows):
        middle, low, high = _p50(point)
        kilobytes = point.deployed_bytes / 1e3
        right = share(round(point.accuracy * point.digits), point.digits)
        (dot,) = axes.plot(
            middle,
            point.accuracy,
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=6,
            linestyle="none",
            label=f"{point.label}, {kilobytes:,.1f} kB{'*' * (point.label in front)}",
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
        axes.scatter(middle, point.accuracy, s=kilobytes, color=dot.get_color(), alpha=0.25, lw=0)
    lows, highs = [_p50(row)[1] for row in rows], [_p50(row)[2] for row in rows]
    axes.set_xlim(min(lows) / 1.5, max(highs) * 1.5)
    _round_numbers(axes, min(lows) / 1.5, max(highs) * 1.5)
    show_percent(axes)
    axes.margins(y=0.12)  # for the largest areas
    axes.set(
        title="Accuracy (99 % interval), latency (range seen), bytes (area)",
        xlabel="µs for one picture, median",
        ylabel=f"accuracy on {rows[0].digits:,} test digits",
    )
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        fontsize=8,
        title="* no other one is better in all three",
        title_fontsize=8,
    )
    return png(figure)


def _p50(row: Measurement) -> tuple[float, float, float]:
    """Microseconds of the median, and between what nine of ten turns lay, or its interval."""
    middle = row.percentiles_s["p50"]
    low, high = row.seen_s or (middle.low, middle.high)
    return middle.value * 1e6, low * 1e6, high * 1e6


def _front(rows: Sequence[Measurement]) -> set[str]:
    """Those that no other one beats in accuracy, latency and bytes at once."""

    def beaten(row: Measurement, by: Measurement) -> bool:
        mine = (-row.accuracy, _p50(row)[0], row.deployed_bytes)
        others = (-by.accuracy, _p50(by)[0], by.deployed_bytes)
        return others != mine and all(o <= m for o, m in zip(others, mine, strict=True))

    return {row.label for row in rows if not any(beaten(row, other) for other in rows)}


def _round_numbers(axes: Axes, low: float, high: float, *, most: int = 9) -> None:
    numbers = ticks(low, high)
    if len(numbers) > most:
        numbers = [number for number in numbers if math.log10(number).is_integer()]
    mark(axes.xaxis, numbers, "{x:,.6g}")


def _microseconds(samples_s: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(samples_s, np.float64) * 1e6
