"""What a manifest claims is held against the test set that it names: nothing is believed."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle
from numpy.typing import NDArray
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge import cli
from mnist_edge.bundle.folder import Bundle, Reference, open_bundle, save_bundle
from mnist_edge.bundle.manifest import DataRecord, Score, record
from mnist_edge.bundle.storage import pack_arrays
from mnist_edge.contract import Images, RawImages, to_images
from mnist_edge.data.mnist import DataSet, read_mnist
from mnist_edge.verify.claims import score_fault
from mnist_edge.verify.session import verify
from mnist_edge.verify.thorough import verify_thoroughly

edge = pytest.mark.edge
COUNT, REFERENCE = 400, 60
ONNX = ("onnx-float32",)
SHIPPED = Path(__file__).resolve().parents[2] / "exports/default"

# 1 and 7 exchanged
EXCHANGED = np.array([0, 7, 2, 3, 4, 5, 6, 1, 8, 9])


def answers(images: RawImages, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    return to_images(images).reshape(len(images), -1).astype(np.float64) @ weights


@pytest.fixture
def data() -> DataSet:
    """What the net of `weight_matrix` classifies correctly, but for the first digit."""
    images = np.random.default_rng(5).integers(0, 256, (COUNT, 28, 28), np.uint8)
    labels = answers(images, weight_matrix()).argmax(axis=1)
    labels[0] = (labels[0] + 1) % 10
    return DataSet(
        name="rendered",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )


def made_of(
    data: DataSet,
    folder: Path,
    *,
    weights: NDArray[np.float32] | None = None,
    labels: NDArray[np.int64] | None = None,
    claimed: float = 1 - 1 / COUNT,
) -> Bundle:
    """A bundle whose files agree with each other, whatever they claim of the data."""
    weights = weight_matrix() if weights is None else weights
    part = slice(1, 1 + REFERENCE)
    images = data.test_images[part]
    told = (data.test_labels if labels is None else labels)[part]
    reference = Reference(images=images, labels=told, logits=answers(images, weights))
    bundle = make_bundle(folder, {"onnx-float32": tiny_onnx(weights)}, reference=reference)
    manifest = replace(
        bundle.manifest,
        data=DataRecord(name="rendered", sha256=data.sha256, train_size=COUNT, test_size=COUNT),
        training=replace(bundle.manifest.training, test_accuracy=claimed),
    )
    return replace(bundle, manifest=manifest)


@pytest.fixture(params=["with its checkpoint", "without torch"])
def run_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The checkpoint runs, as the weights that the bundle was made of; or it cannot."""
    if request.param == "without torch":
        monkeypatch.delitem(sys.modules, "mnist_edge.formats.checkpoint.run", raising=False)
        monkeypatch.setitem(sys.modules, "torch", None)
        return "without torch"

    def of_the_bundle(bundle: Bundle, images: Images, **_: object) -> NDArray[np.float64]:
        weights = weight_matrix()
        exchanged = tiny_onnx(weights[:, EXCHANGED])
        if bundle.read(bundle.artifact("onnx-float32")) == exchanged:
            weights = weights[:, EXCHANGED]
        return images.reshape(len(images), -1).astype(np.float64) @ weights

    monkeypatch.setattr("mnist_edge.verify.session.reference_logits", of_the_bundle)
    return "with its checkpoint"


def statuses(bundle: Bundle, data: DataSet | None) -> dict[str, str]:
    report = verify(bundle, data=data, artifacts=ONNX)
    assert report.passed is all(row.status != "differs" for row in report.rows)
    return {row.source: row.status for row in report.rows}


@edge
def test_an_honest_bundle_is_equivalent(data: DataSet, tmp_path: Path, run_by: str) -> None:
    tested = "equivalent" if run_by == "with its checkpoint" else "not checked"
    bundle = made_of(data, tmp_path / "b")
    assert statuses(bundle, data) == {"reference": "equivalent", "test set": tested}


@edge
@pytest.mark.usefixtures("run_by")
def test_a_claim_that_the_net_does_not_reach_is_not_believed(data: DataSet, tmp_path: Path) -> None:
    bundle = made_of(data, tmp_path / "b", weights=weight_matrix()[:, EXCHANGED])
    report = verify(bundle, data=data, artifacts=ONNX)
    (tested,) = (row for row in report.rows if row.source == "test set")
    assert tested.status == "differs"
    assert "99.75% of the test set is claimed for checkpoint-float32, but" in tested.reason
    assert not report.passed


@edge
@pytest.mark.usefixtures("run_by")
def test_exchanged_classes_that_every_file_agrees_on_are_found(
    data: DataSet, tmp_path: Path
) -> None:
    weights, labels = weight_matrix()[:, EXCHANGED], EXCHANGED[data.test_labels]
    bundle = made_of(data, tmp_path / "b", weights=weights, labels=labels)
    assert statuses(bundle, None) == {"reference": "equivalent"}, "nothing at hand tells otherwise"
    assert statuses(bundle, data) == {"reference": "differs", "test set": "differs"}
    (artifact,) = verify_thoroughly(bundle, data=data, artifacts=ONNX).artifacts
    assert artifact.status == "differs"
    assert artifact.sentence.startswith("do not ship: onnx-float32: reference: ")


@edge
@pytest.mark.usefixtures("run_by")
def test_an_accuracy_that_is_claimed_of_one_artifact_must_be_its_own(
    data: DataSet, tmp_path: Path
) -> None:
    bundle = made_of(data, tmp_path / "b")
    for accuracy, status in ((1 - 1 / COUNT, None), (0.97, "differs")):
        (artifact,) = (bundle.artifact(name) for name in ONNX)
        scored = bundle.with_artifacts((replace(artifact, test_score=Score(accuracy, COUNT)),))
        assert statuses(scored, data)["test set"] in (status or ("equivalent", "not checked"))


