"""What reading pictures takes of a microcontroller, by what is left out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cross import TARGETS, Model, build, call
from cross.report import CutRow

CUTS = ("", "ONE_LOOK", "NO_LINES", "NO_FAINT", "GREY", "ONE_LIGHT", "CAMERA", "CANVAS")
FRAMES = ((28, 28), (96, 96), (160, 120), (320, 240))

_BY_NAME = {target.name: target for target in TARGETS}
# Code as a board has it; memory with pointers as large as a board's, and a C library to print it.
_BOARD, _PRINTER = _BY_NAME["Cortex-M4F, zig"], _BY_NAME["32-bit Arm, zig"]


def measure_cuts(reading: Model, plain: Model, folder: Path) -> Iterator[CutRow]:
    """Code beside the net's, and memory for grey pictures of some sizes.

    Args:
        reading: a C file that reads pictures.
        plain: the same net alone.
        folder: for what is built.

    Raises:
        Unavailable: a tool is missing, or the compiler refuses the file.
    """
    net = _flash(plain, (), folder / "net")
    for cut in CUTS:
        defined = (f"-DREAD_{cut}",) if cut else ()
        both = _flash(reading, defined, folder / f"code{cut}")
        sizes = folder / f"sizes{cut}"
        printer = (*_PRINTER.compiler, *defined)
        build(reading, printer, sizes, harness="sizes.c", link=(), size=_PRINTER.size)
        asked = [str(side) for frame in FRAMES for side in frame]
        told = call([*_PRINTER.runner, "program", *asked], sizes).split()
        names = (f"{width}x{height}" for width, height in FRAMES)
        yield CutRow(
            cut=f"-DREAD_{cut}" if cut else "all of it",
            code_bytes=both - net,
            memory_bytes=dict(zip(names, map(int, told), strict=True)),
        )


def _flash(model: Model, defined: Sequence[str], folder: Path) -> int:
    """Bytes of a file built for them, as whoever leaves something out would."""
    compiler = (*_BOARD.compiler, "-Os", *defined)
    made = {"harness": _BOARD.harness, "size": _BOARD.size}
    size = build(model, compiler, folder, link=_BOARD.link, **made)
    return size.code + size.constants + size.initialised
