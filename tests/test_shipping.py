"""What is shipped of a trained bundle, on a small one."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import numpy as np
import ship as shipping
from factory import make_bundle, names, read_all
from ship import ship

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import MANIFEST
from mnist_edge.contract import Logits, to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import BundleError, NotEquivalent, UsageError
from mnist_edge.formats import load_backend
from mnist_edge.formats.export import export_verified
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.session import train_bundle

pytestmark = pytest.mark.slow

# Good enough at drawn digits that int8 loses none of them.
RECIPE = TrainRecipe(
    name="tiny",
    architecture="compact",
    widths=(8, 16),
    epochs=8,
    batch_size=32,
    learning_rate=0.01,
    strokes=1000,
    temperature=1.5,
    reject_below=0.3,
)


@pytest.fixture(scope="module")
def source(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("source") / "model"
    trained = train_bundle(RECIPE, digits, folder, device="cpu", threads=1)
    recipe = ExportRecipe(formats=("onnx", "torchscript"), precisions=("float32", "int8"))
    return export_verified(trained, recipe)[0]


@pytest.fixture(scope="module")
def shipped(source: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return ship(source, tmp_path_factory.mktemp("exports") / "default")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_is_whole_and_holds_nothing_more(shipped: Bundle) -> None:
    bundle = read_all(shipped.path)
    assert names(shipped.path) == {MANIFEST, *(known.file for known in bundle.manifest.records)}
    there = {artifact.name for artifact in bundle.manifest.artifacts}
    assert there == {"checkpoint-float32", "onnx-float32", "onnx-int8"}


def test_what_was_measured_stays(source: Bundle, shipped: Bundle) -> None:
    for field in ("recipe", "data", "training", "versions"):
        assert getattr(shipped.manifest, field) == getattr(source.manifest, field)
    assert "history.json" in names(shipped.path)


def test_no_digit_of_the_data_set_is_in_it(source: Bundle, shipped: Bundle) -> None:
    own = {image.tobytes() for image in shipped.reference().images}
    assert not own & {image.tobytes() for image in source.reference().images}
    assert not any("calibration" in name for name in names(shipped.path))


def test_the_same_weights_give_the_same_bytes(
    source: Bundle, shipped: Bundle, tmp_path: Path
) -> None:
    again = ship(source, tmp_path / "default")
    assert contents(again.path) == contents(shipped.path)


def logits(bundle: Bundle, artifact: str, data: DataSet) -> Logits:
    chosen = bundle.artifact(artifact)
    backend = load_backend(bundle.read(chosen), chosen.format, bundle.manifest.own_recipe)
    try:
        return backend.run(to_images(data.test_images))
    finally:
        backend.close()


@pytest.mark.parametrize("artifact", ["onnx-float32", "onnx-int8"])
def test_an_artifact_answers_as_the_sources(
    source: Bundle, shipped: Bundle, digits: DataSet, artifact: str
) -> None:
    # Of int8, too: its ranges are those of the training digits, not of the drawn ones.
    found = logits(shipped, artifact, digits)
    np.testing.assert_array_equal(found, logits(source, artifact, digits))


def test_an_older_one_is_replaced_as_a_whole(
    source: Bundle, shipped: Bundle, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "default", extras={"old.json": b"[]\n"})
    ship(source, tmp_path / "default")
    assert contents(tmp_path / "default") == contents(shipped.path)
    assert names(tmp_path) == {"default"}


def test_a_folder_that_is_no_bundle_stays(source: Bundle, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is no bundle"):
        ship(source, tmp_path)
    assert names(tmp_path) == {"thesis.txt"}


def test_a_failed_one_leaves_the_older_one(
    source: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(tmp_path / "default")
    before = contents(tmp_path / "default")

    def fail(*_: object, **__: object) -> None:
        raise NotEquivalent("int8 differs", fix="train another recipe")

    monkeypatch.setattr(shipping, "export_verified", fail)
    with pytest.raises(NotEquivalent):
        ship(source, tmp_path / "default")
    assert contents(tmp_path / "default") == before
    assert names(tmp_path) == {"default"}


def test_a_bundle_without_training_digits_cannot_be_shipped(
    shipped: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="no calibration digits"):
        ship(shipped, tmp_path / "default")
