"""The digest of a file inside it, by which a file that left its bundle shows that it is whole.

It stands in the metadata, under `seal`: `mnist-edge-sha256:` and 64 digits, which are the SHA-256
of the file with zeros in their place. It tells damage alone: whoever writes other weights into a
file can write another seal.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from mnist_edge.errors import DigestMismatch

KEY = "seal"
"""The key of the metadata under which it stands."""

_MARK, _ZEROS = b"mnist-edge-sha256:", b"0" * 64
_SEAL = re.compile(_MARK + b"([0-9a-f]{64})")

OPEN = (_MARK + _ZEROS).decode()
"""What stands there until the file is written."""


def sealed(data: bytes) -> bytes:
    """A file that was written with the seal open, or with none."""
    parts = data.split(OPEN.encode())
    if len(parts) == 1:
        return data
    before, after = parts
    return before + _MARK + _digest(data) + after


def check_seal(data: bytes) -> bool:
    """Whether a file has a seal, which is whole; files of before have none.

    Raises:
        DigestMismatch: it is broken.
    """
    found = list(_SEAL.finditer(data))
    for seal in found:
        rest = data[: seal.start(1)] + _ZEROS + data[seal.end(1) :]
        if len(found) > 1 or _digest(rest) != seal[1]:
            raise _broken()
    return bool(found)


def check_sealed(metadata: Mapping[str, str]) -> None:
    """Refuse what says that it has a seal, where `check_seal` found none."""
    if KEY in metadata:
        raise _broken()


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _broken() -> DigestMismatch:
    return DigestMismatch(
        "the file is damaged: its digest, which it carries, is another",
        fix="copy it again from where it was made, or export it again",
    )
