"""What `runtimes.py` has measured: the page, the targets, and the JSON in a reasonable size."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from peers import BATCH_SIZES
from thinned import NOTE, SCENARIOS, Scenario, thinned, turn_medians

from mnist_edge.bench.judge import ratio_in_turns
from mnist_edge.bench.report import BenchReport, Measurement
from mnist_edge.bundle import codec
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.render.bench import ABOVE_THE_ROOF, context, listed
from mnist_edge.render.bench.sentences import doubts
from mnist_edge.render.bench.tables import megabytes, span
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.render.text import microseconds
from mnist_edge.stats import Interval, ratio_of_medians

BATCH = BATCH_SIZES[-1]

# What was asked of the C file before it was written: on two nets at most half the time of ONNX
# Runtime's float32 and 0.8 of the best peer's, on no net more than ONNX Runtime's.
_STRICT = ("sprint", "quick")
HALF, BEST_PEER, NEVER_SLOWER = 0.5, 0.8, 1.0
_OURS = ("c-float32", "c-int8")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One file of ours against another row of the same net.

    Attributes:
        ratio: of the median times; below 1 ours is faster.
        most: the ratio that was set as the target.
        word: whether it was met, and whether that is sure: the interval is all on one side.
    """

    net: str
    row: str
    against: str
    scenario: Scenario
    ratio: Interval
    most: float
    word: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All of one run, as it is written.

    Attributes:
        note: what was left out.
        order: in which the processes ran, one after the other, in a file of before.
        processes: the medians of its processes, likewise.
        reports: one a recipe.
    """

    schema: Literal[1] = 1
    note: str = NOTE
    order: tuple[str, ...] = ()
    targets: tuple[Target, ...]
    processes: dict[str, tuple[Interval, ...]] = field(default_factory=dict)
    reports: dict[str, BenchReport]


def compared(reports: dict[str, BenchReport]) -> Comparison:
    """A run in a reasonable size, with all that its verdicts rest on."""
    return Comparison(
        targets=targets(reports),
        reports={net: thinned(report) for net, report in reports.items()},
    )


def read_comparison(folder: Path) -> Comparison | None:
    """What `runtimes.py` wrote on the machine that the README speaks of; None where it has not."""
    path = folder / "peers-runtimes-amd-epyc.json"
    return codec.loads(Comparison, path.read_text()) if path.exists() else None


def summary_table(comparison: Comparison) -> Table:
    """Microseconds a picture, alone and in batches, of all runtimes on the nets that have peers."""
    nets = {
        net: {peer_of(row) or row.artifact: row for row in report.rows}
        for net, report in comparison.reports.items()
        if any(peer_of(row) for row in report.rows)
    }
    names = dict.fromkeys(name for rows in nets.values() for name in rows)

    def fastest(name: str) -> float:
        found = (rows[name] for rows in nets.values() if name in rows)
        return min(median_s(row, "one picture") if row.usable else math.inf for row in found)

    return Table(
        headers=("runtime", *(f"`{net}` µs{of}" for net in nets for of in ("", f" ({BATCH})"))),
        rows=tuple(
            (name, *(cell for rows in nets.values() for cell in _summary(rows.get(name))))
            for name in sorted(names, key=fastest)
        ),
    )


def _summary(row: Measurement | None) -> tuple[str, str]:
    if row is None or not row.usable:
        return row.validity if row and row.status == "ok" else NOTHING, NOTHING
    batch = microseconds(median_s(row, "batch")) if row.throughput else NOTHING
    return microseconds(row.p50_s), batch


def peer_of(row: Measurement) -> str:
    """The further runtime of a row, which files of before call its variant; empty for ours."""
    return row.runtime or row.variant


def ratio(row: Measurement, against: Measurement, scenario: Scenario, seed: int) -> Interval:
    """How many times as long a row takes, as `bench` compares."""
    found = ratio_in_turns(row.runs, against.runs, lambda run: turn_medians(run, scenario))
    if found:
        return found
    # A file of before: its processes ran one after the other.
    both = (
        [
            run.single.samples_s if scenario == "one picture" else run.batches[0].samples_s
            for run in side.runs
        ]
        for side in (row, against)
    )
    return ratio_of_medians(*both, seed=seed)


def targets(reports: dict[str, BenchReport]) -> tuple[Target, ...]:
    """Each C file against ONNX Runtime and, where there are peers, the best of them."""
    return tuple(
        target
        for net, report in reports.items()
        for scenario in SCENARIOS
        for target in _targets(net, report, scenario)
    )


def _targets(net: str, report: BenchReport, scenario: Scenario) -> list[Target]:
    usable = {
        row.label: row
        for row in report.rows
        if row.usable and (scenario == "one picture" or row.throughput)
    }
    peers = [row for row in usable.values() if peer_of(row)]
    best = min(peers, key=lambda row: median_s(row, scenario), default=None)
    plain = usable.get(f"{DEFAULT_ARTIFACT}/cpu")
    found = []
    for name in _OURS:
        row = usable.get(f"{name}/cpu")
        for against, most in (
            ((plain, HALF), (best, BEST_PEER)) if net in _STRICT else ((plain, NEVER_SLOWER),)
        ):
            if row and against:
                measured = ratio(row, against, scenario, report.recipe.seed)
                found.append(
                    Target(
                        net=net,
                        row=name,
                        against=peer_of(against) or against.artifact,
                        scenario=scenario,
                        ratio=measured,
                        most=most,
                        word=_word(measured, most),
                    )
                )
    return found


def _word(measured: Interval, most: float) -> str:
    verdict = "met" if measured.value <= most else "missed"
    sure = measured.high <= most or measured.low > most
    return verdict if sure else f"{verdict}, not surely"


def median_s(row: Measurement, scenario: Scenario) -> float:
    """Seconds a picture."""
    if scenario == "one picture":
        return row.percentiles_s["p50"].value
    return 1 / row.throughput[0].images_per_s.value if row.throughput else math.inf


def page(reports: dict[str, BenchReport]) -> str:
    """Claim, hardware, versions and n, the targets, then every row of every net."""
    first = next(iter(reports.values()))
    every = replace(first, rows=tuple(row for report in reports.values() for row in report.rows))
    found = targets(reports)
    parts = [
        f"# Runtimes side by side\n\n{_claim(found, reports)}\n\n{context(every)}",
        f"## The targets of the C files\n\n{markdown(_target_table(found))}",
        f"## Every row\n\n{listed(_legend(first))}",
        *(section(net, report) for net, report in reports.items()),
        f"## How each is set\n\n{listed(_settings(every.rows))}",
    ]
    return "\n".join(parts)


def _claim(found: Sequence[Target], reports: dict[str, BenchReport]) -> str:
    float32 = [target for target in found if target.row == "c-float32"]
    words = [target.word for target in float32]
    plain = [target.ratio.value for target in float32 if target.against == DEFAULT_ARTIFACT]
    if not plain:
        return "No C file could be compared with ONNX Runtime."
    return (
        f"One thread, {len(reports)} recipes: the C file takes {min(plain):.2f} to "
        f"{max(plain):.2f} times as long as ONNX Runtime in float32, for one picture and in "
        f"batches of {BATCH}; it surely meets {words.count('met')} of {len(words)} targets and "
        f"surely misses {words.count('missed')}."
    )


def _target_table(found: Sequence[Target]) -> Table:
    return Table(
        headers=("recipe", "file", "against", "of", "time", "99 % interval", "target", "verdict"),
        rows=tuple(
            (
                *(target.net, target.row, target.against),
                target.scenario if target.scenario == "one picture" else f"a batch of {BATCH}",
                f"{target.ratio.value:.2f}×",
                span(target.ratio),
                f"≤ {target.most:.1f}×",
                target.word,
            )
            for target in found
        ),
        notes=("The targets were set for float32; int8 is held to the same ones.",),
    )


def section(net: str, report: BenchReport) -> str:
    plain = next((row for row in report.rows if row.label == f"{DEFAULT_ARTIFACT}/cpu"), None)
    cost = report.cost
    table = Table(
        headers=(
            *("runtime", "version", "p50 µs", "99 % interval", "time", "interval", "p99 µs"),
            *(f"µs a picture ({BATCH})", "time", "interval", "G/s", "of peak"),
            *(f"G/s ({BATCH})", "of peak", "first answer ms", "MB", "error"),
        ),
        rows=tuple(_cells(row, plain, report) for row in report.ranked),
    )
    told = doubts(replace(report, doubts=()))
    return (
        f"### {net}: {cost.multiply_adds:,} multiply-adds, {cost.moved_bytes:,} bytes a picture\n\n"
        f"{markdown(table)}" + (f"\n{listed(told)}" if told else "")
    )


def _legend(report: BenchReport) -> list[str]:
    peak = f"{report.ceiling.multiply_adds_per_s / 1e9:.0f}"
    return [
        f"`time` is relative to {DEFAULT_ARTIFACT} of the same net, ≈ where its interval holds 1",
        f"({BATCH}) is in batches of {BATCH}",
        f"G/s are billions of multiply-adds a second, at most {peak} by a loop in the same run",
        ABOVE_THE_ROOF.rstrip("."),
        "`error` is the largest of any logit against the checkpoint in double precision",
        *doubts(replace(report, rows=())),
    ]


def _cells(row: Measurement, plain: Measurement | None, report: BenchReport) -> tuple[str, ...]:
    middle_s = median_s(row, "batch")
    return (
        peer_of(row) or row.artifact,
        f"{row.backend} {row.version}",
        microseconds(row.p50_s),
        span(row.percentiles_s.get("p50"), microseconds),
        *_relation(row, plain, report, "one picture"),
        microseconds(row.p99_s),
        microseconds(middle_s) if row.throughput else NOTHING,
        *_relation(row, plain, report, "batch"),
        *_roofline(row.p50_s or math.inf, report),
        *_roofline(middle_s, report),
        f"{row.first_answer_s * 1e3:,.0f}",
        megabytes(row.peak_resident_bytes),
        f"{row.max_abs_error:.0e}",
    )


def _relation(
    row: Measurement, plain: Measurement | None, report: BenchReport, scenario: Scenario
) -> tuple[str, str]:
    if not row.usable:
        return row.validity, NOTHING
    if plain is None or not plain.usable:
        return NOTHING, NOTHING
    if row.label == plain.label:
        return "1.00×", NOTHING
    found = ratio(row, plain, scenario, report.recipe.seed)
    same = "≈ " if found.low <= 1 <= found.high else ""
    return f"{same}{found.value:.2f}×", span(found)


def _roofline(picture_s: float, report: BenchReport) -> tuple[str, str]:
    rate, peak = report.cost.multiply_adds / picture_s, report.ceiling.multiply_adds_per_s
    if not rate:
        return NOTHING, NOTHING
    return f"{rate / 1e9:.1f}", f"{rate / peak:.0%}" if peak else NOTHING


def _settings(rows: Sequence[Measurement]) -> list[str]:
    peers = dict.fromkeys(peer_of(row) for row in rows if peer_of(row))
    return [
        "ours: through `Backend.run`, its checks of pictures and logits included",
        *(f"{peer}: {importlib.import_module(f'peers.{peer}').SETTINGS}" for peer in peers),
    ]
