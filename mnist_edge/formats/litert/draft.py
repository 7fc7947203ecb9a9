"""A graph in the making, and how its results and weights are kept: as floats, halves or bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnist_edge.contract import OUTPUT_NAME
from mnist_edge.errors import BadInput
from mnist_edge.formats.graph.layers import Weights
from mnist_edge.formats.graph.quantized import QuantizedNet
from mnist_edge.formats.litert.schema import DYNAMIC, Graph, Operation, Operator, Tensor, Type

_TYPES = {
    np.dtype(np.float32): Type.FLOAT32,
    np.dtype(np.float16): Type.FLOAT16,
    np.dtype(np.int32): Type.INT32,
    np.dtype(np.int8): Type.INT8,
}


class Draft:
    """Tensors and operations so far; results and weights are float32."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._operations: list[Operation] = []

    def add(self, tensor: Tensor) -> int:
        """Its number."""
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def apply(
        self, operator: Operator, inputs: tuple[int, ...], output: Tensor, **options: int
    ) -> int:
        """The number of the result of an operator."""
        number = self.add(output)
        self._operations.append(
            Operation(operator=operator, inputs=inputs, output=number, options=options)
        )
        return number

    def constant(
        self,
        name: str,
        array: NDArray[np.generic],
        scale: NDArray[np.float32] | None = None,
        axis: int = 0,
    ) -> int:
        """The number of a tensor that holds these numbers."""
        return self.add(
            Tensor(
                name=name,
                shape=array.shape,
                type=_TYPES[array.dtype],
                data=np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes(),
                scale=np.zeros(0, np.float32) if scale is None else scale,
                axis=axis,
            )
        )

    def result(self, name: str, shape: tuple[int, ...], step: int) -> Tensor:
        """What a step gives for each picture, or a part of what it does."""
        del step
        return floats(name, shape)

    def weight(self, name: str, array: Weights, step: int, *, axis: int = 0) -> int:
        """The weights of a step, whose outputs run along `axis`."""
        del step, axis
        return self.constant(name, array.astype(np.float32))

    def bias(self, name: str, array: Weights, step: int, source: int) -> int:
        """What a step adds to the products of its weights and the results of `source`."""
        del source
        return self.weight(name, array, step)

    def lowest(self, name: str, source: int) -> int:
        """What stands around the results of `source` where the largest are looked for."""
        del source
        return self.constant(name, np.full(1, np.finfo(np.float32).min, np.float32))

    def check_whole(self, step: str) -> None:
        """Raise BadInput where a step is written for whole numbers, and cannot be."""

    def graph(self, first: int, last: int) -> Graph:
        """All of it, from one tensor to another, which becomes the logits."""
        tensors = self._tensors.copy()
        tensors[last] = replace(tensors[last], name=OUTPUT_NAME)
        return Graph(
            tensors=tuple(tensors),
            operations=tuple(self._operations),
            input=first,
            output=last,
        )


class HalfDraft(Draft):
    """Weights are float16, and become float32 when the file is loaded."""

    def weight(self, name: str, array: Weights, step: int, *, axis: int = 0) -> int:
        """See `Draft.weight`."""
        del step, axis
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.isfinite(half).all():
            raise BadInput(
                f"the weights {name!r} pass the largest float16", fix="choose float32 or int8"
            )
        whole = Tensor(name=name, shape=array.shape, type=Type.FLOAT32)
        return self.apply(Operator.DEQUANTIZE, (self.constant(f"{name}.half", half),), whole)


class ByteDraft(Draft):
    """Results and weights are signed bytes: those of the quantized graph, less 128."""

    def __init__(self, quantized: QuantizedNet) -> None:
        super().__init__()
        self._grids, self._scales = quantized.grids, quantized.scales

    def result(self, name: str, shape: tuple[int, ...], step: int) -> Tensor:
        """See `Draft.result`."""
        grid = self._grids[step]
        return Tensor(
            name=name,
            shape=(DYNAMIC, *shape),
            type=Type.INT8,
            scale=np.full(1, grid.scale, np.float32),
            zero=grid.zero - 128,
        )

    def weight(self, name: str, array: Weights, step: int, *, axis: int = 0) -> int:
        """See `Draft.weight`."""
        return self.constant(name, array.astype(np.int8), self._scales[step], axis)

    def bias(self, name: str, array: Weights, step: int, source: int) -> int:
        """See `Draft.bias`: in the unit of the products."""
        unit = self._scales[step] * self._grids[source].scale
        return self.constant(name, array.astype(np.int32), unit)

    def check_whole(self, step: str) -> None:
        """See `Draft.check_whole`: LiteRT has grids of its own for them."""
        raise BadInput(
            f"LiteRT in int8 is not written of {step} steps of nets of others",
            fix="choose float32, or another format",
        )

    def lowest(self, name: str, source: int) -> int:
        """See `Draft.lowest`."""
        grid = self.result(name, (), source)
        return self.add(replace(grid, shape=(1,), data=np.int8(-128).tobytes()))


def floats(name: str, shape: tuple[int, ...]) -> Tensor:
    """A result of float32 for each picture."""
    return Tensor(name=name, shape=(DYNAMIC, *shape), type=Type.FLOAT32)
