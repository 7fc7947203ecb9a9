"""One small trained-like model and its artifacts, made once per test run. Needs torch.

Not a test module: other tests take what they need from it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from factory import RECIPE as RECIPE  # the one of its bundles
from safetensors.torch import save as save_safetensors
from torch import nn

from mnist_edge.contract import Images
from mnist_edge.formats.writing import export_artifact
from mnist_edge.models import build_model
from mnist_edge.recipes.terms import DEFAULT_OPSET, Format, Precision

PAIRS: tuple[tuple[Format, Precision], ...] = (
    ("torchscript", "float32"),
    ("torchscript", "float16"),
    ("torchscript", "int8-dynamic"),
    ("pt2", "float32"),
    ("pt2", "float16"),
    ("onnx", "float32"),
    ("onnx", "float16"),
    ("onnx", "int8-dynamic"),
    ("onnx", "int8"),
    ("ort", "float32"),
    ("ort", "int8"),
)
METADATA = {"recipe": "small", "checkpoint_sha256": "0" * 64}


CALIBRATION: Images = np.random.default_rng(1).random((90, 1, 28, 28), dtype=np.float32)


@cache
def model() -> nn.Sequential:
    """In training mode, its batch normalisation far from doing nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(RECIPE)
        for layer in network:
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean, 0.0, 0.1)  # type: ignore[arg-type]
                nn.init.uniform_(layer.running_var, 0.5, 2.0)  # type: ignore[arg-type]
                nn.init.uniform_(layer.weight, 0.5, 2.0)
    return network


@cache
def artifact(format_: Format, precision: Precision) -> bytes:
    """The bytes of one artifact of `model`."""
    if format_ == "checkpoint":
        return save_safetensors(model().state_dict())
    return export_artifact(
        model(),
        format_=format_,
        precision=precision,
        opset=DEFAULT_OPSET,
        calibration=CALIBRATION,
        metadata=METADATA,
    )
