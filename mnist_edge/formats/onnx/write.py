"""An ONNX graph to its file: one file, with nothing private inside."""

from __future__ import annotations

import onnx
from google.protobuf.message import Message

# The IR version that came with each opset; the libraries write newer ones, which older runtimes
# refuse: https://github.com/onnx/onnx/blob/main/docs/Versioning.md#released-versions
_IR_VERSIONS = {18: 8, 19: 9, 20: 9, 21: 10}


def serialize_onnx(model: onnx.ModelProto, metadata: dict[str, str]) -> bytes:
    """Clean, label and check a graph, and return its file; `model` is changed.

    Raises:
        onnx.checker.ValidationError: the graph breaks the standard; a bug.
    """
    opset = {entry.domain: entry.version for entry in model.opset_import}[""]
    _scrub(model)
    model.ir_version = _IR_VERSIONS[opset]
    model.producer_name = "mnist-edge"
    model.producer_version = ""
    model.graph.name = "mnist_edge"
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _scrub(message: Message) -> None:
    """Remove metadata and comments at every depth: torch writes paths and source lines there."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif isinstance(value, Message):
            _scrub(value)
        elif field.message_type is not None:
            for item in value:
                _scrub(item)
