"""Keys made for one test, and what they sign: an Ed25519 signer, and `ssh-keygen`.

Not a test module. The signer shares its arithmetic with what it tests, so it can make what no
program would sign; `ssh-keygen` is the judge of both.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from mnist_edge.bundle import ed25519
from mnist_edge.bundle.sshsig import KEY_KIND, SECURITY_KEY_KIND

ORDER = ed25519._ORDER

needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen of OpenSSH"
)


@dataclass(frozen=True)
class Signer:
    """A key pair made of a seed."""

    seed: bytes

    @property
    def _secret(self) -> int:
        digest = bytearray(hashlib.sha512(self.seed).digest()[:32])
        digest[0] &= 248
        digest[31] = digest[31] & 63 | 64
        return int.from_bytes(digest, "little")

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return times(self._secret)

    def sign(self, message: bytes) -> bytes:
        """64 bytes, as section 5.1.6 of RFC 8032 makes them."""
        nonce = _number(hashlib.sha512(self.seed).digest()[32:], message)
        commitment = times(nonce)
        challenge = _number(commitment, self.public, message)
        response = (nonce + challenge * self._secret) % ORDER
        return commitment + response.to_bytes(32, "little")


def times(factor: int) -> bytes:
    """So many times the base point, encoded."""
    return ed25519._encode(
        ed25519._sum_of_products(factor % ORDER, ed25519._BASE, 0, ed25519._ZERO)
    )


def _number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def string(content: bytes | str) -> bytes:
    """As OpenSSH packs it: the length, then the bytes."""
    content = content.encode() if isinstance(content, str) else content
    return len(content).to_bytes(4, "big") + content


def strings(*contents: bytes | str) -> bytes:
    """Several, one after the other."""
    return b"".join(string(content) for content in contents)


def armoured(blob: bytes) -> str:
    """A signature file."""
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def ssh_signature(
    signer: Signer,
    message: bytes,
    *,
    namespace: str = "mnist-edge/0",
    hash_name: str = "sha512",
    reserved: bytes = b"",
    security_key: bool = False,
    kind: str = "",
) -> str:
    """What `ssh-keygen -Y sign` would write; each argument that is given changes one thing."""
    kind = kind or (SECURITY_KEY_KIND if security_key else KEY_KIND)
    digest = hashlib.new(hash_name, message).digest()
    signed = b"SSHSIG" + strings(namespace, b"", hash_name, digest)
    tail = b""
    if security_key:
        tail = b"\x01" + (7).to_bytes(4, "big")
        signed = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(signed).digest()
    signature = string(kind) + string(signer.sign(signed)) + tail
    blob = public_blob(signer, security_key=security_key)
    body = strings(blob, namespace, reserved, hash_name, signature)
    return armoured(b"SSHSIG" + (1).to_bytes(4, "big") + body)


def public_blob(signer: Signer, *, security_key: bool = False) -> bytes:
    """A public key as OpenSSH packs it."""
    kind = SECURITY_KEY_KIND if security_key else KEY_KIND
    return string(kind) + string(signer.public) + (string("ssh:") if security_key else b"")


def public_line(signer: Signer, *, security_key: bool = False) -> str:
    """A public key as it stands in a `.pub` file."""
    kind = SECURITY_KEY_KIND if security_key else KEY_KIND
    blob = public_blob(signer, security_key=security_key)
    return f"{kind} {base64.b64encode(blob).decode()} of a test"


def new_key(folder: Path, name: str = "key", *, kind: str = "ed25519") -> Path:
    """The private key of a pair that `ssh-keygen` makes, without a passphrase."""
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "of a test", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path
