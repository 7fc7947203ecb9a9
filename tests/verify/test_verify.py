"""The verdict on an artifact: the pure comparison, and the runs that feed it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from factory import make_bundle
from numpy.typing import NDArray
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, Reference
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import (
    BadInput,
    BundleError,
    DeviceUnavailable,
    DigestMismatch,
    MissingDependency,
    UsageError,
)
from mnist_edge.formats import FORMATS
from mnist_edge.formats.export import prove_rebuildable
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.parity import compare
from mnist_edge.formats.running import is_batch_invariant, run_in_batches
from mnist_edge.formats.tolerances import INT8_TOLERANCE, Tolerance
from mnist_edge.recipes.terms import Device
from mnist_edge.verify.report import VerifyReport
from mnist_edge.verify.session import verify

pytestmark = pytest.mark.edge

FLOAT32 = Tolerance(max_abs_error=1e-4)


def named(labels: NDArray[np.int64], *, margin: float = 8.0) -> NDArray[np.float64]:
    """Logits (N, 10) that name each label by this margin."""
    return margin * np.eye(10)[labels]


LABELS = np.arange(1000) % 10
EXACT = named(LABELS)


# --- compare ------------------------------------------------------------------------------------


def test_equal_logits_pass() -> None:
    parity = compare(EXACT.astype(np.float32), EXACT, LABELS, FLOAT32)
    assert (parity.passed, parity.reason, parity.flips) == (True, "", ())
    assert (parity.images, parity.max_abs_error, parity.sqnr_db) == (1000, 0.0, 320.0)
    assert (parity.accuracy, parity.reference_accuracy) == (1.0, 1.0)


@pytest.mark.parametrize(("error", "passed"), [(0.9e-4, True), (1.1e-4, False)])
def test_the_largest_error_of_any_logit_is_gated(error: float, passed: bool) -> None:
    candidate = EXACT.astype(np.float32)
    candidate[617, 4] -= error
    parity = compare(candidate, EXACT, LABELS, FLOAT32)
    assert parity.passed is passed
    assert parity.max_abs_error == pytest.approx(error, rel=0.01)
    assert ("largest error" in parity.reason) is not passed


def test_the_error_is_taken_against_double_precision() -> None:
    exact = named(LABELS, margin=1 / 3)
    parity = compare(exact.astype(np.float32), exact, LABELS, FLOAT32)
    assert parity.max_abs_error == abs(float(np.float32(1 / 3)) - 1 / 3)


def test_changed_answers_are_listed_and_fail() -> None:
    candidate = named(LABELS).astype(np.float32)
    candidate[[3, 250]] = named(np.array([0, 5])).astype(np.float32)
    parity = compare(candidate, EXACT, LABELS, FLOAT32)
    assert parity.flips == (3, 250)
    assert not parity.passed
    assert parity.accuracy == 0.998
    assert "2 of 1000 answers changed" in parity.reason


def test_an_answer_may_change_where_two_classes_lie_within_twice_the_tolerance() -> None:
    exact = EXACT.copy()
    exact[7, 2] = exact[7, 7] - 1e-5
    candidate = exact.astype(np.float32)
    candidate[7, 2] += 5e-5
    parity = compare(candidate, exact, LABELS, FLOAT32)
    assert parity.passed
    assert parity.flips == (7,)
    assert parity.accuracy == 0.999


def test_without_a_tolerance_no_answer_may_change() -> None:
    exact = EXACT.copy()
    exact[7, 2] = exact[7, 7] - 1e-5
    candidate = exact.astype(np.float32)
    candidate[7, 2] += 5e-5
    assert not compare(candidate, exact, LABELS, Tolerance()).passed


@pytest.mark.parametrize(
    ("images", "lost", "passed"),
    [(10_000, 10, True), (10_000, 11, False), (500, 0, True), (500, 1, True), (500, 2, False)],
)
def test_int8_may_lose_a_tenth_of_a_point_or_one_digit_of_a_small_sample(
    images: int, lost: int, passed: bool
) -> None:
    labels = np.arange(images) % 10
    answers = labels.copy()
    answers[:lost] = (answers[:lost] + 1) % 10
    parity = compare(named(answers).astype(np.float32), named(labels), labels, INT8_TOLERANCE)
    assert parity.flips == tuple(range(lost))
    assert parity.passed is passed
    assert ("accuracy fell by" in parity.reason) is not passed


def test_int8_that_gains_accuracy_passes() -> None:
    wrong = LABELS.copy()
    wrong[:5] = 9 - wrong[:5]
    parity = compare(EXACT.astype(np.float32), named(wrong), LABELS, INT8_TOLERANCE)
    assert parity.accuracy > parity.reference_accuracy
    assert parity.passed


def test_noise_over_the_signal_fails_even_where_no_answer_changes() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, EXACT.shape)
    parity = compare((EXACT + noise).astype(np.float32), EXACT, LABELS, INT8_TOLERANCE)
    assert parity.flips == ()
    assert not parity.passed
    assert "SQNR" in parity.reason


def test_all_reasons_are_given() -> None:
    shuffled = np.roll(EXACT, 1, axis=1).astype(np.float32)
    parity = compare(shuffled, EXACT, LABELS, replace(FLOAT32, min_sqnr_db=20.0))
    assert parity.reason.count("; ") == 2


@pytest.mark.parametrize(
    "candidate",
    [
        EXACT[:5].astype(np.float32),
        EXACT.astype(np.float32)[:, :9],
        EXACT,
        np.full(EXACT.shape, np.nan, np.float32),
    ],
)
def test_logits_of_another_shape_or_without_a_value_are_no_comparison(candidate: Logits) -> None:
    with pytest.raises(BadInput):
        compare(candidate, EXACT, LABELS, FLOAT32)


def test_the_gates_are_those_of_the_method() -> None:
    assert FORMATS["torchscript"].gate("float32").max_abs_error == 1e-5
    assert FORMATS["onnx"].gate("float32").max_abs_error == 1e-4
    assert FORMATS["torchscript"].gate("float32", "cuda").max_abs_error == 1e-4
    assert FORMATS["onnx"].gate("int8-dynamic", "cuda").accuracy_drop == 0.10


def test_the_float32_error_of_the_checkpoint_itself_is_no_fault_of_an_export() -> None:
    noise = 1.4e-5  # larger than the constant: a faithful TorchScript file is as far off
    assert FORMATS["torchscript"].gate("float32", float32_error=noise).max_abs_error == 2.4e-5
    assert FORMATS["onnx"].gate("float32", "cuda", float32_error=noise).max_abs_error > 1e-4
    assert FORMATS["onnx"].gate("float16", float32_error=noise) == FORMATS["onnx"].gate("float16")


# --- is_batch_invariant -------------------------------------------------------------------------


class Stub:
    """A backend whose logits are a function of the whole batch."""

    name, version = "stub", "1"
    device: Device = "cpu"

    def __init__(self, flaw: str = "") -> None:
        self.flaw = flaw
        self.sizes: list[int] = []

    def run(self, images: Images) -> Logits:
        self.sizes.append(len(images))
        logits = (images.reshape(len(images), 28 * 28) @ weight_matrix()).astype(np.float32)
        match self.flaw:
            case "size":
                logits += np.float32(1e-3) * (len(images) == 33)
            case "order":
                logits += np.float32(1e-3) * np.arange(len(images), dtype=np.float32)[:, None]
            case "scale of the batch":
                logits += np.float32(0.01) * images.max()
            case "rounding":
                logits *= np.float32(1 + 1e-6 * len(images) / 64)
        return logits

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("flaw", "invariant"),
    [("", True), ("rounding", True), ("size", False), ("order", False)],
)
def test_batch_invariance_sees_size_and_order_but_not_rounding(flaw: str, invariant: bool) -> None:
    images = np.random.default_rng(0).random((70, 1, 28, 28), dtype=np.float32)
    assert is_batch_invariant(Stub(flaw), images) is invariant


def test_batch_invariance_sees_a_scale_that_only_an_extreme_picture_moves() -> None:
    dim = np.full((64, 1, 28, 28), 0.5, np.float32)
    assert not is_batch_invariant(Stub("scale of the batch"), dim)


def test_batch_invariance_can_be_told_from_a_single_image() -> None:
    image = np.full((1, 1, 28, 28), 0.5, np.float32)
    assert is_batch_invariant(Stub(), image)
    assert not is_batch_invariant(Stub("scale of the batch"), image)


def test_any_number_of_images_runs_in_batches_in_order() -> None:
    images = np.random.default_rng(0).random((10, 1, 28, 28), dtype=np.float32)
    stub, counts = Stub(), list[int]()
    logits = run_in_batches(stub, images, 4, on_batch=counts.append)
    assert stub.sizes == counts == [4, 4, 2]
    np.testing.assert_array_equal(logits, Stub().run(images))
    assert run_in_batches(stub, images[:0], 4).shape == (0, 10)


# --- verify -------------------------------------------------------------------------------------


def reference(count: int = 20) -> Reference:
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
    logits = to_images(images).reshape(count, -1).astype(np.float64) @ weight_matrix()
    return Reference(images=images, labels=logits.argmax(axis=1), logits=logits)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Of one good artifact; its checkpoint is no model."""
    return make_bundle(tmp_path / "b", {"onnx-float32": tiny_onnx()}, reference=reference())


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("checkpoint", "torchscript"):
        monkeypatch.delitem(sys.modules, f"mnist_edge.formats.{module}.run", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)


