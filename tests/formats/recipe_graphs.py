"""The ONNX graph of each recipe, with weights drawn at random. Needs torch.

Not a test module: the tests of formats that are written from the typed graph take them from here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from exported import METADATA

from mnist_edge.contract import Images
from mnist_edge.formats.onnx.static import quantize_statically
from mnist_edge.formats.onnx.trace import trace_onnx
from mnist_edge.formats.onnx.write import serialize_onnx
from mnist_edge.models import build_model, deployable
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.terms import DEFAULT_OPSET

NAMES = sorted(RECIPES)


@cache
def digits() -> Images:
    """What stands for digits: strokes of full ink on black, so that activations spread."""
    rng = np.random.default_rng(5)
    images = np.zeros((96, 1, 28, 28), np.float32)
    for image in images[:, 0]:
        for _ in range(3):
            row, column = rng.integers(4, 20, 2)
            image[row : row + rng.integers(2, 6), column : column + rng.integers(2, 6)] = 1.0
    return (np.round(images * rng.integers(0, 256, images.shape)) / 255).astype(np.float32)


@cache
def recipe_graph(name: str, *, quantized: bool = False) -> bytes:
    """The ONNX file of a recipe."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(RECIPES[name])
    graph = trace_onnx(deployable(model).cpu(), DEFAULT_OPSET)
    if quantized:
        graph, _ = quantize_statically(graph, digits()[:32])
    return serialize_onnx(graph, METADATA)
