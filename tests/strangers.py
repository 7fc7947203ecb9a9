"""Nets that read digits, made without torch, and ONNX graphs of them as others write them.

Not a test module. A net is a layer of random features and a ridge regression on drawn digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.bundle.imported import Contract
from mnist_edge.contract import to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.data.strokes import stroke_digits
from mnist_edge.formats.original.feed import feed
from mnist_edge.metrics import cross_entropy

Weights = dict[str, NDArray[np.float32]]
Change = Callable[[onnx.ModelProto], None]

OURS = Contract()
_FEATURES = 200


@cache
def drawn() -> DataSet:
    """1,200 drawn digits to train on, and 300 to test on."""
    images, labels = stroke_digits(1500, seed=3)
    return DataSet(
        name="drawn",
        train_images=images[:1200],
        train_labels=labels[:1200],
        test_images=images[1200:],
        test_labels=labels[1200:],
    )


@cache
def trained(contract: Contract) -> Weights:
    """The weights of a net under a contract: ReLU of random features, then a matrix."""
    pixels = feed(to_images(drawn().train_images), contract).reshape(1200, -1)
    rng = np.random.default_rng(0)
    first = rng.normal(size=(pixels.shape[1], _FEATURES)) / np.sqrt((pixels**2).sum(1).mean())
    features = np.maximum(pixels @ first, 0)
    wanted = np.eye(10)[drawn().train_labels] - 0.1
    squares = features.T @ features + 3.0 * np.eye(_FEATURES)
    second = np.linalg.solve(squares, features.T @ wanted)
    scores = features @ second
    # As sharp as a training would leave it: the scale is what tells contracts apart.
    second *= min(
        range(1, 40), key=lambda times: cross_entropy(times * scores, drawn().train_labels)
    )
    return {"first": first.astype(np.float32), "second": second.astype(np.float32)}


def mlp(
    contract: Contract = OURS,
    *,
    shape: Sequence[int | str] = ("N", 1, 28, 28),
    front: Sequence[onnx.NodeProto] = (),
    end: Sequence[onnx.NodeProto] = (),
    more: dict[str, NDArray[np.generic]] | None = None,
    kind: int = TensorProto.FLOAT,
    opset: int = 13,
    outputs: Sequence[str] = (),
    changes: Sequence[Change] = (),
) -> bytes:
    """A file. `front` leads from `in` to `row`, where it is given, and `end` from `scores`."""
    row = len(shape) - sum(isinstance(size, str) for size in shape)
    given = list(front) or [helper.make_node("Flatten", ["in"], ["row"], axis=1 if row else 0)]
    body = [
        helper.make_node("MatMul", ["row", "first"], ["features"]),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("MatMul", ["positive", "second"], ["scores"]),
    ]
    last = end[-1].output[0] if end else "scores"
    constants = trained(contract) | (more or {})
    graph = helper.make_graph(
        [*given, *body, *end],
        "net",
        [helper.make_tensor_value_info("in", kind, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs or (last,)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    for change in changes:
        change(model)
    return bytes(model.SerializeToString())


def of_type(kind: int, dtype: type[np.floating]) -> Change:
    """All weights, the input and the output in another type."""

    def change(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = kind
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                array = numpy_helper.to_array(tensor).astype(dtype)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return change


def backwards(model: onnx.ModelProto) -> None:
    """The operators in the opposite order."""
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def weights_as_inputs(model: onnx.ModelProto) -> None:
    """As files were before IR 4."""
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )


def as_function(model: onnx.ModelProto) -> None:
    """All operators in a function of the file."""
    names = ["in", *(tensor.name for tensor in model.graph.initializer)]
    last = model.graph.output[0].name
    body = helper.make_function(
        "my.net", "Net", names, [last], list(model.graph.node), [helper.make_opsetid("", 13)]
    )
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Net", names, [last], domain="my.net"))
    model.opset_import.append(helper.make_opsetid("my.net", 1))
    model.functions.append(body)
