"""Figures from logits: how right they are, and how far two sets of them are apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.contract import Labels
from mnist_edge.recipes.classes import DIGITS

# 20·log10(2**53): double precision itself; JSON has no infinity for two equal arrays.
_MAX_DB = 320.0

_BINS = 15


def accuracy(logits: NDArray[np.floating[Any]], labels: Labels) -> float:
    """The share of rows (N, classes) whose largest logit is that of the label; N is at least 1."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def cross_entropy(logits: NDArray[np.floating[Any]], labels: Labels) -> float:
    """Mean negative log-likelihood of the labels in nats, computed in double precision."""
    return float(-np.mean(_log_softmax(logits)[np.arange(len(labels)), labels]))


def calibration_error(logits: NDArray[np.floating[Any]], labels: Labels) -> float:
    """How far the largest probability is from the share of right answers, 0 to 1.

    The expected calibration error over 15 bins of equal width (C. Guo et al., "On calibration of
    modern neural networks", ICML 2017).
    """
    probabilities = softmax(logits)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Probabilities (N, classes), each row summing to 1."""
    probabilities: NDArray[np.float64] = np.exp(_log_softmax(logits))
    return probabilities


def confidence(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.float64]:
    """The largest probability (N,) that logits (N, classes) give once they are divided by that."""
    largest: NDArray[np.float64] = softmax(logits.astype(np.float64) / temperature).max(axis=1)
    return largest


def confusion(predicted: Labels, labels: Labels, count: int = len(DIGITS)) -> NDArray[np.int64]:
    """Counts, a row for each of `count` true classes, a column for each predicted one."""
    return np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """How well one digit is told from the others. Shares 0 to 1; 0 where there is nothing to share.

    Attributes:
        digit: the class.
        support: how many there are of it.
        predicted: how many were named so.
        precision: the share of those named so that are.
        recall: the share of those that are that were named so.
        f1: the harmonic mean of both.
    """

    digit: int
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


def per_class(confusion: NDArray[np.int64]) -> tuple[ClassScores, ...]:
    """The scores of each class, from a confusion matrix with the true classes as rows."""
    return tuple(
        ClassScores(
            digit=digit,
            support=support,
            predicted=predicted,
            precision=right / max(1, predicted),
            recall=right / max(1, support),
            f1=2 * right / max(1, support + predicted),
        )
        for digit, (right, support, predicted) in enumerate(
            zip(
                confusion.diagonal().tolist(),
                confusion.sum(axis=1).tolist(),
                confusion.sum(axis=0).tolist(),
                strict=True,
            )
        )
    )


def top1_margin(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Per row (N, classes), by how much the largest logit exceeds the second largest."""
    runner_up, best = np.partition(logits.astype(np.float64), -2, axis=1)[:, -2:].T
    margin: NDArray[np.float64] = best - runner_up
    return margin


def least_cosine(
    reference: NDArray[np.floating[Any]], candidate: NDArray[np.floating[Any]]
) -> float:
    """The smallest cosine of two rows of logits (N, classes); 1 for equal ones."""
    first, second = reference.astype(np.float64), candidate.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    cosines = np.divide(products, lengths, out=np.ones_like(products), where=lengths > 0)
    return min(1.0, float(cosines.min()))


def largest_ulp(
    reference: NDArray[np.floating[Any]], candidate: NDArray[np.floating[Any]]
) -> float:
    """The largest error in units in the last place of float32, at the row's largest logit.

    At each logit's own size it would say nothing: near zero any error is a million units.
    """
    scale = np.abs(reference).max(axis=1, keepdims=True).astype(np.float32)
    units = np.spacing(scale).astype(np.float64)
    return float((np.abs(candidate.astype(np.float64) - reference) / units).max())


def sqnr_db(reference: NDArray[np.floating[Any]], candidate: NDArray[np.floating[Any]]) -> float:
    """Signal to quantization noise, 10·log10(Σ reference² / Σ difference²), within ±320 dB."""
    exact = reference.astype(np.float64)
    signal = float(np.square(exact).sum())
    noise = float(np.square(candidate - exact).sum())
    if noise == 0:
        return _MAX_DB
    if signal == 0:
        return -_MAX_DB
    return min(_MAX_DB, max(-_MAX_DB, 10 * math.log10(signal / noise)))


def _log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    # Shifted by the maximum, so that nothing overflows.
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
