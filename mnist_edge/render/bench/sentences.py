"""What a benchmark says, in words: one sentence a row, and why to doubt them."""

from __future__ import annotations

from collections.abc import Iterable

from mnist_edge.bench.report import BenchReport, Measurement, Verdict
from mnist_edge.bench.selftest import SelfTest
from mnist_edge.render.bench.tables import span
from mnist_edge.render.text import counted, kilobytes, microseconds
from mnist_edge.stats import ASSUMED_LAYOUT, ENOUGH_RESTARTS

# The packages of runtimes that bear another name.
_PACKAGES = {"torchscript": "torch", "torch.export": "torch", "litert": "ai-edge-litert"}


def claim(report: BenchReport) -> str:
    """Which row is the fastest, and by how much."""
    row = _row(report, report.fastest)
    if row is None:
        return "no row can be relied on"
    left_out = sum(row.status == "left out" for row in report.rows)
    of = f" of the {len(report.ranked)} that were measured" if left_out else ""
    same = [v.row for v in report.verdicts if _ties(v, report)]
    beside = f", indistinguishable from {' and '.join(same)}" if same else ""
    text = (
        f"{row.label} is the fastest{of}{beside}: {microseconds(row.p50_s)} µs a picture "
        f"({seen(row)})"
    )
    against = _verdict(report, row.label, report.baseline)
    if against:
        text += f", {_times(against)} {report.baseline}"
    return f"{text}; its first answer takes {row.first_answer_s * 1e3:,.0f} ms"


def seen(row: Measurement) -> str:
    """Between what the microseconds of a row lie."""
    if row.seen_s is None:
        return f"99 % interval {span(row.percentiles_s['p50'], microseconds)}"
    low, high = map(microseconds, row.seen_s)
    return f"{low} to {high} in nine of ten turns"


def sentences(report: BenchReport) -> list[str]:
    """One for each row that was measured, the fastest first."""
    said = [claim(report)]
    for row in report.ranked:
        if row.label == report.fastest:
            continue
        if not row.usable:
            said.append(f"{row.label} is out of the ranking: {'; '.join(row.doubts)}")
            continue
        against = _verdict(report, row.label, report.fastest)
        text = f"{row.label} {_place(against) if against else 'was measured alone'}"
        said.append(text + _quantization(row, report))
    quantized = _quantization(_row(report, report.fastest), report)
    said[0] += quantized
    return said


def doubts(report: BenchReport) -> list[str]:
    """What failed, what is absent, and what to doubt, each with advice."""
    notes = [f"{', '.join(labels)}: {reason}" for reason, labels in _by_reason(report.rows).items()]
    notes += [
        f"{row.label}: {row.validity}: {'; '.join(row.doubts)}"
        for row in report.rows
        if row.status == "ok" and row.doubts
    ]
    if report.doubts:
        notes.append(f"every row: SUSPECT: {'; '.join(report.doubts)}")
    if report.in_turns and any(row.validity == "SUSPECT" for row in report.rows):
        notes.append(
            "SUSPECT concerns the microseconds: ratios were taken within each round, and hold"
        )
    return notes


def weights(report: BenchReport) -> list[str]:
    """What the packages weigh that a file needs beside it, so that bytes can be compared."""
    used = {row.backend for row in report.ranked}
    needed = {
        name: size
        for name, size in report.installed_bytes.items()
        if name == "numpy" or any(_PACKAGES.get(runtime, runtime) in name for runtime in used)
    }
    if not needed:
        return []
    listed = ", ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in needed.items())
    return [f"installed beside the file: {listed}; what a compiler makes of C needs none of them"]


