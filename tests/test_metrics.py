"""Figures from logits, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mnist_edge.metrics import (
    accuracy,
    calibration_error,
    confusion,
    cross_entropy,
    largest_ulp,
    least_cosine,
    per_class,
    softmax,
    sqnr_db,
    top1_margin,
)

pytestmark = pytest.mark.edge

EYE = np.eye(10, dtype=np.float32)


def test_accuracy_is_the_share_of_right_top_classes() -> None:
    assert accuracy(EYE[[3, 1, 4, 1]], np.array([3, 1, 4, 5])) == 0.75


def test_the_loss_of_equal_logits_is_the_logarithm_of_the_number_of_classes() -> None:
    assert cross_entropy(np.zeros((4, 10), np.float32), np.arange(4)) == pytest.approx(math.log(10))


def test_the_loss_is_the_mean_over_the_images() -> None:
    logits = np.array([[math.log(3), *[-np.inf] * 8, 0.0]])  # probabilities 3/4 and 1/4
    both = np.repeat(logits, 2, axis=0)
    expected = -(math.log(3 / 4) + math.log(1 / 4)) / 2
    assert cross_entropy(both, np.array([0, 9])) == pytest.approx(expected)


def test_large_logits_do_not_overflow() -> None:
    logits = 1e4 * EYE[[7]]
    assert cross_entropy(logits, np.array([7])) == 0.0
    assert cross_entropy(logits, np.array([0])) == pytest.approx(1e4)
    assert softmax(-logits).sum() == pytest.approx(1.0)


def test_probabilities_are_float64_sum_to_one_and_ignore_a_common_shift() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32)
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(softmax(logits.astype(np.float64) + 100), probabilities, rtol=1e-9)
    assert (probabilities.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_confusion_has_the_truth_in_the_rows() -> None:
    table = confusion(np.array([2, 2, 9]), np.array([2, 7, 9]))
    assert table.shape == (10, 10)
    assert (table[2, 2], table[7, 2], table[9, 9], table.sum()) == (1, 1, 1, 3)


def test_a_class_is_scored_by_precision_and_recall() -> None:
    # Of four sevens three are found; one nine is taken for a seven.
    scores = per_class(confusion(np.array([7, 7, 7, 1, 7]), np.array([7, 7, 7, 7, 9])))
    seven, nine, zero = scores[7], scores[9], scores[0]
    assert (seven.support, seven.predicted) == (4, 4)
    assert (seven.precision, seven.recall, seven.f1) == (0.75, 0.75, 0.75)
    assert (nine.support, nine.predicted, nine.precision, nine.recall) == (1, 0, 0.0, 0.0)
    assert (zero.support, zero.f1) == (0, 0.0)


def test_the_margin_is_between_the_two_largest_logits() -> None:
    logits = np.array([[0, 5, 3.5, *[-1.0] * 7], [2.0] * 10], np.float32)
    margin = top1_margin(logits)
    assert margin.dtype == np.float64
    assert margin.tolist() == [1.5, 0.0]
    assert top1_margin(logits[:0]).shape == (0,)


def test_ten_decibels_are_a_tenth_of_the_power() -> None:
    reference = np.full((2, 10), 10.0)
    assert sqnr_db(reference, reference + 1) == pytest.approx(20.0)
    assert sqnr_db(reference, reference + math.sqrt(10)) == pytest.approx(10.0)


def test_the_noise_of_equal_and_of_zero_logits_is_a_finite_number() -> None:
    some, zero = np.ones((1, 10)), np.zeros((1, 10))
    assert sqnr_db(some, some) == 320.0
    assert sqnr_db(zero, zero) == 320.0
    assert sqnr_db(zero, some) == -320.0
    assert sqnr_db(some, some + 1e-300) == 320.0


def test_the_difference_to_a_float32_candidate_is_taken_in_double_precision() -> None:
    reference = np.full((1, 10), 0.1)
    expected = 20 * math.log10(0.1 / abs(float(np.float32(0.1)) - 0.1))
    assert sqnr_db(reference, reference.astype(np.float32)) == pytest.approx(expected)


def test_calibration_is_the_gap_between_confidence_and_accuracy() -> None:
    sure = 100 * EYE[[0, 0, 0, 0]]
    assert calibration_error(sure, np.zeros(4, np.int64)) == pytest.approx(0.0)
    assert calibration_error(sure, np.array([0, 0, 0, 1])) == pytest.approx(0.25)
    # Two bins, each a tenth off in another direction, do not cancel out.
    logits = np.log(np.array([[0.9, *[0.1 / 9] * 9], [0.55, *[0.05] * 9]]))
    assert calibration_error(logits, np.array([0, 1])) == pytest.approx((0.1 + 0.55) / 2)


def test_the_least_cosine_is_that_of_the_worst_row() -> None:
    candidate = EYE[[0, 1]] + np.array([[0.0], [1.0]], np.float32) * EYE[[0, 2]]
    assert least_cosine(EYE[[0, 1]], candidate) == pytest.approx(math.sqrt(0.5))


def test_a_unit_in_the_last_place_is_that_of_the_rows_largest_logit() -> None:
    reference = np.array([[1.0, 1e-9, *[0.0] * 8]])
    candidate = reference.copy()
    candidate[0, 1] += 3 * 2.0**-23
    assert largest_ulp(reference, candidate) == pytest.approx(3.0)
