"""Zip archives whose bytes depend on their entries alone, in the layout that torch maps."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

METADATA_FILE = "mnist_edge.json"
"""The entry below `extra/` that holds the metadata of an artifact, as JSON."""

_ROOT = "archive"
_ALIGNMENT = 64
_LOCAL_HEADER_BYTES = 30


def read_entries(data: bytes) -> dict[str, bytes]:
    """The entries of a torch archive, in order, by their names below its root folder."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def write_entries(entries: Mapping[str, bytes]) -> bytes:
    """An archive of stored entries, without dates, each starting at a multiple of 64 bytes.

    torch maps tensors from there without a copy; it pads with the extra field `FB`, and so do we.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(f"{_ROOT}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # else the writing system's number
            start = buffer.tell() + _LOCAL_HEADER_BYTES + len(entry.filename) + 4
            padding = -start % _ALIGNMENT
            entry.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
            archive.writestr(entry, content)
    return buffer.getvalue()
