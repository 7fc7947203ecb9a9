"""The steps of a net as an ONNX graph: what `read` reads, said in the plainest way.

Whatever an exporter put around a net of others is gone after that: operators that only lay numbers
out in another way, normalisations that a convolution can hold, shapes computed as it runs.
"""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.contract import BATCH_NAME, INPUT_NAME, OUTPUT_NAME
from mnist_edge.formats.graph.layers import (
    PICTURE,
    Add,
    Concat,
    Convolution,
    Linear,
    Net,
    Pool,
    Scale,
    SpaceToDepth,
    Step,
    Window,
    rows,
)


def write_graph(net: Net, opset: int) -> onnx.ModelProto:
    """The graph of a net, from `images` to `logits`, float32, with an open batch size."""
    writer = _Writer(net)
    for index, step in enumerate(net.steps):
        writer.write(index, step)
    writer.name_the_last()
    classes = net.steps[-1].shape.size
    (picture, logits) = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH_NAME, *shape])
        for name, shape in ((INPUT_NAME, net.picture), (OUTPUT_NAME, (classes,)))
    )
    graph = helper.make_graph(
        writer.nodes, "mnist_edge", [picture], [logits], initializer=writer.tensors
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


class _Writer:
    """The operators so far, and the name of each step's result."""

    def __init__(self, net: Net) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[TensorProto] = []
        self._names = {PICTURE: INPUT_NAME}
        self._rows = rows(net)

    def write(self, index: int, step: Step) -> None:
        """Add the operators of one step."""
        match step:
            case Scale():
                name = self._scaled(index, step)
            case Convolution():
                name = self._convolved(index, step)
            case Linear():
                constants = {"weight": step.weight, "bias": step.bias}
                name = self._add("Gemm", index, [self._row(step.source)], constants, transB=1)
            case Pool():
                name = self._pooled(index, step)
            case Add():
                name = self._add("Add", index, [self._names[s] for s in (step.source, step.other)])
            case Concat():
                name = self._add("Concat", index, [self._names[s] for s in step.sources], axis=1)
            case SpaceToDepth():
                source = self._names[step.source]
                name = self._add("SpaceToDepth", index, [source], blocksize=step.block)
            case _:
                assert_never(step)
        if not isinstance(step, (Convolution, Pool)) and getattr(step, "relu", False):
            name = self._add("Relu", index, [name])
        self._names[index] = name

    def name_the_last(self) -> None:
        """Give the result of the last step, a row, the name of the output."""
        last = len(self._names) - 2
        self._row(last)
        self.nodes[-1].output[0] = OUTPUT_NAME

    def _scaled(self, index: int, step: Scale) -> str:
        name = self._names[step.source]
        shape = (-1,) if index in self._rows else (-1, 1, 1)
        for kind, numbers, idle in (("Mul", step.factor, 1.0), ("Add", step.offset, 0.0)):
            if (numbers != idle).any():
                alike = numbers.size > 1 and (numbers == numbers[0]).all()
                constant = numbers[:1] if alike else numbers
                name = self._add(
                    kind, index, [name], {f"{kind.lower()}_by": constant.reshape(shape)}
                )
        if name == self._names[step.source]:
            name = self._add("Identity", index, [name])
        return name

    def _convolved(self, index: int, step: Convolution) -> str:
        name = self._add(
            "Conv",
            index,
            [self._names[step.source]],
            {"weight": step.weight, "bias": step.bias},
            **_options(step.window),
            group=step.groups,
        )
        if step.relu:
            name = self._add("Relu", index, [name])
        if step.pooled:
            name = self._add("MaxPool", index, [name], kernel_shape=[2, 2], strides=[2, 2])
        return name

    def _pooled(self, index: int, step: Pool) -> str:
        name = self._names[step.source]
        if step.kind == "max":
            # The largest of what is left of the numbers is what is left of the largest.
            if step.relu:
                name = self._add("Relu", index, [name])
            return self._add("MaxPool", index, [name], **_options(step.window))
        options = _options(step.window) | {"count_include_pad": int(step.counts_border)}
        name = self._add("AveragePool", index, [name], **options)
        return self._add("Relu", index, [name]) if step.relu else name

    def _row(self, index: int) -> str:
        """The result of a step as one row a picture."""
        name = self._names[index]
        return name if index in self._rows else self._add("Flatten", index, [name], axis=1)

    def _add(
        self,
        kind: str,
        index: int,
        inputs: list[str],
        constants: dict[str, NDArray[np.float32]] | None = None,
        **options: Any,
    ) -> str:
        result = f"step{index}_{kind.lower()}"
        names = []
        for role, numbers in (constants or {}).items():
            names.append(f"step{index}_{role}")
            array = np.ascontiguousarray(numbers, np.float32)
            self.tensors.append(numpy_helper.from_array(array, names[-1]))
        self.nodes.append(
            helper.make_node(kind, [*inputs, *names], [result], name=result, **options)
        )
        return result


def _options(window: Window) -> dict[str, Any]:
    return {
        "kernel_shape": [window.height, window.width],
        "strides": [window.stride_y, window.stride_x],
        "pads": [window.top, window.left, window.bottom, window.right],
    }
