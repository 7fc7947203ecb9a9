"""Read an ONNX graph into the steps of `layers`, folding and fusing on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from mnist_edge.errors import BadInput
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.graph.layers import PICTURE, Net, Shape
from mnist_edge.formats.graph.operators import OPERATORS
from mnist_edge.formats.graph.outline import Operator, Outline, Tensor
from mnist_edge.formats.graph.reader import FIX, Node, Reader, Value

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
    data: bytes, start: Callable[[Outline], R], operators: Operators[R]
) -> tuple[Net, R]:
    """The steps of a classifier, and all that a reader knows at its end. See `read_graph`."""
    try:
        graph = read_outline(data, numbers=True)
    except ValueError as error:
        raise BadInput(f"not an ONNX file of which steps can be made: {error}", fix=FIX) from None
    reader = start(graph)
    inputs = [name for name in graph.inputs if name not in reader.constants]
    if len(inputs) != 1 or len(graph.outputs) != 1:
        raise BadInput("the graph has not one input and one output", fix=FIX)
    picture = _picture_shape(inputs[0], graph.inputs[inputs[0]])
    reader.values[inputs[0]] = Value(PICTURE, picture, tuple(picture))
    _refuse_unknown(graph.operators, operators)
    for operator in graph.operators:
        _read_node(reader, operator, operators)
    output = reader.value(graph.outputs[0])
    laid = output.shape[1:] == (1, 1) and output.order is None
    if output.step != len(reader.steps) - 1 or not laid or len(output.dims) != 1:
        raise BadInput("the output of the graph is no row of logits of its last step", fix=FIX)
    sha256 = hashlib.sha256(data).hexdigest()
    return Net(steps=tuple(reader.steps), picture=picture, sha256=sha256), reader


def _refuse_unknown(given: Sequence[Operator], operators: Operators[R]) -> None:
    """Tell what is not known before what leads up to it; sizes as a graph computes them last."""
    unknown = [each for each in given if each.kind not in operators and each.kind != "Constant"]
    unknown.sort(key=lambda each: each.kind in ("Shape", "ConstantOfShape"))
    for operator in unknown:
        name = f" ({operator.name!r:.60})" if operator.name else ""
        raise BadInput(f"no step can be made of the operator {operator.kind!r:.60}{name}", fix=FIX)


def _read_node(reader: R, operator: Operator, operators: Operators[R]) -> None:
    value = operator.attributes.get("value")
    if operator.kind == "Constant":
        if not isinstance(value, Tensor) or value.numbers is None:
            raise BadInput("a Constant is no tensor of numbers", fix=FIX)
        reader.constants[operator.outputs[0]] = value.numbers
        return
    result = operators[operator.kind](reader, Node(operator, reader.constants, reader.types))
    if result is not None:
        reader.values[operator.outputs[0]] = result


def _picture_shape(name: str, sizes: tuple[int | None, ...]) -> Shape:
    channels, height, width = (*(size or 0 for size in sizes[1:]), 0, 0, 0)[:3]
    if len(sizes) != 4 or min(channels, height, width) < 1:
        raise BadInput(f"the input {name!r:.60} has no fixed channels, height and width", fix=FIX)
    return Shape(channels, height, width)