@edge
def test_labels_of_the_reference_alone_that_are_exchanged_are_found_without_a_test_set(
    data: DataSet, tmp_path: Path
) -> None:
    bundle = made_of(data, tmp_path / "b")
    stored = bundle.reference()
    other = replace(stored, labels=np.roll(stored.labels, 1))
    packed = pack_arrays(asdict(other))
    forged = replace(bundle, manifest=replace(bundle.manifest, reference=record("r.npz", packed)))
    save_bundle(forged, {"r.npz": packed})
    report = verify(open_bundle(forged.path), artifacts=ONNX)
    assert report.rows[0].reason.endswith("of 60 reference pictures, where 60 are claimed")
    assert not report.passed


@edge
def test_reference_digits_with_other_labels_than_the_test_set_are_found(
    data: DataSet, tmp_path: Path, run_by: str
) -> None:
    labels = data.test_labels.copy()
    labels[5] = (labels[5] + 1) % 10
    bundle = made_of(data, tmp_path / "b", labels=labels)
    report = verify(bundle, data=data, artifacts=ONNX)
    assert "1 of 60 reference pictures have other labels" in report.rows[0].reason, run_by
    assert not report.passed


@edge
@pytest.mark.usefixtures("run_by")
def test_reference_digits_are_all_of_the_test_set_or_all_drawn(
    data: DataSet, tmp_path: Path
) -> None:
    honest = made_of(data, tmp_path / "b")
    for kept, fault in ((REFERENCE, ""), (1, "59 of 60 reference pictures are not in"), (0, "")):
        images = data.test_images.copy()
        images[1 + kept :, 0, 0] ^= 1
        other = replace(data, test_images=images)
        vars(other)["sha256"] = data.sha256  # passes for the one that is named
        row, _ = verify(honest, data=other, artifacts=ONNX).rows
        assert fault in row.reason
        assert bool(fault) is (row.status == "differs")


@edge
@pytest.mark.usefixtures("run_by")
def test_another_data_set_than_the_one_named_proves_nothing(data: DataSet, tmp_path: Path) -> None:
    weights = weight_matrix()[:, EXCHANGED]
    bundle = made_of(
        replace(data, train_labels=9 - data.train_labels), tmp_path / "b", weights=weights
    )
    assert "differs" not in statuses(bundle, data).values()


@edge
@pytest.mark.parametrize(
    ("right", "believed"),
    [(9_963, True), (9_958, True), (9_968, True), (9_957, False), (9_969, False)],
)
def test_a_checkpoint_may_miss_its_claim_by_5_of_10_000(
    data: DataSet, tmp_path: Path, right: int, believed: bool
) -> None:
    manifest = made_of(data, tmp_path / "b", claimed=0.9963).manifest
    fault = score_fault(
        manifest, manifest.artifact("checkpoint-float32"), Score(right / 10_000, 10_000)
    )
    assert (fault == "") is believed


@edge
@pytest.mark.parametrize(
    ("right", "believed"), [(9_948, True), (9_947, False), (9_990, True), (5_000, False)]
)
def test_an_int8_artifact_may_miss_the_claim_by_its_gate_as_well(
    data: DataSet, tmp_path: Path, right: int, believed: bool
) -> None:
    manifest = made_of(data, tmp_path / "b", claimed=0.9963).manifest
    artifact = replace(manifest.artifact("onnx-float32"), name="onnx-int8", precision="int8")
    assert (score_fault(manifest, artifact, Score(right / 10_000, 10_000)) == "") is believed


# --- with the shipped net -----------------------------------------------------------------------


def exchanged_shipped_bundle(folder: Path, mnist: DataSet) -> Bundle:
    """The shipped net with 1 and 7 exchanged in every file, and every digest made to fit."""
    from torch import nn

    from mnist_edge.formats.export import export_verified
    from mnist_edge.models import load_weights
    from mnist_edge.recipes.export import ExportRecipe
    from mnist_edge.train.write import write_bundle

    shipped = open_bundle(SHIPPED)
    model = load_weights(
        shipped.manifest.own_recipe, shipped.read(shipped.artifact("checkpoint-float32"))
    )
    last = model[-1]
    assert isinstance(last, nn.Linear)
    for parameter in (last.weight, last.bias):
        parameter.data = parameter.data[EXCHANGED]
    labels = EXCHANGED[mnist.test_labels]
    few = slice(0, 2000)
    lying = replace(
        mnist,
        train_images=mnist.train_images[few],
        train_labels=EXCHANGED[mnist.train_labels[few]],
        test_labels=labels,
    )
    written = write_bundle(folder, shipped.manifest.own_recipe, lying, model)
    assert written.manifest.training.test_accuracy == shipped.manifest.training.test_accuracy
    exported, _ = export_verified(written, ExportRecipe(formats=("onnx",)))
    forged = replace(exported, manifest=replace(exported.manifest, data=shipped.manifest.data))
    save_bundle(forged, {})
    return forged


@pytest.mark.real_data
def test_exchanged_classes_are_not_equivalent_with_mnist_at_hand(
    mnist_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    bundle = exchanged_shipped_bundle(tmp_path / "forged", read_mnist(mnist_dir))
    assert verify(bundle).passed, "nothing but MNIST tells that it is wrong"
    words = ["verify", "--bundle", str(bundle.path), "--out", str(tmp_path / "report.json")]
    assert cli.main(words) == 1
    out, _ = capsys.readouterr()
    assert re.search(r"99\.\d\d% of the test set is claimed, but 7\d\.", out)
    assert "reference pictures have other labels than in the test set" in out
    assert "equivalent" not in out
