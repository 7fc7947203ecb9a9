"""The figures of a benchmark, where matplotlib is installed."""

from __future__ import annotations

from mnist_edge.bench.report import BenchReport, Measurement
from mnist_edge.render.bench.tables import relation
from mnist_edge.render.table import NOTHING
from mnist_edge.render.text import microseconds


def bench_figures(report: BenchReport) -> dict[str, bytes]:
    """Title and PNG of each figure; none without matplotlib, or if nothing was measured."""
    rows = [row for row in report.ranked if row.usable]
    if not rows:
        return {}
    try:
        from mnist_edge.plots import bench as plots
    except ModuleNotFoundError:
        return {}
    figures = {
        "Latency": plots.latency_distributions(rows, [_told(row, report) for row in rows]),
        "Samples over time": plots.samples_over_time(report, rows),
    }
    # One dot per file: further threads and modes have the same accuracy and bytes. On the few
    # reference digits every file is right, and the picture would hold nothing.
    files = [
        row
        for row in rows
        if row.source == "test set" and row.threads == report.recipe.threads and row.mode == "plain"
    ]
    if len(files) > 1:
        figures["Tradeoffs"] = plots.tradeoffs(files)
    batched = [row for row in rows if row.throughput]
    if batched:
        figures["Throughput"] = plots.throughput_by_batch(batched)
    return figures


def _told(row: Measurement, report: BenchReport) -> tuple[str, str, str]:
    """What stands beside a row: µs, times as long as the fastest, ms until the first answer."""
    times, interval = relation(row, report)
    if interval != NOTHING:
        times = f"{times} ({interval})"
    return microseconds(row.p50_s), times, f"{row.first_answer_s * 1e3:,.0f}"
