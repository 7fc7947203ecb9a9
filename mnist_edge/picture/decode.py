"""From the bytes of any picture file to one upright picture in memory."""

from __future__ import annotations

import io
import os
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from mnist_edge.bundle.storage import open_file
from mnist_edge.errors import BadInput
from mnist_edge.picture.memory import memory_of

MAX_BYTES = 64 << 20
"""Longer files are refused: a pipe may never end, and no drawing of a digit needs as much."""

MAX_PIXELS = 80_000_000
"""More are refused before they are decoded. Below the count that Pillow itself warns of."""

MAX_MEMORY_BYTES = 232_000_000
"""That one picture may take while it is read, its file and the copy that is turned counted."""

_READERS = {
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "PPM": "PpmImagePlugin",
    "TIFF": "TiffImagePlugin",
    "WEBP": "WebPImagePlugin",
}
FORMATS = tuple(_READERS)
"""The Pillow readers that may see a file. PPM stands for PBM, PGM and PFM, too."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    *((b"P" + kind, "PPM") for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"F")),
)

# What people send instead, by bytes near the start: they deserve better than "no picture".
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "an SVG drawing"),
    (b"%!PS", "an EPS drawing"),
    (b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (b"%PDF", "a PDF document"),
    (b"ftypheic", "an HEIC photo"),
    (b"ftypmif1", "an HEIC photo"),
    (b"ftypavif", "an AVIF photo"),
)

_FILTERS = threading.Lock()

_HEAD_BYTES = 256
_CHUNK_BYTES = 1 << 20
_ORIENTATION = 0x0112
_UPRIGHT = 1
_CONVERT = f"save it as PNG or JPEG; read are {', '.join(FORMATS)}"


def read_pages(source: Path | str | bytes | BinaryIO) -> Iterator[Image.Image]:
    """The pages of a TIFF or GIF file, of any other its one picture, whole, checked and upright.

    Each is decoded when it is asked for, in the place of the one before. A file can hold millions.

    Args:
        source: a path, the bytes of a file, or a binary stream such as `sys.stdin.buffer`.

    Raises:
        BadInput: it cannot be read, is no picture of a known format, is damaged, or too large.
    """
    data, name = _read(source)
    return _pages(data, name)


def _read(source: Path | str | bytes | BinaryIO) -> tuple[bytes, str]:
    """The bytes of a file, and what to call it."""
    if isinstance(source, bytes):
        return _read_limited(io.BytesIO(source), "the picture"), "the picture"
    if not isinstance(source, (str, Path)):
        return _read_limited(source, "the stream"), "the stream"
    try:
        with open_file(source) as stream:
            return _read_limited(stream, str(source)), str(source)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        fix = "give the path of a readable picture"
        if os.path.isdir(source):  # noqa: PTH112  Path.is_dir would raise once more
            reason = "it is a folder, and no picture was found in it"
            fix = "give a picture, or a folder that holds files such as 7.png or 7.jpg"
        raise BadInput(f"cannot read {source}: {reason}", fix=fix) from None


def _read_limited(stream: BinaryIO, name: str) -> bytes:
    # The first bytes decide before the rest is read: /dev/zero must not cost 64 MiB.
    data = bytearray(stream.read(_HEAD_BYTES))
    _sniff(bytes(data), name)
    while chunk := stream.read(_CHUNK_BYTES):
        data += chunk
        if len(data) > MAX_BYTES:
            raise BadInput(
                f"{name} is longer than {MAX_BYTES >> 20} MiB", fix="give a smaller picture"
            )
    return bytes(data)


def _sniff(head: bytes, name: str) -> str:
    """The format that the first bytes of a file tell."""
    if not head:
        raise BadInput(f"{name} is empty", fix="give a picture file")
    for signature, form in _SIGNATURES:
        if head.startswith(signature):
            return form
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    for marker, kind in _FOREIGN:
        if marker in head:
            raise BadInput(f"{name} is {kind}, which cannot be read", fix=_CONVERT)
    raise BadInput(f"{name} is not a picture of a known format", fix=_CONVERT)


def _pages(data: bytes, name: str) -> Iterator[Image.Image]:
    form = _sniff(data[:_HEAD_BYTES], name)
    with _named(name, form):
        image = _open(data, form)
    for page in count(1):
        if image.width * image.height > MAX_PIXELS:
            raise _too_many_pixels(name)
        with _named(name, form):
            turned = form == "JPEG" and _is_turned(image)
        if form == "JPEG" and memory_of(image, data, copies=1 + turned) > MAX_MEMORY_BYTES:
            image.draft("L", image.size)  # of a photograph too large its brightness is enough
        _check_memory(image, data, name, copies=1 + turned)
        with _named(name, form):
            turned = _is_turned(_load(image, data, form))
        _check_memory(image, data, name, copies=1 + turned)
        with _named(name, form):
            upright = _upright(image) if turned else image
        yield upright
        with _named(name, form):
            if not _has_pages(image) or not _turn_page(image, page):
                return


def _has_pages(image: Image.Image) -> bool:
    return bool(getattr(image, "is_animated", False))


def _turn_page(image: Image.Image, page: int) -> bool:
    """Go to a page, counted from 0; whether there is one."""
    try:
        with _no_warnings():
            image.seek(page)
    except EOFError:
        return False
    return True


@contextmanager
def _named(name: str, form: str) -> Iterator[None]:
    """Tell of whatever goes wrong as an error in that file."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(name) from None
    except Exception as error:
        # Pillow's readers let through whatever their parsers meet: OSError, SyntaxError,
        # struct.error, IndexError and more. All of it means that the file is broken.
        raise BadInput(
            f"{name} is a damaged {form} file: {error}", fix="save the picture again"
        ) from error


