"""LiteRT (TensorFlow Lite) with XNNPACK, through litert-torch. Shapes are fixed: one picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.contract import IMAGE_SHAPE, Images, Logits

# litert-torch wants a torch below 2.15.
REQUIREMENTS = ("ai-edge-litert", "litert-torch", "torch<2.15", "safetensors")
SETTINGS = "XNNPACK delegate, a batch picture by picture"


def convert(bundle: Path, folder: Path) -> None:
    import litert_torch
    import torch

    from mnist_edge.models import deployable, load_weights

    opened = open_bundle(bundle)
    weights = opened.read(opened.artifact(CHECKPOINT))
    network = deployable(load_weights(opened.manifest.own_recipe, weights))
    converted = litert_torch.convert(network, (torch.zeros(1, *IMAGE_SHAPE),))
    converted.export(str(folder / "model.tflite"))


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def run(images: Images) -> Logits:
        logits = np.empty((len(images), 10), np.float32)
        for index in range(len(images)):
            interpreter.set_tensor(source, images[index : index + 1])
            interpreter.invoke()
            logits[index] = interpreter.get_tensor(target)
        return logits

    return run
