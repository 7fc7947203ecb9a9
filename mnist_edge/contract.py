"""What goes into every model of this project and what comes out.

A picture is a white digit on black, 28×28, intensity in [0, 1]. Any normalisation is inside the
graph, so the contract is the same for every artifact.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.recipes.classes import DIGITS, MOST_CLASSES

if TYPE_CHECKING:
    from typing import Any

SIDE = 28
IMAGE_SHAPE = (1, SIDE, SIDE)
INPUT_NAME = "images"
OUTPUT_NAME = "logits"
BATCH_NAME = "batch"

Images: TypeAlias = NDArray[np.float32]
"""(N, 1, 28, 28), C-contiguous, intensity in [0, 1], white digit on black."""

Logits: TypeAlias = NDArray[np.float32]
"""(N, classes), unnormalised class scores; ten classes where they are digits."""

RawImages: TypeAlias = NDArray[np.uint8]
"""(N, 28, 28), 0 is black, 255 is white: a data set as it lies on disk."""

Labels: TypeAlias = NDArray[np.int64]
"""(N,), the numbers of classes, from 0."""

# The bit pattern of 1.0. Read as unsigned integers, the floats of [0, 1] are exactly those up to
# it: negative numbers, infinities and NaN are all larger. One pass checks range and finiteness.
_ONE_BITS = 0x3F800000

# Made once, since each call would make them again.
_FLOAT32, _UINT32 = np.dtype(np.float32), np.dtype(np.uint32)


def check_images(images: NDArray[Any]) -> Images:
    """Return `images` if it keeps the input contract, as a C-contiguous array.

    Args:
        images: (N, 1, 28, 28) float32 in native byte order, values in [0, 1]. N may be 0.

    Raises:
        BadInput: for any other type, rank, shape, byte order or value.
    """
    if not isinstance(images, np.ndarray):
        raise BadInput(
            f"images must be a NumPy array, not {type(images).__name__}",
            fix="pass numpy.asarray(images, dtype=numpy.float32)",
        )
    if images.dtype != _FLOAT32:  # a foreign byte order is another dtype
        hint = " / 255" if images.dtype.kind in "iu" else ""
        raise BadInput(
            f"images have dtype {images.dtype.str}, expected native float32",
            fix=f"pass (images{hint}).astype(numpy.float32)",
        )
    if images.shape[1:] != IMAGE_SHAPE:
        raise BadInput(
            f"images have shape {images.shape}, expected (N, 1, {SIDE}, {SIDE})",
            fix="reshape the array, or load files with mnist_edge.picture",
        )
    images = np.ascontiguousarray(images)
    if len(images):
        bits = images.view(_UINT32)
        # argmax, since for one picture max takes longer than all the rest of this function.
        if bits.item(bits.argmax()) > _ONE_BITS:
            _check_values(images)
    return images


def _check_values(images: Images) -> None:
    # Also the way out for -0.0, whose bit pattern is large but whose value is fine.
    if not np.isfinite(images).all():
        raise BadInput("images hold NaN or infinity", fix="clean the array before prediction")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise BadInput(
            f"images lie in [{low:.9g}, {high:.9g}], expected [0, 1]",
            fix="divide 8-bit pictures by 255; do not normalise, the graph does it",
        )


def to_images(raw: RawImages) -> Images:
    """Turn 8-bit digits (N, 28, 28) into model input (N, 1, 28, 28) float32 in [0, 1]."""
    # Division in float32 is what the training does, too: the same bits on both sides.
    return (raw.astype(np.float32) / np.float32(255.0)).reshape(-1, *IMAGE_SHAPE)


def check_outputs(found: int, expected: int, *, source: str) -> int:
    """How many classes a file tells apart, where it is as many as expected; 0 expects any number.

    Raises:
        BadInput: it is not.
    """
    if found != expected and not (expected == 0 and 2 <= found <= MOST_CLASSES):
        raise BadInput(
            f"{source} tells {found} classes apart, expected {expected or f'2 to {MOST_CLASSES}'}",
            fix="use a model that mnist-edge exported",
        )
    return found


def check_logits(
    logits: NDArray[Any], count: int, classes: int = len(DIGITS), *, source: str
) -> Logits:
    """Return `logits` of so many pictures if a runtime gave what the signature promises.

    Raises:
        BadInput: the file is not one of our classifiers, or its weights are broken.
    """
    if logits.shape != (count, classes) or logits.dtype != _FLOAT32:
        raise BadInput(
            f"{source} gives {logits.dtype} of shape {logits.shape}, "
            f"expected float32 of shape ({count}, {classes})",
            fix="use a model that mnist-edge exported",
        )
    if not _all_finite(logits):
        raise BadInput(
            f"{source} gives NaN or infinity",
            fix="use a model that mnist-edge exported from a good bundle",
        )
    return logits


def _all_finite(logits: Logits) -> bool:
    if len(logits) == 1:  # few numbers are added before NumPy has begun; no sum of so few overflows
        return math.isfinite(sum(logits.ravel().tolist()))
    return bool(np.isfinite(logits).all())
