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
MEMORY = Path(__file__).parents[2] / "benchmarks" / "cross" / "cortex-m4.ld"

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
@pytest.mark.parametrize(
    ("machine", "floats", "processor"),
    [
        ("mps2-an386", "eabihf", "cortex_m4+vfp4d16sp"),
        ("mps2-an386", "eabi", "cortex_m0"),  # whose instructions a Cortex-M4 has, too
    ],
    ids=["Cortex-M4F", "Cortex-M0"],
)
def test_its_example_on_an_emulated_board_prints_the_digits_of_its_serial_port(
    machine: str, floats: str, processor: str, folder: Path, tmp_path: Path
) -> None:
    for name, text in {"Arduino.h": _ARDUINO, "board.cpp": _BOARD}.items():
        (tmp_path / name).write_text(text)
    target = ("-target", f"thumb-freestanding-{floats}", f"-mcpu={processor}")
    strict = ("-ffreestanding", "-fno-sanitize=all", "-Wall", "-Wextra", "-Werror")
    folders = (f"-I{folder}/src", f"-I{folder}/examples/ReadDigit", "-I.")
    source, objects = folder / "src" / "gauge_int8.c", ("net.o", "board.o")
    for command in (
        ("cc", *target, *strict, "-Os", "-c", str(source), "-o", "net.o"),
        ("c++", *target, *strict, "-Os", "-fno-builtin", *folders, "-c", "board.cpp"),
        ("cc", *target, "-Os", "-Wl,--entry=reset", "-T", str(MEMORY), *objects, "-o", "board"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    if not shutil.which("qemu-system-arm"):
        pytest.skip("built; apt-get install qemu-system-arm runs it")
    reference = open_bundle(SHIPPED).reference()
    images = np.ascontiguousarray(reference.images[:10], np.uint8)
    answered = subprocess.run(
        [
            *("qemu-system-arm", "-M", machine, "-display", "none", "-monitor", "none"),
            *("-serial", "stdio", "-semihosting-config", "enable=on,target=native"),
            *("-kernel", str(tmp_path / "board")),
        ],
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
    void begin(long);
    size_t readBytes(char *to, size_t size);
    void println(int number);
};
extern Port Serial;
"""

# What an Arduino core does, on Arm's AN386: its serial port, and a heap. It ends, through Arm's
# semihosting, after ten digits.
_BOARD = """\
#include "Arduino.h"

struct Uart { volatile uint32_t data, state, control, interrupts, divider; };
#define UART ((Uart *)0x40004000)

Port Serial;
static int printed;

void Port::begin(long)
{
    UART->divider = 16;
    UART->control = 3; /* both ways */
}

size_t Port::readBytes(char *to, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        while (!(UART->state & 2))
            ;
        to[i] = (char)UART->data;
    }
    return size;
}

void Port::println(int number)
{
    const char text[3] = {number < 0 ? '-' : ' ', (char)('0' + (number < 0 ? 1 : number)), '\\n'};
    for (int i = 0; i < 3; i++) {
        while (UART->state & 1)
            ;
        UART->data = (uint32_t)text[i];
    }
    printed++;
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

extern uint32_t bss_start[], bss_end[], stack_top[];

extern "C" void reset(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xF00000; /* the floating-point unit */
    __asm__ volatile("dsb\\n\\tisb");
    for (uint32_t *word = bss_start; word < bss_end; word++)
        *(volatile uint32_t *)word = 0;
    setup();
    while (printed < 10)
        loop();
    register uint32_t r0 __asm__("r0") = 0x18;
    register uint32_t r1 __asm__("r1") = 0x20026;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    for (;;)
        ;
}

extern "C" const struct { uint32_t *stack; void (*start)(void); } vectors;
__attribute__((section(".vectors"), used)) decltype(vectors) vectors = {stack_top, reset};
"""
