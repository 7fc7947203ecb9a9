"""What the error of the logits does to the answers; pure functions of two sets of logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.contract import Labels, Logits
from mnist_edge.metrics import (
    calibration_error,
    cross_entropy,
    largest_ulp,
    least_cosine,
    top1_margin,
)
from mnist_edge.stats import Interval, mcnemar, paired_change, share


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A digit whose answer changed.

    Attributes:
        index: of the digit in its set.
        label: what it is.
        reference, candidate: what the checkpoint and the artifact say it is.
        margin: of the checkpoint's largest logit over its second largest.
        error: the artifact's largest error in a logit of this digit.
    """

    index: int
    label: int
    reference: int
    candidate: int
    margin: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """How an artifact's answers compare with the checkpoint's over the same digits.

    Attributes:
        images: how many.
        cosine: the smallest between the logits of one digit.
        ulp: see `metrics.largest_ulp`.
        flips: the digits whose answer changed.
        flip_rate: their share, with its Clopper-Pearson interval.
        cannot_flip: the share of digits whose margin is over twice the largest error seen on any
            digit, so that no error of that size can change their answer.
        lost, gained: digits that only the checkpoint, and only the artifact, names rightly.
        accuracy_change: of the shares of right answers, with its paired interval.
        p_value: of no change in accuracy, by McNemar's exact test.
        calibration_change: of the expected calibration error; above 0 is worse.
        loss_change: of the mean negative log-likelihood, in nats; above 0 is worse.
    """

    images: int
    cosine: float
    ulp: float
    flips: tuple[Flip, ...]
    flip_rate: Interval
    cannot_flip: float
    lost: int
    gained: int
    accuracy_change: Interval
    p_value: float
    calibration_change: float
    loss_change: float


def decide(candidate: Logits, reference: NDArray[np.float64], labels: Labels) -> Decisions:
    """Compare the answers.

    Args:
        candidate: (N, 10) float32, N at least 1.
        reference: (N, 10) float64, the checkpoint's.
        labels: (N,).
    """
    count = len(labels)
    errors = np.abs(candidate - reference).max(axis=1)
    margins = top1_margin(reference)
    before, after = reference.argmax(axis=1), candidate.argmax(axis=1)
    flipped = np.flatnonzero(before != after).tolist()
    lost = int(np.count_nonzero((before == labels) & (after != labels)))
    gained = int(np.count_nonzero((before != labels) & (after == labels)))
    return Decisions(
        images=count,
        cosine=least_cosine(reference, candidate),
        ulp=largest_ulp(reference, candidate),
        flips=tuple(
            Flip(
                index=index,
                label=int(labels[index]),
                reference=int(before[index]),
                candidate=int(after[index]),
                margin=float(margins[index]),
                error=float(errors[index]),
            )
            for index in flipped
        ),
        flip_rate=share(len(flipped), count),
        cannot_flip=float(np.mean(margins > 2 * errors.max())),
        lost=lost,
        gained=gained,
        accuracy_change=paired_change(lost, gained, count),
        p_value=mcnemar(lost, gained),
        calibration_change=calibration_error(candidate, labels)
        - calibration_error(reference, labels),
        loss_change=cross_entropy(candidate, labels) - cross_entropy(reference, labels),
    )
