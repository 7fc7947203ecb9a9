"""C files of mnist-edge built for other processors, their sizes, and their answers there.

A target is a compiler, a harness that feeds digits to the model, and what runs the two. Every
harness reads the file `pictures` in its folder and writes the file `logits`, float32 both.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_edge.contract import Images, Logits
from mnist_edge.recipes.classes import DIGITS

HERE = Path(__file__).resolve().parent
_TIMEOUT_S = 120.0
_FLOAT_BYTES = 4

# What brings each tool on Debian.
PACKAGES = {
    "gcc": "gcc",
    "clang": "clang lld",
    "size": "binutils",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "arm-none-eabi-size": "gcc-arm-none-eabi",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "qemu-system-arm": "qemu-system-arm",
    "node": "nodejs",
}

# What compilers without a C library lack of <string.h>.
_BARE = (f"-I{HERE / 'include'}",)
_CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


class Unavailable(Exception):
    """Something cannot be built or run on this machine; says why."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A processor to build for.

    Attributes:
        compiler: the command with its flags.
        harness: the file that feeds digits to the model.
        link: flags for the harness and the linking alone.
        size: what lists the sections of an object file; empty where the program's size counts.
        runner: the command that runs the program; the file comes last.
    """

    name: str
    compiler: tuple[str, ...]
    harness: str = "digits.c"
    link: tuple[str, ...] = ("-static",)
    size: str = "size"
    runner: tuple[str, ...]


TARGETS = (
    Target(
        name="64-bit Arm",
        compiler=("aarch64-linux-gnu-gcc", "-O3"),
        runner=("qemu-aarch64",),
    ),
    Target(
        name="64-bit Arm, dot products",
        compiler=("aarch64-linux-gnu-gcc", "-O3", "-march=armv8.2-a+dotprod"),
        runner=("qemu-aarch64",),
    ),
    Target(
        name="64-bit Arm, int8 matrices",
        compiler=("aarch64-linux-gnu-gcc", "-O3", "-march=armv8.6-a"),
        runner=("qemu-aarch64",),
    ),
    Target(
        # GCC uses NEON for floating point only where it may flush the smallest numbers to zero.
        name="32-bit Arm, NEON",
        compiler=("arm-linux-gnueabihf-gcc", "-O3", "-mfpu=neon", "-funsafe-math-optimizations"),
        runner=("qemu-arm",),
    ),
    Target(
        name="Cortex-M4F",
        compiler=("arm-none-eabi-gcc", "-O2", *_CORTEX_M4, "-ffreestanding", *_BARE),
        harness="cortex-m4.c",
        # Else GCC would make a call of memcpy out of the loop that is memcpy.
        link=(
            *("-nostdlib", "-fno-tree-loop-distribute-patterns"),
            *("-T", str(HERE / "cortex-m4.ld")),
        ),
        size="arm-none-eabi-size",
        runner=(
            *("qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-serial", "none"),
            *("-monitor", "none", "-semihosting-config", "enable=on,target=native", "-kernel"),
        ),
    ),
    Target(
        name="WebAssembly",
        compiler=("clang", "--target=wasm32", "-O3", "-msimd128", "-mbulk-memory", *_BARE),
        harness="wasm.c",
        link=("-nostdlib", "-Wl,--no-entry,--strip-all", "-Wl,-z,stack-size=1048576"),
        size="",
        runner=("node", str(HERE / "wasm.mjs")),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A C file and its header in a folder of their own, as `model.c` and `model.h`.

    Attributes:
        name: the prefix of what the file defines.
        workspace_bytes: that a call needs.
    """

    folder: Path
    name: str
    workspace_bytes: int

    @property
    def flags(self) -> tuple[str, ...]:
        """How a harness finds the model's names."""
        upper = self.name.upper()
        sizes = (f"-D{size}={upper}_{size}" for size in ("PICTURE", "CLASSES", "WORKSPACE"))
        return (f"-I{self.folder}", f"-DLOGITS={self.name}_logits", *sizes)


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a model takes, in bytes.

    Attributes:
        code: instructions.
        constants: weights, nearly all of it.
        initialised: variables that start as something else than zero.
        zeroed: the other ones; the workspace is the caller's and does not count.
        stack: the most that a call needs; 0 where the compiler does not tell.
    """

    code: int
    constants: int
    initialised: int
    zeroed: int
    stack: int


def write_model(source: bytes, header: bytes, folder: Path) -> Model:
    """Lay a C file of mnist-edge and its header out for the harnesses."""
    folder.mkdir(parents=True)
    (folder / "model.c").write_bytes(source)
    (folder / "model.h").write_bytes(header)
    name = re.search(rb"^void (\w+)_logits\(", header, re.MULTILINE)
    workspace = re.search(rb"^#define \w+_WORKSPACE (\d+)", header, re.MULTILINE)
    assert name
    assert workspace
    return Model(
        folder=folder,
        name=name[1].decode(),
        workspace_bytes=_FLOAT_BYTES * int(workspace[1]),
    )


def build(
    model: Model,
    compiler: Sequence[str],
    folder: Path,
    *,
    harness: str,
    link: Sequence[str],
    size: str,
) -> Size:
    """Compile a model and a harness to `folder/program`.

    Raises:
        Unavailable: a tool is missing, or the compiler refuses the model.
    """
    folder.mkdir(parents=True)
    command = [*compiler, "-fstack-usage", "-c", str(model.folder / "model.c"), "-o", "model.o"]
    call(command, folder)
    parts = (str(HERE / harness), "model.o", "-o", "program")
    call([*compiler, *model.flags, *link, *parts], folder)
    usage = folder / "model.su"
    stack = deepest_stack(usage.read_text(), model.name) if usage.exists() else 0
    if not size:
        program_bytes = (folder / "program").stat().st_size
        return Size(code=program_bytes, constants=0, initialised=0, zeroed=0, stack=stack)
    sections = section_sizes(call([size, "-A", "model.o"], folder))
    return Size(
        code=sections[".text"],
        constants=sections[".rodata"],
        initialised=sections[".data"],
        zeroed=sections[".bss"],
        stack=stack,
    )


def section_sizes(listing: str) -> dict[str, int]:
    """Bytes of the sections that are loaded, from what `size -A` prints of an object file.

    `.rodata.cst16` counts as `.rodata`, and so on. Tables for unwinding do not count: no C needs
    them, and a linker leaves them out where told so.
    """
    found = dict.fromkeys((".text", ".rodata", ".data", ".bss"), 0)
    for name, size in re.findall(r"^(\.\w+)\S*\s+(\d+)\s+\d+\s*$", listing, re.MULTILINE):
        if name in found:
            found[name] += int(size)
    return found


def deepest_stack(usage: str, name: str) -> int:
    """Bytes of stack that a call of a model needs, from what `-fstack-usage` writes.

    `*_class` calls `*_logits`, that calls `body`, and that one step after the other.
    """
    lines = (line.split("\t") for line in usage.splitlines())
    # The sizes of a net are part of its names.
    frames = {
        re.sub(r"_\d+_\d+_\d+$", "", where.rpartition(":")[2]): int(size)
        for where, size, *_ in lines
    }
    # The shorter of the two that a caller chooses from.
    frames.pop(f"{name}_predict", 0)
    chain = sum(frames.pop(part, 0) for part in (f"{name}_class", f"{name}_logits", "body"))
    return chain + max(frames.values(), default=0)


def run(target: Target, folder: Path, images: Images) -> Logits:
    """The class scores that the program in `folder` gives for some digits.

    Raises:
        Unavailable: what runs it is missing, or it failed.
    """
    images.tofile(folder / "pictures")
    call([*target.runner, "program"], folder)
    logits = np.fromfile(folder / "logits", dtype=np.float32)
    if logits.size != len(images) * len(DIGITS):
        raise Unavailable(f"{target.runner[0]} answered only {logits.size // len(DIGITS)} digits")
    return logits.reshape(len(images), len(DIGITS))


def call(command: Sequence[str], folder: Path) -> str:
    """What a command prints, run in `folder`.

    Raises:
        Unavailable: it is not installed, hangs or fails.
    """
    tool = command[0]
    if shutil.which(tool) is None:
        raise Unavailable(f"{tool} is not installed: apt-get install {PACKAGES[tool]}")
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{tool} took more than {_TIMEOUT_S:g} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        line = next((line for line in lines if "error" in line), lines[0])
        raise Unavailable(f"{tool} failed: {line:.200}") from None
    return done.stdout
