"""Keep what native code prints off the terminal: results and errors are ours to tell."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_STDOUT, _STDERR = 1, 2


@contextmanager
def quiet() -> Iterator[None]:
    """Send what the process writes to stdout and stderr nowhere, for as long as this lasts.

    Native code writes to the descriptors themselves, past `sys.stdout`. It is for loading a
    model alone: whatever another thread prints meanwhile is lost, too.
    """
    with _lock:
        kept = {}
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for descriptor in (_STDOUT, _STDERR):
                kept[descriptor] = os.dup(descriptor)
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
            yield
        finally:
            for descriptor, copy in kept.items():
                os.dup2(copy, descriptor)
                os.close(copy)
