"""Typed steps to an ONNX graph of few, common operators: NCHW, one name a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.contract import BATCH_NAME, INPUT_NAME, OUTPUT_NAME
from mnist_edge.formats.graph import layers

_FUNCTIONS = {
    "sigmoid": ("Sigmoid", ()),
    "tanh": ("Tanh", ()),
    "elu": ("Elu", ("alpha",)),
    "leaky": ("LeakyRelu", ("alpha",)),
    "hard-sigmoid": ("HardSigmoid", ("alpha", "beta")),
    "hard-swish": ("HardSwish", ()),
    "round": ("Round", ()),
}


def write_graph(net: layers.Net, opset: int) -> onnx.ModelProto:
    """The graph of a net, from `images` to `logits`."""
    graph = _Graph(net)
    for index, step in enumerate(net.steps):
        graph.write(index, step)
    last = len(net.steps) - 1
    graph.rename(graph.row(last), OUTPUT_NAME)
    classes = net.steps[last].shape.size
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "mnist_edge",
            [_value(INPUT_NAME, net.picture)],
            [_value(OUTPUT_NAME, (classes,))],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", opset)],
    )
    model.ir_version = 8
    return model


def _value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH_NAME, *shape])


class _Graph:
    """Operators and constants so far."""

    def __init__(self, net: layers.Net) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._net, self._rows = net, layers.rows(net)
        self._names = {layers.PICTURE: INPUT_NAME}
        self._as_rows: dict[int, str] = {}

    def write(self, index: int, step: layers.Step) -> None:
        """The operators of a step."""
        name = f"{type(step).__name__.lower()}{index}"
        match step:
            case layers.Convolution():
                result = self._convolve(name, step)
            case layers.Linear():
                inputs = [self.row(step.source), *self._weights(name, step)]
                result = self._add("Gemm", inputs, name, transB=1)
            case layers.Pool():
                result = self._pool(name, step)
            case layers.Scale():
                result = self._scale(name, step, index)
            case layers.Add():
                inputs = [self._as(index, source) for source in (step.source, step.other)]
                result = self._add("Add", inputs, name)
            case layers.Concat():
                inputs = [self._as(index, source) for source in step.sources]
                result = self._add("Concat", inputs, name, axis=1)
            case layers.SpaceToDepth():
                result = self._add(
                    "SpaceToDepth", [self.picture(step.source)], name, blocksize=step.block
                )
            case layers.Move():
                result = self._move(name, step)
            case layers.Border():
                result = self._border(name, step)
            case layers.Resize():
                sizes = self._constant(f"{name}_sizes", np.array(step.shape[1:], np.int64))
                inputs = [self.picture(step.source), "", "", sizes]
                result = self._add("Resize", inputs, name, mode="linear", axes=[2, 3])
            case layers.Activate():
                result = self._activate(name, step, index)
        if isinstance(step, (layers.Linear, layers.Pool, layers.Scale, layers.Add)) and step.relu:
            result = self._add("Relu", [result], f"{name}_relu")
        self._names[index] = result

    def row(self, index: int) -> str:
        """The result of a step as (N, numbers)."""
        if index in self._rows:
            return self._names[index]
        if index not in self._as_rows:
            name = self._names[index]
            self._as_rows[index] = self._add("Flatten", [name], f"{name}_row", axis=1)
        return self._as_rows[index]

    def picture(self, index: int) -> str:
        """The result of a step as (N, channels, height, width)."""
        if index not in self._rows:
            return self._names[index]
        name = self._names[index]
        return self._reshape(name, f"{name}_picture{len(self.nodes)}", self._net.shape(index))

    def rename(self, old: str, new: str) -> None:
        """Call a result otherwise."""
        for node in self.nodes:
            node.output[:] = [new if name == old else name for name in node.output]
            node.input[:] = [new if name == old else name for name in node.input]

    def _as(self, index: int, source: int) -> str:
        return self.row(source) if index in self._rows else self.picture(source)

    def _convolve(self, name: str, step: layers.Convolution) -> str:
        window = step.window
        result = self._add(
            "Conv",
            [self.picture(step.source), *self._weights(name, step)],
            name,
            kernel_shape=window[:2],
            strides=window[2:4],
            pads=window[4:],
            **({"group": step.groups} if step.groups > 1 else {}),
        )
        if step.relu:
            result = self._add("Relu", [result], f"{name}_relu")
        if step.pooled:
            result = self._add(
                "MaxPool", [result], f"{name}_pool", kernel_shape=[2, 2], strides=[2, 2]
            )
        return result

    def _pool(self, name: str, step: layers.Pool) -> str:
        window, source = step.window, self.picture(step.source)
        average = step.kind == "average"
        if average and window == layers.Window(*self._net.shape(step.source)[1:]):
            return self._add("GlobalAveragePool", [source], name)
        return self._add(
            "AveragePool" if average else "MaxPool",
            [source],
            name,
            kernel_shape=window[:2],
            strides=window[2:4],
            pads=window[4:],
            **({"count_include_pad": 1} if step.counts_border else {}),
        )

    def _scale(self, name: str, step: layers.Scale, index: int) -> str:
        result = self._as(index, step.source)
        shape = (-1,) if index in self._rows else (-1, 1, 1)
        # Sub, not Add: that is quantized.
        for kind, array, neutral in (("Mul", step.factor, 1.0), ("Sub", -step.offset, 0.0)):
            if np.any(array != neutral):
                part = f"{name}_{kind.lower()}"
                number = self._constant(f"{part}_constant", array.reshape(shape))
                result = self._add(kind, [result, number], part)
        return result

    def _activate(self, name: str, step: layers.Activate, index: int) -> str:
        source = self._as(index, step.source)
        if step.function == "silu":
            gate = self._add("Sigmoid", [source], f"{name}_gate")
            return self._add("Mul", [source, gate], name)
        if step.function == "clip":
            bounds = [
                self._constant(f"{name}_{which}", np.array(bound, np.float32))
                for which, bound in (("low", step.first), ("high", step.second))
            ]
            return self._add("Clip", [source, *bounds], name)
        kind, options = _FUNCTIONS[step.function]
        values = dict(zip(options, (step.first, step.second), strict=False))
        return self._add(kind, [source], name, **values)

    def _move(self, name: str, step: layers.Move) -> str:
        before = self._net.shape(step.source)
        numbers = np.arange(before.size)
        if np.array_equal(step.order, numbers):
            return self._reshape(self.picture(step.source), name, step.shape)
        for perm in ((0, 2, 1), (1, 2, 0), (2, 0, 1), (1, 0, 2), (2, 1, 0)):
            turned = numbers.reshape(before).transpose(perm)
            if np.array_equal(turned.reshape(-1), step.order):
                axes = [0, *(axis + 1 for axis in perm)]
                result = f"{name}_turned" if turned.shape != step.shape else name
                result = self._add("Transpose", [self.picture(step.source)], result, perm=axes)
                same = turned.shape == step.shape
                return result if same else self._reshape(result, name, step.shape)
        order = self._constant(f"{name}_order", step.order.astype(np.int64))
        taken = self._add("Gather", [self.row(step.source), order], f"{name}_taken", axis=1)
        return self._reshape(taken, name, step.shape)

    def _border(self, name: str, step: layers.Border) -> str:
        _, height, width = self._net.shape(step.source)
        bottom = step.shape.height - height - step.top
        right = step.shape.width - width - step.left
        pads = np.array([0, 0, step.top, step.left, 0, 0, bottom, right], np.int64)
        inputs = [
            self.picture(step.source),
            self._constant(f"{name}_pads", pads),
            self._constant(f"{name}_fill", np.array(step.fill, np.float32)),
        ]
        return self._add("Pad", inputs, name, mode="constant")

    def _reshape(self, source: str, name: str, shape: Sequence[int]) -> str:
        sizes = self._constant(f"{name}_sizes", np.array([-1, *shape], np.int64))
        return self._add("Reshape", [source, sizes], name)

    def _weights(self, name: str, step: layers.Convolution | layers.Linear) -> list[str]:
        return [
            self._constant(f"{name}_weight", step.weight),
            self._constant(f"{name}_bias", step.bias),
        ]

    def _constant(self, name: str, array: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _add(self, kind: str, inputs: Sequence[str], name: str, **options: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **options))
        return name
