"""Operators as people's graphs have them: the same answers as plain steps, as C, and in int8."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("onnx", reason="writes them")

import onnx
from people import PEOPLE

from mnist_edge.contract import Images, to_images
from mnist_edge.data.strokes import stroke_digits
from mnist_edge.formats.c.run import CBackend
from mnist_edge.formats.c.write import export_c
from mnist_edge.formats.graph.fold import fold
from mnist_edge.formats.graph.quantized import read_quantized
from mnist_edge.formats.graph.read import read_graph
from mnist_edge.formats.graph.write import write_graph
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.onnx.static import quantize_statically

# Means, sums and functions end at halves, which are rounded either way.
_STEPS = 2.01

# Whose plain steps are not just convolutions and matrix products, which others try.
IN_C = [
    *("Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSigmoid", "HardSwish", "relu6"),
    *("its own sigmoid", "means", "a larger picture", "a picture on its side", "whole pixels"),
    *("three channels of three scales", "channels by themselves and in groups"),
    *("sums of results", "results joined", "rows joined"),
    *("batch normalisation that turns signs", "slopes that differ"),
    "the larger of it and nothing",
]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Built libraries go where the tests end, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def digits() -> Images:
    return to_images(stroke_digits(60, seed=3)[0])


def plain(data: bytes) -> onnx.ModelProto:
    return write_graph(fold(read_graph(data)), 18)


@pytest.mark.parametrize("name", PEOPLE)
def test_plain_steps_give_the_same_answers(name: str, digits: Images) -> None:
    data = PEOPLE[name]()
    expected = OrtBackend(data).run(digits)
    model = plain(data)
    onnx.checker.check_model(model, full_check=True)
    answers = OrtBackend(model.SerializeToString()).run(digits)
    np.testing.assert_allclose(answers, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)
    # Nothing is left of layouts and normalisation but what no weight can take in.
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Squeeze", "Unsqueeze", "BatchNormalization", "Cast", "MatMul"}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("name", IN_C)
def test_c_gives_the_same_answers_in_float32_and_in_int8(name: str, digits: Images) -> None:
    data = PEOPLE[name]()
    expected = OrtBackend(data).run(digits)
    model = plain(data)
    graph = model.SerializeToString(deterministic=True)
    answers = CBackend(export_c(graph, name="net", golden=None)).run(digits)
    np.testing.assert_allclose(answers, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)
    quantized = quantize_statically(model, digits)[0].SerializeToString()
    last = read_quantized(quantized)
    step = float(last.grids[len(last.net.steps) - 1].scale)
    theirs = OrtBackend(quantized).run(digits)
    ours = CBackend(export_c(quantized, name="net", golden=None, quantized=True)).run(digits)
    assert np.abs(ours - theirs).max() <= _STEPS * step
