"""Whether an artifact gives the checkpoint's answers. Run first, judge later.

The reference is the checkpoint in double precision. `compare` is a pure function of two sets of
logits; `verify` makes them, over the bundle's reference digits and over the test set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.backends import Backend, open_backend, reference_logits
from mnist_edge.bundle import CHECKPOINT, Artifact, Bundle, Parity
from mnist_edge.data import DataSet
from mnist_edge.errors import BadInput, DeviceUnavailable, MissingDependency, MnistEdgeError
from mnist_edge.machine import Machine, describe_machine, library_versions
from mnist_edge.metrics import accuracy, sqnr_db, top1_margin
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes import Device, Tolerance, tolerance
from mnist_edge.signature import CLASSES, Images, Labels, Logits, check_logits, to_images

Source: TypeAlias = Literal["reference", "test set"]
Status: TypeAlias = Literal["equivalent", "differs", "not checked"]

# Memory stays small, and progress is told some twenty times a test set.
_BATCH_SIZE = 500

# What `is_batch_invariant` runs. Kernels change with the batch size and round differently, which
# the gate of float32 allows for; a scale taken from the whole batch moves logits a hundred times
# further.
_INVARIANCE_IMAGES = 64
_INVARIANCE_SIZES = (2, 3, 8, 33, 64)
_INVARIANCE_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class VerifyRow:
    """One artifact on one set of digits.

    Attributes:
        artifact: `<format>-<precision>`.
        backend: name and version of the runtime; empty where the artifact did not run.
        source: the digits.
        status: `not checked` where this machine cannot run the artifact.
        reason: why it differs or is not checked; else empty.
        parity: the figures; None where there are no logits to compare.
        batch_invariant: see `is_batch_invariant`; None where the artifact did not run.
    """

    artifact: str
    backend: str
    source: Source
    status: Status
    reason: str
    parity: Parity | None
    batch_invariant: bool | None


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        bundle: the name of its folder.
        data: name and digest of the set that the test digits are from; empty without one.
        device: that ran the artifacts.
        threads: of each runtime.
        float32_error: of the checkpoint's own float32 against its float64, over the reference:
            the largest error that no export can be blamed for.
        rows: by artifact, then by source.
    """

    schema: Literal[1]
    bundle: str
    data: str
    device: Device
    threads: int
    machine: Machine
    versions: dict[str, str]
    float32_error: float
    rows: tuple[VerifyRow, ...]

    @property
    def passed(self) -> bool:
        """Whether no artifact differs."""
        return all(row.status != "differs" for row in self.rows)


@dataclass(frozen=True)
class _Sample:
    source: Source
    images: Images
    labels: Labels
    logits: NDArray[np.float64]


@dataclass
class _Meter:
    """Counts images for a `Progress`."""

    progress: Progress
    total: int
    note: str
    done: int = 0

    def __call__(self, images: int) -> None:
        self.done += images
        self.progress(self.done, self.total, self.note)


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
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    chosen = [bundle.artifact(name) for name in names]
    for record in bundle.manifest.records:
        bundle.read(record)  # refuse a damaged file before time is spent on the others

    stored = bundle.reference()
    tested = 0 if data is None else len(data.test_labels)
    meter = _Meter(progress, tested + len(chosen) * (len(stored.labels) + tested), "checkpoint")
    samples = [_Sample("reference", to_images(stored.images), stored.labels, stored.logits)]
    no_test_set: MissingDependency | None = None
    if data is not None:
        try:
            samples.append(_test_set(bundle, data, threads, meter))
        except MissingDependency as error:
            no_test_set = error

    rows: list[VerifyRow] = []
    refusals: list[MnistEdgeError] = []
    for artifact in chosen:
        meter.note = artifact.name
        try:
            rows += _check(bundle, artifact, samples, device, threads, meter)
        except (DeviceUnavailable, MissingDependency) as error:
            refusals.append(error)
            rows += [_without_figures(artifact, s.source, "not checked", error) for s in samples]
        if no_test_set:
            rows.append(_without_figures(artifact, "test set", "not checked", no_test_set))
    if len(refusals) == len(chosen):
        raise refusals[0]
    progress(meter.total, meter.total)
    return VerifyReport(
        schema=1,
        bundle=bundle.path.resolve().name,
        data=f"{data.name} sha256:{data.sha256}" if data else "",
        device=device,
        threads=threads,
        machine=describe_machine(),
        versions=library_versions(),
        float32_error=bundle.artifact(CHECKPOINT).parity.max_abs_error,
        rows=tuple(rows),
    )


