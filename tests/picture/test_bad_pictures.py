"""What users point `predict` at that is no digit: one clear error each, or an honest blank."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn import draw, encode
from PIL import Image

from mnist_edge.errors import BadInput
from mnist_edge.picture import load_picture
from mnist_edge.picture.decode import MAX_BYTES, read_pages
from mnist_edge.picture.files import find_pictures

pytestmark = pytest.mark.edge

DIGIT = draw(5, size=(64, 64), pen=5)
PNG = encode(DIGIT)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def claimed_png(width: int, height: int) -> bytes:
    """A small file that says it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return PNG[:8] + png_chunk(b"IHDR", header) + data + png_chunk(b"IEND", b"")


def claimed_bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 100, 0, 0, 54) + info + bytes(100)


def wrong_checksum() -> bytes:
    broken = bytearray(PNG)
    broken[PNG.index(b"IDAT") + 10] ^= 0xFF
    return bytes(broken)


def float_tiff(value: float) -> bytes:
    floats = np.asarray(DIGIT).astype(np.float32)
    floats[3, 3] = value
    return encode(Image.fromarray(floats), "TIFF")


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "one byte": (b"\x89", "not a picture"),
    "text": (b"seven\n", "not a picture"),
    "zeros": (bytes(100_000), "not a picture"),
    "only a signature": (PNG[:8], "damaged PNG"),
    "truncated in the middle": (PNG[: len(PNG) // 2], "damaged PNG"),
    "without its last 20 bytes": (PNG[:-20], "damaged PNG"),
    "without its end mark": (PNG[:-12], "damaged PNG"),
    "wrong checksum": (wrong_checksum(), "damaged PNG"),
    "a bomb": (claimed_png(100_000, 100_000), "million pixels"),
    "a bomb that Pillow warns of": (claimed_png(10_000, 10_000), "million pixels"),
    "a bomb that Pillow lets through": (claimed_png(9_000, 9_000), "million pixels"),
    "a bomb of another format": (claimed_bmp(100_000, 100_000), "million pixels"),
    "one pixel": (encode(Image.new("L", (1, 1))), "too few"),
    "one column": (encode(Image.new("L", (1, 10_000))), "too few"),
    "one row": (encode(Image.new("L", (10_000, 1))), "too few"),
    "NaN": (float_tiff(np.nan), "NaN"),
    "infinity": (float_tiff(np.inf), "infinity"),
    "SVG": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
    "PDF": (b"%PDF-1.7\n", "PDF"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "HEIC"),
    "icon, which Pillow could read": (encode(DIGIT, "ICO"), "not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_are_one_clear_error(name: str) -> None:
    data, expected = BAD[name]
    with pytest.raises(BadInput, match=expected) as caught:
        load_picture(data)
    assert caught.value.fix
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_file_of_any_format_is_an_error(form: str, share: float) -> None:
    # Grain, so that no format packs the lower half of the picture into its last bytes.
    grain = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    data = encode(Image.fromarray(grain), form)
    with pytest.raises(BadInput):
        load_picture(data[: int(len(data) * share)])


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_flipped_bytes_give_a_picture_or_a_clear_error(form: str) -> None:
    data, rng = encode(DIGIT, form), np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            broken[place] = rng.integers(256)
        with contextlib.suppress(BadInput):
            assert load_picture(bytes(broken)).pixels.shape == (28, 28)


@pytest.mark.parametrize("colour", [(0, 0, 0, 0), (255, 255, 255, 0), (9, 99, 199, 0)])
def test_a_transparent_picture_is_blank(colour: tuple[int, int, int, int]) -> None:
    assert load_picture(encode(Image.new("RGBA", (60, 60), colour))).blank


@pytest.mark.parametrize("size", [(5, 10_000), (10_000, 5), (5, 5)])
def test_an_odd_shape_is_read_or_blank(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    for array in (noise, np.full(size, 7, np.uint8), np.indices(size)[0].astype(np.uint8)):
        assert load_picture(array).pixels.shape == (28, 28)


class Endless(io.BytesIO):
    """A stream with no end: zeros, or a picture that goes on for ever."""

    def __init__(self, head: bytes) -> None:
        super().__init__()
        self.head = head
        self.given = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= MAX_BYTES
        piece = self.head[self.given : self.given + size].ljust(size, b"\x00")
        self.given += size
        return piece


def test_an_endless_stream_of_zeros_ends_at_once() -> None:
    stream = Endless(b"")
    with pytest.raises(BadInput, match="not a picture"):
        next(read_pages(stream))
    assert stream.given < 10_000


def test_an_endless_picture_ends_at_the_limit() -> None:
    stream = Endless(PNG)
    with pytest.raises(BadInput, match="longer than 64 MiB"):
        next(read_pages(stream))
    assert stream.given < 2 * MAX_BYTES


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero on this system")
def test_dev_zero_is_no_picture() -> None:
    with pytest.raises(BadInput, match="a pipe or a device"):
        read_pages(Path("/dev/zero"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(BadInput, match="a pipe or a device"):
        next(read_pages(pipe))


def unreadable(folder: Path) -> Path:
    path = folder / "secret.png"
    path.write_bytes(PNG)
    path.chmod(0)
    return path


@contextlib.contextmanager
def not_as_superuser() -> Iterator[None]:
    """Who may read everything becomes, for a while, somebody who owns nothing."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


PLACES: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "none.png",
    "a folder": lambda folder: folder,
    "below a file": lambda folder: Path(__file__) / "7.png",
    "a NUL in the name": lambda folder: folder / "7\0.png",
    "a name too long": lambda folder: folder / ("7" * 300),
    "a line break in the name": lambda folder: folder / "7\nerror: none.png",
    "unreadable": unreadable,
}


def test_a_folder_without_pictures_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (asked,) = find_pictures([tmp_path])
    with pytest.raises(BadInput, match="is a folder, and no picture was found in it") as caught:
        load_picture(asked)
    assert "7.png" in caught.value.fix


@pytest.mark.parametrize("place", PLACES)
def test_a_bad_path_is_one_clear_error(tmp_path: Path, place: str) -> None:
    path = PLACES[place](tmp_path)
    with not_as_superuser(), pytest.raises(BadInput, match="cannot read") as caught:
        load_picture(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["-7.png", "--help", "line\nbreak.png", " .png", "7.text", "七.png"]
)
def test_an_odd_name_is_no_hindrance(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PNG)
    assert find_pictures([path]) == [path]
    assert not load_picture(path).blank


def test_a_loop_of_folders_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "7.png").write_bytes(PNG)
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert find_pictures([tmp_path]) == [tmp_path / "a" / "7.png"]


def test_a_link_to_nowhere_and_an_endless_link_are_errors(tmp_path: Path) -> None:
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    for path in find_pictures([tmp_path / "lost.png", tmp_path / "self.png"]):
        with pytest.raises(BadInput, match="cannot read"):
            load_picture(path)
