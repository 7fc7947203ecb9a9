"""Which files a user means by a folder or a pattern."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

SUFFIXES = frozenset(
    "bmp gif jpeg jpg pbm pfm pgm png pnm ppm tif tiff webp".split()  # noqa: SIM905
)
"""Endings of the files taken from a folder; a file named by itself is tried in any case."""


def find_pictures(paths: Iterable[Path | str]) -> list[Path]:
    """Files as they are, folders and patterns as the pictures in them, in the order given.

    A folder gives every file below it that is named like a picture, sorted by path; hidden files
    and links to folders are left out, so no loop can catch it. What does not exist or holds no
    picture is kept as it is: reading it tells the user.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += _in_folder(path) or [path]
        elif path.exists():
            found.append(path)
        else:
            found += _matching(path) or [path]
    return found


def _matching(pattern: Path) -> list[Path]:
    import glob  # for which a picture that is there does not wait

    if not glob.has_magic(str(pattern)):
        return []
    matches = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207
    return [Path(match) for match in matches]


def _in_folder(folder: Path) -> list[Path]:
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(base, name)
            for name in files
            if not name.startswith(".")
            and Path(name).suffix.lower()[1:] in SUFFIXES
            # A pipe is passed over; a link that leads nowhere is told when it is read.
            and not _waits(Path(base, name))
        ]
    return sorted(found)


def _waits(path: Path) -> bool:
    """Whether it is there, and neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()
