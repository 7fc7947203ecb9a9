"""The bundles in `exports/`: as they are committed, and that nobody writes into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import HANDS, draw
from factory import make_bundle, names, read_all

from mnist_edge import cli
from mnist_edge.bundle import codec, golden
from mnist_edge.bundle import folder as bundling
from mnist_edge.bundle.folder import SHIPPED_BUNDLES, SHIPPED_TEACHERS, Bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST
from mnist_edge.bundle.storage import seal
from mnist_edge.contract import RawImages, to_images
from mnist_edge.data import obtain
from mnist_edge.data.mnist import read_mnist
from mnist_edge.formats import FORMATS
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.seal import check_seal
from mnist_edge.picture import load_picture
from mnist_edge.predict import Predictor
from mnist_edge.recipes.catalogue import RECIPES, TEACHER

pytestmark = pytest.mark.edge

# Both in the checkout; the bytes that each may have.
LIMITS = {SHIPPED_BUNDLES[1]: 1_000_000, SHIPPED_TEACHERS[1]: 1_500_000}


@pytest.fixture(scope="module", params=LIMITS, ids=lambda folder: folder.name)
def shipped(request: pytest.FixtureRequest) -> Bundle:
    folder: Path = request.param
    if not (folder / MANIFEST).is_file():
        pytest.skip(f"no {folder}: see make default and make teacher")
    return read_all(folder)


def test_it_holds_what_its_manifest_names_and_nothing_else(shipped: Bundle) -> None:
    assert names(shipped.path) == {MANIFEST, *(known.file for known in shipped.manifest.records)}


def test_its_manifest_is_of_today(shipped: Bundle) -> None:
    # A field that was added since would stand there with its default only when written again.
    assert (shipped.path / MANIFEST).read_text() == seal(codec.dumps(shipped.manifest))


def test_it_is_small(shipped: Bundle) -> None:
    assert sum(path.stat().st_size for path in shipped.path.iterdir()) < LIMITS[shipped.path]


def test_its_graphs_vouch_for_themselves_once_they_have_left_it(shipped: Bundle) -> None:
    assert [check_seal(shipped.read(artifact)) for artifact in shipped.manifest.artifacts] == [
        FORMATS[artifact.format].has_seal for artifact in shipped.manifest.artifacts
    ]
    assert any(FORMATS[artifact.format].has_seal for artifact in shipped.manifest.artifacts)


def test_a_device_without_torch_finds_its_artifacts_equivalent(shipped: Bundle) -> None:
    there = {artifact.name for artifact in shipped.manifest.artifacts}
    assert {"onnx-float32", "onnx-int8"} <= there
    assert all(artifact.parity.passed for artifact in shipped.manifest.artifacts)


@pytest.mark.parametrize("artifact", ["onnx-float32", "onnx-int8"])
def test_it_reads_nearly_all_of_its_own_digits(shipped: Bundle, artifact: str) -> None:
    reference = shipped.reference()
    with Predictor.load(shipped.path, artifact=artifact) as predictor:
        answers = predictor.predict_images(to_images(reference.images))
    # The nearest digit, also of what the recipe rejects.
    nearest = [answer.top(1)[0][0] for answer in answers]
    right = np.equal(nearest, reference.labels)
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("hand", HANDS)
def test_it_reads_hands_that_mnist_lacks(shipped: Bundle, hand: str) -> None:
    digit, strokes = HANDS[hand]
    boxes = ((0.3, 0.2, 0.7, 0.8), (0.25, 0.2, 0.7, 0.8), (0.35, 0.3, 0.7, 0.7))
    drawn = [
        draw(digit, strokes=strokes, box=box, pen=pen, ink=ink)
        for box in boxes
        for pen, ink in ((3, 0), (9, 120), (16, 0))
    ]
    with Predictor.load(shipped.path) as predictor:
        read = predictor.predict_pictures([load_picture(picture) for picture in drawn])
    answers = [prediction.digit for prediction in read]
    assert answers.count(digit) >= len(drawn) - 1, answers


def test_its_figures_are_those_of_mnist(shipped: Bundle) -> None:
    assert shipped.manifest.data.name == "mnist"
    assert shipped.manifest.training.test_accuracy > 0.99


def golden_images(shipped: Bundle, artifact: str) -> RawImages:
    backend = OrtBackend(shipped.read(shipped.artifact(artifact)))
    return golden.unpack_golden(backend.metadata()[golden.KEY])[0]


@pytest.mark.real_data
def test_no_digit_in_it_is_of_mnist(shipped: Bundle, mnist_dir: Path) -> None:
    data = read_mnist(mnist_dir)
    real = {image.tobytes() for part in (data.train_images, data.test_images) for image in part}
    carried = [shipped.reference().images]
    carried += [golden_images(shipped, name) for name in ("onnx-float32", "onnx-int8")]
    assert not real & {image.tobytes() for images in carried for image in images}


def test_it_carries_no_digits_but_its_reference(shipped: Bundle) -> None:
    own = {image.tobytes() for image in shipped.reference().images}
    for name in ("onnx-float32", "onnx-int8"):
        assert {image.tobytes() for image in golden_images(shipped, name)} <= own
    assert {extra.file for extra in shipped.manifest.extras} == {"history.json", "README.md"}


def test_it_is_a_recipe_of_today(shipped: Bundle) -> None:
    """Its weights are what the README's figures are of."""
    recipe = shipped.manifest.own_recipe
    assert recipe == RECIPES[recipe.name]


def test_the_shipped_teacher_is_the_one_that_the_recipes_name() -> None:
    if not (SHIPPED_TEACHERS[1] / MANIFEST).is_file():
        pytest.skip("no exports/large: make it with make teacher BUNDLE=exports/model")
    teacher = read_all(SHIPPED_TEACHERS[1]).manifest
    assert teacher.name == TEACHER
    taught = {recipe.teacher for recipe in RECIPES.values() if recipe.taught}
    assert taught == {teacher.artifact(CHECKPOINT).sha256}


@pytest.fixture(params=["SHIPPED_BUNDLES", "SHIPPED_TEACHERS"])
def guarded(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A bundle that counts as a shipped one, and as the only one there is."""
    folder = make_bundle(tmp_path / "exports/default").path
    monkeypatch.setattr(bundling, request.param, (folder,))
    monkeypatch.setattr("mnist_edge.bundle.folder.default_bundle_path", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.usefixtures("with_torch")
@pytest.mark.parametrize(
    "words",
    [
        ["export", "--format", "onnx"],
        ["export", "--format", "onnx", "--bundle", "exports/default"],
        ["export", "--format", "onnx", "--bundle", "exports/../exports/default/"],
        ["train", "--bundle", "exports/default"],
        ["run", "--bundle", "exports/default"],
        ["import", "net.pth", "--recipe", "lenet", "--bundle", "exports/default"],
    ],
)
def test_no_verb_writes_into_it(
    guarded: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    if words[0] != "export":
        pytest.importorskip("torch")
    before = {path: path.read_bytes() for path in guarded.iterdir()}
    assert cli.main([*words, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "is a bundle that comes with mnist-edge" in said
    assert ("--out FOLDER" if words[0] == "export" else "mnist-edge train") in said
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in guarded.iterdir()} == before


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("verb", ["train", "run"])
def test_without_torch_the_data_are_not_touched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(obtain, "obtain_data", lambda *_, **__: pytest.fail("data were read"))
    assert cli.main([verb]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mnist-edge: error: torch is not installed, but needed to train; ")
    assert said.count("\n") == 1
