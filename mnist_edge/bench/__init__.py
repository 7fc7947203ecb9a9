"""Measure artifacts against each other, and say how sure the differences are.

Every artifact and device is measured in fresh processes of its own, interleaved in an order that
is random but balanced. What comes out is data; tables and sentences are made of it elsewhere.

`measure` is what happens in one process, `apart` and `worker` the two ends of that process,
`report` what comes out, and `judge` whether to believe it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from mnist_edge.bench.apart import run_apart
from mnist_edge.bench.judge import common_doubts, compare_rows, judge
from mnist_edge.bench.measure import Failure, Job, Run
from mnist_edge.bench.report import (
    PERCENTILES,
    SCHEMA,
    BenchReport,
    Measurement,
    Status,
    Throughput,
    Verdict,
    row_label,
)
from mnist_edge.bundle import CHECKPOINT, Artifact, Bundle
from mnist_edge.machine import describe_machine, library_versions, load_average
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes import BenchRecipe, Device
from mnist_edge.stats import Interval, estimate_quantile

__all__ = ["BenchReport", "Measurement", "Throughput", "Verdict", "bench", "row_label"]


def discard(_: BenchReport) -> None:
    """An `on_row` that keeps nothing."""


def bench(
    bundle: Bundle,
    recipe: BenchRecipe,
    *,
    devices: tuple[Device, ...] = ("cpu",),
    artifacts: tuple[str, ...] = (),
    progress: Progress = silent,
    on_row: Callable[[BenchReport], None] = discard,
    measure: Callable[[Job], Run | Failure] = run_apart,
) -> BenchReport:
    """Measure artifacts on devices.

    Args:
        bundle: where they lie.
        recipe: how to measure.
        devices: each artifact is measured on each.
        artifacts: names; all of the bundle where none is given.
        progress: told after each process.
        on_row: given the report so far after each process, to be saved.
        measure: carries out one job; by default in a fresh process.

    Raises:
        UsageError: the bundle has no artifact of that name.
    """
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    rows = {
        row_label(name, device): (bundle.artifact(name), device)
        for name in names
        for device in devices
    }
    report = _empty_report(bundle, recipe, plan(tuple(rows), recipe.processes, recipe.seed))
    runs: dict[str, list[Run]] = {}
    failures: dict[str, Failure] = {}
    for done, label in enumerate(report.order, start=1):
        progress(done - 1, len(report.order), label)
        artifact, device = rows[label]
        # What failed once is not tried again: a time-out alone may take minutes.
        if label not in failures:
            job = Job(
                bundle=str(bundle.path),
                artifact=artifact.name,
                device=device,
                recipe=recipe,
                started_ns=time.monotonic_ns(),
            )
            outcome = measure(job)
            if isinstance(outcome, Failure):
                failures[label] = outcome
            else:
                runs.setdefault(label, []).append(outcome)
        measured = tuple(
            _measurement(*rows[known], runs.get(known, ()), failures.get(known), report)
            for known in rows
            if known in runs or known in failures
        )
        report = _with_rows(report, measured, finished=done == len(report.order))
        on_row(report)
    progress(len(report.order), len(report.order))
    return report


def plan(labels: Sequence[str], processes: int, seed: int) -> tuple[str, ...]:
    """The order of the processes: passes over all rows, shuffled, every second one backwards.

    A machine that slows down steadily then weighs on all rows of such a pair alike (ABBA).
    """
    shuffle = random.Random(seed)  # noqa: S311  (an order, not a secret)
    order: list[str] = []
    current = list(labels)
    for index in range(processes):
        if index % 2:
            current.reverse()
        else:
            shuffle.shuffle(current)
        order += current
    return tuple(order)


def _empty_report(bundle: Bundle, recipe: BenchRecipe, order: tuple[str, ...]) -> BenchReport:
    machine, load = describe_machine(), load_average() or ()
    return BenchReport(
        schema=SCHEMA,
        bundle=bundle.path.resolve().name,
        data=bundle.manifest.data.name,
        data_sha256=bundle.manifest.data.sha256,
        machine=machine,
        versions=library_versions(),
        load_before=load,
        load_after=(),
        recipe=recipe,
        order=order,
        finished=False,
        doubts=common_doubts(machine, recipe, load),
        rows=(),
        fastest="",
        baseline="",
        verdicts=(),
    )


def _with_rows(
    report: BenchReport, rows: tuple[Measurement, ...], *, finished: bool
) -> BenchReport:
    """The report with these rows and the verdicts that follow from them."""
    usable = [row for row in rows if row.status == "ok" and row.validity != "INVALID"]
    fastest = min(usable, key=lambda row: row.percentiles_s["p50"].value, default=None)
    baseline = next((row for row in usable if row.artifact == CHECKPOINT), None)
    verdicts: list[Verdict] = []
    for against in (fastest, baseline):
        if against and not any(verdict.against == against.label for verdict in verdicts):
            verdicts += compare_rows(usable, against, report.recipe.seed)
    return replace(
        report,
        rows=rows,
        finished=finished,
        load_after=load_average() or (),
        fastest=fastest.label if fastest else "",
        baseline=baseline.label if baseline else "",
        verdicts=tuple(verdicts),
    )


def _measurement(
    artifact: Artifact,
    device: Device,
    runs: Sequence[Run],
    failure: Failure | None,
    context: BenchReport,
) -> Measurement:
    row = Measurement(
        artifact=artifact.name,
        device=device,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        threads=context.recipe.threads,
        status="ok",
        percentiles_s={},
        runs=tuple(runs),
    )
    if failure:
        status: Status = "absent" if failure.absent else "failed"
        return replace(row, status=status, reason=failure.reason, doubts=(failure.reason,))
    percentiles_s = _percentiles_s(row.samples_s)
    validity, doubts = judge(artifact, runs, percentiles_s)
    if validity == "VALID" and context.doubts:
        validity = "SUSPECT"
    return replace(
        row,
        backend=runs[0].backend,
        version=runs[0].version,
        validity=validity,
        doubts=doubts,
        percentiles_s=percentiles_s,
        throughput=_throughput(runs),
    )


def _percentiles_s(samples_s: Sequence[float]) -> dict[str, Interval]:
    estimates = {name: estimate_quantile(samples_s, q) for name, q in PERCENTILES.items()}
    return {name: estimate for name, estimate in estimates.items() if estimate}


def _throughput(runs: Sequence[Run]) -> tuple[Throughput, ...]:
    """Of each batch size for which the processes together have enough samples."""
    rates = []
    for same_size in zip(*(run.batches for run in runs), strict=True):
        batch_size = same_size[0].batch_size
        samples_s = [sample for batch in same_size for sample in batch.samples_s]
        duration_s = estimate_quantile(samples_s, 0.5)
        if duration_s:
            # The shortest duration is the highest rate.
            images_per_s = Interval(
                value=batch_size / duration_s.value,
                low=batch_size / duration_s.high,
                high=batch_size / duration_s.low,
            )
            rates.append(Throughput(batch_size=batch_size, images_per_s=images_per_s))
    return tuple(rates)
