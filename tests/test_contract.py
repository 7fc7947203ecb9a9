from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_edge.contract import check_images, check_logits, to_images
from mnist_edge.errors import BadInput

pytestmark = pytest.mark.edge


def noise(count: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((count, 1, 28, 28), np.float32)


def holding(value: float) -> NDArray[np.float32]:
    """Images with one odd value, in the last place that a check would look at."""
    images = noise()
    images[-1, 0, -1, -1] = value
    return images


@pytest.mark.parametrize(
    "images",
    [
        noise(),
        noise(1),
        noise(0),
        np.zeros((2, 1, 28, 28), np.float32),
        np.ones((2, 1, 28, 28), np.float32),
        holding(-0.0),
        holding(1e-45),
        np.broadcast_to(noise(1), (5, 1, 28, 28)),
        np.asfortranarray(noise()),
        noise(6)[::2],
        noise()[:, :, ::-1, ::-1],
        noise().transpose(0, 1, 3, 2),
    ],
)
def test_good_images_pass_with_their_values_and_in_c_order(images: NDArray[np.float32]) -> None:
    before = images.copy()
    checked = check_images(images)
    assert checked.flags.c_contiguous
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, before)
    np.testing.assert_array_equal(images, before)


def test_contiguous_images_are_not_copied() -> None:
    images = noise()
    assert check_images(images) is images


def test_read_only_images_pass() -> None:
    images = noise()
    images.flags.writeable = False
    assert check_images(images) is images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([[0.0]], "must be a NumPy array, not list"),
        (None, "must be a NumPy array, not NoneType"),
        (noise().astype(np.float64), r"dtype <f8, expected native float32"),
        (noise().astype(np.float16), r"dtype <f2"),
        (noise().astype(np.uint8), r"dtype \|u1.*images / 255"),
        (noise().astype(np.int64), r"dtype <i8.*images / 255"),
        (noise().astype(bool), r"dtype \|b1"),
        (noise().astype(complex), r"dtype <c16"),
        (noise().astype(object), r"dtype \|O"),
        (noise().astype(str), r"dtype <U32"),
        (noise().astype(noise().dtype.newbyteorder()), r"dtype >f4, expected native"),
        (noise()[0], r"shape \(1, 28, 28\)"),
        (noise()[0, 0], r"shape \(28, 28\)"),
        (noise()[None], r"shape \(1, 3, 1, 28, 28\)"),
        (np.float32(0.5), "must be a NumPy array, not float32"),
        (np.array(0.5, np.float32), r"shape \(\)"),
        (noise().reshape(3, 28, 28, 1), r"shape \(3, 28, 28, 1\)"),
        (noise()[..., :27], r"shape \(3, 1, 28, 27\)"),
        (noise()[..., :0], r"shape \(3, 1, 28, 0\)"),
        (np.concatenate([noise()] * 3, axis=1), r"shape \(3, 3, 28, 28\)"),
        (holding(np.nan), "NaN or infinity"),
        (holding(-np.nan), "NaN or infinity"),
        (holding(np.inf), "NaN or infinity"),
        (holding(-np.inf), "NaN or infinity"),
        (holding(255), r"lie in \[.*, 255\], expected \[0, 1\]"),
        (holding(-0.5), r"lie in \[-0\.5, "),
        (holding(-1e-45), r"lie in \[-1\.4\d*e-45, "),
        (holding(np.nextafter(np.float32(1), np.float32(2))), r", 1\.00000012\], expected"),
    ],
)
def test_a_broken_input_contract_is_named(images: Any, message: str) -> None:
    before = images.copy() if isinstance(images, np.ndarray) else images
    with pytest.raises(BadInput, match=message):
        check_images(images)
    if isinstance(images, np.ndarray) and images.dtype != object:
        assert images.tobytes() == before.tobytes()


@given(st.floats(width=32))
def test_a_value_passes_exactly_if_it_lies_between_0_and_1(value: float) -> None:
    images = np.zeros((1, 1, 28, 28), np.float32)
    images[0, 0, 5, 5] = value
    if 0 <= value <= 1:
        assert check_images(images) is images
    else:
        with pytest.raises(BadInput):
            check_images(images)


def test_a_negative_zero_does_not_hide_a_bad_value() -> None:
    images = holding(-0.0)
    images[0, 0, 0, 0] = 1.5
    with pytest.raises(BadInput, match="lie in"):
        check_images(images)


def test_8_bit_digits_become_model_input() -> None:
    raw = np.arange(2 * 784, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
    images = to_images(raw)
    assert images.shape == (2, 1, 28, 28)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[:, 0] * np.float32(255), raw.astype(np.float32))
    assert images.max() == 1.0
    assert check_images(images) is images


def test_no_digits_become_an_empty_batch() -> None:
    assert to_images(np.zeros((0, 28, 28), np.uint8)).shape == (0, 1, 28, 28)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_good_logits_pass_as_they_are(count: int) -> None:
    logits = np.ones((count, 10), np.float32)
    assert check_logits(logits, count, source="onnx-float32") is logits


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.ones((2, 10)), r"onnx-float32 gives float64 of shape \(2, 10\)"),
        (np.ones((2, 10), np.float16), "gives float16"),
        (np.ones((1, 10), np.float32), r"of shape \(1, 10\), expected .* \(2, 10\)"),
        (np.ones((2, 9), np.float32), r"of shape \(2, 9\)"),
        (np.ones(20, np.float32), r"of shape \(20,\)"),
        (np.full((2, 10), np.nan, np.float32), "gives NaN or infinity"),
        (np.full((2, 10), -np.inf, np.float32), "gives NaN or infinity"),
    ],
)
def test_wrong_logits_are_laid_on_the_file(logits: NDArray[Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_logits(logits, 2, source="onnx-float32")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("numbers", [(np.nan,), (np.inf,), (-np.inf,), (np.inf, -np.inf)])
def test_one_bad_logit_is_enough(count: int, numbers: tuple[float, ...]) -> None:
    logits = np.ones((count, 10), np.float32)
    logits[-1, : len(numbers)] = numbers
    with pytest.raises(BadInput, match="gives NaN or infinity"):
        check_logits(logits, count, source="onnx-float32")


def test_logits_whose_sum_is_beyond_float32_are_good() -> None:
    logits = np.full((1, 10), np.finfo(np.float32).max, np.float32)
    assert check_logits(logits, 1, source="onnx-float32") is logits
