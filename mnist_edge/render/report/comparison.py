"""The named recipes beside each other."""

from __future__ import annotations

from mnist_edge.plots import RecipePoint
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import Figures, figures_of


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
