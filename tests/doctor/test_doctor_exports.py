"""`doctor` and the model card on a bundle as `train` and `export` write it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import exported

from mnist_edge.bundle.card import FILE, model_card
from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.data.mnist import DataSet
from mnist_edge.doctor import examine
from mnist_edge.doctor.single import examine_file
from mnist_edge.errors import Untrusted
from mnist_edge.formats.export import export_verified
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.train.write import write_bundle


@pytest.fixture(scope="module")
def bundle(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("exported")
    written = write_bundle(folder, exported.RECIPE, digits, exported.model().eval())
    recipe = ExportRecipe(precisions=("float32", "int8-dynamic"), allow_mismatch=True)
    export_verified(written, recipe)
    return open_bundle(folder)


def test_every_artifact_passes_where_it_was_made(bundle: Bundle) -> None:
    report = examine(bundle)
    assert len(report.checks) == 5
    assert {check.status for check in report.checks} == {"passed"}


def test_every_file_passes_by_itself(bundle: Bundle) -> None:
    for artifact in bundle.manifest.artifacts[1:]:
        report = examine_file(bundle.path / artifact.file)
        assert (report.format, report.precision) == (artifact.format, artifact.precision)
        assert report.opset == artifact.opset
        assert report.sha256 == artifact.sha256
        assert report.check.status == "passed", report.check
        assert report.check.parity is not None
        assert report.check.parity.images == 10


def test_an_ort_file_names_the_operators_that_it_takes(bundle: Bundle, tmp_path: Path) -> None:
    copy = open_bundle(shutil.copytree(bundle.path, tmp_path / "copy"))
    export_verified(copy, ExportRecipe(formats=("ort",)))
    report = examine_file(copy.path / "ort-float32.ort")
    assert (report.format, report.check.status) == ("ort", "passed")
    assert "ai.onnx;13;Gemm" in report.metadata["required_operators"].splitlines()


def test_torchscript_runs_only_beside_the_manifest_that_names_it(
    bundle: Bundle, tmp_path: Path
) -> None:
    file = bundle.path / "torchscript-float32.pt"
    alone = shutil.copy(file, tmp_path)
    with pytest.raises(Untrusted, match="runs code"):
        examine_file(Path(alone))
    shutil.copy(bundle.path / "manifest.json", tmp_path)
    assert examine_file(Path(alone)).check.status == "passed"


def test_the_card_of_an_export_names_what_is_there(bundle: Bundle) -> None:
    card = (bundle.path / FILE).read_text(encoding="utf-8")
    assert card == model_card(bundle.manifest)
    assert all(artifact.file in card for artifact in bundle.manifest.artifacts)
