"""Bundles with the artifacts that a comparison needs, made once and kept for the next time."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from mnist_edge import formats as exporters
from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.errors import MnistEdgeError
from mnist_edge.formats.export import export_verified
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import Format, Precision


def prepare(source: Path, folder: Path, artifacts: Sequence[str]) -> tuple[Bundle, dict[str, str]]:
    """Copy a bundle and export what it lacks.

    The copy is named by recipe, weights and exporters, so a change of either gives another one.

    Args:
        source: the bundle, which stays as it is.
        folder: where the copy lies, as `RECIPE-DIGEST`.
        artifacts: names of those that are needed.

    Returns:
        The copy, and why an artifact is not in it.
    """
    original = open_bundle(source)
    digest = hashlib.sha256(original.artifact(CHECKPOINT).sha256.encode() + _exporters())
    target = folder / f"{original.manifest.own_recipe.name}-{digest.hexdigest()[:12]}"
    if not target.exists():
        shutil.rmtree(target.with_suffix(".part"), ignore_errors=True)
        shutil.copytree(source, target.with_suffix(".part"))
        target.with_suffix(".part").rename(target)
    bundle = open_bundle(target)
    reasons = {}
    for name in artifacts:
        if any(known.name == name for known in bundle.manifest.artifacts):
            continue
        try:
            bundle, _ = export_verified(bundle, _recipe(name))
        except (MnistEdgeError, ValueError) as error:
            reasons[name] = str(error)
    return bundle, reasons


def _recipe(name: str) -> ExportRecipe:
    format_, _, precision = name.partition("-")
    formats: tuple[Format, ...] = tuple(f for f in get_args(Format) if f == format_)
    precisions: tuple[Precision, ...] = tuple(p for p in get_args(Precision) if p == precision)
    return ExportRecipe(formats=formats, precisions=precisions)


def _exporters() -> bytes:
    sources = sorted(Path(exporters.__file__).parent.rglob("*"))
    return b"".join(path.read_bytes() for path in sources if path.suffix in (".py", ".c", ".h"))
