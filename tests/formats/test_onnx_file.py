"""ONNX files read and labelled without the `onnx` package give what it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="it is what is compared with")

from onnx import TensorProto, helper, numpy_helper

from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.graph.outline import Tensor
from mnist_edge.formats.onnx.header import read_header, with_metadata
from mnist_edge.formats.onnx.write import serialize_onnx

NUMBERS = [[1, 0, 77], [3, 0, 120]]
SIGNED = [[1, -2, 77], [-128, 0, 127]]


def model(*tensors: TensorProto, **attributes: Any) -> bytes:
    """A graph with these constants, and one node with these attributes."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 10])
        for name in (INPUT_NAME, OUTPUT_NAME)
    ]
    node = helper.make_node("Elu", [INPUT_NAME], [OUTPUT_NAME], name="unit", **attributes)
    graph = helper.make_graph([node], "g", values[:1], values[1:], list(tensors))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "listed"])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TensorProto.FLOAT, SIGNED),
        (TensorProto.DOUBLE, SIGNED),
        (TensorProto.FLOAT16, SIGNED),
        (TensorProto.UINT8, NUMBERS),
        (TensorProto.INT8, SIGNED),
        (TensorProto.INT32, SIGNED),
        (TensorProto.INT64, SIGNED),
        (TensorProto.BOOL, NUMBERS),
    ],
)
def test_every_tensor_holds_the_numbers_that_the_package_reads(
    kind: int, values: list[list[int]], raw: bool
) -> None:
    array = np.array(values).astype(helper.tensor_dtype_to_np_dtype(kind))
    content = array.tobytes() if raw else array.reshape(-1).tolist()
    tensor = helper.make_tensor("t", kind, array.shape, content, raw=raw)
    read = read_outline(model(tensor), numbers=True).constants["t"].numbers
    expected = numpy_helper.to_array(tensor)
    assert read is not None
    assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(read, expected)


def test_every_attribute_is_what_the_package_reads() -> None:
    tensor = numpy_helper.from_array(np.array([0.5, -2.0], np.float32))
    given = {"alpha": 0.5, "count": -3, "mode": "linear", "pads": [1, -1]}
    (operator,) = read_outline(model(**given, value=tensor), numbers=True).operators
    value = operator.attributes.pop("value")
    assert operator.attributes == given | {"pads": (1, -1)}
    assert isinstance(value, Tensor)
    assert value.numbers is not None
    assert value.numbers.tolist() == [0.5, -2.0]
    assert operator.name == "unit"


def test_numbers_are_kept_only_where_they_are_asked_for() -> None:
    tensor = numpy_helper.from_array(np.zeros((100, 784), np.float32), "t")
    assert read_outline(model(tensor)).constants["t"].numbers is None


def test_a_file_is_labelled_as_the_package_labels_it() -> None:
    data = serialize_onnx(onnx.load_model_from_string(model()), {"b": "1", "a": "ü" * 200})
    metadata = {"z": "2", "format": "ort", "long": "x" * 70_000}
    labelled = with_metadata(data, metadata)
    assert labelled == serialize_onnx(onnx.load_model_from_string(data), dict(metadata))
    assert read_header(labelled).metadata == metadata
