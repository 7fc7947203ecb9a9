"""Reports in a size that can be kept in a repository, with all that their verdicts rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from mnist_edge.bench.report import BenchReport
from mnist_edge.bench.run import BatchSamples, Run, Turns

Scenario: TypeAlias = Literal["one picture", "batch"]
SCENARIOS: tuple[Scenario, ...] = ("one picture", "batch")

_SINGLE, _WARMUP = 24, 4
_DIGITS = 4

NOTE = (
    f"thinned: of each process {_SINGLE} single runs are kept, evenly spaced in time, and "
    f"{_WARMUP} of its warm-up; `runs` tells how many were timed; the verdicts rest on the "
    f"medians of its turns, which are all here, in {_DIGITS} digits"
)


def thinned(report: BenchReport) -> BenchReport:
    """The report with few of its samples, and without what was seen of the machine meanwhile."""
    rows = tuple(replace(row, runs=tuple(map(_thin, row.runs))) for row in report.rows)
    return replace(report, rows=rows, order=(), moments=())


def turn_medians(run: Run, scenario: Scenario) -> Sequence[float]:
    """Of turns of single pictures, or of batches of the first size."""
    if scenario == "one picture":
        return run.single.turns.medians_s
    return run.batches[0].medians_s if run.batches else ()


def _thin(run: Run) -> Run:
    turns = run.single.turns
    single = replace(
        run.single,
        warmup_s=_every(run.single.warmup_s, _WARMUP),
        samples_s=_every(run.single.samples_s, _SINGLE),
        turns=Turns(medians_s=_rounded(turns.medians_s), interruptions=turns.interruptions),
    )
    return replace(run, single=single, batches=tuple(map(_thin_batch, run.batches)))


def _thin_batch(batch: BatchSamples) -> BatchSamples:
    return replace(
        batch, samples_s=_every(batch.samples_s, _WARMUP), medians_s=_rounded(batch.medians_s)
    )


def _every(samples_s: tuple[float, ...], keep: int) -> tuple[float, ...]:
    return _rounded(samples_s[:: -(-len(samples_s) // keep) or 1])


def _rounded(samples_s: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(f"{sample:.{_DIGITS}g}") for sample in samples_s)
