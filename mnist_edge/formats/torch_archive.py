"""Look into a torch archive before torch does."""

from __future__ import annotations

import io
import zipfile

from mnist_edge.errors import BadInput


def check_archive(data: bytes, *, holds: str, kind: str, fix: str) -> None:
    """Refuse what is not a stored zip archive with a certain entry.

    Args:
        data: the file.
        holds: how the name of the entry ends.
        kind: what the file should be, with its article.
        fix: the advice.

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
