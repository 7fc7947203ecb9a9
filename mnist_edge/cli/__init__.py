"""The CLI layer: the only place that prints, and the only one that exits.

One file a verb. Each imports what it needs inside its function, so that `--help` and `predict` do
not wait for packages that they never use.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mnist_edge.bundle import codec
from mnist_edge.cli.direct import find_call
from mnist_edge.cli.signals import Stopped, stopped_by_signals
from mnist_edge.cli.talk import emit_json, speak
from mnist_edge.cli.verbs import PROGRAM, VERBS
from mnist_edge.errors import MnistEdgeError, install_advice
from mnist_edge.recipes.terms import unknown_name

BUG_EXIT_CODE = 3

_NO_MEMORY = re.compile("bad_alloc|failed to map segment|[Cc]annot allocate memory")


class Failure(NamedTuple):
    """Why a command did not end well, as `--json` shows it."""

    kind: str
    message: str
    fix: str
    exit_code: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: the one error boundary.

    Args:
        arguments: of the command line, without the program's name; by default this process's own.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    # torch's C++ side writes warnings to stderr past Python's filters; read as torch is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # NumPy's threads wait for each other by turning: beside other work that takes ten times longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    as_json = "--json" in words
    try:
        with stopped_by_signals(lambda stop: _report(_failure(stop, words), as_json=as_json)):
            return _run(words)
    except BaseException as error:
        if _is_closed_pipe(error):
            _abandon_output()
            return 0
        if isinstance(error, SystemExit):  # shell completion ends so
            raise
        failure = _failure(error, words)
        if failure.exit_code == BUG_EXIT_CODE:
            import traceback

            traceback.print_exception(error)
        return _report(failure, as_json=as_json)


def _run(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A sign that the terminal's encoding lacks must not end the command.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    for verb in [word for word in words if not word.startswith("-")][:1]:
        if verb not in VERBS:
            raise unknown_name("command", verb, tuple(VERBS))
    code = call(words)
    # A full disk or a closed pipe shows itself here, not in the interpreter's last breath.
    sys.stdout.flush()
    return code or 0


def call(words: Sequence[str]) -> int | None:
    """Do what was typed, and give the exit code of a verb that did not end well."""
    if (found := find_call(words)) is not None:
        command, values = found
        return command(**values)
    from mnist_edge.cli import typed  # with typer, which the usual call does not wait for

    return typed.call(words)


def _failure(error: BaseException, words: list[str]) -> Failure:
    kind, exit_code = type(error).__name__, 2
    match error:
        case MnistEdgeError():
            message, fix, exit_code = error.what, error.fix, error.exit_code
        case Stopped():
            # A lesson takes a minute, and begins again.
            resumed = words[:1] == ["train"] and "--from" not in words
            again = " with --resume, to go on" if resumed else ""
            message, fix = f"stopped by {error}", f"give it again{again}"
            exit_code = error.exit_code
        case FileNotFoundError() if "temporary directory" in str(error):
            kind = "StorageError"
            message = "there is no room for temporary files"
            fix = "free some space in /tmp, or set TMPDIR to another folder"
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            kind = "StorageError"
            message, fix = f"cannot write: {error.strerror}", "free some space on the disk"
        case OSError() if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            kind = "BadInput"  # of which Path.exists makes an error where there is no such file
            message = f"cannot read {str(error.filename)!r:.60}: {error.strerror}"
            fix = "give the path of a file that is there"
        case _ if _lacks_memory(error):
            kind = "BadInput"
            message = "this takes more memory than there is"
            fix = "free some, raise its limit, or give smaller input"
        case ModuleNotFoundError() if not (error.name or PROGRAM).startswith("mnist_edge"):
            kind = "MissingDependency"
            message = f"{error.name} is not installed, but this command needs it"
            fix = install_advice({error.name or ""})
        case _:
            kind, exit_code = "Bug", BUG_EXIT_CODE
            message = f"this should not have happened: {_one_line(repr(error))}"
            fix = "please report it with the lines above"
    return Failure(kind=kind, message=message, fix=fix, exit_code=exit_code)


def _lacks_memory(error: BaseException) -> bool:
    """Whether memory ran out: also while a library was loaded, which is then said in its words."""
    match error:
        case MemoryError():
            return True
        case ImportError():
            return bool(_NO_MEMORY.search(str(error)))
        case SystemError():  # what a library in C leaves where it had no room even for an error
            return "without exception set" in str(error) and _memory_is_limited()
    return False


def _memory_is_limited() -> bool:
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _report(failure: Failure, *, as_json: bool) -> int:
    try:
        speak(f"{PROGRAM}: error: {failure.message}; {failure.fix}")
        if as_json:
            emit_json(codec.dumps({"error": failure._asdict()}))
        sys.stdout.flush()
    except OSError:  # nobody is there to hear it, but the exit code can still be told
        _abandon_output()
    return failure.exit_code


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_closed_pipe(error: BaseException) -> bool:
    # typer and rich turn a closed pipe into SystemExit(1).
    return isinstance(error, BrokenPipeError) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    )


def _abandon_output() -> None:
    # The interpreter flushes the streams once more at its end, and would complain a second time.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
