"""C files that read pictures: the answer of `predict`, in memory that is known beforehand."""

from __future__ import annotations

import ctypes
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from make_vectors import VECTORS, unpacked
from numpy.typing import NDArray
from sheets import sheets

from mnist_edge import cli
from mnist_edge.bundle.folder import SHIPPED_BUNDLES, open_bundle
from mnist_edge.errors import UsageError
from mnist_edge.formats import FORMATS, Wish, export_pairs, write_artifact
from mnist_edge.formats.c.compiler import find_compiler
from mnist_edge.formats.c.document import fill
from mnist_edge.formats.c.reading import READING
from mnist_edge.formats.source import onnx_source
from mnist_edge.predict import Predictor
from mnist_edge.recipes.export import ExportRecipe

SHIPPED = SHIPPED_BUNDLES[-1]
NO_DIGIT, BAD_ARGUMENT, TOO_SMALL, NO_MEMORY, NO_PAGE = -1, -2, -3, -4, -5

pytestmark = [
    pytest.mark.edge,
    pytest.mark.skipif(bool(FORMATS["c"].absent()), reason="no C compiler"),
]


@dataclass
class Reader:
    """The functions of a built file."""

    read: ctypes._NamedFuncPointer
    bytes_for: ctypes._NamedFuncPointer

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[int, float]:
        height, width = pixels.shape[:2]
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        size = self.bytes_for(width, height, channels)
        memory = (ctypes.c_ubyte * max(size, 1))()
        probability = ctypes.c_float()
        pixels = np.ascontiguousarray(pixels)
        place = pixels.ctypes.data_as(ctypes.c_void_p)
        answer = self.read(place, width, height, channels, memory, size, ctypes.byref(probability))
        return answer, probability.value


@pytest.fixture(scope="module")
def written() -> tuple[str, str]:
    """The C file of the shipped net in int8, and its header."""
    source = onnx_source(open_bundle(SHIPPED), 18)
    made = write_artifact(source, "c", "int8", Wish(prefix="gauge", picture=True))
    assert FORMATS["c"].wish_of(made) == Wish(prefix="gauge", picture=True)
    return made.data.decode(), made.companions[".h"].decode()


