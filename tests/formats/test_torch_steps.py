"""Nets of others leave as TorchScript and `.pt2`: the answers of the graph that they came as."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx", reason="writes them")

from people import PEOPLE

from mnist_edge.contract import Images, to_images
from mnist_edge.data.strokes import stroke_digits
from mnist_edge.formats import load_backend, write_artifact
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.source import ForeignSource
from mnist_edge.recipes.terms import Format, Precision

FORMATS: list[tuple[Format, Precision, float]] = [
    ("torchscript", "float16", 1e-2),
    ("torchscript", "int8-dynamic", 1e-1),
    ("pt2", "float32", 2e-5),
    ("pt2", "float16", 1e-2),
]
"""By how much of the largest logit each may be off; beside TorchScript in float32."""

SOME = [
    *("channels last", "relu after overlapping maxima", "a larger picture", "rows joined"),
    "channels by themselves and in groups",
]


@pytest.fixture(scope="module")
def digits() -> Images:
    return to_images(stroke_digits(20, seed=3)[0])


def source(name: str) -> ForeignSource:
    return ForeignSource(PEOPLE[name](), opset=18, origin={}, calibration=lambda: digits())


def check(name: str, format_: Format, precision: Precision, near: float, images: Images) -> None:
    expected = OrtBackend(PEOPLE[name]()).run(images)
    written = write_artifact(source(name), format_, precision)
    assert write_artifact(source(name), format_, precision) == written
    backend = load_backend(written.data, format_)
    near *= float(np.abs(expected).max())
    np.testing.assert_allclose(backend.run(images), expected, atol=near, rtol=0)
    np.testing.assert_allclose(backend.run(images[:1]), expected[:1], atol=near, rtol=0)


@pytest.mark.parametrize("name", PEOPLE)
def test_torchscript_gives_the_same_answers(name: str, digits: Images) -> None:
    check(name, "torchscript", "float32", 2e-5, digits)


@pytest.mark.parametrize(("format_", "precision", "near"), FORMATS)
@pytest.mark.parametrize("name", SOME)
def test_other_files_of_torch_give_nearly_the_same_answers(
    name: str, format_: Format, precision: Precision, near: float, digits: Images
) -> None:
    check(name, format_, precision, near, digits)
