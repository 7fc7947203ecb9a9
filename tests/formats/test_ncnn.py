"""The two files of ncnn: the answers of ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the graphs are made with it")
pytest.importorskip("onnx")
pytest.importorskip("ncnn", reason="pip install 'mnist-edge[ncnn]'")

from people import PEOPLE
from recipe_graphs import NAMES, digits, recipe_graph
from test_exporters_c import OPERATORS, POOL, graph
from test_people import plain

from mnist_edge.formats.ncnn.run import NcnnBackend
from mnist_edge.formats.ncnn.write import write_ncnn
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.recipes.terms import Precision


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_gives_the_answers_of_onnx_runtime(name: str, precision: Precision) -> None:
    source = recipe_graph(name)
    files = write_ncnn(source, precision, {})
    expected = OrtBackend(source).run(digits())
    largest = max(1.0, float(np.abs(expected).max())) * (1e-2 if precision == "float16" else 1e-4)
    given = NcnnBackend(*files).run(digits())
    np.testing.assert_allclose(given, expected, rtol=0, atol=largest)
    assert write_ncnn(source, precision, {}) == files


@pytest.mark.parametrize("name", OPERATORS)
def test_every_step_gives_what_onnx_runtime_gives(name: str) -> None:
    nodes, constants, features = OPERATORS[name]
    source = graph([POOL, *nodes], constants, features=features)
    expected = OrtBackend(source).run(digits())
    given = NcnnBackend(*write_ncnn(source, "float32", {})).run(digits())
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "its own sigmoid"])
def test_functions_of_others_give_what_onnx_runtime_gives(name: str) -> None:
    source = plain(PEOPLE[name]()).SerializeToString()
    expected = OrtBackend(source).run(digits())
    given = NcnnBackend(*write_ncnn(source, "float32", {})).run(digits())
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)
