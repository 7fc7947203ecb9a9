"""What an ONNX file says of itself beside its graph, without the `onnx` package."""

from __future__ import annotations

from collections.abc import Mapping

from mnist_edge.formats.format import Header
from mnist_edge.formats.graph.wire import Message, packed, without

# Field numbers of onnx/onnx.proto. They never change their meaning.
_IR_VERSION, _OPSET, _METADATA = 1, 8, 14
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def read_header(data: bytes) -> Header:
    """What an ONNX file says of itself beside its graph.

    Raises:
        ValueError: the bytes are no message, an entry is not text, or a key of the metadata stands
            twice: which of the two a runtime would believe is chance.
    """
    model = Message.of(data)
    metadata: dict[str, str] = {}
    for entry in model.children(_METADATA):
        key = entry.text(_ENTRY_KEY)
        if key in metadata:
            raise ValueError(f"its metadata has the key {key!r:.60} twice")
        metadata[key] = entry.text(_ENTRY_VALUE)
    opsets = {
        operators.text(_OPSET_DOMAIN): operators.integer(_OPSET_VERSION)
        for operators in model.children(_OPSET)
    }
    return Header(
        metadata=metadata,
        ir_version=model.integer(_IR_VERSION),
        opset=opsets.get("", 0),  # the domain of ONNX itself has no name
    )


def with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """An ONNX file that says other things of itself: the bytes that `serialize_onnx` gives."""
    entries = (
        packed(_ENTRY_KEY, key.encode()) + packed(_ENTRY_VALUE, value.encode())
        for key, value in sorted(metadata.items())
    )
    graph = without(data, _METADATA)
    return graph + b"".join(packed(_METADATA, entry) for entry in entries)
