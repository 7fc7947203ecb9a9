"""What a `.tflite` file is made of, as far as our nets need it.

The numbers are those of the schema, version 3, whose fields never change their meaning:
https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
VERSION = 3
METADATA = "mnist_edge"
"""The name of the buffer that holds our metadata, as JSON."""

FACTOR, OFFSET = "input_factor", "input_offset"
"""Keys of the metadata of a file that takes bytes: what is done to a picture before its scale."""

DYNAMIC = -1
"""In the shape of a tensor: as many as there are pictures."""


class Type(IntEnum):
    """Of the numbers of a tensor."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2
    INT8 = 9

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """In memory, little-endian."""
        return np.dtype({0: "<f4", 1: "<f2", 2: "<i4", 9: "i1"}[self.value])


class Operator(IntEnum):
    """What a step may become."""

    ADD = 0
    AVERAGE_POOL_2D = 1
    CONCATENATION = 2
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    DEQUANTIZE = 6
    FULLY_CONNECTED = 9
    LOGISTIC = 14
    MAX_POOL_2D = 17
    MUL = 18
    RELU = 19
    RESHAPE = 22
    RESIZE_BILINEAR = 23
    SPACE_TO_DEPTH = 26
    TANH = 28
    PAD = 34
    GATHER = 36
    MAXIMUM = 55
    MINIMUM = 57
    PADV2 = 60
    ELU = 111
    QUANTIZE = 114
    ROUND = 116


class Slot(NamedTuple):
    """A number among the options of an operator.

    Attributes:
        bits: 8 or 32.
        default: what stands there where the file is silent.
    """

    bits: int
    default: int = 0


_BYTE, _INT, _ONE = Slot(8), Slot(32), Slot(32, 1)
_SLIDING = {"valid": _BYTE, "stride_x": _INT, "stride_y": _INT}
_DILATED = {"dilation_x": _ONE, "dilation_y": _ONE}

# The number of the table in the union of options, and its fields in order.
OPTIONS: dict[Operator, tuple[int, dict[str, Slot]]] = {
    Operator.ADD: (11, {"relu": _BYTE}),
    Operator.AVERAGE_POOL_2D: (5, _SLIDING | {"width": _INT, "height": _INT, "relu": _BYTE}),
    Operator.CONCATENATION: (10, {"axis": _INT, "relu": _BYTE}),
    Operator.CONV_2D: (1, _SLIDING | {"relu": _BYTE} | _DILATED),
    Operator.DEPTHWISE_CONV_2D: (2, _SLIDING | {"multiplier": _INT, "relu": _BYTE} | _DILATED),
    Operator.FULLY_CONNECTED: (8, {"relu": _BYTE}),
    Operator.GATHER: (23, {"axis": _INT, "batch": _INT}),
    Operator.MUL: (21, {"relu": _BYTE}),
    Operator.RESIZE_BILINEAR: (
        15,
        {"height": _INT, "width": _INT, "corners": _BYTE, "half": _BYTE},
    ),
    Operator.SPACE_TO_DEPTH: (19, {"block": _INT}),
}
OPTIONS[Operator.MAX_POOL_2D] = OPTIONS[Operator.AVERAGE_POOL_2D]

# The oldest version of each operator that does what we ask of it, for float32 and for bytes:
# https://github.com/google-ai-edge/LiteRT/blob/main/tflite/tools/versioning/op_version.cc
_INT8_VERSIONS = {
    Operator.CONV_2D: 3,
    Operator.DEPTHWISE_CONV_2D: 3,
    Operator.FULLY_CONNECTED: 12,
    Operator.RESHAPE: 1,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """A constant, or a result.

    Attributes:
        name: unique in its graph.
        shape: of a result its first is `DYNAMIC`.
        type: of its numbers.
        data: of a constant, the numbers; of a result, nothing.
        scale: what one in it stands for: (1,), one for each index along an axis, or none.
        zero: the byte that stands for zero.
        axis: which that is.
    """

    name: str
    shape: tuple[int, ...]
    type: Type
    data: bytes = b""
    scale: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    zero: int = 0
    axis: int = 0


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operator of a graph: tensors by their number, and options by name."""

    operator: Operator
    inputs: tuple[int, ...]
    output: int
    options: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All that runs: the numbers of its one input and its one output are those of tensors."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    input: int
    output: int


def version_of(graph: Graph, operation: Operation) -> int:
    """The version of an operator that a runtime must know."""
    kind = graph.tensors[operation.inputs[0]].type
    if operation.operator is Operator.DEQUANTIZE and kind is Type.FLOAT16:
        return 3
    if operation.operator is Operator.RESIZE_BILINEAR:
        return 3
    return _INT8_VERSIONS.get(operation.operator, 2) if kind is Type.INT8 else 1
