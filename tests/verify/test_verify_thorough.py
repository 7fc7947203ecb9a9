"""What the thorough verification adds: decisions, the matrix of settings, and the sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, Reference
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.render import verify as verify_page
from mnist_edge.render.table import terminal
from mnist_edge.verify.decisions import decide
from mnist_edge.verify.thorough import ThoroughReport, verify_thoroughly

pytestmark = pytest.mark.edge

LABELS = np.arange(1000) % 10
EXACT = 8.0 * np.eye(10)[LABELS]


def reference(count: int = 70) -> Reference:
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
    logits = to_images(images).reshape(count, -1).astype(np.float64) @ weight_matrix()
    return Reference(images=images, labels=logits.argmax(axis=1), logits=logits)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "b", {"onnx-float32": tiny_onnx()}, reference=reference())


@pytest.fixture(autouse=True)
def checkpoint_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is the weight matrix."""
    monkeypatch.setattr(
        "mnist_edge.verify.matrix.reference_logits",
        lambda bundle, images: images.reshape(len(images), -1).astype(np.float64) @ weight_matrix(),
    )


def checked(bundle: Bundle) -> ThoroughReport:
    return verify_thoroughly(bundle, artifacts=("onnx-float32",))


# --- decide -------------------------------------------------------------------------------------


def test_flips_come_with_both_answers_margin_and_error() -> None:
    candidate = EXACT.astype(np.float32)
    candidate[617, 4] = 9.5  # label 7
    decisions = decide(candidate, EXACT, LABELS)
    (flip,) = decisions.flips
    assert (flip.index, flip.label, flip.reference, flip.candidate) == (617, 7, 7, 4)
    assert (flip.margin, flip.error) == (8.0, 9.5)
    assert (decisions.lost, decisions.gained) == (1, 0)
    assert decisions.flip_rate.value == 0.001
    assert decisions.accuracy_change.value == -0.001
    assert decisions.loss_change > 0


def test_an_answer_that_leads_by_more_than_twice_the_largest_error_cannot_flip() -> None:
    exact = EXACT.copy()
    exact[:250] /= 8  # margins of 1
    candidate = exact.astype(np.float32)
    candidate[900, 3] += 0.49
    assert decide(candidate, exact, LABELS).cannot_flip == 1.0
    candidate[900, 3] += 0.02
    assert decide(candidate, exact, LABELS).cannot_flip == 0.75


def test_equal_logits_change_nothing() -> None:
    decisions = decide(EXACT.astype(np.float32), EXACT, LABELS)
    assert (decisions.flips, decisions.ulp, decisions.cosine) == ((), 0.0, 1.0)
    assert (decisions.calibration_change, decisions.loss_change) == (0.0, 0.0)
    assert decisions.p_value == 1.0
    assert decisions.flip_rate.high == pytest.approx(1 - 0.005**0.001)


# --- the matrix ---------------------------------------------------------------------------------


def test_every_batch_level_thread_count_and_kind_of_input_is_run(bundle: Bundle) -> None:
    (found,) = checked(bundle).artifacts
    assert found.status == "equivalent"
    assert found.matrix is not None
    settings = found.matrix.settings
    assert len(settings) == 6 * 4 * 2
    assert {setting.batch_size for setting in settings} == {1, 2, 3, 8, 37, 64}
    assert {s.optimization for s in settings} == {"none", "basic", "extended", "all"}
    assert {min(s.threads, 2) for s in settings} == {1, 2}
    kinds = {"digits", "black", "white", "one pixel", "noise"}
    assert all(set(setting.max_abs_errors) == kinds for setting in settings)
    assert found.matrix.repeatable
    assert found.matrix.any_input


def broken(monkeypatch: pytest.MonkeyPatch, flaw: str) -> None:
    real, runs = OrtBackend.run, [0]

    def run(backend: OrtBackend, images: Images) -> Logits:
        runs[0] += 1
        logits = real(backend, images)
        wrong = {
            "white": len(images) == 64 and bool(images.min() == 1),
            "batch": len(images) in (2, 37),
            "unsteady": runs[0] % 2 == 0,
        }[flaw]
        size = {"white": 1.0, "batch": 0.5, "unsteady": 1e-6}[flaw]
        return logits + np.float32(size * wrong)

    monkeypatch.setattr(OrtBackend, "run", run)


def test_an_error_on_white_pictures_alone_is_found(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, "white")
    report = checked(bundle)
    assert report.plain.passed
    assert not report.passed
    assert "white: largest error" in report.artifacts[0].faults[0]
    assert report.artifacts[0].sentence.startswith("do not ship: onnx-float32: 8 of 48 settings")


def test_a_batch_variant_artifact_is_judged_by_batches_of_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, "batch")
    (found,) = checked(bundle).artifacts
    assert found.status == "equivalent"
    assert found.sentence.startswith("may be shipped, one picture at a time: onnx-float32")
    assert found.matrix is not None
    worst = {s.batch_size: s.max_abs_errors["digits"] for s in found.matrix.settings}
    assert worst[2] > 0.4 > worst[1]


def test_runs_that_differ_by_a_bit_are_found(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, "unsteady")
    (found,) = checked(bundle).artifacts
    assert found.status == "differs"
    assert "the same run gave other logits" in found.faults


def test_an_artifact_of_other_weights_is_not_to_be_shipped(tmp_path: Path) -> None:
    files = {"onnx-float32": tiny_onnx(weight_matrix() + np.float32(1e-3))}
    bundle = make_bundle(tmp_path / "b", files, reference=reference())
    report = checked(bundle)
    assert not report.passed
    assert "reference: largest error" in report.artifacts[0].sentence


# --- the page -----------------------------------------------------------------------------------


def test_the_table_ends_in_a_sentence_for_each_artifact(bundle: Bundle) -> None:
    report = checked(bundle)
    last = terminal(verify_page.thorough_table(report)).splitlines()[-1]
    assert last.startswith("may be shipped: onnx-float32: not one answer changed in 70 pictures")
    assert codec.loads(ThoroughReport, codec.dumps(report)) == report


def test_the_page_lists_the_flips_and_the_worst_settings(bundle: Bundle) -> None:
    report = checked(bundle)
    candidate = EXACT.astype(np.float32)
    candidate[17, 4] = 9.5
    flipped = replace(report.artifacts[0], decisions=decide(candidate, EXACT, LABELS))
    report = replace(report, artifacts=(flipped,))
    page = verify_page.thorough_markdown(report, "flips.png")
    assert "| 17 | 7 | 7 | 4 | 8.0000 | 9.5000 |" in page
    assert "](flips.png)" in page
    assert "| onnx-float32 | one pixel |" in page
    pytest.importorskip("matplotlib")
    images = np.zeros((1000, 28, 28), np.uint8)
    png = verify_page.flip_picture(report, images)
    assert png is not None
    assert png.startswith(b"\x89PNG")
    assert verify_page.flip_picture(checked(bundle), images) is None
