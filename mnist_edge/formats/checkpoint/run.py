"""The checkpoint itself, run by torch: what every other artifact is measured against."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_edge.contract import Images, check_images
from mnist_edge.formats.checkpoint.accelerated import accelerate
from mnist_edge.formats.checkpoint.module import TorchModuleBackend, claim_device
from mnist_edge.formats.format import USUAL, Loading
from mnist_edge.models import deployable, load_weights
from mnist_edge.recipes.train import TrainRecipe

# Bounds the memory of a pass in double precision, whatever the number of digits.
_FLOAT64_BATCH = 500


class EagerBackend(TorchModuleBackend):
    """The weights in the form that is exported, batch normalisation folded, run layer by layer.

    Args:
        data: a safetensors file.
        recipe: names the architecture that the weights belong to.
        how: its modes `compile` and `cuda-graph` take their time at the first run of each batch
            size.
    """

    def __init__(self, data: bytes, recipe: TrainRecipe, how: Loading = USUAL) -> None:
        claim_device(how.device, how.threads)
        network = deployable(load_weights(recipe, data)).to(how.device)
        how = replace(how, classes=recipe.outputs)
        super().__init__("torch", accelerate(network, how.mode, how.device), how)


def checkpoint_logits(
    data: bytes,
    recipe: TrainRecipe,
    images: Images,
    *,
    threads: int = 1,
    on_batch: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float64]:
    """`float64_logits` of a safetensors file."""
    claim_device("cpu", threads)
    return float64_logits(load_weights(recipe, data), images, on_batch=on_batch)


def float64_logits(
    model: nn.Module, images: Images, *, on_batch: Callable[[int], None] = lambda _: None
) -> NDArray[np.float64]:
    """Evaluate a model as trained, in double precision on the CPU. It is not changed.

    The rounding errors are 1e-9 of those of float32, so this stands for the exact function.

    Args:
        model: with float32 weights.
        images: (N, 1, 28, 28) float32 in [0, 1].
        on_batch: told how many more images are done.

    Returns:
        (N, classes) float64 logits.
    """
    exact = copy.deepcopy(model).cpu().double().eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _FLOAT64_BATCH):
            batch = check_images(images[start : start + _FLOAT64_BATCH])
            parts.append(exact(torch.from_numpy(batch.astype(np.float64))))
            on_batch(len(batch))
    logits: NDArray[np.float64] = torch.cat(parts).numpy()
    return logits
