"""The machine's C compiler: find it, and build a shared library once for each set of inputs."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mnist_edge.bundle.own import is_ours
from mnist_edge.bundle.storage import atomic_write, cache_dir, open_file, read_file
from mnist_edge.errors import BadInput, DataUnavailable, MissingDependency, StorageError

COMPILER_VARIABLE = "CC"

_NAMES = ("cc", "gcc", "clang")
_TIMEOUT_S = 300.0
_NO_ROOM = os.strerror(errno.ENOSPC)

# Of Arm, GCC knows the machine's own instruction set by -mcpu alone.
_NATIVE = "-mcpu=native" if platform.machine().lower() in ("arm64", "aarch64") else "-march=native"

# As strict C99, GCC would multiply and add in two steps: half as fast.
FLAGS = ("-O3", _NATIVE, "-std=c99", "-ffp-contract=fast", "-fPIC", "-shared")


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A C compiler that answers.

    Attributes:
        command: how it is called, with the flags that the user wants.
        kind: `gcc` or `clang`.
        version: of it.
        macros: all that it defines with our flags; they name the instruction set it builds for.
    """

    command: tuple[str, ...]
    kind: str
    version: str
    macros: str


def find_compiler() -> Compiler:
    """The compiler that `$CC` names, else `cc`, `gcc` or `clang`.

    Raises:
        MissingDependency: there is none, or it knows neither our flags nor this processor.
    """
    fix = f"install gcc or clang, or set {COMPILER_VARIABLE} to the command of one"
    wanted = os.environ.get(COMPILER_VARIABLE, "")
    try:
        candidates = [shlex.split(wanted)] if wanted.strip() else [[name] for name in _NAMES]
    except ValueError as error:
        raise MissingDependency(f"{COMPILER_VARIABLE} is {wanted!r}: {error}", fix=fix) from None
    command = next((c for c in candidates if shutil.which(c[0])), None)
    if command is None:
        found = f": {COMPILER_VARIABLE} is {wanted!r}" if wanted.strip() else ""
        raise MissingDependency(f"no C compiler is installed{found}", fix=fix)
    ask = [*command, *FLAGS, "-dM", "-E", "-x", "c", os.devnull]
    done = _call(ask)
    version = re.search(r'__VERSION__ "(?:.*?[Cc]lang )?(\d+(?:\.\d+)*)', done.stdout)
    if done.returncode or version is None:
        raise MissingDependency(f"the C compiler does not answer: {_reason(ask, done)}", fix=fix)
    kind = "clang" if "__clang__" in done.stdout else "gcc"
    return Compiler(command=tuple(command), kind=kind, version=version[1], macros=done.stdout)


def build_library(source: bytes, compiler: Compiler) -> Path:
    """A shared library of one C file, built now or taken from the user's cache folder.

    Args:
        source: the file. What is in it will run: it must come from a bundle whose digest holds.
        compiler: its answers are part of the key, so a copied cache fits no other processor.

    Raises:
        BadInput: the compiler refuses the file.
        StorageError: the cache folder cannot be written to, or others may write to it.
    """
    key = hashlib.sha256()
    for part in (source, repr((compiler.command, FLAGS)).encode(), compiler.macros.encode()):
        key.update(hashlib.sha256(part).digest())
    try:
        folder = cache_dir() / "c"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_ours(folder.stat()):
            raise StorageError(
                f"{folder} is not yours alone: others could put a program of theirs there",
                fix=f"run chmod go-w {folder}, or set XDG_CACHE_HOME to a folder of your own",
            )
        library = folder / f"{key.hexdigest()[:32]}.so"
        if not _is_as_built(library):
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                _keep(compile_library(source, compiler, Path(scratch)), library)
    except (OSError, DataUnavailable) as error:
        raise StorageError(
            f"cannot keep what the C compiler builds: {error}",
            fix="set XDG_CACHE_HOME to a folder that you may write to",
        ) from error
    return library


def _is_as_built(library: Path) -> bool:
    """Whether a library is there, whole and nobody else's: a damaged one would end the process."""
    try:
        with open_file(library) as stream:
            found = os.fstat(stream.fileno())
            whole = hashlib.file_digest(stream, "sha256").hexdigest()
        return is_ours(found) and read_file(_digest_of(library), most=64).decode() == whole
    except (OSError, ValueError):
        return False


def _keep(built: Path, library: Path) -> None:
    """Move a library to its place once it is on the disk, and its digest beside it."""
    built.chmod(0o600)  # to load it takes no right to execute it
    with built.open("rb") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    built.replace(library)
    atomic_write(_digest_of(library), digest.encode())


def _digest_of(library: Path) -> Path:
    return library.with_suffix(".sha256")


def compile_library(source: bytes, compiler: Compiler, folder: Path) -> Path:
    """Build a shared library of one C file in a folder. Raises BadInput where it is refused."""
    (folder / "model.c").write_bytes(source)
    library = folder / "model.so"
    command = [*compiler.command, *FLAGS, "-o", str(library), str(folder / "model.c")]
    done = _call(command, scratch=folder)
    if _NO_ROOM in done.stderr:
        raise OSError(errno.ENOSPC, _NO_ROOM)
    if done.returncode or not library.is_file():
        raise BadInput(
            f"the C compiler failed: {_reason(command, done)}",
            fix=f"set {COMPILER_VARIABLE} to another compiler, or give the file as it was exported",
        )
    return library


def built_bytes(library: Path) -> int:
    """Code and data of a built file, as `size` of the compiler's own tools counts; 0 without it."""
    done = _call(["size", str(library)])
    try:
        text, data, *_ = done.stdout.splitlines()[1].split()
        return int(text) + int(data)
    except (IndexError, ValueError):
        return 0


def _call(command: list[str], *, scratch: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a compiler; one that cannot be started or hangs is one that failed."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | ({"TMPDIR": str(scratch)} if scratch else {}),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, returncode=1, stdout="", stderr=str(error))


def _reason(command: list[str], done: subprocess.CompletedProcess[str]) -> str:
    """The first error that a compiler printed, and how it was called."""
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    line = next((line for line in lines if "error" in line), lines[0])
    return f"{line:.300} ({shlex.join(command)})"
