"""What was measured of each named recipe, as benchmarks/tables.py writes it.

A figure belongs to a recipe to the last field: where the recipe has changed, it is not shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path

from mnist_edge.bundle import codec
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.train import Augmentation, TrainRecipe

FIGURES = Path(__file__).with_name("figures.json")

# The distortions of the first digests, which told them at their defaults, too.
_ALWAYS_TOLD = ("shift_px", "rotation_deg", "scale", "shear", "thickness", "anneal")


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Share of MNIST's test set classified correctly after the last step, 0 to 1, over `n` seeds.

    `sd` is the sample standard deviation, 0 for a single run.
    """

    mean: float
    sd: float
    low: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One artifact, one digit, one thread: median, and its size on disk."""

    p50_s: float
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Latency(Timed):
    """Of the float32 ONNX artifact; `others` are those of the same run, by artifact."""

    processor: str
    others: dict[str, Timed] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One recipe's.

    `train_s` is the mean wall time of a training on `processor`, over the `train_n` that had the
    machine to themselves; where none had, `train_n` is 0 and the mean is that of all.
    """

    recipe: str
    digest: str
    parameters: int
    multiply_adds: int
    accuracy: Accuracy
    train_s: float
    train_n: int = 0
    threads: int
    processor: str
    latency: Latency | None = None


def recipe_digest(recipe: TrainRecipe) -> str:
    """Names what a training does, whatever its seed and claim.

    Fields at their default are left out, so that a field added later changes no digest. When an
    answer is rejected is decided after it.
    """
    named = replace(recipe, seed=0, claim=None, reject_below=0.0, reject_temperature=1.0)
    told = {**_told(named, ()), "augmentation": _told(named.augmentation, _ALWAYS_TOLD)}
    return hashlib.sha256(codec.dumps(told).encode()).hexdigest()[:16]


def _told(asked: TrainRecipe | Augmentation, always: tuple[str, ...]) -> dict[str, object]:
    return {
        known.name: getattr(asked, known.name)
        for known in fields(asked)
        if known.name in always
        or known.default is MISSING
        or getattr(asked, known.name) != known.default
    }


def load_figures() -> tuple[Figures, ...]:
    """All that was measured; empty where the package carries none."""
    if not FIGURES.exists():
        return ()
    return codec.loads(tuple[Figures, ...], FIGURES.read_text(encoding="utf-8"))


def figures_of(recipe: TrainRecipe) -> Figures | None:
    """What was measured of this very recipe."""
    digest = recipe_digest(recipe)
    return next((figures for figures in load_figures() if figures.digest == digest), None)


def expected_training(recipe: TrainRecipe) -> tuple[Figures, float] | None:
    """The published results of the named recipe, and its time scaled by epochs, in seconds.

    None where something else that costs time was changed.
    """
    named = RECIPES.get(recipe.name)
    figures = figures_of(named) if named else None
    if named is None or figures is None or _costs(recipe) != _costs(named):
        return None
    return figures, figures.train_s * recipe.epochs / named.epochs


def _costs(recipe: TrainRecipe) -> tuple[object, ...]:
    """What the time of an epoch depends on."""
    return (
        (recipe.architecture, recipe.widths, recipe.batch_size, recipe.skip_easy),
        (recipe.strokes, recipe.symbols, recipe.taught, recipe.augmentation.active),
    )
