"""Golden vectors: a few digits with the checkpoint's answers, as text that travels in a file.

An artifact that carries them can be tested wherever it lands, without its bundle and without data.
The text is JSON, so that a reader in any language can take it apart:

    {"images": BASE64, "logits": BASE64}

`images` is the zlib stream of N×28×28 bytes, 0 for black to 255 for white; `logits` are N rows of
little-endian float64, a number for each class.
"""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle import codec
from mnist_edge.contract import SIDE, RawImages
from mnist_edge.errors import BadInput
from mnist_edge.recipes.classes import MOST_CLASSES

KEY = "golden"
"""The key of the metadata of an artifact under which they stand."""

_PARTS = ("images", "logits")
_MOST = 100
_IMAGE_BYTES = SIDE * SIDE


def pack_golden(images: RawImages, logits: NDArray[np.float64]) -> str:
    """The text of `images` (N, 28, 28) uint8 and `logits` (N, classes) float64, N from 1 to 100."""
    assert 0 < len(images) == len(logits) <= _MOST
    parts = (zlib.compress(images.tobytes(), 9), logits.astype("<f8").tobytes())
    encoded = (base64.b64encode(part).decode() for part in parts)
    return json.dumps(dict(zip(_PARTS, encoded, strict=True)))


def unpack_golden(text: str) -> tuple[RawImages, NDArray[np.float64]]:
    """Read what `pack_golden` wrote, however it was tampered with.

    Returns:
        The images (N, 28, 28) uint8, and the logits (N, classes) float64, all finite.

    Raises:
        BadInput: it is anything else.
    """
    try:
        return _unpack(text)
    except (ValueError, zlib.error) as error:  # the errors of base64 and JSON are ValueErrors
        raise BadInput(
            f"the golden vectors are damaged: {error}",
            fix="export the file again, or copy it again from where it was made",
        ) from None


def _unpack(text: str) -> tuple[RawImages, NDArray[np.float64]]:
    parts = codec.loads(dict[str, str], text)
    if parts.keys() != set(_PARTS):
        raise ValueError("other entries than images and logits")
    packed, rows = (base64.b64decode(parts[name], validate=True) for name in _PARTS)
    unpacker = zlib.decompressobj()
    # One byte more than there may be: a bomb unpacks no further.
    pixels = unpacker.decompress(packed, _MOST * _IMAGE_BYTES + 1)
    count, rest = divmod(len(pixels), _IMAGE_BYTES)
    if rest or not 0 < count <= _MOST or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"the images are not 1 to {_MOST} of {_IMAGE_BYTES} pixels")
    classes, rest = divmod(len(rows), 8 * count)
    if rest or not 2 <= classes <= MOST_CLASSES:
        raise ValueError(f"{len(rows)} bytes of logits for {count} images")
    logits = np.frombuffer(rows, "<f8").astype(np.float64).reshape(count, -1)
    if not np.isfinite(logits).all():
        raise ValueError("logits that are NaN or infinite")
    return np.frombuffer(pixels, np.uint8).reshape(count, SIDE, SIDE), logits
