"""A bundle: one directory with a manifest that names every file of one trained model.

Each verb reads what the verb before it wrote. Every file is written beside its place and moved
there, the manifest last, so a bundle on disk is always whole: whatever interrupts an export, the
manifest names only files that are there, with the digests that they have.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle import codec
from mnist_edge.bundle.manifest import (
    MANIFEST,
    SIGNATURE,
    Artifact,
    FileRecord,
    Manifest,
    Role,
    record,
    sha256,
)
from mnist_edge.bundle.storage import atomic_write_all, read_file, seal, unpack_arrays, unseal
from mnist_edge.contract import SIDE, Labels, RawImages
from mnist_edge.errors import (
    NOT_HERE,
    BadInput,
    BundleError,
    DigestMismatch,
    LeftBehind,
    StorageError,
    UsageError,
    has_torch,
    in_shell,
    restore_advice,
)
from mnist_edge.recipes.frozen import frozen
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT

T = TypeVar("T")

LOCAL_BUNDLE = Path("exports/model")
_PACKAGE = Path(__file__).resolve().parents[1]

# In a wheel the shipped bundles lie inside the package, in a checkout beside it.
SHIPPED_BUNDLES = (_PACKAGE / "exports/default", _PACKAGE.parent / "exports/default")
SHIPPED_TEACHERS = (_PACKAGE / "exports/large", _PACKAGE.parent / "exports/large")

_COPY = "copy it from where the bundle was made"

# How the names of extra files began before the manifest said what they are for.
_NAMES: dict[Role, str] = {
    "calibration": "calibration",
    "history": "history",
    "training curves": "training",
    "quantization": "verdict.json",
    "model card": "README.md",
}

# A manifest names a few kilobytes to a few hundred megabytes; more is a mistake or an attack.
_MAX_MANIFEST_BYTES = 4 << 20
_SETTLED_S = 0.1  # an export leaves an artifact out of the manifest for some milliseconds


@frozen
class Reference:
    """Digits with the checkpoint's answers; they travel with the bundle.

    Attributes:
        images: (N, 28, 28) uint8.
        labels: (N,) int64.
        logits: (N, classes) float64, the checkpoint evaluated in double precision.
    """

    images: RawImages
    labels: Labels
    logits: NDArray[np.float64]


@frozen
class Signature:
    """Who signed a bundle, by his key's fingerprint, and which in the row of his bundles it is."""

    fingerprint: str
    serial: int


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, its manifest read and checked; the files are checked when they are read.

    Attributes:
        signature: by a key that the user named; None where he named none.
        trusted: whether the user said that the programs in it may run.
    """

    path: Path
    manifest: Manifest
    signature: Signature | None = None
    trusted: bool = False

    def artifact(self, name: str) -> Artifact:
        """The artifact of that name.

        Raises:
            UsageError: there is none; the message lists those that are there.
        """
        try:
            return self.manifest.artifact(name)
        except KeyError:
            known = ", ".join(artifact.name for artifact in self.manifest.artifacts)
            raise UsageError(
                f"{self.path} has no artifact {name!r:.60}, only {known}",
                fix="choose one of these",
            ) from None

    @property
    def default_artifact(self) -> str:
        """What answers where none is named: the only one that is here, else ONNX in float32."""
        here = [
            known.name
            for known in self.manifest.artifacts
            if known.format != "checkpoint" and self.holds(known)
        ]
        return here[0] if len(here) == 1 else DEFAULT_ARTIFACT

    def scored(self, artifact: Artifact) -> Artifact:
        """The artifact with what the manifest says, in any place, of its test accuracy."""
        return replace(artifact, test_score=self.manifest.test_score(artifact))

    def check(self, *, but: Collection[str] = ()) -> None:
        """Read every file that is there, so that a damaged one is found before any is used.

        Files that were left behind on purpose, to save room on a device, are no damage.

        Args:
            but: names of files to leave out: about to be replaced, or read by themselves.

        Raises:
            DigestMismatch: as for `read`.
        """
        for known in self.manifest.records:
            if known.file not in but and self.holds(known):
                self.read(known)

    def holds(self, record: FileRecord) -> bool:
        """Whether the file is here; what a device does not need may have been left behind."""
        path = self.path / record.file
        return path.exists() or path.is_symlink()

    def read(self, record: FileRecord) -> bytes:
        """The bytes of one file, after its size and digest have been checked.

        Raises:
            DigestMismatch: the bytes are not the ones that the manifest names.
            LeftBehind: the file is not here.
            BundleError: it cannot be read.
        """
        path = self.path / record.file

        try:
            if not self.holds(record):
                raise LeftBehind(f"{path}{NOT_HERE}", fix=self._mend(record, lost=True))
            if not path.is_file():
                raise BundleError(f"{path} is no regular file", fix=self._mend(record))
            size = path.stat().st_size
            if size != record.size_bytes:
                raise DigestMismatch(
                    f"{path} has {size} bytes, the manifest says {record.size_bytes}",
                    fix=self._mend(record),
                )
            data = read_file(path, most=record.size_bytes)
        except OSError as error:
            raise BundleError(
                f"cannot read {path}: {error.strerror or error}", fix=self._mend(record)
            ) from error
        if sha256(data) != record.sha256:
            raise DigestMismatch(
                f"{path} is not the file that the manifest names", fix=self._mend(record)
            )
        return data

    def _mend(self, record: FileRecord, *, lost: bool = False) -> str:
        """What brings a file back; one that a device may do without is no reason to train."""
        weights = self.manifest.origin
        exported = any(record.file in a.files for a in self.manifest.artifacts if a is not weights)
        if is_shipped(self.path) or (self.holds(weights) if exported else not lost):
            return remedy(self.path, "export" if exported else "train")
        return _COPY

    def find(self, file: str, data: bytes) -> Artifact | None:
        """The artifact with these bytes, under whatever name they were found.

        Raises:
            DigestMismatch: the manifest names a file of that name, and it has other bytes.
        """
        digest = sha256(data)
        named = [artifact for artifact in self.manifest.artifacts if artifact.sha256 == digest]
        if not named and any(known.file == file for known in self.manifest.records):
            raise DigestMismatch(
                f"{self.path / file} is not the file that the manifest beside it names",
                fix=remedy(self.path, "export"),
            )
        return named[0] if named else None

    def find_extra(self, role: Role) -> FileRecord | None:
        """The extra file of that role; before the manifest said so, its name did."""
        for known in self.manifest.extras:
            if known.role == role or (not known.role and known.file.startswith(_NAMES[role])):
                return known
        return None

    def with_extras(self, *records: FileRecord) -> Bundle:
        """This bundle with further files, or in place of those of the same name."""
        files = {known.file for known in records}
        kept = tuple(known for known in self.manifest.extras if known.file not in files)
        return replace(self, manifest=replace(self.manifest, extras=kept + records))

    def with_own_extra(self, role: Role, file: str, data: bytes) -> tuple[Bundle, dict[str, bytes]]:
        """This bundle with one of our files, and the contents to save with it.

        A file of that name that somebody else wrote into the folder stays, and there is none of
        ours.
        """
        if (self.path / file).exists() and free_name(self.path, file) == file:
            return self, {}
        return self.with_extras(record(file, data, role)), {file: data}

    def companions(self, artifact: Artifact) -> tuple[FileRecord, ...]:
        """The further files of an artifact.

        Before artifacts listed them, the header of a C file was an extra.
        """
        header = f"{artifact.name}.h"
        return artifact.companions + tuple(
            extra for extra in self.manifest.extras if extra.file == header
        )

    def read_companions(self, artifact: Artifact) -> dict[str, bytes]:
        """The further files of an artifact by suffix. Raises as `read` does."""
        return {Path(known.file).suffix: self.read(known) for known in self.companions(artifact)}

    def reference(self) -> Reference:
        """The reference digits and logits. Raises BundleError where they are damaged."""
        data = self.read(self.manifest.reference)
        try:
            return _checked_reference(unpack_arrays(data), len(self.manifest.data.classes))
        except (BadInput, ValueError) as error:
            raise BundleError(
                f"the reference of {self.path} is damaged: {error.args[0]}",
                fix=remedy(self.path, "train"),
            ) from None

    def with_artifacts(self, artifacts: tuple[Artifact, ...]) -> Bundle:
        """This bundle with `artifacts` added, or put in place of those of the same name."""
        fresh = {artifact.name for artifact in artifacts}
        files = {file for artifact in artifacts for file in artifact.files}
        kept = tuple(a for a in self.manifest.artifacts if a.name not in fresh)
        extras = tuple(extra for extra in self.manifest.extras if extra.file not in files)
        return replace(
            self, manifest=replace(self.manifest, artifacts=kept + artifacts, extras=extras)
        )


def open_bundle(path: Path | None = None) -> Bundle:
    """Read and check the manifest of a bundle.

    Args:
        path: the directory; by default `exports/model` where there is one, else the shipped one.

    Raises:
        BundleError: there is no bundle, or its manifest is damaged or of another schema.
    """
    folder = default_bundle_path() if path is None else path
    return parse_manifest(folder, read_manifest(folder))


def read_manifest(folder: Path) -> bytes:
    """The manifest in a folder, unread. Raises BundleError where there is none."""
    file = folder / MANIFEST
    if folder.is_file():
        raise BundleError(
            f"{folder} is a file, and no bundle",
            fix=f"make a bundle of a net with mnist-edge import {in_shell(folder)}",
        )
    try:
        if not file.is_file():
            raise BundleError(f"no bundle at {folder}", fix=_first_bundle(folder))
        return read_file(file, most=_MAX_MANIFEST_BYTES)
    except OSError as error:
        raise BundleError(
            f"cannot read {file}: {error.strerror or error}", fix=remedy(folder, "train")
        ) from error


def parse_manifest(folder: Path, data: bytes) -> Bundle:
    """The bundle in a folder, of what its manifest says. Raises BundleError where it is damaged."""
    if b"\r\n" in data:  # our JSON escapes it, so nothing that we wrote holds one
        raise BundleError(
            f"{folder / MANIFEST} has the line ends of Windows, as git may write them",
            fix="put '* -text' into .gitattributes beside it and check the bundle out again",
        )
    try:
        return Bundle(folder, codec.loads(Manifest, unseal(data.decode("utf-8"))))
    except (ValueError, UsageError) as error:  # UnicodeDecodeError is a ValueError
        raise BundleError(
            f"{folder / MANIFEST} is not a manifest of schema 1 or 2: {error}",
            fix=remedy(folder, "train"),
        ) from None


def read_settled(path: Path | None, read: Callable[[], T]) -> T:
    """What `read` reads of a bundle; once more, if somebody wrote its manifest meanwhile.

    While an export writes, the manifest does not name what is written over.

    Args:
        path: of the bundle; by default as for `open_bundle`.
        read: opens the bundle and reads its files.
    """
    folder = default_bundle_path() if path is None else path
    before = read_manifest(folder)
    try:
        return read()
    except (DigestMismatch, LeftBehind, UsageError):
        time.sleep(_SETTLED_S)
        if read_manifest(folder) == before:
            raise
        return read()


def default_bundle_path() -> Path:
    """`exports/model` where it holds a bundle, else the bundle that is shipped."""
    for path in (LOCAL_BUNDLE, *SHIPPED_BUNDLES):
        if (path / MANIFEST).is_file():
            return path
    return LOCAL_BUNDLE


def is_shipped(folder: Path) -> bool:
    """Whether a bundle that came with the package lies there."""
    return folder.resolve() in SHIPPED_BUNDLES + SHIPPED_TEACHERS


def free_name(folder: Path, file: str) -> str:
    """`file`, or the like of it where the bundle in `folder` already names a file so.

    A new training must not touch the files of the old one until its manifest is written.
    """
    old = _manifest_in(folder)
    taken = {known.file.casefold() for known in old.records} if old else set()
    stem, dot, suffix = file.partition(".")
    return next(
        name
        for name in itertools.chain(
            [file], (f"{stem}-{number}{dot}{suffix}" for number in itertools.count(2))
        )
        if name.casefold() not in taken
    )


def save_bundle(bundle: Bundle, contents: Mapping[str, bytes]) -> None:
    """Write files and then the manifest that names them; drop what it no longer names.

    At every moment the manifest on disk names only files that are there and whole. An artifact
    that other bytes replace under its own name leaves the manifest first; what every manifest
    names, the checkpoint and the reference, must come under a `free_name`.

    Raises:
        StorageError: as for `atomic_write`; the bundle is as it was, but for artifacts that were
            being replaced.
    """
    folder = bundle.path
    old = _manifest_in(folder)
    old_records = old.records if old else ()
    steps = [(folder / file, data) for file, data in contents.items()]
    replaced = {
        known.file
        for known in old_records
        if known.file in contents and known.sha256 != sha256(contents[known.file])
    }
    if old and replaced:
        for lasting in (old.reference, old.origin):
            if lasting.file in replaced:
                raise ValueError(f"{lasting.file} is in use: write it under a free_name")
        interim = replace(
            old,
            artifacts=tuple(a for a in old.artifacts if replaced.isdisjoint(a.files)),
            extras=tuple(e for e in old.extras if e.file not in replaced),
        )
        steps.insert(0, (folder / MANIFEST, seal(codec.dumps(interim)).encode()))
    sealed = seal(codec.dumps(bundle.manifest)).encode()
    steps.append((folder / MANIFEST, sealed))
    signed = _is_signed_as(folder, sealed)
    atomic_write_all(steps)
    if not signed:
        with contextlib.suppress(OSError):  # it holds for nothing any more, there or not
            (folder / SIGNATURE).unlink()
    new_files = {known.file for known in bundle.manifest.records}
    for file in {known.file for known in old_records} - new_files:
        with contextlib.suppress(OSError):
            (folder / file).unlink()


def weights_digest(folder: Path) -> str:
    """What a recipe calls the net in a bundle. Raises BundleError."""
    return open_bundle(folder).manifest.origin.sha256


def _first_bundle(folder: Path) -> str:
    if has_torch():
        return f"mnist-edge train --bundle {in_shell(folder)}"
    return "give the folder of a bundle that was copied from where it was made"


def remedy(folder: Path, verb: str) -> str:
    """What makes the files of a bundle whole again: the verb that wrote them, where it can."""
    if is_shipped(folder):
        return f"{restore_advice(folder)}, or give another --bundle"
    return f"mnist-edge {verb} --bundle {in_shell(folder)}" if has_torch() else _COPY


def _is_signed_as(folder: Path, manifest: bytes) -> bool:
    """Whether a signature of this very manifest may lie in a folder."""
    try:
        return read_manifest(folder) == manifest
    except BundleError:
        return False


def _manifest_in(folder: Path) -> Manifest | None:
    """The manifest of a bundle that is about to be written over; None where it is none.

    Raises:
        StorageError: there is one that cannot be read now: its files must not be lost for that.
    """
    try:
        return open_bundle(folder).manifest
    except BundleError as error:
        if isinstance(error.__cause__, OSError):
            raise StorageError(error.what, fix=error.fix) from None
        return None


def _checked_reference(arrays: Mapping[str, NDArray[Any]], classes: int) -> Reference:
    lacking = {"images", "labels", "logits"} - arrays.keys()
    if lacking:
        raise ValueError(f"it lacks {' and '.join(sorted(lacking))}")
    images, labels, logits = arrays["images"], arrays["labels"], arrays["logits"]
    count = labels.size
    expected = (
        (images, np.dtype(np.uint8), (count, SIDE, SIDE)),
        (labels, np.dtype(np.int64), (count,)),
        (logits, np.dtype(np.float64), (count, classes)),
    )
    if any(array.dtype != dtype or array.shape != shape for array, dtype, shape in expected):
        raise ValueError("arrays of the wrong shape or type")
    if not count or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"no pictures, or labels other than 0 to {classes - 1}")
    if not np.isfinite(logits).all():
        raise ValueError("logits that are NaN or infinite")
    return Reference(images=images, labels=labels, logits=logits)


def refuse_shipped(folder: Path) -> None:
    """Keep a bundle that came with the package as it came.

    Raises:
        UsageError: such a one is in `folder`.
    """
    if is_shipped(folder):
        raise UsageError(
            f"{folder} is a bundle that comes with mnist-edge, and stays as it is",
            fix="make one of your own with mnist-edge train, or give another --bundle"
            if has_torch()
            else "give another --bundle",
        )
