"""The tables of a benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from mnist_edge.bench.compare import Comparison
from mnist_edge.bench.report import BenchReport, Measurement
from mnist_edge.render.table import NOTHING, Table
from mnist_edge.render.text import kilobytes, microseconds
from mnist_edge.stats import Interval


def ranking(report: BenchReport) -> Table:
    """Every row that was measured, the fastest first, then those that were to be."""
    batch_size = max(report.recipe.batch_sizes, default=1)
    seen = "range seen" if report.in_turns else "99 % interval"
    return Table(
        headers=(
            *("artifact/device", "p50 µs", seen, "time", "p99 µs", "after others µs"),
            *(f"images/s ({batch_size})", "first answer ms", "MB", "kB", "deployed kB"),
        ),
        rows=(
            *(
                (
                    row.label,
                    microseconds(row.p50_s),
                    _seen(row),
                    relation(row, report)[0],
                    microseconds(row.p99_s),
                    microseconds(row.after_others_s.value if row.after_others_s else None),
                    _rate(row, batch_size),
                    f"{row.first_answer_s * 1e3:,.0f}",
                    megabytes(row.peak_resident_bytes),
                    kilobytes(row.size_bytes),
                    _deployed(row),
                )
                for row in report.ranked
            ),
            # What is absent is nobody's fault, and told below.
            *(
                (
                    *(row.label, NOTHING, NOTHING, row.status, *(NOTHING,) * 5),
                    *(kilobytes(row.size_bytes), NOTHING),
                )
                for row in report.rows
                if row.status in ("failed", "left out")
            ),
        ),
    )


def cold_start(report: BenchReport) -> Table:
    """Where the time before the first answer goes: medians of the processes, in milliseconds."""
    return Table(
        headers=("artifact/device", "interpreter", "import", "open", "first run", "sum, ms"),
        rows=tuple(
            (row.label, *(f"{step * 1e3:,.1f}" for step in (*_steps(row), row.first_answer_s)))
            for row in report.ranked
        ),
    )


def throughput(report: BenchReport) -> Table:
    """Images per second by batch size."""
    sizes = report.recipe.batch_sizes
    return Table(
        headers=("artifact/device", *(f"batch {size}" for size in sizes)),
        rows=tuple((row.label, *(_rate(row, size) for size in sizes)) for row in report.ranked),
    )


def fixed_rate(report: BenchReport) -> Table:
    """Latency from the intended start, where pictures arrive at a fixed rate."""
    return Table(
        headers=("artifact/device", "pictures/s", "p50 µs", "p90 µs", "p99 µs", "keeps up"),
        rows=tuple(
            (
                row.label,
                f"{paced.rate:g}",
                *(
                    microseconds(found.value if (found := paced.percentiles_s.get(name)) else None)
                    for name in ("p50", "p90", "p99")
                ),
                "yes" if paced.kept_up else "no",
            )
            for row in report.ranked
            for paced in row.paced
        ),
    )


def roofline(report: BenchReport) -> Table:
    """Multiply-adds a second, one picture at a time and in batches, and their share of the peak."""
    work, peak = report.cost.multiply_adds, report.ceiling.multiply_adds_per_s
    headers = ("artifact/device", "G/s, single", "of the peak", "G/s, best batch", "of the peak")
    if not work:
        return Table(headers=headers, rows=())
    rows = []
    for row in report.ranked:
        if row.device != "cpu" or row.threads != report.ceiling.threads or not row.p50_s:
            continue
        best = max((rate.images_per_s.value for rate in row.throughput), default=0.0)
        achieved = (work / row.p50_s, work * best)
        cells = [(f"{a / 1e9:.1f}", f"{a / peak:.0%}" if peak else NOTHING) for a in achieved]
        rows.append((row.label, *cells[0], *cells[1]))
    return Table(headers=headers, rows=tuple(rows))


def resident(report: BenchReport) -> Table:
    """Batches that lie on the device already, beside the way from host to host."""
    rows = []
    for row in report.ranked:
        for index, batch in enumerate(row.runs[0].resident):
            samples = sorted(s for run in row.runs for s in run.resident[index].samples_s)
            size = batch.batch_size
            there = {rate.batch_size: size / rate.images_per_s.value for rate in row.throughput}
            inside = microseconds(samples[len(samples) // 2])
            rows.append((row.label, str(size), microseconds(there.get(size)), inside))
    return Table(
        headers=("artifact/device", "batch", "host to host µs", "on the device µs"),
        rows=tuple(rows),
    )


def comparison(compared: Comparison, old: BenchReport, new: BenchReport) -> Table:
    """Two reports side by side: the medians, and how they relate."""
    before, after = ({row.label: row for row in report.rows} for report in (old, new))
    machines = ["", ""]
    if "processor" in compared.machines:
        machines = [f" ({processor})" for processor in compared.machines["processor"]]
    return Table(
        headers=(
            *("artifact/device", f"old µs{machines[0]}", f"new µs{machines[1]}"),
            *("new/old", "99 % interval", "verdict"),
        ),
        rows=tuple(
            (
                verdict.row,
                microseconds(before[verdict.row].p50_s),
                microseconds(after[verdict.row].p50_s),
                f"{verdict.ratio.value:.2f}",
                span(verdict.ratio),
                f"{verdict.word}: too slow"
                if verdict.row in compared.regressions
                else verdict.word,
            )
            for verdict in compared.verdicts
        ),
        notes=_comparison_notes(compared),
    )


def relation(row: Measurement, report: BenchReport) -> tuple[str, str]:
    """How many times as long as the fastest, and the interval; ≈ where they cannot be told apart.

    The validity, where there is no such figure.
    """
    if row.label == report.fastest:
        return "1.00×", NOTHING
    for verdict in report.verdicts:
        if (verdict.row, verdict.against) == (row.label, report.fastest):
            same = "≈ " if verdict.word == "indistinguishable" else ""
            return f"{same}{verdict.ratio.value:.2f}×", span(verdict.ratio)
    return row.validity, NOTHING


def energy(report: BenchReport) -> Table:
    """Joules of a picture, and all that the meter covers besides."""

    def written(joules: float) -> str:
        return f"{joules * 1e3:.3g}"

    return Table(
        headers=("artifact/device", "mJ a picture", "99 % interval"),
        rows=tuple(
            (row.label, written(row.joules.value), span(row.joules, written))
            for row in report.ranked
            if row.joules
        ),
    )


def _seen(row: Measurement) -> str:
    """What nine in ten turns lay between; of reports of before, the interval of the median."""
    if row.seen_s is None:
        return span(row.percentiles_s.get("p50"), microseconds)
    return f"{microseconds(row.seen_s[0])}–{microseconds(row.seen_s[1])}"


def span(interval: Interval | None, written: Callable[[float], str] = "{:.2f}".format) -> str:
    """The limits of an interval, as ratios where nothing else is said."""
    return f"{written(interval.low)}–{written(interval.high)}" if interval else NOTHING


def megabytes(size_bytes: int) -> str:
    """Memory in MB of a million bytes; nothing where it is unknown."""
    return f"{size_bytes / 1e6:,.0f}" if size_bytes else NOTHING


def _deployed(row: Measurement) -> str:
    """Nothing for source code of which it is not known what becomes of it."""
    source = row.artifact.startswith("c-") and row.deployed_bytes == row.size_bytes
    return NOTHING if source else kilobytes(row.deployed_bytes)


def _rate(row: Measurement, batch_size: int) -> str:
    rates = {t.batch_size: f"{t.images_per_s.value:,.0f}" for t in row.throughput}
    return rates.get(batch_size, NOTHING)


def _steps(row: Measurement) -> Sequence[float]:
    colds = [run.cold for run in row.runs]
    steps = zip(*((c.startup_s, c.import_s, c.open_s, c.first_run_s) for c in colds), strict=True)
    return [sorted(durations)[len(durations) // 2] for durations in steps]


def _comparison_notes(compared: Comparison) -> tuple[str, ...]:
    notes = [f"{label}: only in one of the reports" for label in compared.missing]
    notes += [
        f"{fact}: old {before}; new {after}" for fact, (before, after) in compared.machines.items()
    ]
    cost = statistics.median(verdict.half_width for verdict in compared.verdicts)
    apart = (
        f"the two reports were not interleaved: a difference may be the machine's, and those below "
        f"{cost:.0%} cannot be told apart"
    )
    if compared.beside:
        apart += f", where rows of one run are told apart from {compared.beside:.0%} on"
    notes.append(apart)
    if compared.speed:
        notes.append(
            f"a loop that is always the same took {compared.speed:.2f} times as long in the new "
            "report: so much of a difference may be the processor's speed"
        )
    return tuple(notes)
