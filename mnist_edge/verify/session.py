"""One verification: every artifact over the reference digits, and over the test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.contract import Images, Labels, Logits, to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import (
    BadInput,
    DeviceUnavailable,
    LeftBehind,
    MissingDependency,
    MnistEdgeError,
)
from mnist_edge.formats import find_artifact, open_backend, reference_logits
from mnist_edge.formats.running import is_batch_invariant, judge, run_as_deployed
from mnist_edge.machine import describe_machine, library_versions, process_as_it_was
from mnist_edge.progress import Meter, Progress, silent
from mnist_edge.recipes.terms import Device
from mnist_edge.verify.report import Source, Status, VerifyReport, VerifyRow


@dataclass(frozen=True)
class Sample:
    """Digits with the checkpoint's answers, in double precision."""

    source: Source
    images: Images
    labels: Labels
    logits: NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """The logits of one artifact for one sample, as it is deployed."""

    artifact: str
    sample: Sample
    logits: Logits


def verify(
    bundle: Bundle,
    *,
    data: DataSet | None = None,
    artifacts: tuple[str, ...] = (),
    device: Device = "cpu",
    threads: int = 1,
    progress: Progress = silent,
) -> VerifyReport:
    """Compare artifacts with the checkpoint.

    Args:
        bundle: all its files must be whole.
        data: its test set is run too, where the checkpoint can be: that needs torch.
        artifacts: their names; by default all of the bundle.
        device: that runs them.
        threads: of each runtime.
        progress: in images.

    Raises:
        DigestMismatch, BundleError: a file of the bundle is damaged or missing.
        UsageError: there is no artifact of that name.
        DeviceUnavailable, MissingDependency: not one of the artifacts can be run here.
    """
    report, _ = run_samples(
        bundle, data=data, artifacts=artifacts, device=device, threads=threads, progress=progress
    )
    return report


@process_as_it_was()
def run_samples(
    bundle: Bundle,
    *,
    data: DataSet | None,
    artifacts: tuple[str, ...],
    device: Device,
    threads: int,
    progress: Progress,
) -> tuple[VerifyReport, tuple[Answers, ...]]:
    """`verify`, with the logits that it judged; none of what could not be run."""
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    chosen = [find_artifact(bundle, name) for name in names]
    bundle.check()  # refuse a damaged file before time is spent on the others
    for artifact in chosen if artifacts else ():
        bundle.read(artifact)  # asked for by name, it must be there

    stored = bundle.reference()
    tested = 0 if data is None else len(data.test_labels)
    meter = Meter(progress, tested + len(chosen) * (len(stored.labels) + tested), "checkpoint")
    samples = [Sample("reference", to_images(stored.images), stored.labels, stored.logits)]
    no_test_set: MnistEdgeError | None = None
    if data is not None:
        try:
            samples.append(_test_set(bundle, data, threads, meter))
        except (MissingDependency, LeftBehind) as error:
            no_test_set = error

    rows: list[VerifyRow] = []
    answers: list[Answers] = []
    refusals: list[MnistEdgeError] = []
    for artifact in chosen:
        meter.note = artifact.name
        try:
            checked = _check(bundle, artifact, samples, device, threads, meter)
            rows += checked[0]
            answers += checked[1]
        except (DeviceUnavailable, MissingDependency, LeftBehind) as error:
            refusals.append(error)
            rows += [_without_figures(artifact, s.source, "not checked", error) for s in samples]
        if no_test_set:
            rows.append(_without_figures(artifact, "test set", "not checked", no_test_set))
    if len(refusals) == len(chosen):
        # A device that was asked for and is not there is what to mend first.
        raise next((e for e in refusals if isinstance(e, DeviceUnavailable)), refusals[0])
    progress(meter.total, meter.total)
    return _report(bundle, data, device, threads, tuple(rows)), tuple(answers)


def _report(
    bundle: Bundle,
    data: DataSet | None,
    device: Device,
    threads: int,
    rows: tuple[VerifyRow, ...],
) -> VerifyReport:
    return VerifyReport(
        schema=1,
        bundle=bundle.path.resolve().name,
        data=f"{data.name} sha256:{data.sha256}" if data else "",
        device=device,
        threads=threads,
        machine=describe_machine(),
        versions=library_versions(),
        float32_error=bundle.manifest.float32_error,
        rows=rows,
    )


def _test_set(bundle: Bundle, data: DataSet, threads: int, meter: Meter) -> Sample:
    images = to_images(data.test_images)
    logits = reference_logits(bundle, images, threads=threads, on_batch=meter)
    return Sample("test set", images, data.test_labels, logits)


def _check(
    bundle: Bundle,
    artifact: Artifact,
    samples: list[Sample],
    device: Device,
    threads: int,
    meter: Meter,
) -> tuple[list[VerifyRow], list[Answers]]:
    rows, answers = [], []
    try:
        with open_backend(bundle, artifact, device=device, threads=threads) as backend:
            invariant = is_batch_invariant(backend, samples[0].images)
            for sample in samples:
                logits = run_as_deployed(
                    backend, sample.images, batch_invariant=invariant, on_batch=meter
                )
                answers.append(Answers(artifact.name, sample, logits))
                parity = judge(
                    logits,
                    sample.logits,
                    sample.labels,
                    format_=artifact.format,
                    precision=artifact.precision,
                    device=device,
                    float32_error=bundle.manifest.float32_error,
                )
                rows.append(
                    VerifyRow(
                        artifact=artifact.name,
                        backend=f"{backend.name} {backend.version}",
                        source=sample.source,
                        status="equivalent" if parity.passed else "differs",
                        reason=parity.reason,
                        parity=parity,
                        batch_invariant=invariant,
                    )
                )
    except BadInput as error:  # the very bytes that were exported, and yet no classifier
        return [_without_figures(artifact, s.source, "differs", error) for s in samples], []
    return rows, answers


def _without_figures(
    artifact: Artifact, source: Source, status: Status, error: MnistEdgeError
) -> VerifyRow:
    return VerifyRow(
        artifact=artifact.name,
        backend="",
        source=source,
        status=status,
        reason=str(error),
        parity=None,
        batch_invariant=None,
    )
