"""Keep what native code prints off the terminal: results and errors are ours to tell."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_STDOUT, _STDERR = 1, 2


@contextmanager
def printed() -> Iterator[Callable[[], str]]:
    """Keep what the process prints from the terminal, and give what it was.

    Native code writes to the descriptors of stdout and stderr, past `sys.stdout`. It is for
    loading a model alone: what another thread prints meanwhile is kept, too.
    """
    with _lock, tempfile.TemporaryFile() as file:
        kept = {}
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        try:
            for descriptor in (_STDOUT, _STDERR):
                kept[descriptor] = os.dup(descriptor)
                os.dup2(file.fileno(), descriptor)

            def text() -> str:
                file.seek(0)
                return file.read().decode(errors="replace")

            yield text
        finally:
            for descriptor, copy in kept.items():
                os.dup2(copy, descriptor)
                os.close(copy)
