"""torch's zip archives: their bytes depend on the entries alone, and torch is not asked first."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from mnist_edge.bundle import codec
from mnist_edge.errors import BadInput

METADATA_FILE = "mnist_edge.json"
"""The entry below `extra/` that holds the metadata of an artifact, as JSON."""

_ROOT = "archive"
_SIGNATURE = b"PK\x03\x04"
_MAX_METADATA_BYTES = 1 << 20
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


def archive_format(data: bytes) -> str:
    """The format that an archive says it is of; `?` if it does not say, empty if it is none."""
    if not data.startswith(_SIGNATURE):
        return ""
    try:
        return archive_metadata(data).get("format", "?")
    except BadInput:
        return "?"


def archive_metadata(data: bytes) -> dict[str, str]:
    """What an exporter of ours put into an archive. Raises BadInput where there is nothing."""
    fix = "give a file that mnist-edge export wrote"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(f"/extra/{METADATA_FILE}"):  # the root has any name
                    text = archive.open(entry).read(_MAX_METADATA_BYTES).decode()
                    return codec.loads(dict[str, str], text)
    except Exception as error:  # zipfile has a dozen classes for damaged bytes
        raise BadInput(f"a damaged archive: {error}", fix=fix) from None
    raise BadInput("an archive that mnist-edge did not write", fix=fix)


def check_archive(data: bytes, *, holds: str, kind: str, fix: str) -> None:
    """Refuse all but a stored zip archive with an entry whose name ends so; `kind` has an article.

    Raises:
        BadInput: it is something else.
    """
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadInput(f"not {kind}: {error}", fix=fix) from None
    if not any(entry.filename.endswith(holds) for entry in entries):
        raise BadInput(f"not {kind}, but another zip archive", fix=fix)
    # Ours are stored. Ten kilobytes of compressed zeros could unpack to gigabytes.
    if sum(entry.file_size for entry in entries) > len(data):
        raise BadInput(f"compressed, which {kind} of ours is not", fix=fix)
