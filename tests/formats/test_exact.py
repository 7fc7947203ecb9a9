"""Convolution and pooling in double precision are those of the standard."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("onnx", reason="has the standard as NumPy")

from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from mnist_edge.formats.graph.bounds import count_numbers
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.original.exact import evaluator
from mnist_edge.formats.original.windows import AveragePool, Conv, MaxPool

RNG = np.random.default_rng(0)
PIXELS = RNG.normal(size=(3, 4, 11, 9))
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("Conv", {}),
    "strides, pads and dilations": (
        "Conv",
        {"strides": [2, 3], "pads": [1, 0, 2, 1], "dilations": [2, 1]},
    ),
    "groups": ("Conv", {"group": 2}),
    "same": ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "largest": ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
    "largest, rounded up": ("MaxPool", {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1}),
    "mean": ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    "mean with its border": (
        "AveragePool",
        {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_place_of_a_kernel_gives_what_each_place_of_a_picture_gives(case: str) -> None:
    kind, options = CASES[case]
    depth = 4 // options.get("group", 1)
    weights = {"weight": RNG.normal(size=(6, depth, 3, 2)), "bias": RNG.normal(size=6)}
    inputs = {"pixels": PIXELS, **(weights if kind == "Conv" else {})}
    graph = helper.make_graph(
        [helper.make_node(kind, list(inputs), ["result"], **options)],
        "one",
        [helper.make_tensor_value_info(name, 11, array.shape) for name, array in inputs.items()],
        [helper.make_empty_tensor_value_info("result")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    fast = ReferenceEvaluator(model, new_ops=[Conv, MaxPool, AveragePool])
    sessions = (ReferenceEvaluator(model), fast)
    wanted, found = (np.asarray(next(iter(each.run(None, inputs)))) for each in sessions)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


RECURRENT: dict[str, tuple[str, int, dict[str, Any]]] = {
    "hard gates": ("LSTM", 4, {"activations": ["HardSigmoid", "Tanh", "Relu"]}),
    "both ways": ("GRU", 3, {"direction": "bidirectional", "activations": ["Sigmoid", "Relu"] * 2}),
    "rectified": ("RNN", 1, {"activations": ["Relu"]}),
    "the usual": ("LSTM", 4, {"direction": "reverse"}),
}


@pytest.mark.parametrize("case", RECURRENT)
def test_recurrent_operators_have_the_functions_that_are_named(case: str) -> None:
    kind, gates, options = RECURRENT[case]
    ways = 2 if options.get("direction") == "bidirectional" else 1
    shapes = {"w": (ways, gates * 5, 4), "r": (ways, gates * 5, 5), "b": (ways, gates * 10)}
    weights = [
        numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, ["rows", *shapes], ["every"], hidden_size=5, **options)],
        "one",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, (7, 3, 4))],
        [helper.make_tensor_value_info("every", TensorProto.FLOAT, (7, ways, 3, 5))],
        weights,
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    rows = RNG.normal(size=(7, 3, 4)).astype(np.float32)
    assert count_numbers(read_outline(model.SerializeToString()), 1) > 0
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"rows": rows})
    found = evaluator(model)({"rows": rows.astype(np.float64)}, "every")
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("opset", [7, 9, 13, 15])
def test_a_normalisation_is_that_of_inference_in_every_opset(opset: int) -> None:
    names = ("gain", "shift", "mean", "variance")
    learned = {name: np.abs(RNG.normal(size=4)).astype(np.float32) + 0.5 for name in names}
    graph = helper.make_graph(
        [helper.make_node("BatchNormalization", ["pixels", *names], ["result"], epsilon=0.125)],
        "one",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, PIXELS.shape)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, PIXELS.shape)],
        [numpy_helper.from_array(array, name) for name, array in learned.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    gain, shift, mean, variance = (learned[name].reshape(-1, 1, 1) for name in names)
    expected = (PIXELS - mean) / np.sqrt(variance.astype(np.float64) + 0.125) * gain + shift
    found = evaluator(model)({"pixels": PIXELS}, "result")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_largest_of_a_row_is_that_of_the_row() -> None:
    graph = helper.make_graph(
        [helper.make_node("GlobalMaxPool", ["rows"], ["result"])],
        "one",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, (3, 4, 11))],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, (3, 4, 1))],
    )
    rows = PIXELS[..., 0]
    found = evaluator(helper.make_model(graph))({"rows": rows}, "result")
    np.testing.assert_array_equal(found, rows.max(axis=2, keepdims=True))
