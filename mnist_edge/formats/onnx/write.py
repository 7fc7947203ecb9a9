"""A model to an ONNX file: one file, the opset that was asked for, and nothing private inside."""

from __future__ import annotations

import onnx
import torch
from google.protobuf.message import Message
from torch import nn

from mnist_edge.contract import BATCH_NAME, IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME
from mnist_edge.errors import UsageError
from mnist_edge.recipes.terms import OPSETS

# The IR version that came with each opset; the libraries write newer ones, which older runtimes
# refuse: https://github.com/onnx/onnx/blob/main/docs/Versioning.md#released-versions
_IR_VERSIONS = {18: 8, 19: 9, 20: 9, 21: 10}


def trace_onnx(model: nn.Module, opset: int) -> onnx.ModelProto:
    """The graph of a model, with a symbolic batch dimension.

    Args:
        model: on the CPU, in evaluation mode.
        opset: of the ONNX operators.

    Raises:
        UsageError: torch cannot write this opset; 18 is the oldest that it has operators for.
    """
    if opset not in _IR_VERSIONS:
        raise _unwritable(opset)
    # With a batch of 1 the exporter would take the batch for a constant.
    example = torch.zeros(2, *IMAGE_SHAPE)
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        opset_version=opset,
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME],
        dynamic_shapes=({0: BATCH_NAME},),
        verbose=False,
    )
    assert program is not None
    # Taken from memory: to a path, torch writes the weights into a second file by default.
    graph = program.model_proto
    # torch raises an opset that it cannot write, and only logs that it did.
    written = {entry.domain: entry.version for entry in graph.opset_import}[""]
    if written != opset:
        raise _unwritable(opset)
    return graph


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


def _unwritable(opset: int) -> UsageError:
    return UsageError(
        f"torch {torch.__version__} cannot write opset {opset}",
        fix=f"choose --opset {OPSETS.start} to {OPSETS.stop - 1}",
    )


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
