"""The gate: logits against the reference's."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.manifest import Parity
from mnist_edge.contract import Labels, Logits, check_logits
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.metrics import accuracy, sqnr_db, top1_margin

_SMALL = 1000
"""Digits: a loss on fewer may be chance."""


def compare(
    candidate: Logits, reference: NDArray[np.float64], labels: Labels, gate: Tolerance
) -> Parity:
    """Judge logits against the reference; a pure function.

    Args:
        candidate: (N, classes) float32, N at least 1.
        reference: (N, classes) float64.
        labels: (N,).
        gate: what must hold.

    Raises:
        BadInput: the candidate has another shape or dtype, or holds NaN or infinity.
    """
    check_logits(candidate, *reference.shape, source="the artifact")
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
        chance = gate.chance * math.sqrt(len(parity.flips)) if parity.images < _SMALL else 0.0
        if lost > max(1, gate.accuracy_drop * parity.images // 100, chance):
            points = 100 * lost / parity.images
            faults.append(f"accuracy fell by {points:.2f} points, over {gate.accuracy_drop:g}")
    else:
        # Where two classes lie closer than two errors, either is an equivalent answer.
        close = 2 * gate.max_abs_error if math.isfinite(gate.max_abs_error) else 0.0
        changed = int(np.count_nonzero(margins >= close))
        if changed:
            faults.append(f"{changed} of {parity.images} answers changed")
    return faults
