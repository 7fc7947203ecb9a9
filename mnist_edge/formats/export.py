"""From a bundle to verified artifacts of other formats."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_edge.bundle import card as model_card
from mnist_edge.bundle.folder import (
    Bundle,
    is_shipped,
    open_bundle,
    refuse_shipped,
    save_bundle,
)
from mnist_edge.bundle.manifest import MANIFEST, Artifact
from mnist_edge.bundle.own import remember
from mnist_edge.bundle.storage import LOCK, lock
from mnist_edge.data.mnist import DataSet, if_named
from mnist_edge.errors import NotEquivalent, UsageError, has_torch, missing_package, needed_to
from mnist_edge.formats import FORMATS, Wish, Written, export_pairs, find_artifact, write_artifact
from mnist_edge.formats.seal import check_seal
from mnist_edge.machine import process_as_it_was
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import DEFAULT_OPSET, Format, Precision

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source


@process_as_it_was()
def export_verified(
    bundle: Bundle,
    recipe: ExportRecipe,
    *,
    data: DataSet | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> tuple[Bundle, tuple[Artifact, ...]]:
    """Export artifacts, each verified over the reference before it enters a bundle.

    Args:
        bundle: whose net is exported.
        recipe: what to write.
        data: where it is the data set that the bundle names, the accuracy of each artifact on its
            test set is recorded.
        out: the folder of the bundle that takes them, where it is not `bundle` itself, which then
            stays as it is. A new one holds the checkpoint and the reference as well; one that is
            there must be of the same weights.
        progress: told after each artifact.

    Returns:
        The bundle with its new manifest, and the artifacts written now.

    Raises:
        NotEquivalent: an artifact failed its gate, and the recipe does not allow to keep it;
            those that passed are kept.
        UsageError: a precision finds nothing to act on in this model, the bundle to write is a
            shipped one, or `out` holds something else.
        StorageError, MissingDependency: see there; the bundle is as it was.
    """
    folder = bundle.path if out is None else out
    if out is None and is_shipped(folder):
        raise UsageError(
            f"{folder} is a bundle that comes with mnist-edge, and stays as it is",
            fix="name a folder for what is exported: --out FOLDER",
        )
    refuse_shipped(folder)
    pairs = export_pairs(recipe)
    with needed_to("export"):
        from mnist_edge.formats.running import judged_artifact
        from mnist_edge.formats.source import export_source
    with _locked(folder):
        target, contents = _target(bundle, folder)
        target.check(but=_replaced(target, pairs))
        if out is None:
            bundle = target  # as it is now that nobody else writes it
        checkpoint = bundle.manifest.origin
        reference = bundle.reference()
        source = export_source(bundle, recipe.opset)
        wish = Wish(prefix=recipe.prefix, tflm=recipe.tflm, picture=recipe.picture)
        kept: list[Artifact] = []
        failed: list[str] = []
        for number, (format_, precision) in enumerate(pairs):
            progress(number, len(pairs), f"{format_}-{precision}")
            written = write_artifact(source, format_, precision, wish)
            artifact = judged_artifact(
                written,
                bundle.manifest.recipe,
                reference,
                format_=format_,
                precision=precision,
                opset=recipe.opset if FORMATS[format_].from_onnx else 0,
                checkpoint_sha256=checkpoint.sha256,
                float32_error=bundle.manifest.float32_error,
                data=if_named(bundle.manifest.data, data),
            )
            if not artifact.parity.passed:
                failed.append(f"{artifact.name}: {artifact.parity.reason}")
            if artifact.parity.passed or recipe.allow_mismatch:
                kept.append(artifact)
                contents |= zip(artifact.files, written.files, strict=True)
        target, card = model_card.with_model_card(target.with_artifacts(tuple(kept)))
        remember(
            known.sha256
            for artifact in kept
            if FORMATS[artifact.format].runs_code
            for known in (artifact, *artifact.companions)
        )
        save_bundle(target, contents | card)
        progress(len(pairs), len(pairs), "")
    if failed and not recipe.allow_mismatch:
        raise NotEquivalent(
            f"not equivalent to the {checkpoint.format}, and not kept: {'; '.join(failed)}",
            fix="train another recipe, or keep the file, marked so, with --allow-mismatch",
        )
    return target, tuple(kept)


@process_as_it_was()
def prove_rebuildable(
    bundle: Bundle, *, artifacts: tuple[str, ...] = (), progress: Progress = silent
) -> tuple[str, ...]:
    """Export artifacts again, and compare them with the bundle's byte by byte.

    Returns:
        The names of those that were made again; the checkpoint cannot be.

    Raises:
        NotEquivalent: the bytes of one differ, as they may with other versions of the libraries.
        UsageError: there is no artifact of that name.
        MissingDependency: torch or onnx is not installed.
    """
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    chosen = [find_artifact(bundle, name) for name in names if name != bundle.manifest.origin.name]
    if (
        bundle.manifest.recipe and not has_torch()
    ):  # an ONNX artifact, made of itself, is the same and proves nothing
        raise missing_package(ModuleNotFoundError(name="torch"), "make artifacts again")
    with needed_to("export"):
        from mnist_edge.formats.source import open_source

    @cache
    def source_of(opset: int, sealed: bool) -> Source:
        source = open_source(bundle, opset)
        source.sealed = sealed
        return source

    changed = []
    for number, artifact in enumerate(chosen):
        progress(number, len(chosen), artifact.name)
        written = Written(bundle.read(artifact), bundle.read_companions(artifact))
        source = source_of(artifact.opset or DEFAULT_OPSET, _was_sealed(bundle, artifact))
        wish = FORMATS[artifact.format].wish_of(written)
        again = write_artifact(source, artifact.format, artifact.precision, wish)
        if again != written:
            changed.append(f"{artifact.name}{_first_difference(written.data, again.data)}")
    progress(len(chosen), len(chosen), "")
    if changed:
        raise NotEquivalent(
            f"{' and '.join(changed)}: made again, the bytes are others",
            fix="compare the versions in the manifest with doctor's, or export again",
        )
    return tuple(artifact.name for artifact in chosen)


def _was_sealed(bundle: Bundle, artifact: Artifact) -> bool:
    """Whether the exports of a bundle carry digests of themselves, as those of before do not."""
    graphs = [a for a in (artifact, *bundle.manifest.artifacts) if FORMATS[a.format].has_seal]
    return not graphs or (bundle.holds(graphs[0]) and check_seal(bundle.read(graphs[0])))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """`lock`, that takes away again what it made for nothing."""
    new, unlocked = not folder.exists(), not (folder / LOCK).exists()
    try:
        with lock(folder):
            yield
    finally:
        if unlocked and not (folder / MANIFEST).exists():
            with suppress(OSError):
                (folder / LOCK).unlink()
                if new:
                    folder.rmdir()


def _target(bundle: Bundle, folder: Path) -> tuple[Bundle, dict[str, bytes]]:
    """The bundle to write to, and where it is a new one, what it begins with."""
    if (folder / MANIFEST).exists():
        target = open_bundle(folder)
        known = target.manifest.origin.sha256
        if folder != bundle.path and known != bundle.manifest.origin.sha256:
            raise UsageError(f"{folder} is a bundle of other weights", fix="name another --out")
        return target, {}
    if any(path.name != LOCK for path in folder.iterdir()):
        raise UsageError(f"{folder} holds no bundle, and is not empty", fix="name another --out")
    checkpoint = bundle.manifest.origin
    first = (bundle.manifest.reference, checkpoint)
    contents = {record.file: bundle.read(record) for record in first if bundle.holds(record)}
    manifest = replace(bundle.manifest, artifacts=(checkpoint,), extras=())
    return Bundle(folder, manifest), contents


def _first_difference(old: bytes, new: bytes) -> str:
    """Where two texts part, for people; nothing for files that are no text, or are the same."""
    try:
        lines = itertools.zip_longest(*(str(data, "ascii").splitlines() for data in (old, new)))
    except UnicodeDecodeError:
        return ""
    for number, (before, now) in enumerate(lines, 1):
        if before != now:
            return f" (line {number}, {before or ''!r:.60}, is now {now or ''!r:.60})"
    return ""


def _replaced(bundle: Bundle, pairs: tuple[tuple[Format, Precision], ...]) -> set[str]:
    """The files that an export may write over: damage to them is what it mends."""
    names = {f"{format_}-{precision}" for format_, precision in pairs}
    old = [artifact for artifact in bundle.manifest.artifacts if artifact.name in names]
    files = (record.file for a in old for record in (a, *bundle.companions(a)))
    return {*files, model_card.FILE}
