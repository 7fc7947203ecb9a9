"""Running a backend over digits as it is deployed, and what is expected of its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from mnist_edge.bundle.folder import Reference
from mnist_edge.bundle.manifest import Artifact, Manifest, Score, record
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.formats import FORMATS, Backend, Written, load_backend
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Device, Format, Precision
from mnist_edge.recipes.train import TrainRecipe

if TYPE_CHECKING:
    from mnist_edge.data.mnist import DataSet

BATCH_SIZE = 500
"""Memory stays small, and progress is told some twenty times a test set."""

# What `is_batch_invariant` runs. Kernels change with the batch size and round differently, which
# the gate of float32 allows for; a scale taken from the whole batch moves logits a hundred times
# further.
_INVARIANCE_IMAGES = 64
_INVARIANCE_SIZES = (2, 3, 8, 33, 64)
_INVARIANCE_TOLERANCE = 1e-4


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


def run_as_deployed(
    backend: Backend,
    images: Images,
    *,
    batch_invariant: bool,
    batch_size: int = BATCH_SIZE,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Logits (N, classes) as users get them: what a batch may change runs one picture at a time.

    Args:
        backend: that runs the artifact.
        images: any number.
        batch_invariant: what the artifact's record, or `is_batch_invariant`, says of it.
        batch_size: of one that is.
        on_batch: told how many more images are done.
    """
    return run_in_batches(backend, images, batch_size if batch_invariant else 1, on_batch=on_batch)


def gate_of(manifest: Manifest, artifact: Artifact, device: Device = "cpu") -> Tolerance:
    """What the answers of an artifact that ran on a device must hold against the checkpoint's."""
    return FORMATS[artifact.format].gate(
        artifact.precision,
        device,
        float32_error=manifest.float32_error,
        foreign=manifest.imported is not None,
    )


def score_on(backend: Backend, data: DataSet, *, batch_invariant: bool) -> Score:
    """What an artifact reaches on a test set, as it is deployed."""
    from mnist_edge.metrics import accuracy

    images = to_images(data.test_images)
    logits = run_as_deployed(backend, images, batch_invariant=batch_invariant)
    return Score(accuracy(logits, data.test_labels), len(logits))


def run_in_batches(
    backend: Backend,
    images: Images,
    batch_size: int,
    *,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Logits (N, classes) of any number of images; `on_batch` is told how many more are done."""
    if 0 < len(images) <= batch_size:
        logits = backend.run(images)
        on_batch(len(images))
        return logits
    parts = []
    for start in range(0, len(images), batch_size):
        parts.append(backend.run(images[start : start + batch_size]))
        on_batch(len(parts[-1]))
    return np.concatenate(parts) if parts else backend.run(images)


def judged_artifact(
    written: Written,
    recipe: TrainRecipe | None,
    reference: Reference,
    *,
    file: str = "",
    format_: Format,
    precision: Precision,
    checkpoint_sha256: str,
    opset: int = 0,
    float32_error: float = 0.0,
    data: DataSet | None = None,
) -> Artifact:
    """Run the bytes of an artifact over the reference and describe it for the manifest.

    Args:
        written: its files.
        recipe: names the architecture; None for a net of others.
        reference: the digits to run, and the answers of the checkpoint.
        file: the name that it will have in the bundle; by default that of the artifact.
        format_: of the file.
        precision: of its arithmetic.
        checkpoint_sha256: of the weights that it was made from.
        opset: of the ONNX graph that it is or was made from; 0 where there is none.
        float32_error: of the checkpoint itself.
        data: whose test set the artifact is run over, too, for its accuracy there.
    """
    from mnist_edge.formats.parity import compare  # for which a prediction does not wait

    images = to_images(reference.images)
    backend = load_backend(
        written.data,
        format_,
        recipe,
        classes=reference.logits.shape[1],
        companions=written.companions,
    )
    try:
        invariant = is_batch_invariant(backend, images)
        logits = run_as_deployed(backend, images, batch_invariant=invariant, batch_size=len(images))
        gate = FORMATS[format_].gate(precision, float32_error=float32_error, foreign=recipe is None)
        parity = compare(logits, reference.logits, reference.labels, gate)
        score = None if data is None else score_on(backend, data, batch_invariant=invariant)
    finally:
        backend.close()
    name = f"{format_}-{precision}"
    return Artifact(
        **asdict(record(file or name + FORMATS[format_].suffix, written.data)),
        name=name,
        format=format_,
        precision=precision,
        opset=opset,
        checkpoint_sha256=checkpoint_sha256,
        parity=parity,
        batch_invariant=invariant,
        companions=tuple(
            record(name + suffix, data) for suffix, data in written.companions.items()
        ),
        test_score=score,
    )
