"""An ONNX graph to ONNX Runtime's own format: optimized, and with the list of its operators.

A build of ONNX Runtime that knows these operators alone can load the file, but no ONNX file:
https://onnxruntime.ai/docs/reference/operators/reduced-operator-config-file.html
"""

from __future__ import annotations

import flatbuffers
import onnxruntime
from flatbuffers.number_types import Int8Flags, SOffsetTFlags, Uint32Flags, UOffsetTFlags
from flatbuffers.table import Table

from mnist_edge.bundle.storage import scratch_folder
from mnist_edge.formats import seal
from mnist_edge.formats.onnx.header import read_header, with_metadata

KEY = "required_operators"
"""The key of the metadata under which the operators stand, as a configuration file has them."""

# Where a table of flatbuffers keeps its fields, in the order of the schema:
# https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/flatbuffers/schema/ort.fbs
_SESSION_VERSION, _SESSION_MODEL, _SESSION_RESOLVER = 4, 6, 10
_MODEL_GRAPH = 18
_GRAPH_NODES = 8
_NODE_DOMAIN, _NODE_SINCE_VERSION, _NODE_OPERATOR = 8, 10, 14
_RESOLVER_OPERATORS = 4
_NAME, _ENTRIES = 4, 6  # of an operator and its types, of a type and its arguments
_ARGUMENT_KIND, _ARGUMENT_INDEX = 4, 6

_IDENTIFIER = b"ORTM"
_WIDEST_SCALAR_BYTES = 8


def export_ort(graph: bytes) -> bytes:
    """Optimize, label and convert an ONNX file of ours, and return the other."""
    metadata = read_header(graph).metadata | {"format": "ort"}
    if seal.KEY in metadata:
        metadata[seal.KEY] = seal.OPEN
    # What the optimizer leaves of the graph is only known once it is converted.
    operators = _required_operators(_convert(with_metadata(graph, metadata)))
    return seal.sealed(_canonical(_convert(with_metadata(graph, metadata | {KEY: operators}))))


def _convert(graph: bytes) -> bytes:
    options = onnxruntime.SessionOptions()
    # One level more would lay the weights out for the processor that this runs on.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.save_model_format", "ORT")
    with scratch_folder() as folder:
        path = folder / "model.ort"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()


def _required_operators(data: bytes) -> str:
    """One line `domain;opset;operator,operator` for each domain and opset."""
    operators: dict[tuple[str, int], set[str]] = {}
    graph = _child(_child(_root(data), _SESSION_MODEL), _MODEL_GRAPH)
    for node in _children(graph, _GRAPH_NODES):
        domain = _text(node, _NODE_DOMAIN) or "ai.onnx"
        since_version = node.GetSlot(_NODE_SINCE_VERSION, 0, Uint32Flags)
        operators.setdefault((domain, since_version), set()).add(_text(node, _NODE_OPERATOR))
    return "\n".join(
        f"{domain};{opset};{','.join(sorted(names))}"
        for (domain, opset), names in sorted(operators.items())
    )


def _canonical(data: bytes) -> bytes:
    """The same content with the same bytes each time.

    ONNX Runtime writes the table that resolves the operators' types (the "kernel type string
    resolver") in the order of a hash map whose seed is an address in memory. A flatbuffer grows
    towards its front, and this table comes last: so all from the model to the end is kept, and
    what lies before it is written again, in the order of the names.
    """
    root = _root(data)
    model = _child(root, _SESSION_MODEL)
    kept = data[min(model.Pos, _fields_of(model)) :]
    behind_model = len(data) - model.Pos
    behind_version = len(data) - _child(root, _SESSION_VERSION).Pos
    assert behind_version < behind_model < len(data) - _child(root, _SESSION_RESOLVER).Pos

    builder = flatbuffers.Builder(len(kept))
    builder.Bytes[:] = kept
    builder.head = 0
    builder.Prep(_WIDEST_SCALAR_BYTES, 0)  # as the kept part is aligned, counted from the end
    resolver = _write_resolver(builder, _child(root, _SESSION_RESOLVER))
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, behind_version, 0)
    builder.PrependUOffsetTRelativeSlot(1, behind_model, 0)
    builder.PrependUOffsetTRelativeSlot(3, resolver, 0)
    builder.Finish(builder.EndObject(), _IDENTIFIER)
    return bytes(builder.Output())


def _write_resolver(builder: flatbuffers.Builder, resolver: Table) -> int:
    """Write the resolver. Its lists are sorted already, for a runtime that searches them."""
    operators = []
    for operator in _children(resolver, _RESOLVER_OPERATORS):
        type_names = []
        for type_name in _children(operator, _ENTRIES):
            arguments = [
                _write_argument(builder, argument) for argument in _children(type_name, _ENTRIES)
            ]
            type_names.append(_write_named(builder, _text(type_name, _NAME), arguments))
        operators.append(_write_named(builder, _text(operator, _NAME), type_names))
    entries = _write_vector(builder, operators)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, entries, 0)
    return int(builder.EndObject())


def _write_named(builder: flatbuffers.Builder, name: str, entries: list[int]) -> int:
    name_offset, entries_offset = builder.CreateString(name), _write_vector(builder, entries)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, name_offset, 0)
    builder.PrependUOffsetTRelativeSlot(1, entries_offset, 0)
    return int(builder.EndObject())


def _write_argument(builder: flatbuffers.Builder, argument: Table) -> int:
    """Write whether an input or an output is meant, and which."""
    builder.StartObject(2)
    builder.PrependInt8Slot(0, argument.GetSlot(_ARGUMENT_KIND, 0, Int8Flags), 0)
    builder.PrependUint32Slot(1, argument.GetSlot(_ARGUMENT_INDEX, 0, Uint32Flags), 0)
    return int(builder.EndObject())


def _write_vector(builder: flatbuffers.Builder, entries: list[int]) -> int:
    builder.StartVector(UOffsetTFlags.bytewidth, len(entries), UOffsetTFlags.bytewidth)
    for entry in reversed(entries):
        builder.PrependUOffsetTRelative(entry)
    return int(builder.EndVector())


def _root(data: bytes) -> Table:
    return Table(data, int.from_bytes(data[:4], "little"))


def _fields_of(table: Table) -> int:
    """Where the list of a table's fields begins, which tables of one kind may share."""
    position: int = table.Pos
    return position - int(table.Get(SOffsetTFlags, position))


def _child(table: Table, field: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Pos + table.Offset(field)))


def _children(table: Table, field: int) -> list[Table]:
    offset = table.Offset(field)
    start = table.Vector(offset)
    return [
        Table(table.Bytes, table.Indirect(start + number * UOffsetTFlags.bytewidth))
        for number in range(table.VectorLen(offset))
    ]


def _text(table: Table, field: int) -> str:
    return str(table.String(table.Pos + table.Offset(field)), "utf-8")
