"""Reports in a size that can be kept in a repository, with all that their verdicts rest on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from mnist_edge.bench import BenchReport
from mnist_edge.bench.measure import Run
from mnist_edge.stats import Interval, estimate_quantile

Scenario: TypeAlias = Literal["one picture", "batch"]
SCENARIOS: tuple[Scenario, ...] = ("one picture", "batch")

_SINGLE, _WARMUP, _BATCHES = 24, 4, 4

NOTE = (
    f"thinned: of each process {_SINGLE} single runs are kept, evenly spaced in time, {_WARMUP} of "
    f"its warm-up and {_BATCHES} batches; `runs` tells how many were timed, `processes` the median "
    "of each process and its 99 % interval from all samples, on which the verdicts rest"
)


def thinned(report: BenchReport) -> BenchReport:
    """The report with few of its samples, and without its order."""
    rows = tuple(replace(row, runs=tuple(map(_thin, row.runs))) for row in report.rows)
    return replace(report, rows=rows, order=())


def process_medians(report: BenchReport) -> dict[str, tuple[Interval, ...]]:
    """By row and scenario: the median duration in each process that has enough samples."""
    return {
        f"{row.label}/{scenario}": tuple(
            middle
            for run in row.runs
            if (middle := estimate_quantile(samples_s(run, scenario), 0.5))
        )
        for row in report.rows
        for scenario in SCENARIOS
    }


def samples_s(run: Run, scenario: Scenario) -> tuple[float, ...]:
    """Durations of single runs, or of batches of the first size, in one process."""
    return run.single.samples_s if scenario == "one picture" else run.batches[0].samples_s


def _thin(run: Run) -> Run:
    single = replace(
        run.single,
        warmup_s=_every(run.single.warmup_s, _WARMUP),
        samples_s=_every(run.single.samples_s, _SINGLE),
    )
    batches = tuple(
        replace(batch, samples_s=_every(batch.samples_s, _BATCHES)) for batch in run.batches
    )
    return replace(run, single=single, batches=batches)


def _every(samples_s: tuple[float, ...], keep: int) -> tuple[float, ...]:
    return samples_s[:: -(-len(samples_s) // keep) or 1]