def test_an_artifact_that_gives_the_reference_is_equivalent(bundle: Bundle) -> None:
    report = verify(bundle, artifacts=("onnx-float32",))
    (row,) = report.rows
    assert (row.status, row.reason, row.source) == ("equivalent", "", "reference")
    assert row.backend == f"onnxruntime {onnxruntime.__version__}"
    assert row.batch_invariant is True
    assert row.parity is not None
    assert row.parity.images == 20
    assert 0 < row.parity.max_abs_error < 1e-4
    assert report.passed


def test_the_report_says_what_was_compared_where(bundle: Bundle) -> None:
    report = verify(bundle, artifacts=("onnx-float32",), threads=2)
    assert (report.bundle, report.data, report.device, report.threads) == ("b", "", "cpu", 2)
    assert report.versions["onnxruntime"]
    assert report.machine.usable_threads >= 1
    assert report.float32_error == bundle.artifact("checkpoint-float32").parity.max_abs_error
    assert codec.loads(VerifyReport, codec.dumps(report)) == report


def test_an_artifact_of_other_weights_differs_and_the_others_are_still_checked(
    tmp_path: Path,
) -> None:
    files = {
        "onnx-float32": tiny_onnx(weight_matrix() + np.float32(1e-3)),
        "onnx-int8-dynamic": tiny_onnx(),
    }
    bundle = make_bundle(tmp_path / "b", files, reference=reference())
    report = verify(bundle, artifacts=tuple(files))
    assert [row.status for row in report.rows] == ["differs", "equivalent"]
    assert "largest error" in report.rows[0].reason
    assert not report.passed


