"""A net of others behind our contract: its graph, with all that it wants of a picture in front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mnist_edge.bundle.imported import Contract
from mnist_edge.contract import BATCH_NAME, IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME
from mnist_edge.foreign.constants import Nodes, replace_nodes
from mnist_edge.foreign.graph import prune
from mnist_edge.foreign.prepare import Prepared
from mnist_edge.formats.original.feed import border

_OURS = "foreign_"
"""How the names of the net begin, so that none is one of ours."""


def wrap(net: Prepared, contract: Contract) -> onnx.ModelProto:
    """The graph from `images` (N, 1, 28, 28) in [0, 1] to `logits` (N, classes)."""
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(net.model)
    graph = wrapped.graph
    _rename(graph)
    front = _Front(graph)
    picture = front.lay_out(contract, net)
    nodes = list(graph.node)
    for node in nodes:
        for index, name in enumerate(node.input):
            if name == _OURS + net.entry.name:
                node.input[index] = picture
    given = graph.output[0].name
    nodes.append(helper.make_node("Identity", [given], [OUTPUT_NAME]))
    for node in nodes[:-1]:  # rather no operator than one that does nothing
        if given in node.output and not any(given in other.input for other in nodes[:-1]):
            node.output[list(node.output).index(given)] = OUTPUT_NAME
            nodes.pop()
            break
    replace_nodes(graph, [*front.nodes, *nodes])
    del graph.input[:], graph.output[:]
    for place, name, shape in (
        (graph.input, INPUT_NAME, IMAGE_SHAPE),
        (graph.output, OUTPUT_NAME, (net.classes,)),
    ):
        place.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH_NAME, *shape]))
    _join_reshapes(graph)
    prune(graph)
    return wrapped


def _join_reshapes(graph: onnx.GraphProto) -> None:
    """Of several Reshapes one behind the other, leave the last."""
    sources: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Reshape":
            node.input[0] = sources[node.output[0]] = sources.get(node.input[0], node.input[0])


def _rename(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = _OURS + value.name
    for number, node in enumerate(graph.node):
        node.name = f"{_OURS}{node.name or number}"
        for names in (node.input, node.output):
            names[:] = [name and _OURS + name for name in names]


class _Front(Nodes):
    """What stands before a net: its operators, one after the other."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__(graph)
        self._last = INPUT_NAME

    def lay_out(self, contract: Contract, net: Prepared) -> str:
        """All that a contract asks for; the name of its result."""
        if contract.transposed:
            self._add("Transpose", perm=[0, 1, 3, 2])
        side = contract.side
        if contract.fit == "pad":
            first, last = border(side)
            pads = np.array([0, 0, first, first, 0, 0, last, last], np.int64)
            self._add("Pad", pads, mode="constant")
        elif contract.fit == "resize":
            self._resize(side)
        for kind, number in _affine(contract):
            self._add(kind, np.float32(number))
        if contract.channels > 1:
            inputs = [self._last] * contract.channels
            self._last = self.add("Concat", inputs, self._place, axis=1)
        if contract.channels_last:
            self._add("Transpose", perm=[0, 2, 3, 1])
        shape = (contract.channels, side, side)
        if contract.channels_last:
            shape = (side, side, contract.channels)
        if net.entry.shape != shape:
            self._add("Reshape", np.array([-1, *net.entry.shape], np.int64))
        if net.kind != TensorProto.FLOAT:
            self._add("Round")
            self._add("Cast", to=net.kind)
        return self._last

    def _add(self, kind: str, *constants: NDArray[np.generic] | np.generic, **options: Any) -> None:
        names = [
            self.constant(f"{self._place}_{index}", numbers)
            for index, numbers in enumerate(constants)
        ]
        self._last = self.add(kind, [self._last, *names], self._place, **options)

    def _resize(self, side: int) -> None:
        sizes = self.constant(f"{self._place}_0", np.array([side, side], np.int64))
        inputs = [self._last, "", "", sizes]
        self._last = self.add("Resize", inputs, self._place, mode="linear", axes=[2, 3])

    @property
    def _place(self) -> str:
        """The name of what comes next."""
        return f"contract_{len(self.nodes)}"


def _affine(contract: Contract) -> Iterator[tuple[str, float]]:
    """The polarity and the normalisation, where these do anything."""
    if contract.inverted:
        yield "Mul", -1.0
        yield "Add", 1.0
    if contract.norm.mean:
        yield "Sub", contract.norm.mean
    if contract.norm.std != 1:
        yield "Div", contract.norm.std
