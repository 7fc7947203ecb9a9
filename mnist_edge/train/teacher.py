"""The net whose answers another learns: a bundle, known by the digest of its weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mnist_edge.bundle.folder import SHIPPED_TEACHERS, open_bundle
from mnist_edge.bundle.manifest import MANIFEST
from mnist_edge.errors import TrainingError
from mnist_edge.models import deployable, load_weights
from mnist_edge.recipes.train import TrainRecipe


def find_teacher(recipe: TrainRecipe, folder: Path | None = None) -> nn.Sequential | None:
    """The teacher that a recipe asks for, in evaluation mode and without gradients; None for none.

    Args:
        recipe: of the net that learns.
        folder: the teacher's bundle; by default the one that is shipped.

    Raises:
        TrainingError: the bundle is of other weights, or the shipped one is missing.
        BundleError, DigestMismatch, BadInput: the bundle is damaged.
    """
    if not recipe.taught:
        return None
    there = (path for path in SHIPPED_TEACHERS if (path / MANIFEST).is_file())
    path = folder or next(there, SHIPPED_TEACHERS[0])
    if folder or (path / MANIFEST).is_file():
        bundle = open_bundle(path)
        checkpoint, classes = bundle.manifest.origin, len(bundle.manifest.data.classes)
        if checkpoint.sha256 == recipe.teacher and classes != recipe.outputs:
            raise TrainingError(
                f"{path} tells {classes} classes apart, not {recipe.outputs}",
                fix="name a teacher of the same classes with --teacher FOLDER",
            )
        if checkpoint.sha256 == recipe.teacher:
            return deployable(load_weights(bundle.manifest.own_recipe, bundle.read(checkpoint)))
    raise TrainingError(
        f"the net that {recipe.name} learns from is not in {path}: "
        f"its weights have the SHA-256 {recipe.teacher[:12]}…",
        fix="name its bundle with mnist-edge train --teacher FOLDER",
    )
