"""What this user made on this machine: a list of digests in his own folder.

Some formats are programs. Those that he exported himself need nobody to vouch for them; the list
tells them from those that came from elsewhere, as git's `safe.directory` does.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from mnist_edge.bundle.storage import open_file, user_dir
from mnist_edge.errors import DataUnavailable

LIST = "made-here"

_MAX_BYTES = 64 << 20
_made_now: set[str] = set()
"""In this process, which may have no folder to keep a list in."""


def remember(digests: Iterable[str]) -> None:
    """Take note that this user made files with these digests, where it can be written down."""
    fresh = [digest for digest in digests if not was_made_here(digest)]
    _made_now.update(fresh)
    if not fresh:
        return
    with contextlib.suppress(OSError, DataUnavailable):
        path = _list()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write("".join(f"{digest}\n" for digest in fresh).encode())


def was_made_here(digest: str) -> bool:
    """Whether this user made the file with this digest. A list that others may write says no."""
    if digest in _made_now:
        return True
    try:
        with open_file(_list()) as stream:
            found = os.fstat(stream.fileno())
            if found.st_size > _MAX_BYTES or not is_ours(found):
                return False
            return digest in stream.read(found.st_size).decode("ascii", "replace").split()
    except (OSError, DataUnavailable):
        return False


def is_ours(found: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user, and nobody else may write it."""
    if os.name == "nt":  # which keeps other users out of a profile, and has no such bits
        return True
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _list() -> Path:
    return user_dir("XDG_DATA_HOME", ".local/share") / LIST
