"""The verdict on quantization: what is measured, what is said of it, where it is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factory import make_artifact, make_bundle, read_all
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge.bench.quantization import advise, families, record_verdict, weigh
from mnist_edge.bench.session import bench
from mnist_edge.bundle.folder import Bundle, Reference, open_bundle
from mnist_edge.bundle.quantization import FILE, Pace, Verdict, read_verdict
from mnist_edge.contract import to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.render.table import terminal
from mnist_edge.render.verify import quantization_table
from mnist_edge.stats import Interval

pytestmark = pytest.mark.edge

SHORT = BenchRecipe(
    processes=1,
    warmup_s=0.0,
    warmup_runs=1,
    duration_s=0.01,
    min_runs=20,
    batch_sizes=(),
    rates=(),
)
FILES = {"onnx-float32": tiny_onnx(), "onnx-int8": tiny_onnx(weight_matrix() * np.float32(1.001))}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "b", FILES, reference=reference())


def reference() -> Reference:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    logits = to_images(images).reshape(20, -1).astype(np.float64) @ weight_matrix()
    return Reference(images=images, labels=logits.argmax(axis=1), logits=logits)


def weighed(bundle: Bundle) -> Verdict:
    verdict = weigh(bundle, recipe=SHORT)
    assert verdict is not None
    return verdict


def keep(bundle: Bundle, verdict: Verdict) -> None:
    record_verdict(bundle, verdict)


def around(value: float) -> Interval:
    return Interval(value=value, low=0.9 * value, high=1.1 * value)


@pytest.mark.parametrize(
    ("size", "change", "latency", "pace", "said"),
    [
        (0.25, 0.0, 4.0, "slower", "4.0× smaller, but 4.0× slower here, +0.00: keep float32"),
        (0.25, 0.0, 0.5, "faster", "4.0× smaller, and 2.0× faster here, +0.00: use int8"),
        (0.25, 0.0, 0.98, "faster", "and 2% faster here, +0.00: use int8"),
        (0.25, 0.0, 1.03, "slower", "but 3% slower here, +0.00: keep float32"),
        (0.5, 0.0, 1.0, "indistinguishable", "no faster here, +0.00: use int8 where bytes count"),
        (
            1.1,
            0.0,
            1.0,
            "indistinguishable",
            "and no faster here, +0.00: keep float32",
        ),
        (0.25, -0.002, 0.5, "faster", "-0.20: it loses too many answers: keep float32"),
    ],
)
def test_the_advice_weighs_bytes_accuracy_and_latency(
    size: float, change: float, latency: float, pace: Pace, said: str
) -> None:
    artifact = make_artifact("onnx-int8", b"", "0" * 64)
    told = f"{100 * change:+.2f}"
    sentence = advise(artifact, size, around(change), around(latency), pace, told=told)
    assert sentence.endswith(said)


def test_an_artifact_that_failed_its_gate_is_never_advised() -> None:
    artifact = make_artifact("onnx-int8", b"", "0" * 64, passed=False)
    sentence = advise(artifact, 0.2, around(0.0), around(0.5), "faster", told="")
    assert sentence.endswith("keep float32")


def test_only_formats_of_several_precisions_are_weighed(tmp_path: Path) -> None:
    artifacts = [
        make_artifact(name, b"", "0" * 64)
        for name in ("onnx-int8", "onnx-float32", "torchscript-float32", "ort-int8")
    ]
    (family,) = families(artifacts)
    assert [artifact.name for artifact in family] == ["onnx-float32", "onnx-int8"]
    assert weigh(make_bundle(tmp_path / "b", {"onnx-float32": tiny_onnx()})) is None


def test_the_verdict_is_kept_in_the_bundle_beside_unchanged_artifacts(bundle: Bundle) -> None:
    before = bundle.manifest.artifacts
    verdict = weighed(bundle)
    assert [row.artifact for row in verdict.rows] == ["onnx-float32", "onnx-int8"]
    assert verdict.rows[0].advice == ""
    assert verdict.rows[1].advice
    assert verdict.rows[1].latency_s is not None
    assert verdict.machine.processor
    keep(bundle, verdict)
    saved = read_all(bundle.path)
    assert saved.manifest.artifacts == before
    assert read_verdict(saved) == verdict
    keep(saved, replace(verdict, threads=2))
    again = read_verdict(read_all(bundle.path))
    assert again is not None
    assert again.threads == 2


def test_what_is_known_of_the_reference_alone_is_counted(bundle: Bundle) -> None:
    verdict = weighed(bundle)
    table = terminal(quantization_table(verdict, DIGITS))
    assert "20 of 20" in table
    assert "+0 right of 20 reference pictures: " in table
    assert "100.00%" not in table
    assert "accuracy +" not in table
    images, labels = reference().images, reference().labels
    data = DataSet(
        name="rendered",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )
    tested = weigh(bundle, data=data, recipe=SHORT)
    assert tested is not None
    assert "100.00%" in terminal(quantization_table(tested, DIGITS))
    assert "accuracy +0.00 points" in tested.rows[1].advice


def test_a_verdict_on_other_files_is_not_shown(bundle: Bundle) -> None:
    keep(bundle, weighed(bundle))
    saved = open_bundle(bundle.path)
    others = replace(saved.artifact("onnx-int8"), sha256="1" * 64)
    assert read_verdict(saved.with_artifacts((others,))) is None


def test_a_verdict_that_somebody_else_wrote_stays(bundle: Bundle) -> None:
    (bundle.path / FILE).write_text("mine")
    keep(bundle, weighed(bundle))
    assert (bundle.path / FILE).read_text() == "mine"
    assert read_verdict(open_bundle(bundle.path)) is None


def test_what_was_not_measured_gets_no_latency(bundle: Bundle) -> None:
    verdict = weigh(
        bundle,
        recipe=SHORT,
        measure=lambda *args, **options: replace(bench(*args, **options), rows=(), verdicts=()),
    )
    assert verdict is not None
    assert verdict.rows[1].pace == "not measured"
    assert "unknown latency" in verdict.rows[1].advice
