"""A model to a TorchScript file: traced, frozen, and cleaned of what the process left in it.

Unfrozen `torch.jit.script` is no way: its bytes vary with the hash seed.
"""

from __future__ import annotations

import io
import json
import re

import torch
from torch import nn

from mnist_edge.contract import IMAGE_SHAPE
from mnist_edge.formats.archive import METADATA_FILE, read_entries, write_entries
from mnist_edge.formats.torchscript.run import torchscript_warnings_ignored

# torch counts the classes that a process has traced, and puts the number into their names.
_MANGLE_IN_TEXT = re.compile(rb"\.___torch_mangle_\d+")
_MANGLE_IN_NAME = re.compile(r"/___torch_mangle_\d+")


def export_torchscript(model: nn.Module, metadata: dict[str, str]) -> bytes:
    """Trace a model in evaluation mode and return the file.

    Args:
        model: on the CPU, in evaluation mode.
        metadata: stored as JSON in `extra/mnist_edge.json`, where `torch.jit.load` finds it by
            `_extra_files`.
    """
    example = torch.zeros(2, *IMAGE_SHAPE)
    buffer = io.BytesIO()
    # The trace writes cuDNN's settings of this process into every convolution: fix them. TF32
    # would keep 10 bits of the mantissa on a GPU, errors of 1e-3 where the gate is 1e-5.
    settings = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.no_grad(), torchscript_warnings_ignored(), settings:
        # torch's own check of the trace is weaker than the verification of every export.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            model, example, check_trace=False
        )
        frozen = torch.jit.freeze(traced)
        extra = {METADATA_FILE: json.dumps(metadata, indent=1, sort_keys=True)}
        torch.jit.save(frozen, buffer, _extra_files=extra)
    return write_entries(_without_traces(read_entries(buffer.getvalue())))


def _without_traces(entries: dict[str, bytes]) -> dict[str, bytes]:
    clean = {}
    for name, content in entries.items():
        # Absolute source paths, and a digest of the bytes that hold them.
        if name.endswith(".debug_pkl") or name == ".data/serialization_id":
            continue
        if name.startswith("code/") or name == "data.pkl":
            clean[_MANGLE_IN_NAME.sub("", name)] = _MANGLE_IN_TEXT.sub(b"", content)
        else:
            clean[name] = content
    return clean