def _too_many_pixels(name: str) -> BadInput:
    return BadInput(
        f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels",
        fix="scale it down first",
    )


def _check_memory(image: Image.Image, data: bytes, name: str, *, copies: int) -> None:
    if memory_of(image, data, copies=copies) > MAX_MEMORY_BYTES:
        raise BadInput(
            f"{name} has {image.width}x{image.height} pixels, which would take more than"
            f" {MAX_MEMORY_BYTES // 1_000_000} MB to read as {image.format}",
            fix="scale it down first, or save it in shades of grey",
        )


def _open(data: bytes, form: str) -> Image.Image:
    # As Image.open does, which imports five readers for the one that is needed.
    import_module(f"PIL.{_READERS[form]}")
    factory, accept = Image.OPEN[form]
    with _no_warnings():
        if accept is not None and accept(data[:_HEAD_BYTES]) is not True:
            raise UnidentifiedImageError("cannot identify the image file")
        image = factory(io.BytesIO(data), "")
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        # Asked here, where a complaint about a later page does no harm; Pillow remembers it. Pages
        # are never counted: a small file can hold millions.
        _has_pages(image)
    return image


def _load(image: Image.Image, data: bytes, form: str) -> Image.Image:
    """Decode every pixel: a picture that is cut off anywhere is an error, not half a digit."""
    if form == "PNG":
        _check_png(data)
    image.load()
    return image


def _check_png(data: bytes) -> None:
    """See every checksum and the end mark, as loading stops at the last pixel.

    Pillow's own `verify` leaves the picture to be opened again, which takes far longer.
    """
    place, kind = 8, b""
    while kind != b"IEND":
        kind = data[place + 4 : place + 8]
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        # Beyond the end of a file that was cut off a slice is short, and equals no checksum.
        if data[end : end + 4] != zlib.crc32(data[place + 4 : end]).to_bytes(4, "big"):
            raise ValueError("it was cut off, or a checksum does not hold")
        place = end + 4


def _upright(image: Image.Image) -> Image.Image:
    """Turn the picture as its camera held it: phones store every photo in one orientation."""
    from PIL import ImageOps

    with _no_warnings():
        return ImageOps.exif_transpose(image)


def _is_turned(image: Image.Image) -> bool:
    with _no_warnings():
        return bool(image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep Pillow from warning of what is told as an error, or does not matter for a digit."""
    # Until Python 3.14 the filters are the whole process's: one thread at a time may change them.
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
