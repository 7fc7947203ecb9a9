"""A benchmark from its first process to its report."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from mnist_edge.bench.apart import run_apart
from mnist_edge.bench.judge import common_doubts, verdict
from mnist_edge.bench.measure import Failure, Job, Run
from mnist_edge.bench.report import SCHEMA, BenchReport, Measurement
from mnist_edge.bench.roofline import UNKNOWN_CEILING, Ceiling
from mnist_edge.bench.rows import row_of
from mnist_edge.bench.subject import Subject, choose_subjects
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.errors import DeviceUnavailable
from mnist_edge.formats import find_artifact
from mnist_edge.machine import describe_machine, gpu_state, library_versions, load_average
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import Device

Outcomes: TypeAlias = dict[str, Failure | tuple[Run, ...]]
"""By label: the runs of its processes so far, or why there are none."""


def discard(_: BenchReport) -> None:
    """An `on_row` that keeps nothing."""


_NO_GPU = "no NVIDIA GPU is here (nvidia-smi names none)"


def bench(
    bundle: Bundle,
    recipe: BenchRecipe,
    *,
    devices: tuple[Device, ...] = ("cpu",),
    artifacts: tuple[str, ...] = (),
    compile_: bool = False,
    ceiling: Ceiling = UNKNOWN_CEILING,
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
        compile_: whether torch also compiles the checkpoint.
        ceiling: of this machine, for the report.
        progress: told after each process.
        on_row: given the report so far after each process, to be saved.
        measure: carries out one job; by default in a fresh process.

    Raises:
        UsageError: the bundle has no artifact of that name.
    """
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    return measure_subjects(
        bundle,
        recipe,
        choose_subjects(names, devices, recipe, compile_=compile_),
        ceiling=ceiling,
        progress=progress,
        on_row=on_row,
        measure=measure,
    )


def measure_subjects(
    bundle: Bundle,
    recipe: BenchRecipe,
    subjects: Sequence[Subject],
    *,
    ceiling: Ceiling = UNKNOWN_CEILING,
    progress: Progress = silent,
    on_row: Callable[[BenchReport], None] = discard,
    measure: Callable[[Job], Run | Failure] = run_apart,
) -> BenchReport:
    """`bench` of rows that the caller has chosen; their labels must differ.

    Raises:
        DeviceUnavailable: every row asks for a GPU, and there is none.
    """
    rows = {
        subject.label: (bundle.scored(find_artifact(bundle, subject.artifact)), subject)
        for subject in subjects
    }
    order = plan(tuple(rows), recipe.processes, recipe.seed)
    report = replace(empty_report(bundle, recipe, order), ceiling=ceiling)
    failures = _without_device(subjects, report)
    if rows.keys() <= failures.keys():  # nothing at all could be measured
        raise DeviceUnavailable(_NO_GPU, fix="choose --device cpu")
    jobs = {label: job_of(bundle, subject, recipe) for label, (_, subject) in rows.items()}
    steps = interleave(order, jobs, failures=failures, progress=progress, measure=measure)
    for done, outcomes in enumerate(steps, start=1):
        measured = tuple(
            row_of(*rows[label], outcomes[label], machine_doubted=bool(report.doubts))
            for label in rows
            if label in outcomes
        )
        report = _with_rows(report, measured, finished=done == len(order))
        if done % len(rows) == 0:  # a pass over all rows
            report = with_verdicts(report)
        on_row(report)
    return report


def job_of(bundle: Bundle, subject: Subject, recipe: BenchRecipe) -> Job:
    """The work of one process, to be started by `interleave`."""
    return Job(bundle=str(bundle.path), subject=subject, recipe=recipe, started_ns=0)


def interleave(
    order: Sequence[str],
    jobs: Mapping[str, Job],
    *,
    failures: Mapping[str, Failure],
    progress: Progress = silent,
    measure: Callable[[Job], Run | Failure] = run_apart,
) -> Iterator[Outcomes]:
    """Carry out jobs, one process after the other.

    Args:
        order: labels of the jobs, each as often as it has processes.
        jobs: by label; they need not be of one bundle.
        failures: of those that need not be tried.
        progress: told before each process, and at the end.
        measure: carries out one job; by default in a fresh process.

    Yields:
        After each process, what is known by then of each label that has had its turn.
    """
    outcomes: Outcomes = {}
    for done, label in enumerate(order):
        progress(done, len(order), label)
        known = outcomes.setdefault(label, failures.get(label, ()))
        # What failed once is not tried again: a time-out alone may take minutes.
        if not isinstance(known, Failure):
            found = measure(replace(jobs[label], started_ns=time.monotonic_ns()))
            outcomes[label] = found if isinstance(found, Failure) else (*known, found)
        yield outcomes
    progress(len(order), len(order))


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


def _without_device(subjects: Sequence[Subject], report: BenchReport) -> dict[str, Failure]:
    """What need not be tried: every process would only find out for itself."""
    if report.machine.gpu:
        return {}
    failure = Failure(absent=True, reason=_NO_GPU)
    return {subject.label: failure for subject in subjects if subject.device == "cuda"}


def empty_report(bundle: Bundle, recipe: BenchRecipe, order: tuple[str, ...]) -> BenchReport:
    """What is known before the first process: the machine, its load, and what to doubt."""
    machine, load = describe_machine(), load_average() or ()
    return BenchReport(
        schema=SCHEMA,
        bundle=bundle.path.resolve().name,
        data=bundle.manifest.data.name,
        data_sha256=bundle.manifest.data.sha256,
        machine=machine,
        versions=library_versions(),
        gpu_before=gpu_state() if machine.gpu else (),
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
    return replace(
        report,
        rows=rows,
        finished=finished,
        gpu_after=gpu_state() if finished and report.machine.gpu else (),
        load_after=load_average() or (),
    )


def with_verdicts(report: BenchReport) -> BenchReport:
    """The report with the verdicts that follow from its rows."""
    usable = [row for row in report.rows if row.usable]
    fastest = min(usable, key=lambda row: row.percentiles_s["p50"].value, default=None)
    baseline = next((row for row in usable if row.artifact == CHECKPOINT), None)
    by_label = {row.label: row for row in usable}
    pairs = dict.fromkeys(
        (row.label, against.label)
        for row in usable
        for against in (fastest, baseline, by_label.get(row.full_precision_label))
        if against and against.label != row.label
    )
    return replace(
        report,
        fastest=fastest.label if fastest else "",
        baseline=baseline.label if baseline else "",
        verdicts=tuple(
            verdict(by_label[row], by_label[against], report.recipe.seed) for row, against in pairs
        ),
    )