def method(report: BenchReport) -> str:
    """How it was measured, in one sentence."""
    recipe, threads = report.recipe, report.recipe.threads
    resolution = report.resolution
    limit = f"; a difference of {resolution:.1%} is seen in every second run" if resolution else ""
    how = f"{counted(recipe.processes, 'process')} a row, interleaved"
    if report.in_turns:
        restarts = report.restarts
        rounds = max(
            sum(len(run.single.turns.medians_s) for run in row.runs) for row in report.rows
        )
        how = (
            f"{counted(restarts, 'restart')} and {rounds:,} turns a row, "
            "one row at a time in random order"
        )
        if restarts < ENOUGH_RESTARTS:
            how += f" (what restarts differ by is assumed: {ASSUMED_LAYOUT:.0%})"
        if report.at_a_time:
            how += f", no more than {report.at_a_time} of them beside each other for want of memory"
    return f"{how}, {counted(threads, 'thread')}; intervals of 99 %, ≈ where one holds 1{limit}"


def self_test_lines(tested: SelfTest) -> list[str]:
    """What the benchmark says of itself."""
    count = len(tested.rounds)
    last = tested.rounds[-1]
    overhead_ns = tested.timer_overhead_s * 1e9
    return [
        (
            f"{last.again.against} against itself: indistinguishable in {tested.quiet} of {count}; "
            f"largest difference {tested.noise_floor:.1%}; in the last one "
            f"{last.again.ratio.value:.3f} times ({span(last.again.ratio, '{:.3f}'.format)})"
        ),
        *(
            f"slowed by {share:.0%}: found in {found} of {count}; in the last one "
            f"{verdict.ratio.value:.3f} times ({span(verdict.ratio, '{:.3f}'.format)})"
            for share, found, verdict in (
                (tested.slowdown, tested.found, last.planted),
                (tested.slight_slowdown, tested.found_slight, last.slight),
            )
        ),
        f"the clock itself takes {overhead_ns:.0f} ns a reading; {method(tested.report)}",
        *doubts(tested.report),
        "the benchmark sees what is there, and nothing else"
        if tested.passed
        else "the benchmark is not to be believed on this machine as it is now",
    ]


def _ties(verdict: Verdict, report: BenchReport) -> bool:
    return verdict.against == report.fastest and verdict.word == "indistinguishable"


def _place(verdict: Verdict) -> str:
    interval = span(verdict.ratio)
    if verdict.word == "indistinguishable":
        return (
            f"is indistinguishable from it within ±{verdict.within:.1%} "
            f"({verdict.ratio.value:.2f} times, {interval})"
        )
    return f"takes {verdict.ratio.value:.2f} times as long ({interval})"


def _times(verdict: Verdict) -> str:
    match verdict.word:
        case "faster":
            return f"{1 / verdict.ratio.value:.1f} times as fast as"
        case "slower":
            return f"{verdict.ratio.value:.1f} times as slow as"
        case "indistinguishable":
            return f"within ±{verdict.within:.1%} of"


def _quantization(row: Measurement | None, report: BenchReport) -> str:
    """Whether a smaller artifact is worth it here, against its own float32."""
    if row is None or "-float32" in row.artifact:
        return ""
    plain = next((r for r in report.rows if r.label == row.full_precision_label), None)
    against = _verdict(report, row.label, row.full_precision_label)
    if plain is None or against is None:
        return ""
    accuracy = ""
    if row.source == plain.source == "test set":
        accuracy = f", accuracy {100 * (row.accuracy - plain.accuracy):+.2f} points"
    advice = {
        "faster": "recommended",
        "indistinguishable": "recommended where bytes count",
        "slower": "not recommended, unless bytes count most",
    }[against.word]
    return (
        f"; {kilobytes(row.deployed_bytes)} kB instead of {kilobytes(plain.deployed_bytes)}, "
        f"{_times(against)} its float32{accuracy}: {advice}"
    )


def _by_reason(rows: Iterable[Measurement]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.status != "ok":
            reasons.setdefault(f"{row.status}, {row.reason}", []).append(row.label)
    return reasons


def _row(report: BenchReport, label: str) -> Measurement | None:
    return next((row for row in report.rows if row.label == label), None)


def _verdict(report: BenchReport, row: str, against: str) -> Verdict | None:
    pairs = {(verdict.row, verdict.against): verdict for verdict in report.verdicts}
    return pairs.get((row, against))
