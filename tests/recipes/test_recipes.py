from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast, get_args

import pytest
from factory import RECIPE

from mnist_edge.errors import UsageError
from mnist_edge.recipes.bench import BENCH_RECIPES, BenchRecipe
from mnist_edge.recipes.catalogue import DEFAULT_RECIPE, RECIPES, train_recipe
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import (
    DEFAULT_OPSET,
    OPSETS,
    Architecture,
    Format,
    Precision,
    unknown_name,
)
from mnist_edge.recipes.train import WIDTH_COUNTS, Augmentation

pytestmark = pytest.mark.edge

TRAIN_BOUNDS = {
    "epochs": (1, 10_000),
    "batch_size": (1, 60_000),
    "learning_rate": (1e-9, 100.0),
    "warmup": (0.0, 1.0),
    "weight_decay": (0.0, 10.0),
    "label_smoothing": (0.0, 0.9),
    "average": (0.0, 0.999999),
    "skip_easy": (0.0, 0.99),
    "strokes": (0, 1_000_000),
    "symbols": (0, 1_000_000),
    "temperature": (0.01, 100.0),
    "reject_below": (0.0, 1.0),
    "seed": (0, 2**32 - 1),
    "mean": (-1e6, 1e6),
    "std": (1e-6, 1e6),
}
AUGMENTATION_BOUNDS = {
    "shift_px": (0, 28),
    "rotation_deg": (0, 180),
    "scale": (0, 1),
    "shear": (0, 1),
    "elastic_px": (0, 28),
    "thickness": (0, 1),
    "anneal": (0, 1),
}
BENCH_BOUNDS = {
    "processes": (1, 1000),
    "warmup_s": (0, 3600),
    "warmup_runs": (0, 10**9),
    "duration_s": (0.01, 86400),
    "min_runs": (1, 10**9),
    "keep_samples": (1, 10**9),
    "sweep_s": (0, 3600),
    "sweep_runs": (1, 10**9),
    "threads": (1, 1024),
    "timeout_s": (1, 10**6),
}
BOUNDS = [
    (recipe, name, low, high)
    for recipe, table in (
        (RECIPE, TRAIN_BOUNDS),
        (Augmentation(), AUGMENTATION_BOUNDS),
        (BenchRecipe(), BENCH_BOUNDS),
    )
    for name, (low, high) in table.items()
]


def with_field(recipe: Any, name: str, value: object) -> Any:
    return replace(recipe, **{name: value})


@pytest.mark.parametrize(("recipe", "name", "low", "high"), BOUNDS)
def test_a_number_is_taken_up_to_its_bounds_and_refused_beyond(
    recipe: object, name: str, low: float, high: float
) -> None:
    for good in (low, high):
        assert getattr(with_field(recipe, name, good), name) == good
    bad = [low - abs(low) * 1e-6 - 1e-12, high * (1 + 1e-6), math.nan, math.inf, -math.inf]
    if isinstance(low, int):
        bad += [low - 1, high + 1, 10**400]
    for value in bad:
        with pytest.raises(UsageError) as caught:
            with_field(recipe, name, value)
        assert len(str(caught.value)) < 200


def test_the_error_names_the_option_as_it_is_typed() -> None:
    with pytest.raises(UsageError, match=r"--shift-px is 99, which is outside 0 to 28"):
        Augmentation(shift_px=99)


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_an_architecture_takes_its_own_number_of_widths(architecture: Architecture) -> None:
    counts = WIDTH_COUNTS[architecture]
    for count in range(7):
        widths = (8,) * count
        if count in counts:
            assert replace(RECIPE, architecture=architecture, widths=widths).widths == widths
        else:
            with pytest.raises(UsageError, match=f"has no use for {count} widths"):
                replace(RECIPE, architecture=architecture, widths=widths)


@pytest.mark.parametrize("width", [0, -1, 4097])
def test_a_width_out_of_range_is_refused(width: int) -> None:
    with pytest.raises(UsageError, match="--widths is"):
        replace(RECIPE, widths=(8, width))


@pytest.mark.parametrize("batch_size", [0, 60_001])
def test_a_bench_batch_out_of_range_is_refused(batch_size: int) -> None:
    with pytest.raises(UsageError, match="--batch-sizes is"):
        BenchRecipe(batch_sizes=(1, batch_size))


@pytest.mark.parametrize(
    ("field", "given", "nearest"),
    [
        ("architecture", "lenett", "lenet"),
        ("optimizer", "Adam", "adam"),
        ("schedule", "one-cycle", "onecycle"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(field: str, given: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"unknown {field} '{given}'; did you mean {nearest}[?]"):
        with_field(RECIPE, field, given)


def test_a_name_like_none_is_answered_with_all_of_them() -> None:
    error = unknown_name("recipe", "zzz\n" * 1000, ("quick", "full"))
    assert error.fix == "choose from quick, full"
    assert len(error.what) < 100


def test_train_recipe_finds_by_name_and_suggests() -> None:
    assert train_recipe(DEFAULT_RECIPE) is RECIPES[DEFAULT_RECIPE]
    with pytest.raises(UsageError, match=r"unknown recipe 'quik'; did you mean quick[?]"):
        train_recipe("quik")


def test_the_named_recipes_stand_under_their_names() -> None:
    assert all(name == recipe.name for name, recipe in RECIPES.items())
    assert replace(BENCH_RECIPES["default"], budget_s=0.0) == BenchRecipe()


def test_augmentation_knows_whether_it_does_anything() -> None:
    assert not Augmentation(anneal=0.5).active
    assert Augmentation(thickness=0.5).active
    assert not Augmentation(thickness=0.5).moves
    assert all(
        with_field(Augmentation(), name, 0.5).moves
        for name in ("shift_px", "rotation_deg", "scale", "shear", "elastic_px")
    )


@pytest.mark.parametrize(
    ("formats", "precisions", "message"),
    [
        (("onnx", "onxx"), ("float32",), "unknown format 'onxx'; did you mean onnx[?]"),
        (("checkpoint",), ("float32",), "unknown format 'checkpoint'"),
        (("onnx",), ("float32", "int-8"), "unknown precision 'int-8'; did you mean int8[?]"),
        ((), ("float32",), "nothing to export"),
    ],
)
def test_an_export_of_what_is_not_there_is_refused(
    formats: tuple[str, ...], precisions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ExportRecipe(
            formats=cast("tuple[Format, ...]", formats),
            precisions=cast("tuple[Precision, ...]", precisions),
        )


def test_opsets_outside_the_range_are_refused() -> None:
    assert DEFAULT_OPSET in OPSETS
    for opset in OPSETS:
        assert ExportRecipe(opset=opset).opset == opset
    for opset in (-1, OPSETS.start - 1, OPSETS.stop, 99):
        with pytest.raises(UsageError, match=f"opset {opset} is not supported"):
            ExportRecipe(opset=opset)
