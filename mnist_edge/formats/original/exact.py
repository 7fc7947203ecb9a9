"""A graph in double precision, by the reference evaluator of `onnx`: what artifacts are judged by.

The evaluator is the standard written as NumPy, one function an operator, and independent of every
runtime. It computes in the types of the graph, which are therefore made double first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME, Images, check_images
from mnist_edge.errors import BadInput
from mnist_edge.formats.original.corrected import GRU, LSTM, RNN, BatchNormalization, GlobalMaxPool
from mnist_edge.formats.original.windows import AveragePool, Conv, MaxPool

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
_BATCH = 64
_OWN = (Conv, MaxPool, AveragePool, BatchNormalization, GlobalMaxPool, LSTM, GRU, RNN)


def exact_logits(
    data: bytes, images: Images, *, on_batch: Callable[[int], None] = lambda _: None
) -> NDArray[np.float64]:
    """The logits (N, classes) of a graph in our contract, in double precision.

    Raises:
        BadInput: the evaluator lacks an operator, or a form of one.
    """
    parts = []
    try:
        run = evaluator(onnx.load_model_from_string(data))
        for start in range(0, len(images), _BATCH):
            batch = check_images(images[start : start + _BATCH]).astype(np.float64)
            parts.append(run({INPUT_NAME: batch}, OUTPUT_NAME))
            on_batch(len(batch))
    except (NotImplementedError, RuntimeError, TypeError, LookupError, ValueError) as error:
        raise BadInput(
            f"the reference evaluator cannot compute it: {error!s:.200}",
            fix="export the net with other operators",
        ) from None
    return np.concatenate(parts)


def evaluator(
    model: onnx.ModelProto,
) -> Callable[[dict[str, NDArray[np.generic]], str], NDArray[np.float64]]:
    """What computes one output of a graph in double precision from its inputs; it is changed."""
    retype(model.graph, TensorProto.DOUBLE)
    del model.graph.value_info[:]
    session = ReferenceEvaluator(model, new_ops=list(_OWN))

    def run(inputs: dict[str, NDArray[np.generic]], output: str) -> NDArray[np.float64]:
        with warnings.catch_warnings():  # of overflow, which then shows in the result
            warnings.simplefilter("ignore")
            (result,) = session.run([output], inputs)
        return np.asarray(result, np.float64)

    return run


def retype(graph: onnx.GraphProto, wanted: int) -> None:
    """Give all floats of a graph, of whatever precision, one type."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(wanted)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in _FLOATS:
            value.type.tensor_type.elem_type = wanted
    for tensor in graph.initializer:
        _retype_tensor(tensor, wanted, dtype)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _retype_tensor(attribute.t, wanted, dtype)
            elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                numbers = onnx.helper.get_attribute_value(attribute)
                attribute.CopyFrom(
                    onnx.helper.make_attribute(
                        "value", numpy_helper.from_array(np.asarray(numbers, dtype))
                    )
                )
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i in _FLOATS:
                attribute.i = wanted


def _retype_tensor(tensor: TensorProto, wanted: int, dtype: np.dtype[np.generic]) -> None:
    if tensor.data_type in _FLOATS and tensor.data_type != wanted:
        numbers = numpy_helper.to_array(tensor).astype(dtype)
        tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
