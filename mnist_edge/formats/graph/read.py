"""Read an ONNX graph into the steps of `layers`, folding and fusing on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

import onnx
from google.protobuf.message import DecodeError

from mnist_edge.errors import BadInput
from mnist_edge.formats.graph.layers import PICTURE, Net, Shape
from mnist_edge.formats.graph.operators import OPERATORS
from mnist_edge.formats.graph.reader import FIX, Node, Reader, Value, read_tensor

R = TypeVar("R", bound=Reader)
Operators: TypeAlias = Mapping[str, Callable[[R, Node], Value | None]]
"""What reads each operator; None where it gives a constant."""


def read_graph(data: bytes) -> Net:
    """The steps of a float32 classifier.

    Args:
        data: an ONNX file with one input (N, channels, height, width) and one output (N, classes).

    Raises:
        BadInput: not an ONNX file, an operator or an option that is not known here, a dynamic
            shape other than the batch, external data, a dangling name, weights that are no numbers.
    """
    net, _ = read_steps(data, Reader, OPERATORS)
    return net


def read_steps(
    data: bytes, start: Callable[[onnx.GraphProto], R], operators: Operators[R]
) -> tuple[Net, R]:
    """The steps of a classifier, and all that a reader knows at its end. See `read_graph`."""
    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError as error:
        raise BadInput(f"not an ONNX file: {error}", fix="export it again") from None
    reader = start(graph)
    inputs = [value for value in graph.input if value.name not in reader.constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise BadInput("the graph has not one input and one output", fix=FIX)
    picture = _picture_shape(inputs[0])
    reader.values[inputs[0].name] = Value(PICTURE, picture, tuple(picture))
    for node in graph.node:
        _read_node(reader, node, operators)
    output = reader.value(graph.output[0].name)
    laid = output.shape[1:] == (1, 1) and output.order is None
    if output.step != len(reader.steps) - 1 or not laid or len(output.dims) != 1:
        raise BadInput("the output of the graph is no row of logits of its last step", fix=FIX)
    sha256 = hashlib.sha256(data).hexdigest()
    return Net(steps=tuple(reader.steps), picture=picture, sha256=sha256), reader


def _read_node(reader: R, proto: onnx.NodeProto, operators: Operators[R]) -> None:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    value = attributes.get("value")
    if proto.op_type == "Constant" and isinstance(value, onnx.TensorProto):
        reader.constants[proto.output[0]] = read_tensor(value)
        return
    operator = operators.get(proto.op_type) if proto.domain in ("", "ai.onnx") else None
    if operator is None:
        name = f" ({proto.name!r:.60})" if proto.name else ""
        raise BadInput(f"no step can be made of the operator {proto.op_type!r:.60}{name}", fix=FIX)
    result = operator(reader, Node(proto, attributes, reader.constants, reader.types))
    if result is not None:
        reader.values[proto.output[0]] = result


def _picture_shape(value: onnx.ValueInfoProto) -> Shape:
    dimensions = [d.dim_value for d in value.type.tensor_type.shape.dim]
    if len(dimensions) != 4 or min(dimensions[1:]) < 1:
        raise BadInput(
            f"the input {value.name!r:.60} has no fixed channels, height and width", fix=FIX
        )
    return Shape(*dimensions[1:])
