"""Faults injected into the file operations that a writer makes, one at a chosen call.

Not a test module.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal, Self

import pytest

FaultKind = Literal["disk full", "interrupt", "kill"]
FAULT_KINDS: tuple[FaultKind, ...] = ("disk full", "interrupt", "kill")

_OPERATIONS = ("open", "write", "fsync", "chmod", "replace", "unlink")


class Killed(BaseException):
    """The process is dead: nothing that it would still do, cleaning up included, happens."""


class Faults:
    """Counts file operations and fails at number `at`; with `kill`, at all that follow, too."""

    def __init__(self, kind: FaultKind, at: int) -> None:
        self.kind = kind
        self.at = at
        self.log: list[str] = []

    @property
    def fired(self) -> bool:
        return len(self.log) > self.at

    def step(self, operation: str) -> None:
        """Take note of one operation, and fail if it is its turn."""
        self.log.append(operation)
        number = len(self.log) - 1
        if self.kind == "kill" and number >= self.at:
            raise Killed
        if number == self.at:
            if self.kind == "interrupt":
                raise KeyboardInterrupt
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def injected(kind: FaultKind, at: int) -> Iterator[Faults]:
    """Let the `at`-th file operation within the block fail, counted from 0."""
    faults = Faults(kind, at)

    def failing(operation: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if operation != "open" or args[1] & os.O_CREAT:  # to open for reading takes no space
                faults.step(operation)
            return real(*args, **kwargs)

        return call

    def fdopen(*args: Any, **kwargs: Any) -> IO[bytes]:
        return _HalfWriter(real_fdopen(*args, **kwargs), faults)  # type: ignore[return-value]

    real_fdopen = os.fdopen
    with pytest.MonkeyPatch.context() as patch:
        for operation in _OPERATIONS:
            if operation != "write":
                patch.setattr(os, operation, failing(operation, getattr(os, operation)))
        patch.setattr(os, "fdopen", fdopen)
        yield faults


class _HalfWriter:
    """A file whose write, when it fails, has written half: as on a disk that runs full."""

    def __init__(self, stream: IO[bytes], faults: Faults) -> None:
        self._stream = stream
        self._faults = faults

    def write(self, data: bytes) -> int:
        try:
            self._faults.step("write")
        except BaseException:
            self._stream.write(data[: len(data) // 2])
            raise
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.close()
