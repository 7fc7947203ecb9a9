"""C files of mnist-edge built for other processors, their sizes, and their answers there.

A target is a compiler, a harness that feeds digits to the model, and what runs the two. Every
harness reads the file `pictures` in its folder and writes the file `logits`, float32 both.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnist_edge.contract import Images, Logits
from mnist_edge.recipes.classes import DIGITS

HERE = Path(__file__).resolve().parent
STRICT = ("-Wall", "-Wextra", "-Werror")
"""A warning of any target's compiler is a failure."""
# The first program that zig links for a kind of processor has a C library built for it.
_TIMEOUT_S = 900.0
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
    "qemu-riscv32": "qemu-user",
    "qemu-riscv64": "qemu-user",
    "qemu-system-arm": "qemu-system-arm",
    "node": "nodejs",
}

# What compilers without a C library lack of <string.h>.
_BARE = (f"-I{HERE / 'include'}",)
_EMULATED = ("-display", "none", "-serial", "none", "-monitor", "none", "-semihosting-config",
             "enable=on,target=native", "-kernel")  # fmt: skip
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
        runner: the command that runs the program, which comes last; none where nothing here can.
    """

    name: str
    compiler: tuple[str, ...]
    harness: str = "digits.c"
    link: tuple[str, ...] = ("-static",)
    size: str = "size"
    runner: tuple[str, ...] = ()


def _by_zig(name: str, triple: str, *flags: str, runner: str = "", size: str = "size") -> Target:
    """A target whose compiler, linker and C library are all in `ziglang`."""
    return Target(
        name=name,
        compiler=("python-zig", "cc", "-target", triple, "-O3", "-fno-sanitize=all", *flags),
        link=(),
        size=size,
        runner=(runner,) if runner else (),
    )


def _board(name: str, processor: str, machine: str) -> Target:
    """A microcontroller without a C library, whose program an emulated board runs."""
    floats = "eabi" if processor == "cortex_m0" else "eabihf"
    script = ("-Wl,--entry=reset", "-T", str(HERE / "cortex-m4.ld"))
    target = _by_zig(name, f"thumb-freestanding-{floats}", f"-mcpu={processor}", "-Os", *_BARE)
    return replace(
        target,
        harness="cortex-m4.c",
        link=("-ffreestanding", "-fno-builtin", *script),
        runner=("qemu-system-arm", "-M", machine, *_EMULATED),
    )


DISTRIBUTED = (
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
            *("-T", str(HERE / "cortex-m4.ld"), "-lgcc"),
        ),
        size="arm-none-eabi-size",
        runner=("qemu-system-arm", "-M", "mps2-an386", *_EMULATED),
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
"""Those of compilers and emulators as Debian has them."""

BY_ZIG = (
    _by_zig("64-bit Arm, zig", "aarch64-linux-musl", runner="qemu-aarch64"),
    _by_zig(
        *("32-bit Arm, zig", "arm-linux-musleabihf", "-mcpu=cortex_a7"),
        runner="qemu-arm",
    ),
    _by_zig("64-bit RISC-V, zig", "riscv64-linux-musl", runner="qemu-riscv64"),
    _by_zig("32-bit RISC-V, zig", "riscv32-linux-musl", runner="qemu-riscv32"),
    _by_zig("Windows, zig", "x86_64-windows-gnu"),
    _by_zig("macOS, zig", "aarch64-macos", size=""),
    # Its instructions are among those of a Cortex-M4, whose board has more memory.
    _board("Cortex-M0, zig", "cortex_m0", "mps2-an386"),
    _board("Cortex-M4F, zig", "cortex_m4+vfp4d16sp", "mps2-an386"),
    _board("Cortex-M7, zig", "cortex_m7+fp_armv8d16", "mps2-an500"),
    _board("Cortex-M55, zig", "cortex_m55", "mps3-an547"),
)
TARGETS = (*DISTRIBUTED, *BY_ZIG)


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
        calls = (f"-DLOGITS={self.name}_logits", f"-DREAD_BYTES={self.name}_read_bytes")
        return (f"-I{self.folder}", *calls, *sizes)


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
    source = str(model.folder / "model.c")
    call([*compiler, *STRICT, "-fstack-usage", "-c", source, "-o", "model.o"], folder)
    parts = (str(HERE / harness), "model.o", *link, "-o", "program")
    call([*compiler, *model.flags, *parts], folder)
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
    for given, size in re.findall(r"^(\.\w+)\S*\s+(\d+)\s+\d+\s*$", listing, re.MULTILINE):
        name = ".rodata" if given == ".rdata" else given  # as Windows calls it
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
        how = f"apt-get install {PACKAGES[tool]}" if tool in PACKAGES else "pip install ziglang"
        raise Unavailable(f"{tool} is not installed: {how}")
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
