"""A model to a `.pt2` file, the successor of TorchScript that torch names."""

from __future__ import annotations

import io
import json

import torch
from torch import nn

from mnist_edge.contract import BATCH_NAME, IMAGE_SHAPE
from mnist_edge.formats.archive import METADATA_FILE, read_entries, write_entries


def export_program(model: nn.Module, metadata: dict[str, str]) -> bytes:
    """Capture a model in evaluation mode, its batch size left open, and return the file.

    Args:
        model: on the CPU, in evaluation mode.
        metadata: stored as JSON in `extra/mnist_edge.json`.
    """
    example = torch.zeros(2, *IMAGE_SHAPE)
    program = torch.export.export(
        model, (example,), dynamic_shapes=({0: torch.export.Dim(BATCH_NAME)},)
    )
    # The source lines of this machine, and a picture that says nothing.
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    program._example_inputs = None  # noqa: SLF001, torch offers no other way
    buffer = io.BytesIO()
    extra = {METADATA_FILE: json.dumps(metadata, indent=1, sort_keys=True)}
    torch.export.save(program, buffer, extra_files=extra)
    entries = read_entries(buffer.getvalue())
    del entries[".data/serialization_id"]
    return write_entries(entries)
