"""Pictures that are none, that lie about their size, or that cost far more than they weigh."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from drawn import draw, encode
from PIL import Image

from attack.cases import Case
from attack.ground import BUNDLE

_LARGE = (8500, 6400)
_LARGER = (10_200, 7800)


def pictures() -> Iterator[Case]:
    """Each is read as a digit, found to be none, or refused."""
    for name, (make, may_pass) in _MAKERS.items():
        files = {"p.png": make()}
        for words in (("predict", "p.png"), ("predict", "p.png", "--many", "--json")):
            yield Case(
                kind="pictures",
                name=f"{name}{', --many' if len(words) > 2 else ''}",
                words=(*words, "--bundle", BUNDLE),
                files=files,
                may_pass=may_pass,
            )


def _page(size: tuple[int, int], mode: str = "L") -> Image.Image:
    """A large page with some small digits, quickly made."""
    tile = draw(3, size=(125, 100), pen=8)
    page = Image.new("L", size, 255)
    for place in range(12):
        page.paste(tile, (200 + 900 * (place % 4), 200 + 1000 * (place // 4)))
    return page.convert(mode)


def _saved(mode: str, form: str, size: tuple[int, int] = _LARGE, **options: object) -> bytes:
    return encode(_page(size, mode), form, **options)


def _deep() -> bytes:
    grey = np.full(_LARGER[::-1], 60_000, np.uint16)
    grey[3000:5000, 5000:5200] = 0
    return encode(Image.fromarray(grey), compress_level=1)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _claimed(width: int, height: int, *, body: bytes = b"", depth: int = 8, kind: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = _chunk(b"IDAT", body or zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + data + _chunk(b"IEND", b"")


def _texts() -> bytes:
    """Compressed comments that unpack to far more than they are."""
    bomb = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9))
    good = encode(draw(7))
    return good[:33] + bomb * 20 + good[33:]


def _colour_profile() -> bytes:
    bomb = _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(500_000_000), 9))
    good = encode(draw(7))
    return good[:33] + bomb + good[33:]


def _multi_scan(size: tuple[int, int]) -> bytes:
    """A JPEG whose channels come one after the other, each of them grey."""
    width, height = size
    data = encode(Image.new("RGB", size), "JPEG", subsampling=0, quality=30)
    start = data.index(b"\xff\xda")
    coded = encode(Image.new("L", (width, height)), "JPEG", quality=30)
    body = coded[coded.index(b"\xff\xda") + 10 : -2]
    scans = b"".join(
        b"\xff\xda\x00\x08\x01" + bytes([channel, tables]) + b"\x00\x3f\x00" + body
        for channel, tables in ((1, 0x00), (2, 0x11), (3, 0x11))
    )
    return data[:start] + scans + b"\xff\xd9"


def _frames(count: int) -> bytes:
    first = Image.new("L", (64, 64), 255)
    others = [Image.new("L", (64, 64), n % 256) for n in range(count)]
    return encode(first, "GIF", save_all=True, append_images=others)


def _large_frames() -> bytes:
    pages = [_page((4000, 3000)).quantize(8 + n) for n in range(3)]
    return encode(pages[0], "GIF", save_all=True, append_images=pages[1:], disposal=3)


def _tiff_in_a_circle() -> bytes:
    """A TIFF whose second page is its first."""
    data = bytearray(encode(draw(7), "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * entries, start)
    return bytes(data)


def _tiff_pages(count: int) -> bytes:
    first = Image.new("1", (30, 30))
    return encode(first, "TIFF", save_all=True, append_images=[first] * count)


def _checkerboard(step: int) -> bytes:
    page = np.full((4000, 5000), 255, np.uint8)
    page[::step, ::step] = 0
    return encode(Image.fromarray(page))


def _noise(size: tuple[int, int]) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    return encode(Image.fromarray(noise), compress_level=1)


_MAKERS: dict[str, tuple[Callable[[], bytes], bool]] = {
    "nothing": (lambda: b"", False),
    "a byte": (lambda: b"\x89", False),
    "text": (lambda: b"seven\n" * 100, False),
    "zeros": (lambda: bytes(100_000), False),
    "a signature": (lambda: b"\x89PNG\r\n\x1a\n", False),
    "half a PNG": (lambda: encode(draw(7))[:400], False),
    "half a JPEG": (lambda: encode(draw(7), "JPEG")[:1500], False),
    "half a GIF": (lambda: encode(draw(7), "GIF")[:400], False),
    "half a WebP": (lambda: encode(draw(7), "WEBP")[:400], False),
    "half a TIFF": (lambda: encode(draw(7), "TIFF")[:4000], False),
    "10 gigapixels claimed": (lambda: _claimed(100_000, 100_000), False),
    "2^31 pixels wide": (lambda: _claimed(2**31 - 1, 1), False),
    "no width": (lambda: _claimed(0, 28), False),
    "79 megapixels claimed": (lambda: _claimed(10_000, 7_900), False),
    "79 megapixels of zeros in 80 kB": (
        lambda: _claimed(10_000, 7_900, body=zlib.compress(bytes(7_900 * 10_001), 9)),
        True,
    ),
    "16 bits, 80 megapixels": (_deep, True),
    "grey, 80 megapixels": (lambda: _saved("L", "PNG", _LARGER), True),
    "colour, 80 megapixels": (lambda: _saved("RGB", "PNG", _LARGER, compress_level=1), True),
    "colour, 54 megapixels": (lambda: _saved("RGB", "PNG", compress_level=1), True),
    "opacity, 54 megapixels": (lambda: _saved("RGBA", "PNG", compress_level=1), True),
    "a palette, 54 megapixels": (lambda: _saved("P", "PNG"), True),
    "a photograph of 80 megapixels": (lambda: _saved("RGB", "JPEG", _LARGER), True),
    "a turned photograph of 54 megapixels": (lambda: _saved("RGB", "JPEG", exif=_turned()), True),
    "a turned PNG of 54 megapixels": (
        lambda: _saved("RGB", "PNG", compress_level=1, exif=_turned()),
        True,
    ),
    "a progressive JPEG of 54 megapixels": (
        lambda: _saved("RGB", "JPEG", progressive=True, subsampling=0),
        True,
    ),
    "a JPEG in three scans": (lambda: _multi_scan(_LARGE), True),
    "CMYK, 54 megapixels": (lambda: _saved("CMYK", "JPEG"), True),
    "a WebP of 54 megapixels": (lambda: _saved("RGB", "WEBP", quality=10, method=0), True),
    "a WebP of 13 megapixels": (
        lambda: _saved("RGB", "WEBP", (4200, 3100), quality=10, method=0),
        True,
    ),
    "a TIFF of floats, 54 megapixels": (lambda: _saved("F", "TIFF", compression="tiff_lzw"), True),
    "a TIFF in one strip": (
        lambda: _saved("RGB", "TIFF", compression="tiff_lzw", strip_size=10**9),
        True,
    ),
    "a TIFF of a JPEG": (lambda: _saved("RGB", "TIFF", compression="jpeg"), True),
    "a TIFF in a circle": (_tiff_in_a_circle, True),
    "a TIFF of 3,000 pages": (lambda: _tiff_pages(3000), True),
    "a GIF of 3,000 pages": (lambda: _frames(3000), True),
    "a GIF of large pages": (_large_frames, True),
    "a GIF of 54 megapixels": (lambda: _saved("L", "GIF"), True),
    "comments of a gigabyte": (_texts, True),
    "a colour profile of 500 MB": (_colour_profile, True),
    "a line of 80 megapixels": (
        lambda: encode(Image.new("L", (5, 15_900_000), 255), compress_level=1),
        False,
    ),
    "a million specks": (lambda: _checkerboard(4), True),
    "specks as large as digits": (lambda: _checkerboard(40), True),
    "noise of 20 megapixels": (lambda: _noise((4000, 5000)), True),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', False),
    "EPS": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", False),
    "an icon": (lambda: encode(draw(7), "ICO"), False),
    "NaN": (
        lambda: encode(Image.fromarray(np.full((64, 64), np.nan, np.float32)), "TIFF"),
        False,
    ),
}
