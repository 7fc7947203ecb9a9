"""What benchmarks/runtimes.py has before it measures, and what it makes of the answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the writers need it")
pytest.importorskip("prepared", reason="needs the benchmarks of a checkout")

import prepared
import runtimes
from benches import make_report, make_run
from factory import make_bundle, read_all
from prepared import prepare
from runtimes import Row

from mnist_edge.bench.rounds import Outcomes
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.surroundings import Watch
from mnist_edge.bench.turn import Failure
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.errors import NotEquivalent
from mnist_edge.recipes.export import ExportRecipe


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ExportRecipe]:
    """What was asked of the exporters, which refuse all."""
    recipes: list[ExportRecipe] = []

    def refuse(_: Bundle, recipe: ExportRecipe) -> tuple[Bundle, tuple[Artifact, ...]]:
        recipes.append(recipe)
        raise NotEquivalent("9 flips", fix="export it again")

    monkeypatch.setattr(prepared, "export_verified", refuse)
    return recipes


def make_named(folder: Path) -> Bundle:
    """A bundle of a recipe that is named as its folder."""
    bundle = make_bundle(folder, {"onnx-float32": b"graph"})
    recipe = replace(bundle.manifest.own_recipe, name=folder.name)
    return replace(bundle, manifest=replace(bundle.manifest, recipe=recipe))


def test_what_a_bundle_lacks_is_exported_into_a_copy(
    tmp_path: Path, asked: list[ExportRecipe]
) -> None:
    source = make_bundle(tmp_path / "source", {"onnx-float32": b"graph"})
    bundle, reasons = prepare(source.path, tmp_path / "kept", ("onnx-float32", "onnx-int8"))
    assert bundle.path.parent == tmp_path / "kept"
    assert bundle.path.name.startswith(f"{source.manifest.own_recipe.name}-")
    assert read_all(bundle.path).manifest == source.manifest
    assert [(known.formats, known.precisions) for known in asked] == [(("onnx",), ("int8",))]
    assert list(reasons) == ["onnx-int8"]
    assert reasons["onnx-int8"].startswith("9 flips")


def test_a_copy_is_found_again_and_other_weights_give_another(
    tmp_path: Path, asked: list[ExportRecipe]
) -> None:
    first = make_bundle(tmp_path / "first")
    other = make_bundle(tmp_path / "other", weights=b"other weights")
    copy, _ = prepare(first.path, tmp_path / "kept", ())
    (copy.path / "mark").touch()
    again, _ = prepare(first.path, tmp_path / "kept", ())
    assert (again.path / "mark").exists()
    assert prepare(other.path, tmp_path / "kept", ())[0].path != copy.path
    assert asked == []


def test_each_recipe_has_a_report_of_its_own_rows(tmp_path: Path) -> None:
    a, b = (make_named(tmp_path / name) for name in ("a", "b"))
    ours, absent = (Subject(artifact=name, device="cpu") for name in ("onnx-float32", "c-float32"))
    rows = {
        "a/onnx": Row(bundle=a, subject=ours),
        "b/onnx": Row(bundle=b, subject=ours),
        "b/c": Row(bundle=b, subject=absent),
    }
    runs = (make_run((2e-5,) * 700),)
    failure = Failure(status="absent", reason="no compiler is here")
    outcomes: Outcomes = {"a/onnx": runs, "b/onnx": runs, "b/c": failure}
    reports = runtimes.by_recipe(replace(make_report({}), rows=()), rows, outcomes, Watch())
    assert {name: [row.label for row in report.rows] for name, report in reports.items()} == {
        "a": ["onnx-float32/cpu"],
        "b": ["onnx-float32/cpu", "c-float32/cpu"],
    }
    assert reports["b"].rows[1].reason == "no compiler is here"
