"""The campaign of trainings: what is run, what is left out, and what each line says."""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accuracy", reason="needs the benchmarks of a checkout")

import accuracy
from conftest import digits as digits  # the fixture
from runs import TrainingRun, read_runs

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.data import obtain
from mnist_edge.data.mnist import DataSet
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import recipe_digest

RECIPE = TrainRecipe(
    name="tiny", architecture="compact", widths=(4, 8), epochs=1, batch_size=64, learning_rate=0.01
)


def make_options(**changes: object) -> argparse.Namespace:
    fields = {"seeds": 2, "device": "cpu", "jobs": 1, "threads": 1, "keep": None, "keep_all": False}
    return argparse.Namespace(**(fields | changes))


def make_run(recipe: str, seed: int, *, wrong: tuple[int, ...] | None = (1,)) -> TrainingRun:
    digest = recipe_digest(RECIPES[recipe])
    return replace(read_runs()[0], recipe=recipe, digest=digest, seed=seed, wrong=wrong)


def test_what_stands_with_its_digits_is_not_run_again() -> None:
    done = [make_run("quick", 0), make_run("sprint", 1, wrong=None)]
    assert accuracy.missing(["quick", "sprint"], make_options(), done) == [
        ("sprint", 0),
        ("quick", 1),
        ("sprint", 1),
    ]


def test_a_bundle_that_is_to_be_kept_and_is_not_there_is_a_reason_to_run(tmp_path: Path) -> None:
    done = [make_run("quick", seed) for seed in range(2)]
    (tmp_path / "quick").mkdir()
    assert accuracy.missing(["quick"], make_options(keep=tmp_path), done) == []
    everything = make_options(keep=tmp_path, keep_all=True)
    assert accuracy.missing(["quick"], everything, done) == [("quick", 1)]
    (tmp_path / "quick-1").mkdir()
    assert accuracy.missing(["quick"], everything, done) == []


def test_a_run_says_which_digits_its_final_weights_name_wrongly(
    digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obtain, "obtain_data", lambda *_: digits)
    run = accuracy.train(RECIPE, make_options(keep=tmp_path / "tiny", jobs=2))
    assert run.wrong is not None
    assert list(run.wrong) == sorted(set(run.wrong))
    assert run.accuracy == pytest.approx(1 - len(run.wrong) / len(digits.test_labels))
    kept = open_bundle(tmp_path / "tiny").manifest
    assert kept.training.test_accuracy == pytest.approx(run.accuracy)
    assert (run.jobs, run.timed_alone) == (2, False)
    assert json.loads(run.line)["wrong"] == list(run.wrong)


def test_a_training_that_fails_does_not_take_the_others_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(name: str, seed: int, options: argparse.Namespace) -> TrainingRun:
        if seed == 0:
            raise subprocess.CalledProcessError(2, "python")
        return make_run(name, seed)

    lines = tmp_path / "accuracy.jsonl"
    monkeypatch.setattr(accuracy, "RUNS", lines)
    monkeypatch.setattr(accuracy, "read_runs", list)
    monkeypatch.setattr(accuracy, "_run_apart", run)
    with pytest.raises(SystemExit) as ended:
        accuracy.campaign(make_options(recipes=["quick"], seeds=3, jobs=2))
    assert ended.value.code == 1
    assert {line.seed for line in read_runs(lines)} == {1, 2}
    assert "quick seed 0 ended with 2" in capsys.readouterr().err
