"""An ONNX file taken apart without the `onnx` package, and before any runtime sees it."""

from __future__ import annotations

import math

import numpy as np

from mnist_edge.formats.graph.outline import (
    MOST_INTEGERS,
    MOST_SCALES,
    Array,
    Attribute,
    Operator,
    Outline,
    Tensor,
)
from mnist_edge.formats.graph.wire import Message

# Field numbers of onnx/onnx.proto. They never change their meaning.
_GRAPH, _TRAINING, _FUNCTIONS = 7, 20, 25
_NODES, _TENSORS, _INPUTS, _OUTPUTS, _SPARSE_TENSORS = 1, 5, 11, 12, 15
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_SIZES, _SIZE = 1, 2, 1, 2, 1, 1
_NODE_INPUTS, _NODE_OUTPUTS, _NODE_NAME, _NODE_KIND = 1, 2, 3, 4
_NODE_ATTRIBUTES, _NODE_DOMAIN = 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_TYPE = 1, 20
_FLOAT, _INT, _TEXT, _TENSOR, _INTS = 2, 3, 4, 5, 8  # where an attribute keeps its value
_GRAPHS_AND_THE_LIKE = (6, 10, 11, 14, 15, 21, 22, 23)
_SIZES, _NUMBERS, _NAME, _RAW, _OUTSIDE, _PLACE = 1, 2, 8, 9, 13, 14

# By number, the types of tensors that are taken: as NumPy names them, and the field that holds
# their numbers where these are not raw, each in its own size or (0) in as many bytes as it needs.
_FLOATS, _INT32S, _INT64S, _DOUBLES = 4, 5, 7, 10
_TYPES = {
    1: ("<f4", _FLOATS, 4),
    2: ("<u1", _INT32S, 0),
    3: ("<i1", _INT32S, 0),
    6: ("<i4", _INT32S, 0),
    7: ("<i8", _INT64S, 0),
    9: ("?", _INT32S, 0),
    10: ("<f2", _INT32S, 0),
    11: ("<f8", _DOUBLES, 8),
}


def read_outline(data: bytes, *, numbers: bool = False) -> Outline:
    """Take an ONNX file apart.

    Args:
        data: the file.
        numbers: whether tensors keep those that the file has; else they are but counted.

    Raises:
        ValueError: it is none, or has parts that the graph of a picture has no use for: graphs
            inside, functions, sparse tensors or those of odd types, values in other files.
    """
    model = Message.of(data)
    graph = model.child(_GRAPH)
    if _TRAINING in model or _FUNCTIONS in model or _SPARSE_TENSORS in graph:
        raise ValueError("it has functions, a training or sparse tensors")
    return Outline(
        inputs=dict(map(_input, graph.children(_INPUTS))),
        constants={t.text(_NAME): _tensor(t, numbers) for t in graph.children(_TENSORS)},
        operators=tuple(_operator(node, numbers) for node in graph.children(_NODES)),
        outputs=tuple(value.text(_VALUE_NAME) for value in graph.children(_OUTPUTS)),
    )


def _input(value: Message) -> tuple[str, tuple[int | None, ...]]:
    sizes = value.child(_VALUE_TYPE).child(_TYPE_TENSOR).child(_TENSOR_SHAPE).children(_SHAPE_SIZES)
    shape = tuple(size.integer(_SIZE) if _SIZE in size else None for size in sizes)
    return value.text(_VALUE_NAME), shape


def _operator(node: Message, numbers: bool) -> Operator:
    domain, kind = node.text(_NODE_DOMAIN), node.text(_NODE_KIND)
    return Operator(
        kind=kind if domain in ("", "ai.onnx") else f"{domain}.{kind}",
        inputs=node.texts(_NODE_INPUTS),
        outputs=node.texts(_NODE_OUTPUTS),
        attributes=dict(_attribute(a, numbers) for a in node.children(_NODE_ATTRIBUTES)),
        name=node.text(_NODE_NAME),
    )


def _attribute(attribute: Message, numbers: bool) -> tuple[str, Attribute]:
    name = attribute.text(_ATTRIBUTE_NAME)
    if any(number in attribute for number in _GRAPHS_AND_THE_LIKE):
        raise ValueError(f"its attribute {name!r:.40} is a graph, or the like")
    match attribute.integer(_ATTRIBUTE_TYPE):
        case 1:
            return name, attribute.real(_FLOAT)
        case 6 | 8:  # lists of floats and of texts shape nothing
            return name, None
        case 2:
            return name, attribute.integer(_INT)
        case 3:
            return name, attribute.text(_TEXT)
        case 4:
            return name, _tensor(attribute.child(_TENSOR), numbers)
        case 7:
            return name, tuple(attribute.integers(_INTS))
        case other:
            raise ValueError(f"its attribute {name!r:.40} is of type {other}")


def _tensor(tensor: Message, numbers: bool) -> Tensor:
    """A tensor, if the file holds as many numbers as its shape says."""
    if _OUTSIDE in tensor or tensor.integer(_PLACE):
        raise ValueError("it keeps its weights in other files")
    kind = tensor.integer(_NUMBERS)
    if kind not in _TYPES:
        raise ValueError(f"a tensor of type {kind}")
    dtype, place, size = _TYPES[kind]
    shape = tuple(tensor.integers(_SIZES))
    raw = tensor.data(_RAW)
    lists = [number for number in (_FLOATS, _INT32S, _INT64S, _DOUBLES) if number in tensor]
    if len(lists) + (_RAW in tensor) > 1 or any(number != place for number in lists):
        raise ValueError("a tensor with numbers of several kinds")
    count = len(raw) // np.dtype(dtype).itemsize if _RAW in tensor else tensor.count(place, size)
    if min(shape, default=0) < 0 or count != math.prod(shape):
        raise ValueError(f"a tensor of shape {shape!s:.60} that holds {count} numbers")
    integers = None
    if kind in (6, 7) and count <= MOST_INTEGERS:
        raws = np.frombuffer(raw, dtype).tolist()
        integers = tuple(raws) if _RAW in tensor else tuple(tensor.integers(place))
    all_of_them = _numbers(tensor).reshape(shape) if numbers else None
    few = kind == 1 and count <= MOST_SCALES
    scales = tuple(_numbers(tensor).tolist()) if few else None
    return Tensor(shape, integers, all_of_them, scales)


def _numbers(tensor: Message) -> Array:
    """All of a tensor of which `_tensor` has found that the file holds it."""
    dtype, place, size = _TYPES[tensor.integer(_NUMBERS)]
    if _RAW in tensor or size:
        return np.frombuffer(tensor.data(_RAW) if _RAW in tensor else tensor.joined(place), dtype)
    listed = np.array(list(tensor.integers(place)), np.int64)
    # Halves are listed as the whole numbers that their bits spell.
    return listed.astype(np.uint16).view(dtype) if dtype == "<f2" else listed.astype(dtype)
