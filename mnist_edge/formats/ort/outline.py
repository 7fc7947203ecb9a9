"""The outline of a file in ONNX Runtime's own format, read before the runtime sees it.

Such a file is a flatbuffer: https://flatbuffers.dev/internals/. The fields are numbered as in
onnxruntime/core/flatbuffers/schema/ort.fbs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.graph.outline import MOST_INTEGERS, Attribute, Operator, Outline, Tensor

MOST_TABLES = 1 << 16
"""Of a file: each costs time before anything is known of it."""

_MODEL, _GRAPH = 1, 7
_TENSORS, _VALUES, _NODES, _INPUTS, _OUTPUTS, _SPARSE_TENSORS, _PENDING = 0, 1, 2, 5, 6, 7, 8
_VALUE_NAME, _VALUE_TYPE, _TYPE_KIND, _TYPE_TENSOR, _TENSOR_SHAPE = 0, 2, 1, 2, 1
_SHAPE_SIZES, _SIZE, _SIZE_KIND, _SIZE_VALUE = 0, 0, 0, 1
_NODE_DOMAIN, _NODE_KIND, _NODE_INPUTS, _NODE_OUTPUTS, _NODE_ATTRIBUTES = 2, 5, 8, 9, 10
_NODE_OUTER_INPUTS = 12
_ATTRIBUTE_NAME, _ATTRIBUTE_KIND, _INT, _TEXT, _TENSOR, _INTS = 0, 2, 4, 5, 6, 9
_NAME, _SIZES, _NUMBERS, _RAW, _OUTSIDE = 0, 2, 3, 4, 6

_TYPES = {1: "<f4", 2: "<u1", 3: "<i1", 6: "<i4", 7: "<i8", 9: "<u1", 10: "<f2", 11: "<f8"}
_WHOLE = (6, 7)
_IS_TENSOR, _IS_KNOWN = 1, 1  # of the kinds of a type, and of a size


def read_outline(data: bytes) -> Outline:
    """Take a file of ONNX Runtime's own format apart.

    Raises:
        ValueError: it is none, or has parts that the graph of a picture has no use for: graphs
            inside, sparse tensors or those of odd types, values in other files, changes that are
            left to the runtime.
    """
    try:
        (start,) = struct.unpack_from("<I", data)
        graph = _Table(data, start, [MOST_TABLES]).table(_MODEL).table(_GRAPH)
        return _outline(graph)
    except struct.error:
        raise ValueError("it points behind its own end") from None


def _outline(graph: _Table) -> Outline:
    if _SPARSE_TENSORS in graph and list(graph.tables(_SPARSE_TENSORS)):
        raise ValueError("it has sparse tensors")
    if _PENDING in graph:
        raise ValueError("it leaves changes to the runtime")
    inputs = graph.texts(_INPUTS)
    return Outline(
        inputs={
            name: shape for name, shape in map(_value, graph.tables(_VALUES)) if name in inputs
        },
        constants={tensor.text(_NAME): _tensor(tensor) for tensor in graph.tables(_TENSORS)},
        operators=tuple(map(_operator, graph.tables(_NODES))),
        outputs=graph.texts(_OUTPUTS),
    )


def _value(value: _Table) -> tuple[str, tuple[int | None, ...]]:
    name = value.text(_VALUE_NAME)
    if _VALUE_TYPE not in value:
        return name, ()
    kind = value.table(_VALUE_TYPE)
    if kind.number(_TYPE_KIND, "<B") != _IS_TENSOR:
        raise ValueError(f"{name!r:.40} is no tensor")
    tensor = kind.table(_TYPE_TENSOR)
    sizes = tensor.table(_TENSOR_SHAPE).tables(_SHAPE_SIZES) if _TENSOR_SHAPE in tensor else ()
    return name, tuple(map(_size, sizes))


def _size(size: _Table) -> int | None:
    value = size.table(_SIZE)
    known = value.number(_SIZE_KIND, "<b") == _IS_KNOWN
    return value.number(_SIZE_VALUE, "<q") if known else None


def _operator(node: _Table) -> Operator:
    domain, kind = node.text(_NODE_DOMAIN), node.text(_NODE_KIND)
    if node.texts(_NODE_OUTER_INPUTS):
        raise ValueError(f"its {kind!r:.40} holds a graph")
    return Operator(
        kind=f"{domain}.{kind}" if domain else kind,
        inputs=node.texts(_NODE_INPUTS),
        outputs=node.texts(_NODE_OUTPUTS),
        attributes=dict(map(_attribute, node.tables(_NODE_ATTRIBUTES))),
    )


def _attribute(attribute: _Table) -> tuple[str, Attribute]:
    name = attribute.text(_ATTRIBUTE_NAME)
    match attribute.number(_ATTRIBUTE_KIND, "<i"):
        case 1 | 6:  # floats shape nothing
            return name, None
        case 2:
            return name, attribute.number(_INT, "<q")
        case 3:
            return name, attribute.text(_TEXT)
        case 4:
            return name, _tensor(attribute.table(_TENSOR))
        case 7:
            return name, tuple(attribute.numbers(_INTS, "<i8").tolist())
        case other:
            raise ValueError(f"its attribute {name!r:.40} is of type {other}")


def _tensor(tensor: _Table) -> Tensor:
    """A tensor, if the file holds as many numbers as its shape says."""
    kind = tensor.number(_NUMBERS, "<i")
    if tensor.number(_OUTSIDE, "<q", default=-1) != -1:
        raise ValueError("it keeps its weights in other files")
    if kind not in _TYPES:
        raise ValueError(f"a tensor of type {kind}")
    shape = tuple(tensor.numbers(_SIZES, "<i8").tolist())
    dtype, raw = np.dtype(_TYPES[kind]), tensor.numbers(_RAW, "<u1")
    if min(shape, default=0) < 0 or len(raw) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of shape {shape!s:.60} that holds {len(raw)} bytes")
    few = kind in _WHOLE and math.prod(shape) <= MOST_INTEGERS
    return Tensor(shape, tuple(raw.view(dtype).tolist()) if few else None)


class _Table:
    """A table of a flatbuffer. Raises ValueError or struct.error where it does not fit."""

    def __init__(self, data: bytes, place: int, room: list[int]) -> None:
        self._data, self._place, self._room = data, place, room
        room[0] -= 1
        if room[0] < 0:
            raise ValueError(f"more than {MOST_TABLES:,} entries")
        self._fields = place - self._at("<i", place)
        self._fields_end = self._fields + self._at("<H", self._fields)

    def __contains__(self, field: int) -> bool:
        return self._where(field) is not None

    def number(self, field: int, kind: str, *, default: int = 0) -> int:
        place = self._where(field)
        return default if place is None else self._at(kind, place)

    def numbers(self, field: int, dtype: str) -> NDArray[Any]:
        place, count = self._list(field)
        size = np.dtype(dtype).itemsize
        if place + count * size > len(self._data):
            raise ValueError("a list that is longer than the file")
        return np.frombuffer(self._data, dtype, count, place)

    def text(self, field: int) -> str:
        return self.numbers(field, "<u1").tobytes().decode()

    def texts(self, field: int) -> tuple[str, ...]:
        return tuple(
            self._data[place + 4 : place + 4 + self._at("<I", place)].decode()
            for place in self._places(field)
        )

    def table(self, field: int) -> _Table:
        place = self._where(field)
        if place is None:
            raise ValueError("a part is missing")
        return _Table(self._data, place + self._at("<I", place), self._room)

    def tables(self, field: int) -> Iterator[_Table]:
        return (_Table(self._data, place, self._room) for place in self._places(field))

    def _places(self, field: int) -> Iterator[int]:
        """Where each item of a list of tables or texts lies."""
        start, count = self._list(field)
        for place in range(start, start + 4 * count, 4):
            self._room[0] -= 1
            if self._room[0] < 0:
                raise ValueError(f"more than {MOST_TABLES:,} entries")
            yield place + self._at("<I", place)

    def _list(self, field: int) -> tuple[int, int]:
        """Where a list begins, and how many items it has."""
        place = self._where(field)
        if place is None:
            return 0, 0
        start = place + self._at("<I", place)
        return start + 4, self._at("<I", start)

    def _where(self, field: int) -> int | None:
        entry = self._fields + 4 + 2 * field
        if entry >= self._fields_end:
            return None
        return self._place + offset if (offset := self._at("<H", entry)) else None

    def _at(self, kind: str, place: int) -> int:
        if place < 0:  # which would count from the end
            raise ValueError("it points before its own start")
        (number,) = struct.unpack_from(kind, self._data, place)
        return int(number)