def compare(
    candidate: Logits, reference: NDArray[np.float64], labels: Labels, gate: Tolerance
) -> Parity:
    """Judge logits against the reference; a pure function.

    Args:
        candidate: (N, 10) float32, N at least 1.
        reference: (N, 10) float64.
        labels: (N,).
        gate: what must hold.

    Raises:
        BadInput: the candidate has another shape or dtype, or holds NaN or infinity.
    """
    check_logits(candidate, len(reference), source="the artifact")
    flips = np.flatnonzero(candidate.argmax(axis=1) != reference.argmax(axis=1))
    parity = Parity(
        passed=True,
        images=len(reference),
        max_abs_error=float(np.abs(candidate - reference).max()),
        sqnr_db=sqnr_db(reference, candidate),
        flips=tuple(flips.tolist()),
        accuracy=accuracy(candidate, labels),
        reference_accuracy=accuracy(reference, labels),
        reason="",
    )
    faults = _faults(parity, top1_margin(reference[flips]), gate)
    return replace(parity, passed=not faults, reason="; ".join(faults))


def is_batch_invariant(backend: Backend, images: Images) -> bool:
    """Whether an image's logits do not depend on the images beside it.

    They are run alone, then in batches of several sizes, in the opposite order, and beside a
    black and a white picture. Activations quantized with a scale of the whole batch show there.

    Args:
        backend: that runs the artifact.
        images: real digits, at least one; the first 64 are used.
    """
    images = images[:_INVARIANCE_IMAGES]
    alone = run_in_batches(backend, images, 1)
    together = [run_in_batches(backend, images[::-1], size)[::-1] for size in _INVARIANCE_SIZES]
    extremes = np.stack([np.zeros_like(images[0]), np.ones_like(images[0])])
    together.append(backend.run(np.concatenate([extremes, images]))[len(extremes) :])
    return all(
        np.abs(logits - alone).max() <= _INVARIANCE_TOLERANCE
        and np.array_equal(logits.argmax(axis=1), alone.argmax(axis=1))
        for logits in together
    )


def run_in_batches(
    backend: Backend,
    images: Images,
    batch_size: int,
    *,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Logits (N, 10) of any number of images; `on_batch` is told how many more are done."""
    logits = np.empty((len(images), len(CLASSES)), np.float32)
    for start in range(0, len(images), batch_size):
        part = backend.run(images[start : start + batch_size])
        logits[start : start + len(part)] = part
        on_batch(len(part))
    return logits


def _test_set(bundle: Bundle, data: DataSet, threads: int, meter: _Meter) -> _Sample:
    images = to_images(data.test_images)
    logits = reference_logits(bundle, images, threads=threads, on_batch=meter)
    return _Sample("test set", images, data.test_labels, logits)


def _check(
    bundle: Bundle,
    artifact: Artifact,
    samples: list[_Sample],
    device: Device,
    threads: int,
    meter: _Meter,
) -> list[VerifyRow]:
    gate = tolerance(artifact.format, artifact.precision, device)
    rows = []
    try:
        with open_backend(bundle, artifact, device=device, threads=threads) as backend:
            invariant = is_batch_invariant(backend, samples[0].images)
            # As it is deployed: `predict` runs what is not invariant one picture at a time.
            batch_size = _BATCH_SIZE if invariant else 1
            for sample in samples:
                logits = run_in_batches(backend, sample.images, batch_size, on_batch=meter)
                parity = compare(logits, sample.logits, sample.labels, gate)
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
        return [_without_figures(artifact, s.source, "differs", error) for s in samples]
    return rows


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


def _faults(parity: Parity, margins: NDArray[np.float64], gate: Tolerance) -> list[str]:
    """Why the gate does not hold; `margins` are the reference's, of the flipped images."""
    faults = []
    if parity.max_abs_error > gate.max_abs_error:
        faults.append(f"largest error {parity.max_abs_error:.1e} is over {gate.max_abs_error:.0e}")
    if parity.sqnr_db < gate.min_sqnr_db:
        faults.append(f"SQNR {parity.sqnr_db:.1f} dB is under {gate.min_sqnr_db:g} dB")
    if gate.flips_allowed:
        lost = round((parity.reference_accuracy - parity.accuracy) * parity.images)
        # One digit of 500 is 0.2 points already: a small sample cannot show a smaller loss.
        if lost > max(1, int(gate.accuracy_drop * parity.images / 100)):
            points = 100 * lost / parity.images
            faults.append(f"accuracy fell by {points:.2f} points, over {gate.accuracy_drop:g}")
    else:
        # Where two classes lie closer than two errors, either is an equivalent answer.
        close = 2 * gate.max_abs_error if math.isfinite(gate.max_abs_error) else 0.0
        changed = int(np.count_nonzero(margins >= close))
        if changed:
            faults.append(f"{changed} of {parity.images} answers changed")
    return faults
