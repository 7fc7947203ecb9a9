"""A net as the two files of ncnn, written from its typed steps without a converter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME
from mnist_edge.errors import BadInput
from mnist_edge.formats.graph.layers import (
    HALVING,
    PICTURE,
    Activate,
    Add,
    Concat,
    Convolution,
    Linear,
    Net,
    Pool,
    Scale,
    SpaceToDepth,
    Step,
    Weights,
    Window,
    rows,
    sources,
)
from mnist_edge.formats.graph.read import read_graph
from mnist_edge.formats.ncnn.layers import FLOAT16_TAG, FLOAT32_TAG, Layer, write_layers
from mnist_edge.recipes.terms import Precision


def write_ncnn(
    graph: bytes, precision: Precision, metadata: Mapping[str, str]
) -> tuple[bytes, bytes]:
    """The `.param` and the `.bin` file of a float32 graph, its weights in float32 or float16.

    Raises:
        BadInput: the graph holds something that cannot be written.
    """
    writer = _Writer(read_graph(graph), halves=precision == "float16")
    writer.write()
    return write_layers(writer.layers, metadata), b"".join(writer.weights)


class _Writer:
    """Layers and weights so far."""

    def __init__(self, net: Net, *, halves: bool) -> None:
        self.layers: list[Layer] = []
        self.weights: list[bytes] = []
        self._net, self._halves, self._rows = net, halves, rows(net)
        self._reads = Counter(source for step in net.steps for source in sources(step))
        self._copies: dict[int, Iterator[str]] = {}

    def write(self) -> None:
        """All steps, and a row of logits."""
        channels, height, width = self._net.picture
        last = len(self._net.steps) - 1
        self._add("Input", INPUT_NAME, (), {0: width, 1: height, 2: channels})
        self._give(PICTURE, INPUT_NAME)
        for index, step in enumerate(self._net.steps):
            name = self._write(f"{type(step).__name__.lower()}{index}", step, index)
            if index < last:
                self._give(index, name)
            elif index not in self._rows:
                self._add("Reshape", "row", (name,), {0: step.shape.size})
        self.layers[-1] = replace(self.layers[-1], outputs=(OUTPUT_NAME,))

    def _write(self, name: str, step: Step, index: int) -> str:
        """The layers of a step; the name of the result of the last."""
        match step:
            case Convolution():
                return self._convolve(name, step)
            case Linear():
                return self._multiply(name, step)
            case Pool():
                options = {0: int(step.kind == "average")} | _pooling(step.window)
                options |= {6: 1} if step.counts_border else {}
                result = self._add("Pooling", name, (self._take(step.source),), options)
            case Scale():
                options = {0: len(step.factor), 1: 1}
                result = self._add("Scale", name, (self._take(step.source),), options)
                self.weights += [_floats(step.factor), _floats(step.offset)]
            case Add():
                inputs = tuple(self._as(index, source) for source in (step.source, step.other))
                result = self._add("BinaryOp", name, inputs, {0: 0})
            case Concat():
                inputs = tuple(self._as(index, source) for source in step.sources)
                return self._add("Concat", name, inputs, {0: 0})
            case SpaceToDepth():
                options = {0: step.block, 1: 1}
                return self._add("Reorg", name, (self._take(step.source),), options)
            case Activate() if step.function in _FUNCTIONS:
                given = self._as(index, step.source)
                return self._add(_FUNCTIONS[step.function], name, (given,), {})
            case _:
                raise BadInput(
                    f"ncnn is not written of {type(step).__name__} steps of nets of others",
                    fix="choose another format",
                )
        return self._add("ReLU", f"{name}_relu", (result,), {}) if step.relu else result

    def _convolve(self, name: str, step: Convolution) -> str:
        window = step.window
        options = {
            0: len(step.weight),
            1: window.width,
            11: window.height,
            3: window.stride_x,
            13: window.stride_y,
            4: window.left,
            14: window.top,
            15: window.right,
            16: window.bottom,
            5: 1,
            6: step.weight.size,
        }
        options |= ({7: step.groups} if step.groups > 1 else {}) | ({9: 1} if step.relu else {})
        kind = "ConvolutionDepthWise" if step.groups > 1 else "Convolution"
        result = self._add(kind, name, (self._take(step.source),), options)
        self.weights += [self._weight(name, step.weight), _floats(step.bias)]
        if not step.pooled:
            return result
        return self._add("Pooling", f"{name}_pool", (result,), {0: 0} | _pooling(HALVING))

    def _multiply(self, name: str, step: Linear) -> str:
        options = {0: len(step.weight), 1: 1, 2: step.weight.size} | ({9: 1} if step.relu else {})
        result = self._add("InnerProduct", name, (self._row(step.source),), options)
        self.weights += [self._weight(name, step.weight), _floats(step.bias)]
        return result

    def _as(self, index: int, source: int) -> str:
        """A result, a row where that of step `index` is one."""
        return self._row(source) if index in self._rows else self._take(source)

    def _row(self, source: int) -> str:
        name = self._take(source)
        if source in self._rows:
            return name
        return self._add("Reshape", f"{name}_row", (name,), {0: self._net.shape(source).size})

    def _give(self, index: int, name: str) -> None:
        """A step gives a result of this name, and a copy of it for each that reads it."""
        count = self._reads[index]
        copies: tuple[str, ...] = (name,)
        if count > 1:
            copies = tuple(f"{name}_copy{number}" for number in range(count))
            self.layers.append(
                Layer(kind="Split", name=f"{name}_split", inputs=(name,), outputs=copies)
            )
        self._copies[index] = iter(copies)

    def _take(self, source: int) -> str:
        """The name of a result, another one each time."""
        return next(self._copies[source])

    def _add(self, kind: str, name: str, inputs: tuple[str, ...], options: dict[int, int]) -> str:
        """Add a layer; the name of its result, which is its own."""
        self.layers.append(
            Layer(kind=kind, name=name, inputs=inputs, outputs=(name,), options=options)
        )
        return name

    def _weight(self, name: str, array: Weights) -> bytes:
        """Weights behind the tag that tells how they are kept, in whole words."""
        if not self._halves:
            return FLOAT32_TAG.to_bytes(4, "little") + _floats(array)
        with np.errstate(over="ignore"):
            half = array.astype("<f2")
        if not np.isfinite(half).all():
            raise BadInput(f"the weights of {name} pass the largest float16", fix="choose float32")
        data = half.tobytes()
        return FLOAT16_TAG.to_bytes(4, "little") + data + bytes(-len(data) % 4)


_FUNCTIONS = {"sigmoid": "Sigmoid", "tanh": "TanH", "silu": "Swish"}


def _pooling(window: Window) -> dict[int, int]:
    """The options of a pooling whose border is given, and whose last windows lie within it."""
    return {
        1: window.width,
        11: window.height,
        2: window.stride_x,
        12: window.stride_y,
        3: window.left,
        13: window.top,
        14: window.right,
        15: window.bottom,
        5: 1,
    }


def _floats(array: NDArray[np.generic]) -> bytes:
    return array.astype("<f4").tobytes()
