"""What the model of a bundle makes of a set of digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.contract import Labels, RawImages, to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.formats import open_backend
from mnist_edge.formats.running import run_as_deployed
from mnist_edge.metrics import (
    ClassScores,
    accuracy,
    confusion,
    cross_entropy,
    per_class,
    softmax,
)
from mnist_edge.plots.digits import ReadDigit
from mnist_edge.progress import Meter, Progress, silent
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT

_SAMPLES_PER_CLASS = 3
_MOST_SAMPLES = 200


@dataclass(frozen=True, kw_only=True)
class Findings:
    """How a model does on a set of digits.

    Attributes:
        source: the digits, in words.
        test_set: whether they are a whole test set, whose share of right answers is an accuracy.
        count: how many they are.
        artifact: what was run, `<format>-<precision>`.
        backend: name and version of the runtime.
        accuracy: 0 to 1.
        loss: mean cross-entropy in nats.
        confusion: counts, a row for each true digit, a column for each digit named.
        classes: precision, recall and F1 of each digit.
        wrong: every digit named wrongly, the one that is held for another most surely first.
        samples: the first few digits of each class, in rows of ten, whatever became of them.
        names: of the classes, which all others of these name by number.
    """

    source: str
    test_set: bool
    count: int
    artifact: str
    backend: str
    accuracy: float
    loss: float
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassScores, ...]
    wrong: tuple[ReadDigit, ...]
    samples: tuple[ReadDigit, ...]
    names: tuple[str, ...]


def examine(
    bundle: Bundle, data: DataSet | None, *, progress: Progress = silent
) -> tuple[Findings, RawImages]:
    """Run the model of a bundle over a test set, or over the bundle's own reference digits.

    Returns:
        What came of it, and the digits, which `ReadDigit.index` counts.

    Raises:
        BundleError, MissingDependency: as for `open_backend`.
    """
    if data is not None:
        images, labels = data.test_images, data.test_labels
        source = f"the test set of {data.name}"
    else:
        reference = bundle.reference()
        images, labels = reference.images, reference.labels
        source = (
            f"the reference digits of the bundle, from the test set of {bundle.manifest.data.name}"
        )
    artifact = _chosen_artifact(bundle)
    with open_backend(bundle, artifact) as backend:
        runtime = f"{backend.name} {backend.version}"
        meter = Meter(progress, len(images), artifact.name)
        logits = run_as_deployed(
            backend,
            to_images(images),
            batch_invariant=artifact.batch_invariant,
            on_batch=meter,
        )
    names = bundle.manifest.data.classes
    matrix = confusion(logits.argmax(axis=1), labels, len(names))
    probabilities = softmax(logits)
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    worst = wrong[np.argsort(probabilities[wrong, labels[wrong]], kind="stable")]
    findings = Findings(
        source=source,
        test_set=data is not None,
        count=len(images),
        artifact=artifact.name,
        backend=runtime,
        accuracy=accuracy(logits, labels),
        loss=cross_entropy(logits, labels),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        classes=per_class(matrix),
        wrong=tuple(_read(worst, labels, probabilities)),
        samples=tuple(_read(_sample(labels, len(names)), labels, probabilities)),
        names=names,
    )
    return findings, images


def _chosen_artifact(bundle: Bundle) -> Artifact:
    for artifact in bundle.manifest.artifacts:
        if artifact.name == DEFAULT_ARTIFACT and artifact.parity.passed:
            return artifact
    return bundle.manifest.origin


def _sample(labels: Labels, classes: int) -> NDArray[np.intp]:
    """Indices of the first digits of each class, in rows that go from 0 to 9."""
    members = [np.flatnonzero(labels == digit) for digit in range(classes)]
    rows = [of[row] for row in range(_SAMPLES_PER_CLASS) for of in members if row < len(of)]
    return np.array(rows[:_MOST_SAMPLES], np.intp)


def _read(
    indices: NDArray[np.intp], labels: Labels, probabilities: NDArray[np.float64]
) -> Iterator[ReadDigit]:
    for index in indices.tolist():
        row, label = probabilities[index], int(labels[index])
        predicted = int(row.argmax())
        yield ReadDigit(
            index=index,
            label=label,
            predicted=predicted,
            probability=float(row[predicted]),
            label_probability=float(row[label]),
        )
