"""The constants of a graph of others: each once, as a tensor of it, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

_MOST_NUMBERS = 1 << 22
# What rounds nothing: a reference in double precision must not see that it was done.
_EXACT = {
    *("Cast", "Concat", "ConstantOfShape", "Expand", "Flatten", "Gather", "Identity", "Neg"),
    *("Range", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
}


class Nodes:
    """Operators that are to stand in a graph, which holds their constants already."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self.nodes: list[onnx.NodeProto] = []

    def add(self, kind: str, inputs: Sequence[str], output: str, **options: Any) -> str:
        """One more operator; its result."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **options))
        return output

    def constant(self, name: str, numbers: NDArray[np.generic] | np.generic) -> str:
        """Numbers under a name."""
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(numbers), name))
        return name


def lift_constants(graph: onnx.GraphProto) -> None:
    """Put the values of `Constant` operators beside the other constants, each name once."""
    kept = []
    for node in graph.node:
        value = _value(node) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
        else:
            value.name = node.output[0]
            graph.initializer.append(value)
    replace_nodes(graph, kept)
    first = {tensor.name: tensor for tensor in reversed(graph.initializer)}
    if len(first) < len(graph.initializer):
        tensors = [first[name] for name in dict.fromkeys(t.name for t in graph.initializer)]
        del graph.initializer[:]
        graph.initializer.extend(tensors)


def fold_constants(model: onnx.ModelProto, *kinds: str) -> None:
    """Compute what only lays constants out in another way; the operators must be in order.

    Args:
        model: to be changed.
        kinds: of the operators; all that round nothing, where none is named.
    """
    graph = model.graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        constant = all(name in known for name in node.input if name) and any(node.input)
        results = []
        if constant and node.op_type in (kinds or _EXACT) and not node.domain:
            results = _computed(model, node, known)
        if not results:
            kept.append(node)
        graph.initializer.extend(results)
        known |= {tensor.name: tensor for tensor in results}
    replace_nodes(graph, kept)


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Put other operators in the place of all that there are."""
    del graph.node[:]
    graph.node.extend(nodes)


def _computed(
    model: onnx.ModelProto, node: onnx.NodeProto, known: dict[str, TensorProto]
) -> list[TensorProto]:
    """The results of an operator; none where the evaluator cannot, or they are many."""
    inputs = list(dict.fromkeys(filter(None, node.input)))
    if sum(math.prod(known[name].dims) for name in inputs) > _MOST_NUMBERS:
        return []
    values = [helper.make_empty_tensor_value_info(name) for name in (*inputs, *node.output)]
    body = helper.make_graph([node], "constant", values[: len(inputs)], values[len(inputs) :])
    small = helper.make_model(body, opset_imports=model.opset_import)
    try:
        feeds = {name: numpy_helper.to_array(known[name]) for name in inputs}
        results = ReferenceEvaluator(small).run(None, feeds)
    except Exception:  # of an evaluator that lacks the operator, or of numbers that do not fit it
        return []
    if any(np.size(result) > _MOST_NUMBERS for result in results):
        return []
    return [
        numpy_helper.from_array(np.asarray(result), name)
        for result, name in zip(results, node.output, strict=True)
    ]


def _value(node: onnx.NodeProto) -> TensorProto | None:
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        match attribute.name:
            case "value":
                tensor = TensorProto()
                tensor.CopyFrom(value)
                return tensor
            case "value_float" | "value_floats":
                return numpy_helper.from_array(np.asarray(value, np.float32))
            case "value_int" | "value_ints":
                return numpy_helper.from_array(np.asarray(value, np.int64))
    return None
