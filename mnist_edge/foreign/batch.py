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
from mnist_edge.formats.graph.outline import Operator, Tensor

_IN_ORDER = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Gather", "Slice")
_ANY = -1
_MORE = 2
"""Pictures beside those of the file, with which all sizes are computed to see where they go."""


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
    count = (entry.batch or 1) if entry.batched else 1
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    _set_input(freed.graph, entry, (count, *entry.shape) if entry.batched else entry.shape)
    freed = settled(freed, count)
    graph = freed.graph
    one = _sizes(freed, count)
    nodes = _freed_nodes(freed, entry, one, count)
    classes = math.prod(one[scores].shape) // count
    last = scores
    if one[scores].shape != (count, classes):
        last = f"{scores}_row"
        nodes.append(_reshape(graph, scores, last, (_ANY, classes)))
    replace_nodes(graph, nodes)
    _set_input(graph, entry, (BATCH_NAME, *entry.shape))
    row = helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, [BATCH_NAME, classes])
    graph.output[0].CopyFrom(row)
    prune(graph)
    return freed, classes


def _freed_nodes(
    model: onnx.ModelProto, entry: Entry, one: dict[str, Tensor], count: int
) -> list[onnx.NodeProto]:
    """The operators, with those in the place of others that say how many pictures there are."""
    outline = read_outline(model.SerializeToString())
    several = dict(outline.constants) | {entry.name: Tensor((count + _MORE, *entry.shape))}
    nodes = []
    for node, operator in zip(model.graph.node, outline.operators, strict=True):
        shape = _freed_shape(operator, one, several, count)
        if shape:
            node = _reshape(model.graph, node.input[0], node.output[0], shape)
            several[node.input[1]] = Tensor((len(shape),), shape)
            operator = replace(operator, kind="Reshape", inputs=tuple(node.input), attributes={})
        _forget_silence(node, operator, model.graph)
        try:
            results = apply(operator, several).tensors
        except ValueError as error:
            raise BadInput(f"it takes one picture alone: {error}", fix=FIX) from None
        several |= dict(zip(operator.outputs, results, strict=False))
        nodes.append(node)
    return nodes


def _freed_shape(
    operator: Operator, one: dict[str, Tensor], several: dict[str, Tensor], count: int
) -> tuple[int, ...]:
    """The sizes of what an operator lays out in another way; none where it may stay as it is."""
    if operator.kind not in _IN_ORDER:
        return ()
    name, several_now = operator.inputs[0], count + _MORE
    alone, together = one[name].shape, several[name].shape
    after = one[operator.outputs[0]].shape
    if math.prod(after) != math.prod(alone):  # a part of it
        return ()
    first = (_ANY, *(after[1:] if count > 1 or after[:1] == (1,) else after))
    if together == (several_now, *alone):
        return first
    moved = [
        axis for axis, sizes in enumerate(zip(alone, together, strict=False)) if len(set(sizes)) > 1
    ]
    if len(alone) != len(together) or len(moved) != 1 or together[moved[0]] != several_now:
        return ()
    if moved == [0] and operator.kind in ("Reshape", "Flatten"):
        return first
    if _fits(operator, several):
        return ()
    if moved == [0]:
        return first
    before = math.prod(alone[: moved[0]])
    for axis, size in enumerate(after):
        if size == count and math.prod(after[:axis]) == before:
            return (*after[:axis], _ANY, *after[axis + 1 :])
    return ()


def _fits(operator: Operator, several: dict[str, Tensor]) -> bool:
    """Whether an operator lays out the numbers of several pictures as it is."""
    try:
        return apply(operator, several).tensors[0].count == several[operator.inputs[0]].count
    except ValueError:
        return False


def _forget_silence(node: onnx.NodeProto, operator: Operator, graph: onnx.GraphProto) -> None:
    """Leave out the first states of a recurrent operator where they are zeros for one picture."""
    if operator.kind not in ("LSTM", "GRU", "RNN"):
        return
    known = {tensor.name: tensor for tensor in graph.initializer}
    for place, name in enumerate(node.input):
        if place in (5, 6) and name in known and not numpy_helper.to_array(known[name]).any():
            node.input[place] = ""


def _set_input(graph: onnx.GraphProto, entry: Entry, shape: tuple[int | str, ...]) -> None:
    (value,) = (value for value in graph.input if value.name == entry.name)
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(entry.name, kind, shape))


def _sizes(model: onnx.ModelProto, count: int) -> dict[str, Tensor]:
    try:
        return infer(read_outline(model.SerializeToString()), count)[1]
    except ValueError as error:
        raise BadInput(f"it cannot be run: {error}", fix=FIX) from None


def _reshape(
    graph: onnx.GraphProto, source: str, result: str, shape: tuple[int, ...]
) -> onnx.NodeProto:
    name = f"{result}_shape_of_one"
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
    return helper.make_node("Reshape", [source, name], [result])