def test_an_artifact_that_is_no_model_differs(tmp_path: Path) -> None:
    files = {"onnx-float32": tiny_onnx(), "onnx-int8-dynamic": b"no model"}
    bundle = make_bundle(tmp_path / "b", files, reference=reference())
    report = verify(bundle, artifacts=tuple(files))
    assert [row.status for row in report.rows] == ["equivalent", "differs"]
    assert "not an ONNX file" in report.rows[1].reason
    assert report.rows[1].parity is None
    assert not report.passed


@pytest.mark.usefixtures("without_torch")
def test_what_needs_torch_is_not_checked_without_it(bundle: Bundle) -> None:
    report = verify(bundle)
    assert [(row.artifact, row.status) for row in report.rows] == [
        ("checkpoint-float32", "not checked"),
        ("onnx-float32", "equivalent"),
    ]
    assert "torch is not installed" in report.rows[0].reason
    assert "pip install" in report.rows[0].reason
    assert report.passed


@pytest.mark.usefixtures("without_torch")
def test_a_device_that_is_not_there_is_told_before_a_package_that_is_not(bundle: Bundle) -> None:
    with pytest.raises(DeviceUnavailable, match="mps"):
        verify(bundle, device="mps")


@pytest.mark.usefixtures("without_torch")
def test_nothing_is_said_to_be_the_same_bytes_where_it_cannot_be_made_again(
    bundle: Bundle,
) -> None:
    with pytest.raises(MissingDependency, match="torch"):
        prove_rebuildable(bundle)


