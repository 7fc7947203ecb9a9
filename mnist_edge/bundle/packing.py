"""A slim copy of a bundle: what one artifact needs to run and to be checked on a device."""

from __future__ import annotations

from pathlib import Path

from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.manifest import MANIFEST, SIGNATURE
from mnist_edge.bundle.storage import atomic_write_all, check_free, read_file, readable
from mnist_edge.errors import BundleError

_MOST_BYTES = 4 << 20  # of a manifest or a signature


def pack_bundle(
    bundle: Bundle, artifacts: tuple[str, ...], folder: Path
) -> tuple[Bundle, list[Path]]:
    """Copy artifacts with the reference and the manifest, byte for byte, and its signature.

    The manifest goes on naming the files that were left behind: its digest, and whoever signed it,
    vouch for the same bundle.

    Args:
        bundle: to copy from; each file is checked as it is read.
        artifacts: their names, at least one.
        folder: where the slim bundle goes; it holds none yet.

    Returns:
        The slim bundle, and its files, the manifest first.

    Raises:
        UsageError: there is no artifact of that name, or `folder` holds something already.
        DigestMismatch, LeftBehind, BundleError: a file to copy is damaged or not here.
        StorageError: as for `atomic_write_all`; nothing is left in the folder.
    """
    check_free(folder, "--out")
    chosen = [bundle.artifact(name) for name in dict.fromkeys(artifacts)]
    companions = [known for artifact in chosen for known in bundle.companions(artifact)]
    records = (bundle.manifest.reference, *chosen, *companions)
    files = {record.file: bundle.read(record) for record in records}
    whole = [name for name in (SIGNATURE, MANIFEST) if (bundle.path / name).exists()]
    with readable(f"the manifest of {bundle.path}", BundleError, "try again"):
        files |= {name: read_file(bundle.path / name, most=_MOST_BYTES) for name in whole}
    atomic_write_all([(folder / name, data) for name, data in files.items()])
    return open_bundle(folder), [folder / name for name in reversed(files)]
