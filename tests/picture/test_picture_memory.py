"""No picture takes more memory than is set: what would is refused, or read with less."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn import draw, encode
from PIL import Image

from mnist_edge.errors import BadInput
from mnist_edge.picture import decode, load_picture
from mnist_edge.picture.decode import read_pages
from mnist_edge.picture.memory import memory_of
from mnist_edge.picture.paper import grey_of

pytestmark = pytest.mark.edge

PIXELS = 1000 * 800
TURNED = Image.Exif()
TURNED[0x0112] = 6


def page(mode: str = "RGB") -> Image.Image:
    return draw(3, size=(1000, 800), pen=40).convert(mode)


def taken(data: bytes, *, copies: int = 1) -> int:
    """Bytes a pixel, without the file."""
    return (memory_of(Image.open(io.BytesIO(data)), data, copies=copies) - len(data)) // PIXELS


KINDS: dict[str, tuple[Callable[[], bytes], int]] = {
    "grey": (lambda: encode(page("L")), 1),
    "colour": (lambda: encode(page()), 4),
    "16 bits, and its copy of 8": (lambda: encode(page("I;16")), 3),
    "WebP": (lambda: encode(page(), "WEBP"), 16),
    "JPEG": (lambda: encode(page(), "JPEG"), 4),
    "progressive JPEG": (lambda: encode(page(), "JPEG", progressive=True, subsampling=0), 10),
    "halved colours": (lambda: encode(page(), "JPEG", progressive=True, subsampling=2), 7),
    "TIFF in one strip": (
        lambda: encode(page(), "TIFF", compression="tiff_lzw", strip_size=10_000_000),
        12,
    ),
    "GIF with pages": (
        lambda: encode(page(), "GIF", save_all=True, append_images=[page().rotate(90)]),
        9,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_decoder_holds_is_counted(kind: str) -> None:
    make, expected = KINDS[kind]
    assert taken(make()) == expected


def test_a_jpeg_whose_channels_come_one_after_the_other_is_counted_as_progressive() -> None:
    data = encode(page(), "JPEG", subsampling=0)
    together, alone = b"\xff\xda\x00\x0c\x03", b"\xff\xda\x00\x0c\x01"
    assert data.count(together) == 1
    assert taken(data.replace(together, alone)) == 10


def test_a_picture_that_is_turned_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(page(), exif=TURNED)
    upright = encode(page())
    monkeypatch.setattr(decode, "MAX_MEMORY_BYTES", 6 * PIXELS)
    assert next(read_pages(upright)).size == (1000, 800)
    with pytest.raises(BadInput, match="1000x800 pixels, which would take more than"):
        next(read_pages(data))


def test_a_large_photograph_is_read_in_shades_of_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(page(), "JPEG", exif=TURNED)
    assert next(read_pages(data)).mode == "RGB"
    monkeypatch.setattr(decode, "MAX_MEMORY_BYTES", 6 * PIXELS)
    large = next(read_pages(data))
    assert (large.mode, large.size) == ("L", (800, 1000))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "I", "F", "I;16"])
@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("place", [None, (100, 50, 801, 777)])
def test_a_page_in_strips_is_the_page_at_once(
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    factor: int,
    place: tuple[int, int, int, int] | None,
) -> None:
    image = page("I").convert("F").convert("I;16") if mode == "I;16" else page("L").convert(mode)
    whole = image if place is None else image.crop(place)
    steps: list[str] = []
    at_once = grey_of(whole, factor, steps)
    monkeypatch.setattr("mnist_edge.picture.paper._STRIP_PIXELS", 5000)
    in_strips: list[str] = []
    np.testing.assert_array_equal(grey_of(image, factor, in_strips, place), at_once)
    assert in_strips == steps


def test_a_line_of_millions_of_pixels_is_no_page() -> None:
    line = np.zeros((5, 2_000_000), np.uint8)
    with pytest.raises(BadInput, match="are a line and no page"):
        load_picture(line)


def digits_of_55_megapixels(path: Path) -> None:
    tile = draw(3, size=(500, 400), pen=20).convert("L").resize((125, 100))
    grey = Image.new("L", (8500, 6400), 255)
    for place in range(54):
        grey.paste(tile, (200 + 900 * (place % 9), 200 + 1000 * (place // 9)))
    grey.convert("RGBA").save(path, compress_level=1)


_READ = """
import resource, sys
from mnist_edge.picture import load_picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_picture(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts in KiB there alone")
def test_the_largest_page_with_opacity_takes_no_more_than_256_mib(tmp_path: Path) -> None:
    path = tmp_path / "many.png"
    digits_of_55_megapixels(path)
    command = [sys.executable, "-c", _READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 256 << 10