@pytest.fixture(scope="module")
def reader(written: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "net.c").write_text(written[0])
    build(folder, "-O1", "-shared", "-fPIC", "-o", "net.so", "net.c")
    library = ctypes.CDLL(str(folder / "net.so"))
    names = {
        name: next(line.split()[2] for line in written[1].splitlines() if f" {name} " in line)
        for name in ("gauge_int8_read", "gauge_int8_read_bytes")
    }
    read, size = library[names["gauge_int8_read"]], library[names["gauge_int8_read_bytes"]]
    size.restype = ctypes.c_size_t
    numbers = (ctypes.c_int, ctypes.c_int, ctypes.c_int)
    read.argtypes = (ctypes.c_void_p, *numbers, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    return Reader(read, size)


def build(folder: Path, *arguments: str) -> None:
    command = [*find_compiler().command, "-std=c99", "-Wall", "-Wextra", "-Werror", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Every vector, and sheets of every kind."""
    for case in json.loads(VECTORS.read_text())["cases"]:
        shape = (case["height"], case["width"], case["channels"])
        yield case["name"], unpacked(case["pixels"]).reshape(shape[: 2 + (shape[2] > 1)])
    for number, image in enumerate(sheets(80, seed=9)):
        yield f"sheet {number}", np.asarray(image)


def test_a_picture_gets_the_answer_of_predict(reader: Reader) -> None:
    other = []
    with_digit = 0
    predictor = Predictor.load(SHIPPED, artifact="onnx-int8")
    for name, pixels in pictures():
        expected = predictor(pixels)
        answer, probability = reader(pixels)
        assert answer >= NO_DIGIT, name
        digit = NO_DIGIT if expected.digit is None else expected.digit
        surest = max(expected.probabilities, default=0.0)
        with_digit += digit >= 0
        if answer != digit or abs(probability - surest) > 1e-3:
            other.append((name, answer, probability, digit, surest))
    predictor.close()
    assert with_digit > 100
    assert len(other) <= 1, other  # another order of additions may tip a scale


def test_what_is_no_picture_is_told_by_a_number(reader: Reader) -> None:
    white = np.full((9, 9), 255, np.uint8)
    assert reader(white) == (NO_DIGIT, 0.0)
    assert reader(white[:4]) == (TOO_SMALL, 0.0)
    assert reader(np.zeros((9000, 5), np.uint8))[0] == NO_PAGE
    place = white.ctypes.data_as(ctypes.c_void_p)
    memory = (ctypes.c_ubyte * reader.bytes_for(9, 9, 1))()
    for pixels, width, channels, room in (
        (None, 9, 1, memory),
        (place, 0, 1, memory),
        (place, -9, 1, memory),
        (place, 9, 2, memory),
        (place, 9, 1, None),
    ):
        size = len(memory)
        assert reader.read(pixels, width, 9, channels, room, size, None) == BAD_ARGUMENT
        assert width == 9 or reader.bytes_for(width, 9, channels) == 0
    assert reader.read(place, 9, 9, 1, memory, len(memory) - 1, None) == NO_MEMORY


@pytest.mark.parametrize(
    "cut",
    ["CANVAS", "CAMERA", "GREY", "ONE_LIGHT", "ONE_LOOK", "NO_LINES", "NO_FAINT"],
)
def test_what_is_left_out_leaves_no_warning(
    cut: str, written: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "net.c").write_text(written[0])
    build(tmp_path, f"-DREAD_{cut}", "-fsyntax-only", "net.c")


def test_the_memory_suffices_for_any_picture_and_is_never_overrun(tmp_path: Path) -> None:
    code = "\n".join(fill(f"reading/{file}", {}) for file in READING)
    (tmp_path / "random.c").write_text(f"{code}\n{_RANDOM}")
    build(
        tmp_path,
        *("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *("-o", "random", "random.c"),
    )
    done = subprocess.run(
        [str(tmp_path / "random"), "120"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    lines = (line.split() for line in done.stdout.splitlines())
    found = {int(answer): int(times) for answer, times in lines}
    assert NO_MEMORY not in found
    assert found[0] > 10
    assert found[1] > 10
    assert found[TOO_SMALL] > 0


def test_it_is_refused_where_it_means_nothing(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--with-picture means nothing to onnx"):
        export_pairs(ExportRecipe(formats=("onnx",), picture=True))
    out = str(tmp_path / "out")
    assert cli.main(["export", "--format", "onnx", "--with-picture", "--out", out]) == 2
    assert "--with-picture means nothing to onnx" in capfd.readouterr().err.replace("\n", " ")


_RANDOM = r"""
#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 1;
static int any(int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (uint64_t)below);
}

/* Noise, or paper with strokes, rules and squares on it. */
static void draw(byte *at, int width, int height, int channels)
{
    const int kind = any(5), paper = any(256), step = 5 + any(30);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                int value = kind == 0 ? any(256) : kind == 1 ? 255 * !any(60) : paper;
                if (kind > 2 && (y % step == 3 || (kind == 4 && x % step == 3)))
                    value = 255 - paper;
                at[((size_t)y * width + x) * channels + c] =
                    (byte)(c == 3 && any(2) ? 255 : value);
            }
    for (int i = kind > 1 ? any(9) : 0; i > 0; i--) {
        const int left = any(width), top = any(height), tilt = any(3) - 1, pen = 1 + any(9);
        for (int k = any(most(width, height)); k > 0; k--)
            for (int a = 0; a < pen * pen; a++) {
                const int x = left + tilt * k + a % pen, y = top + (tilt ? 0 : k) + a / pen;
                for (int c = 0; c < channels && x >= 0 && x < width && y < height; c++)
                    at[((size_t)y * width + x) * channels + c] = (byte)(c == 3 ? 255 : ~paper);
            }
    }
}

int main(int count, char **arguments)
{
    int found[8] = {0};
    for (int i = count > 1 ? atoi(arguments[1]) : 0; i > 0; i--) {
        const int most_side = i % 20 ? 150 : 900, kinds[] = {1, 3, 4};
        const int width = 1 + any(most_side), height = 1 + any(most_side), channels = kinds[any(3)];
        const size_t pixels = (size_t)width * height * channels;
        const size_t bytes = prepare_bytes(width, height, channels);
        byte *picture = malloc(pixels), *memory = malloc(bytes + 1), readings[2 * DIGIT_PIXELS];
        draw(picture, width, height, channels);
        found[5 + prepare(picture, width, height, channels, readings, memory, bytes)]++;
        free(memory);
        if (bytes) {
            const size_t less = (size_t)any(1000) * bytes / 1000;
            memory = malloc(less + 1);
            prepare(picture, width, height, channels, readings, memory, less);
            free(memory);
        }
        free(picture);
    }
    for (int i = 0; i < 8; i++)
        if (found[i])
            printf("%d %d\n", i - 5, found[i]);
    return 0;
}
"""
