"""One self-contained page on a bundle: how it was trained, what it gets wrong, what it exports.

`findings` is what its model makes of a set of digits, `content` what stands on the page, and
`pages` how one is put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, remedy
from mnist_edge.bundle.history import Epoch
from mnist_edge.contract import RawImages
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import BundleError
from mnist_edge.plots.classes import class_scores, confusion_matrix
from mnist_edge.plots.curves import training_curves
from mnist_edge.plots.digits import digit_grid
from mnist_edge.plots.tradeoff import RecipePoint, accuracy_against_latency, accuracy_against_size
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import Figures, figures_of
from mnist_edge.render.report.content import write_page
from mnist_edge.render.report.findings import Findings, examine
from mnist_edge.render.table import Table

# More errors than this are a model's, not a digit's: the page would only grow.
MOST_WRONG = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What is known of a bundle, as data, as pictures and as a page.

    Attributes:
        findings: the figures behind the pictures.
        pictures: PNG bytes by name, such as `confusion`.
        html: the page; it holds the pictures, and asks nobody for anything.
    """

    findings: Findings
    pictures: dict[str, bytes]
    html: str


def report(
    bundle: Bundle,
    *,
    data: DataSet | None = None,
    recipes: Sequence[RecipePoint] = (),
    grids: Sequence[tuple[str, Table]] = (),
    progress: Progress = silent,
) -> Report:
    """Examine a bundle and write its page.

    Args:
        bundle: the model is run through `onnx-float32` where the bundle has it and it was found
            equivalent, else through the checkpoint.
        data: its test set is examined; without it, the reference digits of the bundle are.
        recipes: to be compared in two more pictures, such as the `measured_recipes`.
        grids: titles and further tables, such as those of a benchmark.
        progress: in digits.

    Raises:
        BundleError: a file of the bundle is damaged or missing.
        MissingDependency: what runs the model is not installed.
    """
    findings, images = examine(bundle, data, progress=progress)
    history = _history(bundle)
    pictures = _draw(findings, images, history, recipes)
    html = write_page(bundle.manifest, findings, history, pictures, grids)
    return Report(findings=findings, pictures=pictures, html=html)


def measured_recipes() -> tuple[RecipePoint, ...]:
    """Every recipe of the catalogue that figures are shipped of."""
    found = ((recipe, figures_of(recipe)) for recipe in RECIPES.values())
    return tuple(_point(recipe, figures) for recipe, figures in found if figures)


def _point(recipe: TrainRecipe, figures: Figures) -> RecipePoint:
    claim = recipe.claim
    return RecipePoint(
        name=recipe.name,
        parameters=figures.parameters,
        accuracy_mean=figures.accuracy.mean,
        accuracy_sd=figures.accuracy.sd,
        n=figures.accuracy.n,
        latency_s=figures.latency.p50_s if figures.latency else None,
        claim_accuracy=claim.test_accuracy / 100 if claim and claim.test_accuracy else None,
    )


def _draw(
    findings: Findings,
    images: RawImages,
    history: Sequence[Epoch],
    recipes: Sequence[RecipePoint],
) -> dict[str, bytes]:
    pictures = {"training": training_curves(history)} if history else {}
    pictures["confusion"] = confusion_matrix(np.array(findings.confusion), findings.names)
    pictures["classes"] = class_scores(findings.classes, findings.names)
    if findings.wrong:
        pictures["wrong"] = digit_grid(findings.wrong[:MOST_WRONG], images, findings.names)
    pictures["samples"] = digit_grid(findings.samples, images, findings.names, columns=10)
    if recipes:
        pictures["accuracy-size"] = accuracy_against_size(recipes)
    if any(point.latency_s is not None for point in recipes):
        pictures["accuracy-latency"] = accuracy_against_latency(recipes)
    return pictures


def _history(bundle: Bundle) -> tuple[Epoch, ...]:
    """The course of the training; empty for a bundle that was made without one."""
    known = bundle.find_extra("history")
    if known is None:
        return ()
    try:
        return codec.loads(tuple[Epoch, ...], bundle.read(known).decode("utf-8"))
    except ValueError as error:
        raise BundleError(
            f"{bundle.path / known.file} is no history: {error}", fix=remedy(bundle.path, "train")
        ) from None
