"""A graph that takes one picture made one that takes any number of them.

What only lays numbers out in another way (Reshape, Flatten, and the arithmetic with shapes that
some exporters put around them) says how many there are, and so how many pictures. Each is put as a
Reshape whose first size is left open. Whether the rest of a graph minds is tried, not proven.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mnist_edge.errors import BadInput
from mnist_edge.foreign.ends import FIX, Entry
from mnist_edge.foreign.graph import prune, replace_nodes
from mnist_edge.formats.graph.bounds import infer
from mnist_edge.formats.graph.outline import Tensor
from mnist_edge.formats.onnx.outline import read_outline

_IN_ORDER = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_ANY = -1


def free_batch(model: onnx.ModelProto, entry: Entry, scores: str) -> tuple[onnx.ModelProto, int]:
    """The graph from any number of pictures (N, ...) to their scores (N, classes).

    Args:
        model: as `graph.cleaned` leaves it; it is not changed.
        entry: how it takes a picture.
        scores: the result that is wanted.

    Returns:
        The graph, its one output of that name, and how many classes there are.
    """
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    graph = freed.graph
    # With one picture; what its own first size was, if it had one.
    one = (1, *entry.shape) if entry.rank > len(entry.shape) else entry.shape
    _set_input(graph, entry, one)
    shapes = _shapes(freed)
    given = shapes[scores]
    classes = math.prod(given.shape)
    constant = {name for name, tensor in shapes.items() if tensor.integers is not None}
    nodes = []
    for node in graph.node:
        if node.op_type in _IN_ORDER and node.output[0] not in constant:
            node = _laid_out(graph, node, shapes[node.output[0]])
        nodes.append(node)
    last = scores
    if given.shape != (1, classes):
        last = f"{scores}_row"
        nodes.append(_reshape(graph, scores, last, (_ANY, classes)))
    replace_nodes(graph, nodes)
    _set_input(graph, entry, ("batch", *entry.shape))
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, ["batch", classes])
    )
    prune(graph)
    return freed, classes


def _set_input(graph: onnx.GraphProto, entry: Entry, shape: tuple[int | str, ...]) -> None:
    (value,) = (value for value in graph.input if value.name == entry.name)
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(entry.name, kind, shape))


def _shapes(model: onnx.ModelProto) -> dict[str, Tensor]:
    try:
        return infer(read_outline(model.SerializeToString()), 1)[1]
    except ValueError as error:
        raise BadInput(f"it cannot be run: {error}", fix=FIX) from None


def _laid_out(graph: onnx.GraphProto, node: onnx.NodeProto, after: Tensor) -> onnx.NodeProto:
    rest = after.shape[1:] if after.shape[:1] == (1,) else after.shape
    return _reshape(graph, node.input[0], node.output[0], (_ANY, *rest))


def _reshape(
    graph: onnx.GraphProto, source: str, result: str, shape: tuple[int, ...]
) -> onnx.NodeProto:
    name = f"{result}_shape_of_one"
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
    return helper.make_node("Reshape", [source, name], [result])
