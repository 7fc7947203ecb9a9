"""Running a backend over digits, in batches of any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mnist_edge.contract import CLASSES, Images, Logits
from mnist_edge.formats import Backend

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
