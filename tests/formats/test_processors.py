"""Quantized artifacts give the same answers on every processor, not on the newest alone.

Without VNNI, ONNX Runtime multiplies unsigned activations by signed weights with an instruction
that adds two products in 16 bits, and cuts off what does not fit. `session.x64quantprecision`
makes it widen them first: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import exported
import onnxruntime

from mnist_edge.contract import INPUT_NAME, Images, Logits
from mnist_edge.formats.torchscript.run import torchscript_warnings_ignored
from mnist_edge.metrics import sqnr_db
from mnist_edge.recipes.terms import Format, Precision

DIGITS: Images = np.random.default_rng(0).random((64, 1, 28, 28), dtype=np.float32)
QUANTIZED = [
    (format_, precision)
    for format_, precision in exported.PAIRS
    if format_ in ("onnx", "ort") and precision.startswith("int8")
]
INT16_MAX = 32767


def run_one_by_one(data: bytes, **settings: str) -> Logits:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for name, value in settings.items():
        options.add_session_config_entry(f"session.{name}", value)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {INPUT_NAME: digit[None]})[0] for digit in DIGITS])


@pytest.mark.parametrize(("format_", "precision"), QUANTIZED)
def test_precise_sums_give_the_same_answers(format_: Format, precision: Precision) -> None:
    data = exported.artifact(format_, precision)
    precise = run_one_by_one(data, x64quantprecision="1")
    np.testing.assert_array_equal(run_one_by_one(data), precise)
    assert sqnr_db(run_one_by_one(exported.artifact("onnx", "float32")), precise) > 30


@pytest.mark.parametrize("precision", [p for f, p in QUANTIZED if f == "onnx"])
def test_no_sum_of_two_products_is_cut_off(precision: Precision) -> None:
    # What the test above can only see on a processor without VNNI.
    graph = onnx.load_from_string(exported.artifact("onnx", precision)).graph
    tensors = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    weights = [tensor for tensor in tensors if tensor.itemsize == 1 and tensor.ndim > 1]
    assert weights
    for weight in weights:
        # Of unsigned weights the kernels widen both factors first.
        assert weight.dtype == np.uint8 or 2 * 255 * np.abs(weight.astype(int)).max() <= INT16_MAX


def test_torch_leaves_the_bit_that_two_products_need() -> None:
    data = io.BytesIO(exported.artifact("torchscript", "int8-dynamic"))
    with torchscript_warnings_ignored():
        graph = torch.jit.load(data).inlined_graph  # whose nodes live no longer than it does
    *_, reduce_range = graph.findNode("quantized::linear_dynamic").inputs()
    assert reduce_range.toIValue() is True
