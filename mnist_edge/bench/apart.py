"""A worker in a process of its own.

Two runtimes in one process slow each other down, since their idle threads spin; and what one has
imported, the next need not. So each job goes to a fresh `python -m mnist_edge.bench.worker`, and
lines of JSON go both ways: nothing depends on how the parent was started, as it would with
`multiprocessing`, which imports the parent's main module again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar

from mnist_edge.bench.turn import Block, Failure, Job, Opened, Turn, Worker
from mnist_edge.bundle import codec

T = TypeVar("T", Opened, Block)

_WORKER = "mnist_edge.bench.worker"
_LAST_LINES = 20
_LONGEST_ANSWER = 2**25
_LONGEST_WORD = 1000
_FAREWELL_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Python program that takes a job and turns on stdin.

    Attributes:
        command: the program.
        path: folders from which it imports, after this package's own.
    """

    command: tuple[str, ...]
    path: tuple[Path, ...] = ()


def start_apart(job: Job) -> Worker:
    """Start a worker for an artifact of a bundle in a fresh process."""
    return Process(job, Program(command=(sys.executable, "-P", "-m", _WORKER)))


class Process:
    """A worker, and the pipes to it. A crash or a time-out is an answer, too."""

    def __init__(self, job: Job, program: Program) -> None:
        self._timeout_s = job.timeout_s
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._failure: Failure | None = None
        try:
            self._process = subprocess.Popen(
                program.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=os.environ | _environment(job.subject.threads, program.path),
                # Ctrl-C is for the parent, which then ends its workers, and what they have started.
                start_new_session=True,
            )
        except OSError as error:
            self._failure = Failure(reason=f"no process could be started: {error.strerror}")
            return
        self._readers = [
            _reader(self._process.stdout, _LONGEST_ANSWER, self._lines.put),
            _reader(self._process.stderr, _LONGEST_WORD, self._said.append),
        ]
        self._tell(replace(job, started_ns=time.monotonic_ns()))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def open(self) -> Opened | Failure:
        """See `Worker.open`."""
        return self._hear(Opened)

    def take(self, turn: Turn) -> Block | Failure:
        """See `Worker.take`."""
        self._tell(turn)
        return self._hear(Block)

    def end(self) -> None:
        """See `Worker.end`."""
        if self._failure is None:
            self._end(Failure(reason="it was ended"))

    def _tell(self, message: Job | Turn) -> None:
        if self._failure is None:
            assert self._process.stdin is not None
            # One that has died is found out when it is listened to.
            with contextlib.suppress(OSError):
                self._process.stdin.write(codec.line(message))
                self._process.stdin.flush()

    def _hear(self, kind: type[T]) -> T | Failure:
        if self._failure is not None:
            return self._failure
        try:
            line = self._lines.get(timeout=self._timeout_s)
        except queue.Empty:
            reason = f"no answer within {self._timeout_s:g} s; raise --timeout"
            return self._end(Failure(reason=reason))
        if not line:
            return self._end(None)
        try:
            return codec.loads(kind, line)
        except ValueError as error:
            return self._end(_last_words(line) or Failure(reason=f"its answer is none: {error}"))

    def _end(self, failure: Failure | None) -> Failure:
        """End the process, and give why: what was asked for, or else what it died of."""
        if failure is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_FAREWELL_S)
        _kill(self._process)
        for reader in self._readers:
            reader.join(_FAREWELL_S)
        self._failure = failure or Failure(reason=_crash(self._process.returncode, self._said))
        return self._failure


def _reader(pipe: IO[str] | None, most: int, put: Callable[[str], None]) -> threading.Thread:
    """A thread that takes every line off a pipe, so that nobody waits, and nothing at its end."""

    def read() -> None:
        assert pipe is not None
        with pipe:
            while line := pipe.readline(most):
                put(line)
        put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return reader


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and what it has started; its answers are all in, so it need not be asked."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    if process.poll() is None:
        if hasattr(os, "killpg"):  # not on Windows
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()


def _last_words(line: str) -> Failure | None:
    try:
        return codec.loads(Failure, line)
    except ValueError:
        return None


def _crash(code: int, said: Iterable[str]) -> str:
    last = next((line.strip() for line in reversed(list(said)) if line.strip()), "no message")
    try:
        cause = f"signal {signal.Signals(-code).name}"
    except ValueError:
        cause = f"exit code {code}"
    if cause == "signal SIGKILL":
        cause += ", as where memory runs out"
    return f"the process ended with {cause}: {last:.200}"


def _environment(threads: int, path: tuple[Path, ...]) -> dict[str, str]:
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # The package is found where the parent found it, installed or not.
    folders = [str(folder) for folder in (Path(__file__).parents[2], *path)]
    places = os.pathsep.join(filter(None, (*folders, os.environ.get("PYTHONPATH"))))
    return dict.fromkeys(pools, str(threads)) | {
        "PYTHONPATH": places,
        "ORT_DISABLE_TELEMETRY": "1",
    }
