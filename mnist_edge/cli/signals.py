"""Ctrl-C and SIGTERM end a command, also while a runtime holds its thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM)
# So long Python may take to act on a signal. It cannot before the runtime gives its thread back.
_GRACE_S = 2.0
_END = b"\0"  # no signal has this number


class Stopped(BaseException):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # as shells report it: 130 for Ctrl-C, 143 for SIGTERM


@contextmanager
def stopped_by_signals(report: Callable[[Stopped], int]) -> Iterator[None]:
    """Raise Stopped in here when a signal comes; where that is held up, end the process.

    Args:
        report: tells the user of it and gives the exit code, where it cannot be raised in time.
    """
    acted_on = threading.Semaphore(0)

    def stop(number: int, frame: FrameType | None) -> None:
        acted_on.release()
        if number == signal.SIGINT and _is_of_openblas(frame):
            raise MemoryError
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in _STOPPING}
    try:
        with _watched(acted_on, report):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _watched(acted_on: threading.Semaphore, report: Callable[[Stopped], int]) -> Iterator[None]:
    """Let a thread see each signal as it comes; the main thread sees it between two steps."""
    seen, told = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows had it late, and does not ask for it
        os.set_blocking(told, False)

    def watch() -> None:
        while (came := os.read(seen, 1)) != _END:
            if came[0] in _STOPPING and not acted_on.acquire(timeout=_GRACE_S):
                os._exit(report(Stopped(came[0])))

    watcher = threading.Thread(target=watch, name="signals", daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(told, _END)
        watcher.join()
        os.close(seen)
        os.close(told)


def _is_of_openblas(frame: FrameType | None) -> bool:
    """Whether nobody asked for the end: OpenBLAS sends SIGINT where it has no room for a thread."""
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] != "numpy":
        frame = frame.f_back
    if frame is None:
        return False
    try:
        thread = threading.Thread(target=bool)
        thread.start()
        thread.join()
    except RuntimeError:
        return True
    return False
