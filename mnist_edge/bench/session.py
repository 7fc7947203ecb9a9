"""A benchmark from its first process to its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mnist_edge.bench.apart import start_apart
from mnist_edge.bench.budget import starts_at_once
from mnist_edge.bench.disturbance import with_disturbances
from mnist_edge.bench.energy import Meter, find_meter
from mnist_edge.bench.judge import machine_doubts, verdict
from mnist_edge.bench.report import SCHEMA, BenchReport, Measurement
from mnist_edge.bench.roofline import UNKNOWN_CEILING, Ceiling
from mnist_edge.bench.rounds import Start, measure_in_turns
from mnist_edge.bench.rows import row_of
from mnist_edge.bench.subject import Subject, choose_subjects
from mnist_edge.bench.surroundings import Watch
from mnist_edge.bench.turn import Failure, Job
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import CHECKPOINT, Artifact
from mnist_edge.errors import DeviceUnavailable, Untrusted
from mnist_edge.formats import FORMATS, find_artifact, run_by
from mnist_edge.formats.consent import check_consent, may_run
from mnist_edge.machine import (
    describe_machine,
    gpu_state,
    installed_bytes,
    library_versions,
    load_average,
)
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import Device, Runtime

_RUNTIMES = (
    *("onnxruntime", "onnxruntime-gpu", "torch", "ai-edge-litert", "ncnn", "openvino"),
    *("wasmtime", "numpy"),
)
_NO_GPU = "no NVIDIA GPU is here (nvidia-smi names none)"


def bench(
    bundle: Bundle,
    recipe: BenchRecipe,
    *,
    devices: tuple[Device, ...] = ("cpu",),
    artifacts: tuple[str, ...] = (),
    compile_: bool = False,
    runtimes: tuple[Runtime, ...] = (),
    ceiling: Ceiling = UNKNOWN_CEILING,
    progress: Progress = silent,
    on_row: Callable[[BenchReport], None] = lambda _: None,
    start: Start = start_apart,
) -> BenchReport:
    """Measure artifacts on devices.

    Args:
        bundle: where they lie.
        recipe: how to measure.
        devices: each artifact is measured on each.
        artifacts: names; all of the bundle where none is given.
        compile_: whether torch also compiles the checkpoint.
        runtimes: by name; each runs those artifacts that it can.
        ceiling: of this machine, for the report.
        progress: told after each start and each round.
        on_row: given the report so far after each restart, to be saved.
        start: gives each job its worker; by default a fresh process.

    Raises:
        UsageError: the bundle has no artifact of that name.
        Untrusted: one that was named is a program for which nothing vouches, or all are.
    """
    for artifact in (find_artifact(bundle, name) for name in artifacts):
        check_consent(bundle, artifact, FORMATS[artifact.format])
    return measure_subjects(
        bundle,
        recipe,
        subjects_of(
            bundle,
            recipe,
            devices=devices,
            artifacts=artifacts,
            compile_=compile_,
            runtimes=runtimes,
        ),
        ceiling=ceiling,
        progress=progress,
        on_row=on_row,
        start=start,
    )


def subjects_of(
    bundle: Bundle,
    recipe: BenchRecipe,
    *,
    devices: tuple[Device, ...] = ("cpu",),
    artifacts: tuple[str, ...] = (),
    compile_: bool = False,
    runtimes: tuple[Runtime, ...] = (),
) -> tuple[Subject, ...]:
    """The rows that `bench` would measure."""
    if runtimes:
        return tuple(
            replace(subject, runtime=runtime)
            for runtime in dict.fromkeys(runtimes)
            for subject in choose_subjects(run_by(bundle, runtime, artifacts), devices, recipe)
        )
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    return choose_subjects(names, devices, recipe, compile_=compile_)


def measure_subjects(
    bundle: Bundle,
    recipe: BenchRecipe,
    subjects: Sequence[Subject],
    *,
    ceiling: Ceiling = UNKNOWN_CEILING,
    progress: Progress = silent,
    on_row: Callable[[BenchReport], None] = lambda _: None,
    start: Start = start_apart,
) -> BenchReport:
    """`bench` of rows that the caller has chosen; their labels must differ.

    Raises:
        DeviceUnavailable: every row asks for a GPU, and there is none.
    """
    rows = {
        subject.label: (bundle.scored(find_artifact(bundle, subject.artifact)), subject)
        for subject in subjects
    }
    meters = {device: find_meter(device) for device in dict.fromkeys(s.device for s in subjects)}
    report = replace(empty_report(bundle, recipe), ceiling=ceiling, energy=_told(meters))
    failures = _without_device(subjects, report)
    if rows.keys() <= failures.keys():  # nothing at all could be measured
        raise DeviceUnavailable(_NO_GPU, fix="choose --device cpu")
    refusals = _without_consent(bundle, [artifact for artifact, _ in rows.values()])
    failures |= {
        label: Failure(status="absent", reason=str(refusals[artifact.name]))
        for label, (artifact, _) in rows.items()
        if artifact.name in refusals
    }
    if refusals and rows.keys() <= failures.keys():
        raise next(iter(refusals.values()))
    watch = Watch()
    steps = measure_in_turns(
        {label: job_of(bundle, subject, recipe) for label, (_, subject) in rows.items()},
        recipe,
        failures=failures,
        start=start,
        progress=progress,
        watch=watch,
        meters={
            label: meter
            for label, (_, subject) in rows.items()
            if not isinstance(meter := meters[subject.device], str)
        },
    )
    so_far = report
    for outcomes in steps:
        so_far = complete_report(
            report,
            [row_of(*rows[label], outcome) for label, outcome in outcomes.items() if outcome != ()],
            watch,
        )
        on_row(so_far)
    finished = replace(so_far, finished=True, gpu_after=gpu_state() if report.machine.gpu else ())
    on_row(finished)
    return finished


def job_of(bundle: Bundle, subject: Subject, recipe: BenchRecipe) -> Job:
    """The work of one worker, to be started by `measure_in_turns`."""
    artifact = bundle.artifact(subject.artifact)
    allowed = may_run(bundle, artifact, FORMATS[artifact.format])
    return Job(
        bundle=str(bundle.path),
        subject=subject,
        timeout_s=recipe.timeout_s,
        consent=artifact.sha256 if allowed else "",
    )


def _without_consent(bundle: Bundle, artifacts: Sequence[Artifact]) -> dict[str, Untrusted]:
    """Why artifacts may not run, by their names; none of those that may."""
    refusals = {}
    for artifact in artifacts:
        try:
            check_consent(bundle, artifact, FORMATS[artifact.format])
        except Untrusted as error:
            refusals[artifact.name] = error
    return refusals


def empty_report(bundle: Bundle, recipe: BenchRecipe) -> BenchReport:
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
        starts_at_once=starts_at_once(),
        installed_bytes=installed_bytes(_RUNTIMES),
        recipe=recipe,
        order=(),
        finished=False,
        doubts=machine_doubts(machine, recipe, load),
        rows=(),
        fastest="",
        baseline="",
        verdicts=(),
    )


def complete_report(report: BenchReport, rows: Sequence[Measurement], watch: Watch) -> BenchReport:
    """The report with its rows, what disturbed them, and the verdicts that follow."""
    moments = tuple(watch.moments)
    judged, doubts = with_disturbances(rows, moments, report.doubts)
    groups = [run.beside for row in judged for run in row.runs]
    beside = [
        sum(len(row.runs) > index and row.runs[index].beside == group for row in judged)
        for index in range(max((len(row.runs) for row in judged), default=0))
        for group in set(groups)
    ]
    return with_verdicts(
        replace(
            report,
            rows=judged,
            doubts=doubts,
            moments=moments,
            load_after=load_average() or (),
            at_a_time=min(filter(None, beside), default=0) if max(groups, default=0) else 0,
        )
    )


def with_verdicts(report: BenchReport) -> BenchReport:
    """The report with the verdicts that follow from its rows."""
    by_label = {row.label: row for row in report.rows if row.usable}
    fastest = _fastest(list(by_label.values()), report.recipe.seed)
    baseline = next((row for row in by_label.values() if row.artifact == CHECKPOINT), None)
    pairs = dict.fromkeys(
        (row.label, against.label)
        for row in by_label.values()
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


def _fastest(usable: Sequence[Measurement], seed: int) -> Measurement | None:
    """The row that takes the least time beside the others, which its own median need not show."""
    first = min(usable, key=lambda row: row.p50_s or 0.0, default=None)
    if first is None:
        return None
    return min(
        usable, key=lambda row: verdict(row, first, seed).ratio.value if row is not first else 1.0
    )


def _without_device(subjects: Sequence[Subject], report: BenchReport) -> dict[str, Failure]:
    """What need not be tried: every process would only find out for itself."""
    if report.machine.gpu:
        return {}
    failure = Failure(status="absent", reason=_NO_GPU)
    return {subject.label: failure for subject in subjects if subject.device == "cuda"}


def _told(meters: Mapping[Device, Meter | str]) -> dict[str, str]:
    return {
        device: meter if isinstance(meter, str) else meter.name for device, meter in meters.items()
    }
