"""The figures of a benchmark, where matplotlib is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_edge.bench import BenchReport, Measurement
from mnist_edge.bench.measure import Run
from mnist_edge.render.bench.tables import ranked, relation
from mnist_edge.render.text import NOTHING, microseconds
from mnist_edge.stats import Interval

if TYPE_CHECKING:
    from mnist_edge.plots.bench import Tradeoff


def bench_figures(report: BenchReport) -> dict[str, bytes]:
    """Title and PNG of each figure; none without matplotlib, or if nothing was measured."""
    rows = [row for row in ranked(report) if row.usable]
    if not rows:
        return {}
    try:
        from mnist_edge.plots import bench as plots
    except ModuleNotFoundError:
        return {}
    series = [
        plots.LatencySeries(
            label=row.label,
            warmups_s=tuple(run.single.warmup_s for run in row.runs),
            samples_s=tuple(run.single.samples_s for run in row.runs),
            lasted_s=tuple(lasted_s(run, report.recipe.warmup_s) for run in row.runs),
            told=_told(row, report),
            images_per_s={rate.batch_size: _limits(rate.images_per_s) for rate in row.throughput},
        )
        for row in rows
    ]
    figures = {
        "Latency": plots.latency_distributions(series),
        "Samples over time": plots.samples_over_time(series),
    }
    # One dot per file: further threads and modes have the same accuracy and bytes. On the few
    # reference digits every file is right, and the picture would hold nothing.
    files = [
        row
        for row in rows
        if row.source == "test set" and row.threads == report.recipe.threads and row.mode == "plain"
    ]
    if len(files) > 1:
        figures["Tradeoffs"] = plots.tradeoffs([_tradeoff(row) for row in files])
    if any(row.images_per_s for row in series):
        batched = [row for row in series if row.images_per_s]
        figures["Throughput"] = plots.throughput_by_batch(batched)
    return figures


def _told(row: Measurement, report: BenchReport) -> tuple[str, str, str]:
    """What stands beside a row: µs, times as long as the fastest, ms until the first answer."""
    times, interval = relation(row, report)
    if interval != NOTHING:
        times = f"{times} ({interval})"
    return microseconds(row.p50_s), times, f"{row.first_answer_s * 1e3:,.0f}"


def lasted_s(run: Run, warmup_s: float) -> tuple[float, float]:
    """Seconds that warm-up and timed runs took, of which the report may keep only every k-th.

    Of the warm-up it is not known how many there were, but they took `warmup_s` at least.
    """
    warmup, timed = run.single.warmup_s, run.single.samples_s
    return max(sum(warmup), warmup_s if warmup else 0.0), sum(timed) / len(timed) * run.single.runs


def _tradeoff(row: Measurement) -> Tradeoff:
    from mnist_edge.plots.bench import Tradeoff

    return Tradeoff(
        label=row.label,
        accuracy=row.accuracy,
        digits=row.digits,
        p50_s=_limits(row.percentiles_s["p50"]),
        size_bytes=row.size_bytes,
    )


def _limits(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
