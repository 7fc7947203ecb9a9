"""LiteRT files: the answers of ONNX Runtime, in LiteRT and on microcontrollers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the graphs are made with it")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert", reason="pip install 'mnist-edge[litert]'")

from numpy.typing import NDArray
from people import PEOPLE
from recipe_graphs import NAMES, digits, recipe_graph
from test_exporters_c import OPERATORS, POOL, graph, node, weights
from test_exporters_c_quantized import GRAPHS, SMALL, quantized
from test_people import IN_C, plain

from mnist_edge.contract import Images
from mnist_edge.errors import BadInput, NotEquivalent
from mnist_edge.formats.litert.agree import check_agreement, output_step
from mnist_edge.formats.litert.read import read_litert
from mnist_edge.formats.litert.run import LiteRtBackend
from mnist_edge.formats.litert.write import write_litert
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.onnx.static import quantize_statically
from mnist_edge.recipes.terms import Precision

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8", "int8-io")


def step_of(data: bytes) -> float:
    """What one byte more means in the logits of an int8 file."""
    return output_step(read_litert(data).graph)


def run(data: bytes, images: Images, batch: int) -> NDArray[np.float32]:
    backend = LiteRtBackend(data)
    parts = [backend.run(images[i : i + batch]) for i in range(0, len(images), batch)]
    backend.close()
    return np.concatenate(parts)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_gives_the_answers_of_onnx_runtime(name: str, precision: Precision) -> None:
    source = recipe_graph(name, quantized=precision.startswith("int8"))
    data = write_litert(source, precision, {})
    expected = OrtBackend(source).run(digits())
    if precision == "float16":
        largest = 1e-2 * max(1.0, float(np.abs(expected).max()))
    else:
        largest = 2e-5 if precision == "float32" else step_of(data) * 1.001
    for batch in (1, 7, 64):
        np.testing.assert_allclose(run(data, digits(), batch), expected, rtol=0, atol=largest)
    assert write_litert(source, precision, {}) == data


@pytest.mark.parametrize("name", OPERATORS)
def test_every_step_gives_what_onnx_runtime_gives(name: str) -> None:
    nodes, constants, features = OPERATORS[name]
    source = graph([POOL, *nodes], constants, features=features)
    expected = OrtBackend(source).run(digits())
    given = run(write_litert(source, "float32", {}), digits(), 19)
    np.testing.assert_allclose(given, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("precision", ["int8", "int8-io"])
@pytest.mark.parametrize("name", GRAPHS)
def test_every_step_of_bytes_is_within_one_step_of_onnx_runtime(
    name: str, precision: Precision
) -> None:
    nodes, constants, features = GRAPHS[name]
    nodes = [SMALL, *nodes] if any("small" in node.input for node in nodes) else nodes
    constants = {**constants, "s": weights(1, 1, 2, 2)}
    source = quantized(graph(nodes, constants, features=features))
    data = write_litert(source, precision, {})
    expected = OrtBackend(source).run(digits())
    given = run(data, digits(), 19)
    np.testing.assert_allclose(given, expected, rtol=0, atol=step_of(data) * 1.001)


@pytest.mark.parametrize("name", sorted({*IN_C} - {"batch normalisation that turns signs"}))
def test_nets_of_others_give_what_onnx_runtime_gives(name: str) -> None:
    source = plain(PEOPLE[name]()).SerializeToString()
    expected = OrtBackend(source).run(digits())
    given = run(write_litert(source, "float32", {}), digits(), 19)
    np.testing.assert_allclose(given, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_what_litert_has_no_bytes_for_is_refused_in_int8() -> None:
    source = quantize_statically(plain(PEOPLE["Tanh"]()), digits())[0].SerializeToString()
    with pytest.raises(BadInput, match="int8 is not written of Activate steps"):
        write_litert(source, "int8", {})


def test_a_step_that_litert_does_not_have_is_refused() -> None:
    uneven = node("AveragePool", "small", kernel_shape=[3, 2], pads=[1, 1, 1, 0])
    source = graph([POOL, uneven], {}, features=7 * 7)
    with pytest.raises(BadInput, match="no mean of windows over a border"):
        write_litert(source, "float32", {})


def test_int8_of_another_graph_is_not_within_a_step() -> None:
    mine, other = (recipe_graph(name, quantized=True) for name in ("nano", "sprint"))
    data = write_litert(mine, "int8", {})
    check_agreement(data, mine, digits())
    with pytest.raises(NotEquivalent, match="steps from the int8 of ONNX Runtime"):
        check_agreement(data, other, digits())


@pytest.mark.parametrize("precision", ["float32", "int8", "int8-io"])
def test_a_microcontrollers_kernels_give_the_answers_of_onnx_runtime(precision: Precision) -> None:
    micro = pytest.importorskip("tflite_micro", reason="pip install tflite-micro")
    source = recipe_graph("nano", quantized=precision.startswith("int8"))
    data = write_litert(source, precision, {})
    interpreter = micro.runtime.Interpreter.from_bytes(data)
    backend = LiteRtBackend(data)
    expected = OrtBackend(source).run(digits()[:20])
    largest = 2e-5 if precision == "float32" else step_of(data) * 1.001
    for image, row in zip(digits(), expected, strict=False):
        picture = image.reshape(1, 28, 28, 1)
        interpreter.set_input(backend._bytes.pictures(picture) if backend._bytes else picture, 0)
        interpreter.invoke()
        given = interpreter.get_output(0)
        logits = backend._bytes.logits(given) if backend._bytes else given
        np.testing.assert_allclose(logits[0], row, rtol=0, atol=largest)
