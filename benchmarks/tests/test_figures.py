from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from factory import ROOT

from mnist_edge.bundle import codec
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.train import Augmentation, Claim
from mnist_edge.render import published as figures
from mnist_edge.render.published import Figures, figures_of, load_figures, recipe_digest

pytestmark = pytest.mark.edge


def test_a_digest_names_what_a_training_does() -> None:
    recipe = RECIPES["quick"]
    assert recipe_digest(recipe) == recipe_digest(replace(recipe, seed=7))
    assert recipe_digest(recipe) == recipe_digest(replace(recipe, claim=Claim(project="x")))
    assert recipe_digest(recipe) != recipe_digest(replace(recipe, epochs=3))
    assert recipe_digest(recipe) != recipe_digest(
        replace(recipe, augmentation=Augmentation(shift_px=0.25))
    )


def test_a_distortion_that_was_added_later_changes_no_digest() -> None:
    assert recipe_digest(RECIPES["quick"]) == "20a6be8d20356871"
    assert recipe_digest(RECIPES["wide"]) == "0145abbf126f5fc2"
    assert recipe_digest(
        replace(RECIPES["wide"], augmentation=Augmentation(elastic_px=0.5))
    ) != recipe_digest(RECIPES["wide"])


def test_figures_belong_to_the_recipe_to_the_last_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = load_figures()
    assert shipped
    path = tmp_path / "figures.json"
    recipe = RECIPES[shipped[0].recipe]
    old = replace(shipped[0], digest=recipe_digest(replace(recipe, epochs=999)))
    path.write_text(codec.dumps((old,)))
    monkeypatch.setattr(figures, "FIGURES", path)
    assert figures_of(recipe) is None


def test_a_package_without_figures_shows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FIGURES", tmp_path / "absent.json")
    assert load_figures() == ()
    assert figures_of(RECIPES["quick"]) is None


def test_every_recipe_was_measured() -> None:
    unmeasured = [name for name, recipe in RECIPES.items() if figures_of(recipe) is None]
    assert not unmeasured, f"run python benchmarks/accuracy.py {' '.join(unmeasured)}"


def test_the_figures_and_the_pages_are_those_of_the_benchmarks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails where a report in benchmarks/ is newer than what is shown of it."""
    if not (ROOT / "benchmarks").exists():
        pytest.skip("needs the benchmarks of a checkout")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import tables

    assert figures.FIGURES.read_text() == tables.figures_text(), "run python benchmarks/tables.py"
    shown = ""
    for page, wanted in tables.page_texts().items():
        assert page.read_text() == wanted, f"{page.name}: run python benchmarks/tables.py"
        shown += wanted
    for name in tables.tables():
        assert f"<!-- table: {name} -->" in shown


def test_the_mean_and_spread_are_those_of_the_runs() -> None:
    shown: Figures = next(f for f in load_figures() if f.recipe == "sprint")
    lines = (ROOT / "benchmarks" / "results" / "accuracy.jsonl").read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    mine = [run for run in runs if (run["digest"], run["device"]) == (shown.digest, "cpu")]
    accuracies = {run["seed"]: run["accuracy"] for run in mine}.values()  # the last of each seed
    assert shown.accuracy.n == len(accuracies)
    assert shown.accuracy.mean == pytest.approx(sum(accuracies) / len(accuracies))
    assert shown.accuracy.low == min(accuracies)
