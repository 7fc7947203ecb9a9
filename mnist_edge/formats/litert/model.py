"""A graph as the bytes of a `.tflite` file: the same each time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import flatbuffers
import numpy as np

from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME
from mnist_edge.formats.litert.schema import (
    DYNAMIC,
    IDENTIFIER,
    METADATA,
    OPTIONS,
    VERSION,
    Graph,
    Operation,
    Operator,
    Slot,
    Tensor,
    version_of,
)

# Runtimes read the numbers where they lie in the file: `force_align: 16` in the schema.
_ALIGNMENT = 16


def write_model(graph: Graph, metadata: Mapping[str, str]) -> bytes:
    """The whole file; tables that others refer to come first, as flatbuffers wants them."""
    builder = flatbuffers.Builder(1 << 16)
    buffers = [b""]  # the first is that of all results
    tensors = [_tensor(builder, tensor, _kept(buffers, tensor.data)) for tensor in graph.tensors]
    operators = list(dict.fromkeys((o.operator, version_of(graph, o)) for o in graph.operations))
    operations = [
        _operation(builder, o, operators.index((o.operator, version_of(graph, o))))
        for o in graph.operations
    ]
    subgraph = _table(
        builder,
        {
            0: _offsets(builder, tensors),
            1: _numbers(builder, [graph.input], np.int32),
            2: _numbers(builder, [graph.output], np.int32),
            3: _offsets(builder, operations),
            4: builder.CreateString("main"),
        },
    )
    place = _kept(buffers, json.dumps(dict(sorted(metadata.items()))).encode())
    origin = _table(builder, {0: builder.CreateString(METADATA)}, uint32={1: place})
    model = _table(
        builder,
        {
            1: _offsets(builder, [_operator_code(builder, *pair) for pair in operators]),
            2: _offsets(builder, [subgraph]),
            3: builder.CreateString("mnist-edge"),
            4: _offsets(builder, [_buffer(builder, data) for data in buffers]),
            6: _offsets(builder, [origin]),
            7: _offsets(builder, [_signature(builder, graph)]),
        },
        uint32={0: VERSION},
    )
    builder.Finish(model, IDENTIFIER)
    return bytes(builder.Output())


def _kept(buffers: list[bytes], data: bytes) -> int:
    """The number of the buffer that holds `data`; results share the first, which is empty."""
    if not data:
        return 0
    buffers.append(data)
    return len(buffers) - 1


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int) -> int:
    dynamic = DYNAMIC in tensor.shape
    # A runtime that knows no dynamic shapes runs one picture at a time.
    shape = [1 if size == DYNAMIC else size for size in tensor.shape]
    fields = {
        0: _numbers(builder, shape, np.int32),
        3: builder.CreateString(tensor.name),
    }
    if tensor.scale.size:
        zeros = [tensor.zero] * tensor.scale.size
        fields[4] = _table(
            builder,
            {
                2: _numbers(builder, tensor.scale, np.float32),
                3: _numbers(builder, zeros, np.int64),
            },
            int32={6: tensor.axis},
        )
    if dynamic:
        fields[7] = _numbers(builder, tensor.shape, np.int32)
    return _table(builder, fields, byte={1: tensor.type, 8: 1}, uint32={2: buffer})


def _operation(builder: flatbuffers.Builder, operation: Operation, code: int) -> int:
    fields = {
        1: _numbers(builder, operation.inputs, np.int32),
        2: _numbers(builder, [operation.output], np.int32),
    }
    kind, slots = OPTIONS.get(operation.operator, (0, {}))
    if kind:
        fields[4] = _options(builder, operation.options, slots)
    return _table(builder, fields, byte={3: kind}, uint32={0: code})


def _options(
    builder: flatbuffers.Builder, values: Mapping[str, int], slots: Mapping[str, Slot]
) -> int:
    assert values.keys() <= slots.keys()
    builder.StartObject(len(slots))
    for place, (name, slot) in enumerate(slots.items()):
        prepend = builder.PrependInt8Slot if slot.bits == 8 else builder.PrependInt32Slot
        prepend(place, values.get(name, slot.default), slot.default)
    return int(builder.EndObject())


def _operator_code(builder: flatbuffers.Builder, operator: Operator, version: int) -> int:
    # The first field is the older place of the code, of one byte.
    return _table(builder, {}, byte={0: operator}, int32={2: version, 3: operator})


def _signature(builder: flatbuffers.Builder, graph: Graph) -> int:
    """Names for input and output, by which an application asks."""
    maps = [
        _offsets(builder, [_table(builder, {0: builder.CreateString(name)}, uint32={1: tensor})])
        for name, tensor in ((INPUT_NAME, graph.input), (OUTPUT_NAME, graph.output))
    ]
    key = builder.CreateString("serving_default")
    return _table(builder, {0: maps[0], 1: maps[1], 2: key})


def _buffer(builder: flatbuffers.Builder, data: bytes) -> int:
    if not data:
        return _table(builder, {})
    builder.StartVector(1, len(data), _ALIGNMENT)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return _table(builder, {0: int(builder.EndVector())})


def _table(
    builder: flatbuffers.Builder,
    offsets: Mapping[int, int],
    *,
    byte: Mapping[int, int] | None = None,
    int32: Mapping[int, int] | None = None,
    uint32: Mapping[int, int] | None = None,
) -> int:
    """A table of fields by their number; what is zero is left out, as it is the default."""
    kinds = (
        (builder.PrependUOffsetTRelativeSlot, offsets),
        (builder.PrependInt32Slot, int32 or {}),
        (builder.PrependUint32Slot, uint32 or {}),
        (builder.PrependInt8Slot, byte or {}),
    )
    builder.StartObject(1 + max((place for _, fields in kinds for place in fields), default=-1))
    for prepend, fields in kinds:
        for place, value in fields.items():
            prepend(place, value, 0)
    return int(builder.EndObject())


def _numbers(
    builder: flatbuffers.Builder, values: Sequence[int] | np.ndarray, dtype: type[np.generic]
) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, dtype)))


def _offsets(builder: flatbuffers.Builder, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
