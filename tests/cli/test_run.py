"""`mnist-edge run`, and the verbs that need torch, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mnist_edge import cli
from mnist_edge.data.mnist import DataSet
from mnist_edge.formats.onnx import Onnx
from mnist_edge.recipes import bench as recipes
from mnist_edge.recipes import catalogue
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.train import TrainRecipe

RECIPE = TrainRecipe(
    name="quick",
    architecture="compact",
    widths=(8, 16),
    epochs=8,
    batch_size=32,
    learning_rate=0.02,
    schedule="onecycle",
)
BENCH = BenchRecipe(
    processes=1, warmup_s=0, warmup_runs=1, duration_s=0.01, min_runs=5, batch_sizes=(1,), sweep_s=0
)


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: DataSet) -> None:
    """Few digits, a small recipe, a short benchmark, and an empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(catalogue.RECIPES, "quick", RECIPE)
    monkeypatch.setitem(recipes.BENCH_RECIPES, "quick", BENCH)

    def obtain_data(*_: object, **__: object) -> DataSet:
        return digits

    monkeypatch.setattr("mnist_edge.data.obtain.obtain_data", obtain_data)


@pytest.mark.slow
def test_run_makes_proves_measures_and_uses_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["run", "--threads", "1"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "differs" not in out
    for name in (
        "manifest.json",
        "checkpoint.safetensors",
        "history.json",
        "training.png",
        "onnx-float32.onnx",
        "onnx-int8-dynamic.onnx",
        "torchscript-float32.pt",
        "torchscript-int8-dynamic.pt",
        "samples/7.png",
    ):
        path = Path("exports/model", name)
        assert path.is_file()
        assert str(path) in out, "the summary must name each file"
    assert len(list(Path("benchmarks").glob("model-*.json"))) == 2
    assert err.count("epoch ") >= RECIPE.epochs
    assert err.splitlines()[-1].startswith("next: mnist-edge predict exports/model/samples/7.png")


def test_train_then_export_tell_what_they_wrote_and_what_comes_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = ["--bundle", "a bundle"]
    assert cli.main(["train", "--threads", "1", "--epochs", "1", "--json", *bundle]) == 0
    out, err = capsys.readouterr()
    recipe = json.loads(out)["manifest"]["recipe"]
    assert (recipe["name"], recipe["epochs"]) == ("quick", 1)
    assert "next: mnist-edge export --bundle 'a bundle'" in err
    words = ["export", "--format", "onnx", "--allow-mismatch", *bundle]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert "onnx-float32" in out
    assert "torchscript" not in out
    assert "bundle:" not in err, "the bundle was given"


def test_an_artifact_that_is_not_equivalent_ends_export_with_code_1_unless_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["train", "--threads", "1", "--epochs", "1", "--quiet"])
    # Below 0, since the checkpoint's own float32 error, which is added, may be the larger one.
    monkeypatch.setattr(Onnx, "tolerance", replace(Onnx.tolerance, max_abs_error=-1.0))
    capsys.readouterr()
    assert cli.main(["export", "--format", "onnx", "--json"]) == 1
    out, _ = capsys.readouterr()
    assert json.loads(out)["error"]["kind"] == "NotEquivalent"
    assert not Path("exports/model/onnx-float32.onnx").exists()

    assert cli.main(["export", "--format", "onnx", "--allow-mismatch", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "onnx-float32.onnx" in out
    assert "differs" in out
    assert err.startswith("warning: onnx-float32 is not equivalent to the checkpoint, but kept: ")
    assert "--allow-mismatch" not in err
    assert Path("exports/model/onnx-float32.onnx").exists()
