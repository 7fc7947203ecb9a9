"""Running a backend over digits, in batches of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from mnist_edge.bundle.folder import Reference
from mnist_edge.bundle.manifest import Artifact, record
from mnist_edge.contract import CLASSES, Images, Logits, to_images
from mnist_edge.formats import FORMATS, Backend, Written, load_backend
from mnist_edge.formats.parity import compare
from mnist_edge.recipes.terms import Format, Precision
from mnist_edge.recipes.train import TrainRecipe

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


def judged_artifact(
    written: Written,
    recipe: TrainRecipe,
    reference: Reference,
    *,
    file: str = "",
    format_: Format,
    precision: Precision,
    checkpoint_sha256: str,
    opset: int = 0,
    float32_error: float = 0.0,
) -> Artifact:
    """Run the bytes of an artifact over the reference and describe it for the manifest.

    Args:
        written: its files.
        recipe: names the architecture.
        reference: the digits to run, and the answers of the checkpoint.
        file: the name that it will have in the bundle; by default that of the artifact.
        format_: of the file.
        precision: of its arithmetic.
        checkpoint_sha256: of the weights that it was made from.
        opset: of the ONNX graph that it is or was made from; 0 where there is none.
        float32_error: of the checkpoint itself.
    """
    images = to_images(reference.images)
    backend = load_backend(written.data, format_, recipe, companions=written.companions)
    try:
        invariant = is_batch_invariant(backend, images)
        # As it is deployed: `predict` runs what is not invariant one picture at a time.
        logits = run_in_batches(backend, images, len(images) if invariant else 1)
        gate = FORMATS[format_].gate(precision, float32_error=float32_error)
        parity = compare(logits, reference.logits, reference.labels, gate)
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
    )
