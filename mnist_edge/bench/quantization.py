"""Weigh quantized artifacts against float32 on this machine: bytes, accuracy, latency, advice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bench.report import BenchReport, Measurement
from mnist_edge.bench.session import bench
from mnist_edge.bundle.card import with_model_card
from mnist_edge.bundle.folder import Bundle, open_bundle, save_bundle
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.bundle.quantization import Pace, Verdict, Weighed, with_verdict
from mnist_edge.bundle.storage import lock
from mnist_edge.contract import Labels, to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.formats import FORMATS, open_backend
from mnist_edge.formats.consent import may_run
from mnist_edge.formats.running import run_as_deployed
from mnist_edge.machine import describe_machine, library_versions
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.bench import ADVICE_RECIPE, BenchRecipe
from mnist_edge.stats import Interval, paired_change

_NO_CHANGE = Interval(value=0.0, low=0.0, high=0.0)

# Smaller by less than a twentieth is not worth a second look.
_SMALLER = 0.95


def families(artifacts: Sequence[Artifact]) -> tuple[tuple[Artifact, ...], ...]:
    """The artifacts of each format of which there are several precisions, float32 first."""
    formats = dict.fromkeys(artifact.format for artifact in artifacts)
    found = []
    for format_ in formats:
        family = [artifact for artifact in artifacts if artifact.format == format_]
        full = [artifact for artifact in family if artifact.precision == "float32"]
        if full and len(family) > 1:
            found.append((*full, *(artifact for artifact in family if artifact not in full)))
    return tuple(found)


def weigh(
    bundle: Bundle,
    *,
    data: DataSet | None = None,
    recipe: BenchRecipe = ADVICE_RECIPE,
    progress: Progress = silent,
    measure: Callable[..., BenchReport] = bench,
) -> Verdict | None:
    """Measure every artifact that comes in several precisions.

    Args:
        bundle: that holds them.
        data: whose test set is named; without it the bundle's reference digits are.
        recipe: of the latencies.
        progress: in processes of the measurement.
        measure: carries it out.

    Returns:
        None where no format comes in float32 and another precision.

    Raises:
        DigestMismatch, BundleError: an artifact is damaged.
    """
    groups = families(
        tuple(a for a in bundle.manifest.artifacts if may_run(bundle, a, FORMATS[a.format]))
    )
    if not groups:
        return None
    stored = bundle.reference()
    raw, labels = (
        (stored.images, stored.labels) if data is None else (data.test_images, data.test_labels)
    )
    images = to_images(raw)
    answers: dict[str, NDArray[np.int64]] = {}
    for artifact in (artifact for group in groups for artifact in group):
        with open_backend(bundle, artifact) as backend:
            invariant = artifact.batch_invariant
            logits = run_as_deployed(backend, images, batch_invariant=invariant)
            answers[artifact.name] = logits.argmax(axis=1)
    report = measure(bundle, recipe, artifacts=tuple(answers), progress=progress)
    rows = tuple(
        _weighed(artifact, group[0], answers, labels, report, tested=data is not None)
        for group in groups
        for artifact in group
    )
    return Verdict(
        schema=1,
        machine=describe_machine(),
        versions=library_versions(),
        digits=len(labels),
        source="reference" if data is None else "test set",
        threads=recipe.threads,
        doubts=report.doubts,
        rows=rows,
    )


def record_verdict(bundle: Bundle, verdict: Verdict) -> Bundle:
    """Save a verdict into its bundle. Raises StorageError; the bundle is then as it was."""
    with lock(bundle.path):
        bundle, content = with_verdict(open_bundle(bundle.path), verdict)
        bundle, card = with_model_card(bundle)
        save_bundle(bundle, content | card)
        return bundle


def _weighed(
    artifact: Artifact,
    full: Artifact,
    answers: dict[str, NDArray[np.int64]],
    labels: Labels,
    report: BenchReport,
    *,
    tested: bool,
) -> Weighed:
    right, right_before = (answers[each.name] == labels for each in (artifact, full))
    lost = int(np.count_nonzero(right_before & ~right))
    gained = int(np.count_nonzero(right & ~right_before))
    row = next((row for row in report.rows if row.artifact == artifact.name), None)
    ratio, pace = _pace(row, report)
    own = artifact is full
    change = _NO_CHANGE if own else paired_change(lost, gained, len(labels))
    told = f"accuracy {100 * change.value:+.2f} points"
    if not tested:  # a point of so few digits would look like one of a test set
        told = f"{gained - lost:+d} right of {len(labels)} reference pictures"
    size_ratio = artifact.size_bytes / full.size_bytes
    return Weighed(
        artifact=artifact.name,
        precision=artifact.precision,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        against=full.name,
        size_ratio=size_ratio,
        accuracy=float(np.mean(right)),
        accuracy_change=change,
        latency_s=row.percentiles_s.get("p50") if row and row.usable else None,
        latency_ratio=ratio,
        pace=pace,
        advice="" if own else advise(artifact, size_ratio, change, ratio, pace, told=told),
    )


def _pace(row: Measurement | None, report: BenchReport) -> tuple[Interval | None, Pace]:
    if row is not None:
        for verdict in report.verdicts:
            if (verdict.row, verdict.against) == (row.label, row.full_precision_label):
                return verdict.ratio, verdict.word
    return None, "not measured"


def advise(
    artifact: Artifact,
    size_ratio: float,
    change: Interval,
    latency: Interval | None,
    pace: Pace,
    *,
    told: str,
) -> str:
    """One sentence: what the artifact costs and gains on this machine, and whether to take it."""
    smaller = size_ratio < _SMALLER
    size = f"{1 / size_ratio:.1f}× smaller" if smaller else "not smaller"
    drop = FORMATS[artifact.format].gate(artifact.precision).accuracy_drop / 100
    worse = -change.value > drop or not artifact.parity.passed
    faster = pace == "faster"
    speed = {
        "faster": f"{_by(1 / latency.value)} faster here" if latency else "",
        "slower": f"{_by(latency.value)} slower here" if latency else "",
        "indistinguishable": "no faster here",
        "not measured": "of unknown latency here",
    }[pace]
    joint = "and" if smaller == faster else "but"
    if worse:
        take = "it loses too many answers: keep float32"
    elif faster:
        take = f"use {artifact.precision}"
    elif smaller and pace != "slower":
        take = f"use {artifact.precision} where bytes count"
    else:
        take = "keep float32"
    return f"{artifact.name}: {size}, {joint} {speed}, {told}: {take}"


def _by(ratio: float) -> str:
    """A ratio above 1 in words; "1.0 times as slow" would say nothing."""
    return f"{ratio:.1f}×" if ratio >= 1.1 else f"{max(ratio - 1, 0.01):.0%}"
