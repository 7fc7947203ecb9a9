"""What a picture takes in memory while it is read: a file of a kilobyte can ask for gigabytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from PIL import Image

if TYPE_CHECKING:
    from PIL.JpegImagePlugin import JpegImageFile

_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
_WIDEST = 4  # colour, in whatever mode: Pillow keeps four bytes even of three channels
_WIDE_MODES = frozenset(("F", "I", "I;16", "I;16L", "I;16B", "I;16N"))
_CANVASES = 12  # bytes of a pixel: libwebp keeps two canvases, and hands out a copy
_FRAMES = 8  # bytes of a pixel: what a later frame is laid on, and what is put back after it
_COEFFICIENT = 2  # bytes, one a sample
_DEEPEST = 8  # bytes: four samples of 16 bits


def memory_of(image: Image.Image, data: bytes, *, copies: int) -> int:
    """Bytes that a picture takes at most, its file included; measured format by format.

    Args:
        image: opened, and not yet loaded, or loaded.
        data: its file.
        copies: of its pixels; two, where it has to be turned.
    """
    pixels = image.width * image.height
    each = copies * _PIXEL_BYTES.get(image.mode, _WIDEST) + (image.mode in _WIDE_MODES)
    if image.format == "WEBP":
        each += _CANVASES
    if image.format == "GIF" and getattr(image, "is_animated", False):
        each += _FRAMES
    return len(data) + pixels * each + _buffer(image, data)


def _buffer(image: Image.Image, data: bytes) -> int:
    """What the decoder holds besides the pixels."""
    if _is_jpeg(image) and _in_several_scans(image, data):
        largest = max((across * down for _, across, down, _ in image.layer), default=1)
        samples = sum(across * down for _, across, down, _ in image.layer) / largest
        return int(image.width * image.height * samples * _COEFFICIENT)
    if image.format == "TIFF" and image.info.get("compression", "raw") != "raw":
        from PIL.TiffImagePlugin import ROWSPERSTRIP, TILELENGTH, TiffImageFile

        assert isinstance(image, TiffImageFile)
        rows = max(image.tag_v2.get(tag, 0) for tag in (ROWSPERSTRIP, TILELENGTH))
        return image.width * min(rows or image.height, image.height) * _DEEPEST
    return 0


def _is_jpeg(image: Image.Image) -> TypeGuard[JpegImageFile]:
    if image.format not in ("JPEG", "MPO"):  # what has no such format need not know its reader
        return False
    from PIL.JpegImagePlugin import JpegImageFile

    return isinstance(image, JpegImageFile)


def _in_several_scans(image: JpegImageFile, data: bytes) -> bool:
    """Whether libjpeg keeps every coefficient until the last scan is read."""
    if image.info.get("progressive") or image.fp is None:
        return bool(image.info.get("progressive"))
    head = b"\xff\xda" + (6 + 2 * image.layers).to_bytes(2, "big") + bytes([image.layers])
    start = image.fp.tell() - 8 - 2 * image.layers  # Pillow stands behind the first scan's header
    return not data.startswith(head, max(start, 0))
