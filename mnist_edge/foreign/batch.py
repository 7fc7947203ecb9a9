"""A graph that takes one picture made one that takes any number of them.

What only lays numbers out in another way (Reshape, Flatten, and the arithmetic with shapes that
some exporters put around them) says how many there are, and so how many pictures. Each is put as a
Reshape whose first size is left open. Whether the rest of a graph minds is tried, not proven.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mnist_edge.contract import BATCH_NAME
from mnist_edge.errors import BadInput
from mnist_edge.foreign.constants import replace_nodes
from mnist_edge.foreign.ends import FIX, Entry
from mnist_edge.foreign.graph import prune, settled
from mnist_edge.formats.graph.bounds import apply, infer
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.graph.outline import Tensor

_IN_ORDER = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_ANY = -1
_SEVERAL = 3
"""Pictures, of which the sizes of all results are computed to see where their number goes."""


def free_batch(model: onnx.ModelProto, entry: Entry, scores: str) -> tuple[onnx.ModelProto, int]:
    """The graph from any number of pictures (N, ...) to their scores (N, classes).

    Args:
        model: as `graph.part_for` leaves it; it is not changed.
        entry: how it takes a picture.
        scores: the result that is wanted.

    Returns:
        The graph, its one output, and how many classes there are.

    Raises:
        BadInput: as `graph.settled`, or an operator takes one picture alone.
    """
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    _set_input(freed.graph, entry, (1, *entry.shape) if entry.batched else entry.shape)
    _name_one(freed.graph, entry.batch)
    freed = settled(freed)
    graph = freed.graph
    one = _sizes_of_one(freed)
    nodes = _freed_nodes(freed, entry, one)
    classes = math.prod(one[scores].shape)
    last = scores
    if one[scores].shape != (1, classes):
        last = f"{scores}_row"
        nodes.append(_reshape(graph, scores, last, (_ANY, classes)))
    replace_nodes(graph, nodes)
    _set_input(graph, entry, (BATCH_NAME, *entry.shape))
    row = helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, [BATCH_NAME, classes])
    graph.output[0].CopyFrom(row)
    prune(graph)
    return freed, classes


def _name_one(graph: onnx.GraphProto, batch: int) -> None:
    """Let Reshapes that name the number of pictures name one."""
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        sizes = numpy_helper.to_array(tensor) if tensor.name in shapes else np.empty(0)
        if batch > 1 and sizes.size and sizes.flat[0] == batch:
            named = np.concatenate([[1], sizes[1:]]).astype(np.int64)
            tensor.CopyFrom(numpy_helper.from_array(named, tensor.name))


def _freed_nodes(
    model: onnx.ModelProto, entry: Entry, one: dict[str, Tensor]
) -> list[onnx.NodeProto]:
    """The operators, with those in the place of others that say how many pictures there are."""
    outline = read_outline(model.SerializeToString())
    several = dict(outline.constants) | {entry.name: Tensor((_SEVERAL, *entry.shape))}
    nodes = []
    for node, operator in zip(model.graph.node, outline.operators, strict=True):
        if operator.kind in _IN_ORDER and _leads(one, several, operator.inputs[0]):
            after = one[operator.outputs[0]].shape
            shape = (_ANY, *(after[1:] if after[:1] == (1,) else after))
            node = _reshape(model.graph, node.input[0], node.output[0], shape)
            several[node.input[1]] = Tensor((len(shape),), shape)
            operator = replace(operator, kind="Reshape", inputs=tuple(node.input), attributes={})
        try:
            results = apply(operator, several).tensors
        except ValueError as error:
            raise BadInput(f"it takes one picture alone: {error}", fix=FIX) from None
        several |= dict(zip(operator.outputs, results, strict=False))
        nodes.append(node)
    return nodes


def _leads(one: dict[str, Tensor], several: dict[str, Tensor], name: str) -> bool:
    """Whether the first size of a result is the number of pictures."""
    alone, together = one[name].shape, several[name].shape
    return together in ((_SEVERAL, *alone), (_SEVERAL, *alone[1:])) and together != alone


def _set_input(graph: onnx.GraphProto, entry: Entry, shape: tuple[int | str, ...]) -> None:
    (value,) = (value for value in graph.input if value.name == entry.name)
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(entry.name, kind, shape))


def _sizes_of_one(model: onnx.ModelProto) -> dict[str, Tensor]:
    try:
        return infer(read_outline(model.SerializeToString()), 1)[1]
    except ValueError as error:
        raise BadInput(f"it cannot be run: {error}", fix=FIX) from None


def _reshape(
    graph: onnx.GraphProto, source: str, result: str, shape: tuple[int, ...]
) -> onnx.NodeProto:
    name = f"{result}_shape_of_one"
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
    return helper.make_node("Reshape", [source, name], [result])
