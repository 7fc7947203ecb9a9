"""An ONNX graph to ONNX Runtime's own format: optimized, and with the list of its operators.

A build of ONNX Runtime that knows these operators alone can load the file, but no ONNX file:
https://onnxruntime.ai/docs/reference/operators/reduced-operator-config-file.html
"""

from __future__ import annotations

import flatbuffers
import onnxruntime
from flatbuffers.number_types import UOffsetTFlags

from mnist_edge.bundle.storage import scratch_folder
from mnist_edge.formats import seal
from mnist_edge.formats.flatbuffer import Table, root_table
from mnist_edge.formats.onnx.header import read_header, with_metadata

KEY = "required_operators"
"""The key of the metadata under which the operators stand, as a configuration file has them."""

# The fields of tables, in the order of the schema:
# https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/flatbuffers/schema/ort.fbs
_SESSION_VERSION, _SESSION_MODEL, _SESSION_RESOLVER = 0, 1, 3
_MODEL_GRAPH = 7
_GRAPH_NODES = 2
_NODE_DOMAIN, _NODE_SINCE_VERSION, _NODE_OPERATOR = 2, 3, 5
_RESOLVER_OPERATORS = 0
_NAME, _ENTRIES = 0, 1  # of an operator and its types, of a type and its arguments
_ARGUMENT_KIND, _ARGUMENT_INDEX = 0, 1

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
    graph = root_table(data, _IDENTIFIER).part(_SESSION_MODEL).part(_MODEL_GRAPH)
    for node in graph.tables(_GRAPH_NODES):
        domain = node.text(_NODE_DOMAIN) or "ai.onnx"
        since_version = node.number(_NODE_SINCE_VERSION, "I")
        operators.setdefault((domain, since_version), set()).add(node.text(_NODE_OPERATOR))
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
    root = root_table(data, _IDENTIFIER)
    model, resolver = root.part(_SESSION_MODEL), root.part(_SESSION_RESOLVER)
    kept = data[min(model.position, model.fields_place()) :]
    behind_model = len(data) - model.position
    behind_version = len(data) - root.place_of(_SESSION_VERSION)
    assert behind_version < behind_model < len(data) - resolver.position

    builder = flatbuffers.Builder(len(kept))
    builder.Bytes[:] = kept
    builder.head = 0
    builder.Prep(_WIDEST_SCALAR_BYTES, 0)  # as the kept part is aligned, counted from the end
    resolver_offset = _write_resolver(builder, resolver)
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, behind_version, 0)
    builder.PrependUOffsetTRelativeSlot(1, behind_model, 0)
    builder.PrependUOffsetTRelativeSlot(3, resolver_offset, 0)
    builder.Finish(builder.EndObject(), _IDENTIFIER)
    return bytes(builder.Output())


def _write_resolver(builder: flatbuffers.Builder, resolver: Table) -> int:
    """Write the resolver. Its lists are sorted already, for a runtime that searches them."""
    operators = []
    for operator in resolver.tables(_RESOLVER_OPERATORS):
        type_names = []
        for type_name in operator.tables(_ENTRIES):
            arguments = [
                _write_argument(builder, argument) for argument in type_name.tables(_ENTRIES)
            ]
            type_names.append(_write_named(builder, type_name.text(_NAME), arguments))
        operators.append(_write_named(builder, operator.text(_NAME), type_names))
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
    builder.PrependInt8Slot(0, argument.number(_ARGUMENT_KIND, "b"), 0)
    builder.PrependUint32Slot(1, argument.number(_ARGUMENT_INDEX, "I"), 0)
    return int(builder.EndObject())


def _write_vector(builder: flatbuffers.Builder, entries: list[int]) -> int:
    builder.StartVector(UOffsetTFlags.bytewidth, len(entries), UOffsetTFlags.bytewidth)
    for entry in reversed(entries):
        builder.PrependUOffsetTRelative(entry)
    return int(builder.EndVector())