@pytest.mark.usefixtures("without_torch")
def test_the_test_set_is_not_checked_without_the_checkpoint(bundle: Bundle) -> None:
    report = verify(bundle, data=small_data(), artifacts=("onnx-float32",))
    assert [(row.source, row.status) for row in report.rows] == [
        ("reference", "equivalent"),
        ("test set", "not checked"),
    ]


@pytest.mark.usefixtures("without_torch")
def test_a_verification_that_could_check_nothing_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(MissingDependency, match="torch"):
        verify(bundle, artifacts=("checkpoint-float32",))


def test_a_device_that_nothing_can_use_is_an_error(bundle: Bundle) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    with pytest.raises(DeviceUnavailable, match="cuda"):
        verify(bundle, artifacts=("onnx-float32",), device="cuda")


def test_an_unknown_artifact_is_a_usage_error(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="onnx-float33"):
        verify(bundle, artifacts=("onnx-float33",))


@pytest.mark.parametrize("file", ["onnx-float32.onnx", "checkpoint.safetensors", "history.json"])
def test_one_flipped_bit_anywhere_is_refused(bundle: Bundle, file: str) -> None:
    path = bundle.path / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestMismatch, match=file):
        verify(bundle, artifacts=("onnx-float32",))


def test_a_missing_file_is_refused(bundle: Bundle) -> None:
    (bundle.path / "reference.npz").unlink()
    with pytest.raises(BundleError, match=r"reference\.npz is not here"):
        verify(bundle)


def test_progress_rises_to_its_total(bundle: Bundle) -> None:
    calls: list[tuple[int, int]] = []
    verify(
        bundle,
        artifacts=("onnx-float32",),
        progress=lambda done, total, note="": calls.append((done, total)),
    )
    assert {total for _, total in calls} == {20}
    assert calls == sorted(calls)
    assert calls[-1] == (20, 20)


def test_an_artifact_whose_answers_depend_on_the_batch_is_run_as_it_is_deployed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = OrtBackend.run

    def depends_on_the_batch(backend: OrtBackend, images: Images) -> Logits:
        sizes.append(len(images))
        return real(backend, images) + np.float32(0.01 * (len(images) - 1))

    monkeypatch.setattr(OrtBackend, "run", depends_on_the_batch)
    (row,) = verify(bundle, artifacts=("onnx-float32",)).rows
    assert row.batch_invariant is False
    assert row.status == "equivalent"
    assert sizes[-20:] == [1] * 20


def test_the_test_set_is_judged_by_the_checkpoint_in_double_precision(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import exported

    from mnist_edge.formats.checkpoint.run import float64_logits

    data = small_data()
    logits = float64_logits(exported.model(), to_images(data.test_images))
    few = Reference(images=data.test_images[:10], labels=data.test_labels[:10], logits=logits[:10])
    files = {
        f"{format_}-{precision}": exported.artifact(format_, precision)
        for format_, precision in exported.PAIRS
        if not FORMATS[format_].absent() and not FORMATS[format_].needs
    }
    bundle = make_bundle(
        tmp_path / "b",
        files,
        weights=exported.artifact("checkpoint", "float32"),
        reference=few,
    )
    calls: list[int] = []
    report = verify(bundle, data=data, progress=lambda done, total, note="": calls.append(done))
    assert [(row.artifact, row.source) for row in report.rows] == [
        (artifact, source)
        for artifact in ("checkpoint-float32", *files)
        for source in ("reference", "test set")
    ]
    for row in report.rows:
        assert row.parity is not None
        assert row.parity.images == (10 if row.source == "reference" else 30)
        assert row.parity.reference_accuracy == pytest.approx(
            np.mean(logits.argmax(1)[: row.parity.images] == data.test_labels[: row.parity.images])
        )
        assert row.batch_invariant is ("int8-dynamic" not in row.artifact)
        if "float32" in row.artifact:
            assert row.status == "equivalent"
            assert 0 < row.parity.max_abs_error < 1e-5
    assert report.data == f"rendered sha256:{data.sha256}"
    assert calls == sorted(calls)
    assert calls[-1] == 30 + len({row.artifact for row in report.rows}) * (10 + 30)


def small_data() -> DataSet:
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (30, 28, 28), np.uint8), np.arange(30) % 10
    return DataSet(
        name="rendered",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )
