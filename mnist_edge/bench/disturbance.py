"""What disturbed a measurement, row by row: named, with advice.

Rows that take turns share most of it, so what all of them have is told once. It does not spoil
their ratios, whose intervals hold it; it makes a row's own microseconds those of a disturbed
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from mnist_edge.bench.report import Measurement
from mnist_edge.bench.run import Run
from mnist_edge.bench.surroundings import Moment
from mnist_edge.stats import is_steady

Kind: TypeAlias = Literal["interrupted", "speed", "unsteady", "clock"]

# Half of what lies beyond p99.
_MOST_INTERRUPTED = 0.005
_MOST_SPEED = 0.10
_MOST_CLOCK = 0.05
_MOST_STOLEN = 0.01
_MOST_THROTTLED = 0.01
# Of fewer rows none can tell which of them it is that changes.
_ENOUGH_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that disturbed one row, and how much; see `_SAID`."""

    kind: Kind
    share: float


_SAID: dict[Kind, str] = {
    "interrupted": "other programs took the processor away in {0} of its runs, which its p99 "
    "shows; stop them",
    "speed": "the processor's speed varied by {0} (a loop that is always the same), so its "
    "microseconds are a mix; let nothing else run, and fix the clock",
    "unsteady": "it changed beside the others within {0} of its restarts; raise --warmup",
    "clock": "the clock itself takes {0} of a run",
}


def with_disturbances(
    rows: Sequence[Measurement], moments: Sequence[Moment], doubts: Sequence[str]
) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    """The rows with what disturbed them, and what is to be doubted of all of them.

    Args:
        rows: as they were measured, those that failed among them.
        moments: what the system's counters said meanwhile.
        doubts: of all rows, so far.
    """
    unsteady = _unsteady(rows)
    found = {row.label: _findings(row, unsteady.get(row.label, 0.0)) for row in rows if row.usable}
    shared = [
        kind
        for kind in _SAID
        if len(found) > 1
        and all(any(one.kind == kind for one in findings) for findings in found.values())
    ]
    common = (*doubts, *_of_machine(moments), *(_said_of_all(kind, found) for kind in shared))
    return tuple(
        _doubted(row, [one for one in found.get(row.label, ()) if one.kind not in shared], common)
        for row in rows
    ), common


def _doubted(row: Measurement, findings: Sequence[Finding], common: Sequence[str]) -> Measurement:
    if not row.usable:
        return row
    doubts = tuple(_SAID[one.kind].format(f"{one.share:.1%}") for one in findings)
    return replace(row, doubts=doubts, validity="SUSPECT" if doubts or common else "VALID")


def _findings(row: Measurement, unsteady: float) -> list[Finding]:
    runs = row.runs
    interrupted = sum(run.single.turns.interruptions for run in runs) / max(
        1, sum(run.single.runs for run in runs)
    )
    loops_s = [loop for run in runs for loop in run.single.turns.loop_s]
    low, high = np.quantile(loops_s, [0.05, 0.95]) if loops_s else (1.0, 1.0)
    overhead_s = max(run.timer_overhead_s for run in runs)
    limits: dict[Kind, tuple[float, float]] = {
        "interrupted": (interrupted, _MOST_INTERRUPTED),
        "speed": (float(high / low) - 1 if low else 0.0, _MOST_SPEED),
        "unsteady": (unsteady, 0.0),
        "clock": (overhead_s / (row.p50_s or overhead_s or 1.0), _MOST_CLOCK),
    }
    return [
        Finding(kind=kind, share=share) for kind, (share, most) in limits.items() if share > most
    ]


def _said_of_all(kind: Kind, found: dict[str, list[Finding]]) -> str:
    shares = [one.share for findings in found.values() for one in findings if one.kind == kind]
    low, high = f"{min(shares):.1%}", f"{max(shares):.1%}"
    text = _SAID[kind].format(low if low == high else f"{low} to {high}")
    return text.replace("its microseconds are", "microseconds are").replace("its ", "their ")


def _of_machine(moments: Sequence[Moment]) -> list[str]:
    doubts = []
    stolen = float(np.mean([moment.stolen for moment in moments])) if moments else 0.0
    if stolen > _MOST_STOLEN:
        doubts.append(
            f"other guests of the host took {stolen:.1%} of the processors' time (steal); "
            "measure where there are fewer"
        )
    throttled = float(np.mean([moment.throttled for moment in moments])) if moments else 0.0
    if throttled > _MOST_THROTTLED:
        doubts.append(
            f"the container's quota held everything back for {throttled:.1%} of the time; raise it"
        )
    return doubts


def _unsteady(rows: Sequence[Measurement]) -> dict[str, float]:
    """The share of its restarts within which a row changed beside the middle of all rows."""
    usable = [row for row in rows if row.usable]
    changed = {row.label: 0 for row in usable}
    restarts = max((len(row.runs) for row in usable), default=0)
    for index in range(restarts):
        runs = {row.label: row.runs[index] for row in usable if index < len(row.runs)}
        for group in {run.beside for run in runs.values()}:
            beside = {label: run for label, run in runs.items() if run.beside == group}
            for label in _changed(beside):
                changed[label] += 1
    return {label: count / restarts for label, count in changed.items() if count}


def _changed(runs: dict[str, Run]) -> list[str]:
    rounds = min((len(run.single.turns.medians_s) for run in runs.values()), default=0)
    if len(runs) < _ENOUGH_ROWS or not rounds:
        return []
    medians_s = np.array([run.single.turns.medians_s[:rounds] for run in runs.values()])
    beside = medians_s / np.median(medians_s, axis=0).clip(min=1e-9)
    return [label for label, row in zip(runs, beside, strict=True) if not is_steady(row)]
