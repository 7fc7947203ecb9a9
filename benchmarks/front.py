"""Accuracy over size and latency of every recipe, beside claims and published figures.

    python benchmarks/front.py

Drawn from mnist_edge/render/figures.json, so after tables.py, into benchmarks/results/front.png.
"""

from __future__ import annotations

from dataclasses import replace

from runs import RESULTS
from tiers import TIERS

from mnist_edge.bundle.storage import atomic_write
from mnist_edge.plots.tradeoff import RecipePoint, accuracy_front
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.render.report import measured_recipes

FIGURE = RESULTS / "front.png"

ANCHORS = tuple(
    RecipePoint(
        name=found.how,
        parameters=found.parameters,
        accuracy_mean=found.accuracy,
        kind="published",
    )
    for found in (tier.published for tier in TIERS.values())
    if found
)


def main() -> None:
    atomic_write(FIGURE, accuracy_front([*points(), *ANCHORS]))


def points() -> list[RecipePoint]:
    """The measured recipes, told apart into ours and those of other projects."""
    return [
        replace(point, kind="reproduced" if RECIPES[point.name].claim else "ours")
        for point in measured_recipes()
    ]


if __name__ == "__main__":
    main()
