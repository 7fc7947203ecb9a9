"""One small trained-like model and its artifacts, made once per test run. Needs torch.

Not a test module: other tests take what they need from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
import torch
from factory import RECIPE as RECIPE  # the one of its bundles
from safetensors.torch import save as save_safetensors
from torch import nn

from mnist_edge.contract import Images
from mnist_edge.formats import FORMATS, Written, write_artifact
from mnist_edge.formats.source import TorchSource
from mnist_edge.models import build_model
from mnist_edge.recipes.terms import DEFAULT_OPSET, Format, Precision

PAIRS: tuple[tuple[Format, Precision], ...] = tuple(
    (name, precision) for name, format_ in FORMATS.items() for precision in format_.precisions
)
RUNNABLE = [
    pytest.param(
        *pair, marks=pytest.mark.skipif(bool(why := FORMATS[pair[0]].absent()), reason=why)
    )
    for pair in PAIRS
]
"""Those of `PAIRS` that run on this machine, as parameters of a test."""

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


def source(
    network: nn.Sequential, opset: int = DEFAULT_OPSET, origin: Mapping[str, str] = METADATA
) -> TorchSource:
    """What the writers of all formats read, of any model."""
    return TorchSource(network, opset=opset, origin=origin, calibration=lambda: CALIBRATION)


@cache
def own_source() -> TorchSource:
    """That of `model`."""
    return source(model())


@cache
def written(format_: Format, precision: Precision) -> Written:
    """The files of one artifact of `model`."""
    if format_ == "checkpoint":
        return Written(save_safetensors(model().state_dict()))
    return write_artifact(own_source(), format_, precision)


def artifact(format_: Format, precision: Precision) -> bytes:
    """The main file of one artifact of `model`."""
    return written(format_, precision).data
