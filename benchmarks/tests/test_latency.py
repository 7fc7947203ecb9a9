"""All artifacts of all recipes in one interleaved run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from benches import SHORT, FakeWorker, steady
from factory import make_bundle

pytest.importorskip("latency", reason="needs the benchmarks of a checkout")

import latency
from kept import kept_bundles
from latency import measure, one_a_recipe

from mnist_edge.bench.turn import Failure, Job
from mnist_edge.bundle.folder import Bundle
from mnist_edge.render.published import recipe_digest

pytestmark = pytest.mark.edge

SECONDS = {"onnx-float32": 20e-6, "onnx-int8": 30e-6, "c-float32": 10e-6}


def make_one(folder: Path, *, seed: int = 0, epochs: int = 1) -> Bundle:
    bundle = make_bundle(folder, artifacts={name: name.encode() for name in SECONDS})
    recipe = replace(bundle.manifest.own_recipe, seed=seed, epochs=epochs)
    return replace(bundle, manifest=replace(bundle.manifest, recipe=recipe))


def test_of_each_recipe_the_bundle_with_the_least_seed_is_measured(tmp_path: Path) -> None:
    bundles = [make_one(tmp_path / str(seed), seed=seed) for seed in (2, 0, 1)]
    other = make_one(tmp_path / "other", epochs=2, seed=5)
    chosen = one_a_recipe([*bundles, other])
    assert list(chosen.values()) == [bundles[1], other]
    assert list(chosen) == [recipe_digest(b.manifest.own_recipe) for b in chosen.values()]


def test_all_artifacts_of_all_recipes_share_one_interleaved_run(tmp_path: Path) -> None:
    bundles = {name: make_one(tmp_path / name) for name in ("first", "second")}
    started: list[tuple[str, str]] = []

    def start(job: Job) -> FakeWorker:
        started.append((job.bundle, job.subject.artifact))
        return FakeWorker(job, steady(SECONDS[job.subject.artifact]))

    rows = measure(bundles, SHORT, start)
    assert set(Counter(started).values()) == {SHORT.processes}
    assert len(set(started)) == 6
    figures = latency.latency(rows["second"], "chip")
    assert figures.p50_s == pytest.approx(20e-6, rel=0.01)
    assert figures.size_bytes == len(b"onnx-float32")
    assert {name: timed.p50_s for name, timed in figures.others.items()} == {
        "onnx-int8": pytest.approx(30e-6, rel=0.01),
        "c-float32": pytest.approx(10e-6, rel=0.01),
    }


def test_what_failed_is_told_of_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(job: Job) -> FakeWorker:
        lost = Failure(status="absent", reason="no compiler is here")
        opened = lost if job.subject.artifact == "c-float32" else None
        return FakeWorker(job, steady(2e-5), opened=opened)

    rows = measure({"one": make_one(tmp_path / "one")}, SHORT, start)
    assert list(rows["one"]) == ["onnx-float32", "onnx-int8"]
    assert (
        "c-float32: not measured, 9 bytes INVALID: no compiler is here" in capsys.readouterr().out
    )


def test_an_artifact_that_failed_parity_is_told_of_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_one(tmp_path / "one")
    wrong = replace(bundle.artifact("onnx-int8").parity, passed=False, reason="9 flips")
    artifacts = tuple(
        replace(known, parity=wrong) if known.name == "onnx-int8" else known
        for known in bundle.manifest.artifacts
    )
    bundle = replace(bundle, manifest=replace(bundle.manifest, artifacts=artifacts))
    rows = measure({"one": bundle}, SHORT, lambda job: FakeWorker(job, steady(2e-5)))
    assert list(rows["one"]) == ["onnx-float32", "c-float32"]
    assert "INVALID: it failed parity (9 flips)" in capsys.readouterr().out


def test_a_folder_without_bundles_ends_the_program_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no bundle")
    with pytest.raises(SystemExit, match=r"no bundle in .*; accuracy\.py --keep .* leaves them"):
        kept_bundles(tmp_path, "onnx")
