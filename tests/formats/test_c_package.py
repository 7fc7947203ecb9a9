"""The folder that Arduino and CMake take as it is."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from mnist_edge import cli
from mnist_edge.bundle.folder import SHIPPED_BUNDLES, open_bundle
from mnist_edge.formats import FORMATS, Wish, write_artifact
from mnist_edge.formats.c.package import write_package
from mnist_edge.formats.source import onnx_source

SHIPPED = SHIPPED_BUNDLES[-1]

pytestmark = pytest.mark.edge


@pytest.fixture(scope="module", params=[False, True], ids=["net", "net and pictures"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("package")
    source = onnx_source(open_bundle(SHIPPED), 18)
    written = write_artifact(source, "c", "int8", Wish(prefix="gauge", picture=request.param))
    for name, data in write_package(written.data).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def test_it_holds_what_arduino_asks_for(folder: Path) -> None:
    lines = (folder / "library.properties").read_text().splitlines()
    stated = {name: value for name, _, value in (line.partition("=") for line in lines)}
    asked = "name version author maintainer sentence paragraph category architectures"
    assert all(stated[name] for name in asked.split())
    assert (folder / "src" / stated["includes"]).is_file()
    assert (folder / "examples" / "ReadDigit" / "ReadDigit.ino").is_file()
    assert (folder / "LICENSE").read_text() == (Path(__file__).parents[2] / "LICENSE").read_text()
    for path in folder.rglob("*"):
        assert path.is_dir() or "@" not in path.read_text(), path


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not installed")
@pytest.mark.skipif(bool(FORMATS["c"].absent()), reason="no C compiler")
def test_cmake_builds_it_without_a_warning(folder: Path, tmp_path: Path) -> None:
    strict = "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror"
    for command in (
        ["cmake", "-S", str(folder), "-B", str(tmp_path), strict],
        ["cmake", "--build", str(tmp_path)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower()


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ziglang"), reason="pip install ziglang")
@pytest.mark.skipif(not shutil.which("qemu-arm"), reason="qemu-arm is not installed")
def test_its_example_built_for_a_cortex_m4_prints_the_digits(folder: Path, tmp_path: Path) -> None:
    for name, text in {"Arduino.h": _ARDUINO, "board.cpp": _BOARD, "memory.c": _MEMORY}.items():
        (tmp_path / name).write_text(text)
    target = ("-target", "thumb-freestanding-eabihf")
    flags = ("-mcpu=cortex_m4+vfp4d16sp", "-Os", "-ffreestanding", "-fno-sanitize=all")
    strict = ("-Wall", "-Wextra", "-Werror")
    folders = (f"-I{folder}/src", f"-I{folder}/examples/ReadDigit", "-I.")
    plus = ("-fno-exceptions", "-fno-rtti")
    source = folder / "src" / "gauge_int8.c"
    for arguments in (
        ("cc", *target, *flags, *strict, "-c", str(source), "-o", "net.o"),
        ("cc", *target, *flags, "-c", "memory.c", "-o", "memory.o"),
        ("c++", *target, *flags, *strict, *plus, *folders, "-c", "board.cpp", "-o", "board.o"),
        (
            *("build-exe", "net.o", "memory.o", "board.o", *target),
            *("-mcpu", "cortex_m4+vfp4d16sp", "-fcompiler-rt", "-fentry=_start"),
            *("-O", "ReleaseSmall", "-femit-bin=board"),
        ),
    ):
        command = [sys.executable, "-m", "ziglang", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    reference = open_bundle(SHIPPED).reference()
    images = np.ascontiguousarray(reference.images[:10], np.uint8)
    answered = subprocess.run(
        ["qemu-arm", str(tmp_path / "board")],
        input=images.tobytes(),
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert list(map(int, answered.stdout.split())) == reference.labels[:10].tolist()


class TestCommand:
    """`export --format c --package FOLDER`."""

    @pytest.fixture(autouse=True)
    def _needs_a_compiler(self) -> None:
        if FORMATS["c"].absent():
            pytest.skip("no C compiler")

    def test_it_writes_the_folder_beside_the_bundle(self, tmp_path: Path) -> None:
        words = ["export", "--format", "c", "--precision", "int8", "--quiet"]
        places = ["--out", str(tmp_path / "out"), "--package", str(tmp_path / "board")]
        assert cli.main([*words, *places]) == 0
        made = (tmp_path / "board" / "src" / "small_int8.c").read_bytes()
        assert made == (tmp_path / "out" / "c-int8.c").read_bytes()

    @pytest.mark.parametrize(
        "words", [["onnx"], ["c", "--precision", "float32", "--precision", "int8"]], ids=str
    )
    def test_more_or_less_than_one_c_file_is_refused(
        self, words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        places = ["--out", str(tmp_path / "out"), "--package", str(tmp_path / "board")]
        assert cli.main(["export", "--format", *words, *places]) == 2
        assert "--package takes one C file" in capfd.readouterr().err
        assert not (tmp_path / "board").exists()

    def test_a_folder_that_holds_something_stays_as_it_is(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "mine").write_text("mine")
        words = ["export", "--format", "c", "--out", str(tmp_path / "out")]
        assert cli.main([*words, "--package", str(tmp_path)]) == 2
        assert "is there already" in capfd.readouterr().err.replace("\n", " ")
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]


_ARDUINO = """\
#include <stddef.h>
#include <stdint.h>
extern "C" void *malloc(size_t);
struct Port {
    void begin(long) {}
    size_t readBytes(char *to, size_t size);
    void println(int number);
};
extern Port Serial;
"""

# The serial port is standard input and output: Linux is asked as its programs ask it.
_BOARD = """\
#include "Arduino.h"

static int call(int number, int place, const void *memory, int size)
{
    register int r7 __asm__("r7") = number;
    register int r0 __asm__("r0") = place;
    register const void *r1 __asm__("r1") = memory;
    register int r2 __asm__("r2") = size;
    __asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2) : "memory");
    return r0;
}

Port Serial;
static int ended;

size_t Port::readBytes(char *to, size_t size)
{
    size_t got = 0;
    while (got < size && !ended) {
        const int more = call(3, 0, to + got, (int)(size - got));
        ended = more <= 0;
        got += ended ? 0 : (size_t)more;
    }
    return got;
}

void Port::println(int number)
{
    const char text[3] = {number < 0 ? '-' : ' ', (char)('0' + (number < 0 ? 1 : number)), '\\n'};
    call(4, 1, text, 3);
}

static uint64_t heap[1 << 15];
static size_t used;

extern "C" void *malloc(size_t size)
{
    void *start = heap + used;
    used += (size + 7) / 8;
    return start;
}

#include "ReadDigit.ino"

extern "C" void _start(void)
{
    setup();
    while (!ended)
        loop();
    call(1, 0, 0, 0);
}
"""

_MEMORY = """\
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}
void *memset(void *to, int value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile char *)to)[i] = (char)value;
    return to;
}
"""
