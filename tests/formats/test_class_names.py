"""Files of nets that tell other classes apart than ten digits, without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle
from tiny_onnx import tiny_onnx

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import save_bundle
from mnist_edge.bundle.golden import pack_golden, unpack_golden
from mnist_edge.bundle.manifest import DataRecord, Manifest
from mnist_edge.errors import BadInput, BundleError
from mnist_edge.formats import load_backend
from mnist_edge.formats.format import Header, Loading
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.predict import Predictor
from mnist_edge.recipes.classes import DIGITS

pytestmark = pytest.mark.edge

NAMES = ("ant", "bee, wild", "Käfer")
PICTURE = np.zeros((1, 1, 28, 28), np.float32)
PICTURE[0, 0, 5] = 1


def weights(classes: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, (784, classes)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 47, 1000])
def test_a_net_of_so_many_classes_runs(classes: int) -> None:
    data = tiny_onnx(weights(classes))
    backend = load_backend(data, "onnx", classes=classes)
    for images in (PICTURE, PICTURE.repeat(5, axis=0), PICTURE[:0]):
        expected = images.reshape(len(images), 784) @ weights(classes)
        np.testing.assert_allclose(backend.run(images), expected, atol=1e-5)
    assert OrtBackend(data, Loading(classes=0)).run(PICTURE).shape == (1, classes)


@pytest.mark.parametrize("classes", [9, 11, 26])
def test_a_net_of_other_classes_than_its_bundle_is_refused(classes: int) -> None:
    with pytest.raises(BadInput, match=rf"\['N', {classes}\], expected .*\['N', 10\]"):
        load_backend(tiny_onnx(weights(classes)), "onnx")


@pytest.mark.parametrize("classes", [1, 1001])
def test_a_net_of_too_few_or_too_many_classes_is_refused(classes: int) -> None:
    with pytest.raises(BadInput, match=rf"\['N', {classes}\]"):
        OrtBackend(tiny_onnx(weights(classes)), Loading(classes=0))


@pytest.mark.parametrize("classes", [2, 26, 1000])
def test_golden_vectors_have_a_number_for_each_class(classes: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 28, 28), np.uint8)
    logits = rng.normal(size=(10, classes))
    again = unpack_golden(pack_golden(images, logits))
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], logits)


def test_a_file_without_its_bundle_states_its_classes() -> None:
    stated = Header(metadata={"classes": 'ant,"bee, wild",Käfer', "preprocessing": "plain"})
    assert (stated.classes, stated.preprocessing) == (NAMES, "plain")
    silent = Header(metadata={})
    assert (silent.classes, silent.preprocessing) == (DIGITS, "digit")
    for metadata in ({"classes": "a"}, {"classes": '"'}, {"preprocessing": "magic"}):
        header = Header(metadata=metadata)
        with pytest.raises(BadInput, match="the file states"):
            print(header.classes, header.preprocessing)


def test_answers_are_labels_and_digits_where_a_label_is_one() -> None:
    backend = load_backend(tiny_onnx(weights(3)), "onnx", classes=3)
    best = int((PICTURE.reshape(1, 784) @ weights(3)).argmax())
    for names in (NAMES, ("7", "x", "3")):
        (found,) = Predictor(backend, classes=names, preprocessing="plain").predict_images(PICTURE)
        digit = int(names[best]) if names[best] in DIGITS else None
        assert (found.label, found.digit) == (names[best], digit)
        assert found.status == ("label" if digit is None else "digit")
        assert found.classes[found.top(1)[0][0]] == names[best]


def test_what_is_like_no_class_is_told_so() -> None:
    backend = load_backend(tiny_onnx(weights(3)), "onnx", classes=3)
    predictor = Predictor(backend, classes=NAMES, preprocessing="letter", reject_below=0.99)
    (found,) = predictor.predict_images(PICTURE)
    assert (found.status, found.label, found.probability) == ("no label", None, 0)
    assert found.notes[0].startswith("not like any class: the nearest, ")
    blank = predictor(np.full((50, 50), 255, np.uint8))
    assert (blank.status, blank.notes) == ("no label", ("nothing found",))


def other(manifest: Manifest, **changed: object) -> Manifest:
    data = DataRecord(name="folder", sha256="0" * 64, train_size=9, test_size=3, classes=NAMES)
    assert manifest.recipe is not None
    fields = {"data": data, "recipe": replace(manifest.recipe, outputs=3), **changed}
    return replace(manifest, **fields)  # type: ignore[arg-type]


def test_a_manifest_keeps_its_classes_and_one_of_digits_its_bytes(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    plain = codec.dumps(bundle.manifest)
    for later in ("classes", "preprocessing", "outputs", "lesson"):
        assert f'"{later}"' not in plain
    manifest = other(bundle.manifest)
    assert codec.loads(Manifest, codec.dumps(manifest)) == manifest
    assert '"Käfer"' in codec.dumps(manifest)


def test_a_manifest_whose_net_has_other_outputs_than_classes_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    with pytest.raises(ValueError, match="a net of 10 outputs for 3 classes"):
        other(bundle.manifest, recipe=bundle.manifest.recipe)
    with pytest.raises(ValueError, match="'a' stands twice"):
        replace(bundle.manifest.data, classes=("a", "a"))


def test_a_reference_of_digits_is_none_of_other_classes(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    changed = replace(bundle, manifest=other(bundle.manifest))
    save_bundle(changed, {})
    with pytest.raises(BundleError, match="arrays of the wrong shape"):
        changed.reference()
