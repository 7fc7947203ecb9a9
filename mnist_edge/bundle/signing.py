"""Whose bundle it is: a signature of the manifest, which holds the digest of every other file.

Signed by OpenSSH's `ssh-keygen`, so that files, agents and security keys work, and checked without
it. The serial number that tells an older bundle from a newer one is signed, too: it stands in the
namespace, `mnist-edge/3`.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_edge.bundle.folder import (
    Bundle,
    Signature,
    default_bundle_path,
    is_shipped,
    parse_manifest,
    read_manifest,
)
from mnist_edge.bundle.manifest import MANIFEST, SIGNATURE, Artifact
from mnist_edge.bundle.storage import atomic_write, read_file
from mnist_edge.errors import BadInput, BundleError, MissingDependency, Untrusted, UsageError
from mnist_edge.recipes.frozen import frozen

if TYPE_CHECKING:
    from mnist_edge.bundle.sshsig import PublicKey

KEY_VARIABLE = "MNIST_EDGE_KEY"

_MAX_KEY_BYTES = 1 << 16
_MAX_SIGNATURE_BYTES = 1 << 14
_NAMESPACE = re.compile(r"mnist-edge/(0|[1-9][0-9]{0,17})")
_FIX = "get the bundle that its maker has signed, or one of another maker with his --key"


@frozen
class Trust:
    """What a user asks of a bundle before it is used.

    Attributes:
        key: the public key that must have signed it: a `.pub` file (of several lines where any of
            several keys will do), or a line of one.
        not_before: the least serial number that the signature may have.
        code: whether the programs in it (C, TorchScript and `.pt2` files) may run, whoever wrote
            them.
    """

    key: Path | str | None = None
    not_before: int | None = None
    code: bool = False

    def demands(self, folder: Path) -> dict[str, tuple[PublicKey, ...]]:
        """The keys that must have signed the bundle in a folder, by what names them."""
        named = {} if self.key is None else {"--key": self.key}
        if KEY_VARIABLE in os.environ and not (self.key is None and is_shipped(folder)):
            named[KEY_VARIABLE] = os.environ[KEY_VARIABLE]
        if self.not_before is not None and not named:
            raise UsageError(
                "a serial number that nobody signed is worth nothing",
                fix=f"name the maker's key, too: --key maker.pub, or {KEY_VARIABLE}",
            )
        return {name: read_keys(value, name) for name, value in named.items()}


ANYONE = Trust()
"""Asks for nothing but what the environment asks for."""


def open_trusted(path: Path | None = None, trust: Trust = ANYONE) -> Bundle:
    """Open a bundle, if it was signed by whom it should be.

    With `MNIST_EDGE_KEY` in the environment the key that it names must have signed it, whatever
    else is asked for; a bundle that came with the package is exempt from that.

    Raises:
        Untrusted: it is not signed, or by another key, or is older.
        UsageError: a key that is none, or a serial number without a key.
        BundleError: as for `open_bundle`.
    """
    folder = default_bundle_path() if path is None else path
    demands = trust.demands(folder)
    manifest = read_manifest(folder)
    signature = None
    for name, keys in demands.items():
        signature = _check(folder, manifest, keys, name, trust.not_before or 0)
    return replace(parse_manifest(folder, manifest), signature=signature, trusted=trust.code)


def vouching_bundle(path: Path, data: bytes, trust: Trust) -> tuple[Bundle, Artifact] | None:
    """The bundle that a file lies in, and what it is there; None where no manifest names it.

    Raises:
        DigestMismatch: the manifest beside it names another file of its name.
        Untrusted: the bundle is not signed as it should be, or no manifest names the file.
    """
    demands = trust.demands(path.parent)
    try:
        bundle = open_trusted(path.parent, trust)
    except Untrusted:
        raise
    except BundleError:
        bundle = None
    found = bundle and bundle.find(path.name, data)
    if found is None and demands:
        raise Untrusted(f"no signed manifest beside {path} names it", fix=_FIX)
    return (bundle, found) if bundle and found else None


def read_keys(value: Path | str, name: str) -> tuple[PublicKey, ...]:
    """Every key of a `.pub` file, or of its text.

    Args:
        value: the path, or a line such as `ssh-ed25519 AAAA...`.
        name: of the option or the variable that it comes from.

    Raises:
        UsageError: it is neither.
    """
    from mnist_edge.bundle.sshsig import KINDS, read_key  # only who names a key waits for it

    fix = "name the .pub file of an Ed25519 key, as ssh-keygen -t ed25519 makes it"
    text = str(value)
    try:
        if text.strip() and not text.startswith(KINDS):
            text = read_file(Path(text).expanduser(), most=_MAX_KEY_BYTES).decode()
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        keys = tuple(map(read_key, lines))
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"cannot read {name} {value}: {reason}", fix=fix) from None
    except ValueError as error:
        raise UsageError(f"{name} names no public key: {error}", fix=fix) from None
    if not keys:
        raise UsageError(f"{name} names no public key: it is empty", fix=fix)
    return keys


def _check(
    folder: Path, manifest: bytes, keys: tuple[PublicKey, ...], name: str, not_before: int
) -> Signature:
    from mnist_edge.bundle.sshsig import read_signature

    try:
        text = read_file(folder / SIGNATURE, most=_MAX_SIGNATURE_BYTES).decode()
        signer, namespace = read_signature(text, manifest)
    except FileNotFoundError:
        raise Untrusted(f"{folder} is not signed, and {name} asks for it", fix=_FIX) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Untrusted(f"the signature of {folder} does not hold: {reason}", fix=_FIX) from None
    if signer not in keys:
        asked = " or ".join(key.fingerprint for key in keys)
        raise Untrusted(
            f"{folder} is signed by {signer.fingerprint}, and {name} asks for {asked}", fix=_FIX
        )
    serial = _NAMESPACE.fullmatch(namespace)
    if serial is None:
        raise Untrusted(f"{folder} is signed as {namespace!r:.40}, not as a bundle", fix=_FIX)
    if int(serial[1]) < not_before:
        raise Untrusted(
            f"{folder} has the serial number {serial[1]}, older than {not_before}",
            fix="get the newer bundle from its maker",
        )
    return Signature(fingerprint=signer.fingerprint, serial=int(serial[1]))


def sign_bundle(bundle: Bundle, key: Path, *, serial: int = 0) -> Signature:
    """Sign the manifest of a bundle as it lies on the disk, through `ssh-keygen`.

    Args:
        bundle: every file of it that is there must be as the manifest says.
        key: an Ed25519 key that `ssh-keygen -Y sign -f` takes: a private key, or the public one
            whose other half an agent holds.
        serial: to be raised with each bundle that replaces another.

    Raises:
        BadInput: `ssh-keygen` cannot sign with that key, or it is of another kind.
        MissingDependency: there is no `ssh-keygen`.
        DigestMismatch, StorageError: see there; a signature that was there is as it was.
    """
    from mnist_edge.bundle.sshsig import read_signature

    bundle.check()
    manifest = read_manifest(bundle.path)
    namespace = f"mnist-edge/{serial}"
    text = _ssh_keygen(key.expanduser(), namespace, manifest)
    try:
        signer, _ = read_signature(text, manifest)
    except ValueError as error:
        raise BadInput(
            f"{key} signs what cannot be checked here: {error}",
            fix="make an Ed25519 key with ssh-keygen -t ed25519",
        ) from None
    atomic_write(bundle.path / SIGNATURE, text.encode())
    return Signature(fingerprint=signer.fingerprint, serial=serial)


def _ssh_keygen(key: Path, namespace: str, message: bytes) -> str:
    import subprocess

    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", namespace]
    try:
        done = subprocess.run(command, input=message, capture_output=True, check=False)
    except OSError as error:
        raise MissingDependency(
            f"ssh-keygen cannot be started: {error.strerror}", fix="install OpenSSH 8.1 or newer"
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise BadInput(
            f"ssh-keygen cannot sign {MANIFEST} with {key}: {said[-1]:.200}",
            fix="make an Ed25519 key with ssh-keygen -t ed25519, or name the .pub file of one "
            "that an agent holds",
        )
    return done.stdout.decode(errors="replace")
