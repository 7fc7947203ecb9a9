"""One verification: every artifact over the reference digits, and over the test set."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import Artifact, Score
from mnist_edge.contract import Images, Labels, Logits, to_images
from mnist_edge.data.mnist import DataSet, if_named
from mnist_edge.errors import (
    BadInput,
    DeviceUnavailable,
    LeftBehind,
    MissingDependency,
    MnistEdgeError,
    Untrusted,
)
from mnist_edge.formats import Loading, find_artifact, open_backend, reference_logits
from mnist_edge.formats.parity import compare
from mnist_edge.formats.running import gate_of, is_batch_invariant, run_as_deployed, score_on
from mnist_edge.machine import describe_machine, library_versions, process_as_it_was
from mnist_edge.progress import Meter, Progress, silent
from mnist_edge.recipes.terms import Device, Runtime
from mnist_edge.verify.claims import label_fault, reference_fault, score_fault
from mnist_edge.verify.report import Source, Status, VerifyReport, VerifyRow


@dataclass(frozen=True)
class Sample:
    """Digits with the checkpoint's answers, in double precision.

    Attributes:
        named: whether they are the test set that the manifest names, so that its claims hold here.
        fault: what the manifest says of these digits and is not so; empty if nothing is.
    """

    source: Source
    images: Images
    labels: Labels
    logits: NDArray[np.float64]
    named: bool = False
    fault: str = ""


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
    runtime: Runtime | Literal[""] = "",
    progress: Progress = silent,
) -> VerifyReport:
    """Compare artifacts with the checkpoint, and both with what the manifest claims.

    Args:
        bundle: all its files must be whole.
        data: its test set is run too, where the checkpoint can be: that needs torch. Where it is
            the data set that the manifest names, the accuracies and the reference's labels must be
            what the manifest says.
        artifacts: their names; by default all of the bundle.
        device: that runs them.
        threads: of each runtime.
        runtime: that runs them, where their format has several; empty for the usual one.
        progress: in images.

    Raises:
        DigestMismatch, BundleError: a file of the bundle is damaged or missing.
        UsageError: there is no artifact of that name.
        DeviceUnavailable, MissingDependency: not one of the artifacts can be run here.
    """
    how = Loading(device=device, threads=threads, runtime=runtime)
    return run_samples(bundle, how, data=data, artifacts=artifacts, progress=progress)[0]


@process_as_it_was()
def run_samples(
    bundle: Bundle,
    how: Loading,
    *,
    data: DataSet | None,
    artifacts: tuple[str, ...],
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
    named = if_named(bundle.manifest.data, data)
    fault = reference_fault(bundle.manifest, stored)
    if named and not fault:
        fault = label_fault(stored, named)
    samples = [
        Sample("reference", to_images(stored.images), stored.labels, stored.logits, fault=fault)
    ]
    no_test_set: MnistEdgeError | None = None
    if data is not None:
        try:
            samples.append(_test_set(bundle, data, how.threads, meter))
        except (MissingDependency, LeftBehind) as error:
            no_test_set = error

    rows: list[VerifyRow] = []
    answers: list[Answers] = []
    refusals: list[MnistEdgeError] = []
    for artifact in chosen:
        meter.note = artifact.name
        try:
            checked = _check(bundle, artifact, samples, how, meter)
            rows += checked[0]
            answers += checked[1]
        except (DeviceUnavailable, MissingDependency, LeftBehind, Untrusted) as error:
            if artifacts and isinstance(error, Untrusted):
                raise
            refusals.append(error)
            rows += [_without_figures(artifact, s.source, "not checked", error) for s in samples]
        if no_test_set:
            rows.append(_unjudged(bundle, artifact, named, how, no_test_set))
    if len(refusals) == len(chosen):
        # What to mend first: a device that was asked for and is not there, then want of consent.
        for kind in (DeviceUnavailable, Untrusted, MnistEdgeError):
            for refusal in refusals:
                if isinstance(refusal, kind):
                    raise refusal
    progress(meter.total, meter.total)
    return _report(bundle, data, how, tuple(rows)), tuple(answers)


def _report(
    bundle: Bundle, data: DataSet | None, how: Loading, rows: tuple[VerifyRow, ...]
) -> VerifyReport:
    return VerifyReport(
        schema=1,
        bundle=bundle.path.resolve().name,
        data=f"{data.name} sha256:{data.sha256}" if data else "",
        device=how.device,
        threads=how.threads,
        machine=describe_machine(),
        versions=library_versions(),
        float32_error=bundle.manifest.float32_error,
        rows=rows,
        classes=bundle.manifest.data.classes,
    )


def _test_set(bundle: Bundle, data: DataSet, threads: int, meter: Meter) -> Sample:
    images = to_images(data.test_images)
    logits = reference_logits(bundle, images, threads=threads, on_batch=meter)
    named = if_named(bundle.manifest.data, data) is not None
    return Sample("test set", images, data.test_labels, logits, named=named)


def _check(
    bundle: Bundle,
    artifact: Artifact,
    samples: list[Sample],
    how: Loading,
    meter: Meter,
) -> tuple[list[VerifyRow], list[Answers]]:
    rows, answers = [], []
    try:
        with open_backend(bundle, artifact, how) as backend:
            invariant = is_batch_invariant(backend, samples[0].images)
            for sample in samples:
                logits = run_as_deployed(
                    backend, sample.images, batch_invariant=invariant, on_batch=meter
                )
                answers.append(Answers(artifact.name, sample, logits))
                gate = gate_of(bundle.manifest, artifact, how.device)
                parity = compare(logits, sample.logits, sample.labels, gate)
                reasons = [parity.reason, sample.fault]
                if sample.named:
                    found = Score(parity.accuracy, parity.images)
                    reasons.append(score_fault(bundle.manifest, artifact, found))
                reason = "; ".join(filter(None, reasons))
                rows.append(
                    VerifyRow(
                        artifact=artifact.name,
                        backend=f"{backend.name} {backend.version}",
                        source=sample.source,
                        status="differs" if reason else "equivalent",
                        reason=reason,
                        parity=parity,
                        batch_invariant=invariant,
                    )
                )
    except BadInput as error:  # the very bytes that were exported, and yet no classifier
        return [_without_figures(artifact, s.source, "differs", error) for s in samples], []
    return rows, answers


def _unjudged(
    bundle: Bundle,
    artifact: Artifact,
    data: DataSet | None,
    how: Loading,
    error: MnistEdgeError,
) -> VerifyRow:
    """An artifact on a test set that the checkpoint cannot be run on, for want of a package.

    Where the manifest names this test set, the artifact must still reach what is claimed.
    """
    status: Status = "not checked"
    reason: MnistEdgeError | str = error
    if data is not None:
        with (
            suppress(BadInput, DeviceUnavailable, MissingDependency, LeftBehind, Untrusted),
            open_backend(bundle, artifact, how) as backend,
        ):
            found = score_on(backend, data, batch_invariant=artifact.batch_invariant)
            if fault := score_fault(bundle.manifest, artifact, found):
                status, reason = "differs", fault
    return _without_figures(artifact, "test set", status, reason)


def _without_figures(
    artifact: Artifact, source: Source, status: Status, reason: MnistEdgeError | str
) -> VerifyRow:
    return VerifyRow(
        artifact=artifact.name,
        backend="",
        source=source,
        status=status,
        reason=str(reason),
        parity=None,
        batch_invariant=None,
    )
