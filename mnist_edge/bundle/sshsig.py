"""Signatures as `ssh-keygen -Y sign` writes them, checked without OpenSSH.

The format: PROTOCOL.sshsig of OpenSSH; what security keys sign: PROTOCOL.u2f. Of the kinds of keys
that OpenSSH knows Ed25519 is taken, whether it lies in a file, an agent or a security key.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from mnist_edge.bundle import ed25519

KEY_KIND, SECURITY_KEY_KIND = KINDS = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")

_MAGIC, _VERSION = b"SSHSIG", 1
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}
_FLAGS_AND_COUNTER_BYTES = 5  # of a security key
_ARMOUR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n?"
)


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key, as it stands in a `.pub` file.

    Attributes:
        kind: `KEY_KIND` or `SECURITY_KEY_KIND`.
        point: 32 bytes.
        application: of a security key; else empty.
    """

    kind: str
    point: bytes
    application: bytes = b""

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        fields = [self.kind.encode(), self.point]
        if self.kind == SECURITY_KEY_KIND:
            fields.append(self.application)
        digest = _sha256(b"".join(map(_string, fields)))
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def read_key(line: str) -> PublicKey:
    """The key of one line of a `.pub` file. Raises ValueError where it is none that is taken."""
    kind, _, rest = line.strip().partition(" ")
    if kind not in KINDS:
        raise ValueError(f"{kind!r:.40} is not {KEY_KIND}")
    key = _read_key(_decoded(rest.partition(" ")[0]))
    if key.kind != kind:
        raise ValueError(f"it says {kind}, and is of another kind")
    return key


def read_signature(text: str, message: bytes) -> tuple[PublicKey, str]:
    """Whose signature of a message it is, and for what: the namespace is signed as well.

    Raises:
        ValueError: it is no signature of these bytes.
    """
    armour = _ARMOUR.fullmatch(text.replace("\r\n", "\n"))
    if armour is None:
        raise ValueError("not an SSH signature")
    reader = _Reader(_decoded(armour[1].replace("\n", "")))
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != _VERSION:
        raise ValueError("not an SSH signature of version 1")
    blob, namespace, reserved, hash_name, signature = (reader.string() for _ in range(5))
    reader.end()
    if hash_name not in _HASHES or reserved:
        raise ValueError("of a form that is not known")
    key = _read_key(blob)
    digest = _HASHES[hash_name](message).digest()
    signed = _MAGIC + b"".join(map(_string, (namespace, b"", hash_name, digest)))
    if not _is_signed(key, signed, signature):
        raise ValueError("the signature is of other bytes")
    return key, namespace.decode()


def _is_signed(key: PublicKey, signed: bytes, signature: bytes) -> bool:
    reader = _Reader(signature)
    kind, proof = reader.string(), reader.string()
    if key.kind == SECURITY_KEY_KIND:
        tail = reader.take(_FLAGS_AND_COUNTER_BYTES)
        signed = _sha256(key.application) + tail + _sha256(signed)
    reader.end()
    return kind == key.kind.encode() and ed25519.verify(key.point, signed, proof)


def _read_key(blob: bytes) -> PublicKey:
    reader = _Reader(blob)
    kind = reader.string().decode()
    if kind not in KINDS:
        raise ValueError(f"a key of the kind {kind!r:.40}, not {KEY_KIND}")
    point = reader.string()
    application = reader.string() if kind == SECURITY_KEY_KIND else b""
    reader.end()
    if len(point) != ed25519.KEY_BYTES:
        raise ValueError("a key of another length than 32 bytes")
    return PublicKey(kind, point, application)


def _decoded(text: str) -> bytes:
    """The bytes of base64. One text for each, so that no changed character goes unnoticed."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not base64 as it is written")
    return data


def _string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class _Reader:
    """Takes bytes from the front. Raises ValueError where there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._place : self._place + count]
        if len(taken) != count:
            raise ValueError("it is cut off")
        self._place += count
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def end(self) -> None:
        if self._place != len(self._data):
            raise ValueError("something stands after its end")
