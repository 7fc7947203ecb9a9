"""The outline of a file in ONNX Runtime's own format, read before the runtime sees it.

Such a file is a flatbuffer: https://flatbuffers.dev/internals/. The fields are numbered as in
onnxruntime/core/flatbuffers/schema/ort.fbs.
"""

from __future__ import annotations

import math

import numpy as np

from mnist_edge.formats.flatbuffer import Table, root_table
from mnist_edge.formats.graph.outline import MOST_INTEGERS, Attribute, Operator, Outline, Tensor

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
    return _outline(root_table(data, b"ORTM").part(_MODEL).part(_GRAPH))


def _outline(graph: Table) -> Outline:
    if _SPARSE_TENSORS in graph and graph.tables(_SPARSE_TENSORS):
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


def _value(value: Table) -> tuple[str, tuple[int | None, ...]]:
    name = value.text(_VALUE_NAME)
    if _VALUE_TYPE not in value:
        return name, ()
    kind = value.part(_VALUE_TYPE)
    if kind.number(_TYPE_KIND, "B") != _IS_TENSOR:
        raise ValueError(f"{name!r:.40} is no tensor")
    tensor = kind.part(_TYPE_TENSOR)
    sizes = tensor.part(_TENSOR_SHAPE).tables(_SHAPE_SIZES) if _TENSOR_SHAPE in tensor else ()
    return name, tuple(map(_size, sizes))


def _size(size: Table) -> int | None:
    value = size.part(_SIZE)
    known = value.number(_SIZE_KIND, "b") == _IS_KNOWN
    return value.number(_SIZE_VALUE, "q") if known else None


def _operator(node: Table) -> Operator:
    domain, kind = node.text(_NODE_DOMAIN), node.text(_NODE_KIND)
    if node.texts(_NODE_OUTER_INPUTS):
        raise ValueError(f"its {kind!r:.40} holds a graph")
    return Operator(
        kind=f"{domain}.{kind}" if domain else kind,
        inputs=node.texts(_NODE_INPUTS),
        outputs=node.texts(_NODE_OUTPUTS),
        attributes=dict(map(_attribute, node.tables(_NODE_ATTRIBUTES))),
    )


def _attribute(attribute: Table) -> tuple[str, Attribute]:
    name = attribute.text(_ATTRIBUTE_NAME)
    match attribute.number(_ATTRIBUTE_KIND, "i"):
        case 1 | 6:  # floats shape nothing
            return name, None
        case 2:
            return name, attribute.number(_INT, "q")
        case 3:
            return name, attribute.text(_TEXT)
        case 4:
            return name, _tensor(attribute.part(_TENSOR))
        case 7:
            return name, tuple(attribute.numbers(_INTS, "<i8").tolist())
        case other:
            raise ValueError(f"its attribute {name!r:.40} is of type {other}")


def _tensor(tensor: Table) -> Tensor:
    """A tensor, if the file holds as many numbers as its shape says."""
    kind = tensor.number(_NUMBERS, "i")
    if tensor.number(_OUTSIDE, "q", default=-1) != -1:
        raise ValueError("it keeps its weights in other files")
    if kind not in _TYPES:
        raise ValueError(f"a tensor of type {kind}")
    shape = tuple(tensor.numbers(_SIZES, "<i8").tolist())
    dtype, raw = np.dtype(_TYPES[kind]), tensor.numbers(_RAW, "<u1")
    if min(shape, default=0) < 0 or len(raw) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of shape {shape!s:.60} that holds {len(raw)} bytes")
    few = kind in _WHOLE and math.prod(shape) <= MOST_INTEGERS
    return Tensor(shape, tuple(raw.view(dtype).tolist()) if few else None)
