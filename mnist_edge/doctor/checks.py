"""Digits with known answers, run through one artifact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.manifest import Parity
from mnist_edge.contract import RawImages, to_images
from mnist_edge.formats import Backend
from mnist_edge.formats.parity import compare
from mnist_edge.formats.running import run_as_deployed
from mnist_edge.formats.tolerances import Tolerance

_BATCH_SIZE = 64

Status: TypeAlias = Literal["passed", "failed", "not checked"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Golden vectors run through one artifact.

    Attributes:
        artifact: its name, or that of its file.
        backend: name and version of the runtime; empty where the artifact did not run.
        status: `not checked` where this machine cannot run it, or it carries nothing to check.
        reason: why it failed or is not checked; else empty.
        parity: the figures; None where there are no answers to compare. Its accuracies count
            the reference's own answers as right.
    """

    artifact: str
    backend: str
    status: Status
    reason: str = ""
    parity: Parity | None = None


def run_golden(
    name: str,
    backend: Backend,
    images: RawImages,
    logits: NDArray[np.float64],
    gate: Tolerance,
    *,
    batch_invariant: bool,
) -> Check:
    """Run golden vectors on a backend.

    Raises:
        BadInput: the artifact cannot run, or gives no numbers.
    """
    answers = run_as_deployed(
        backend, to_images(images), batch_invariant=batch_invariant, batch_size=_BATCH_SIZE
    )
    parity = compare(answers, logits, logits.argmax(axis=1), gate)
    return Check(
        artifact=name,
        backend=f"{backend.name} {backend.version}",
        status="passed" if parity.passed else "failed",
        reason=parity.reason,
        parity=parity,
    )
