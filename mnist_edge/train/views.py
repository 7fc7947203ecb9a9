"""What an epoch of a training is shown: digits, distorted or not, and the teacher's answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnist_edge.contract import IMAGE_SHAPE
from mnist_edge.machine import multiplies_bfloat16
from mnist_edge.recipes.terms import Device
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.augment import augment

_BATCH = 1000


@dataclass(frozen=True)
class Views:
    """Distorted digits that several epochs see, and what the teacher answers.

    Attributes:
        number: counts them; behind all others are the digits undistorted.
        images: (N, 1, 28, 28) uint8.
        answers: (N, classes) logits; (0, classes) without a teacher.
    """

    number: int
    images: Tensor
    answers: Tensor


def views_for(
    recipe: TrainRecipe,
    teacher: nn.Module | None,
    images: Tensor,
    epoch: int,
    before: Views | None,
) -> Views:
    """The views for an epoch: those of the one before, or new ones, drawn by their number alone."""
    distorted = is_distorted(recipe, epoch)
    number = (epoch - 1) // recipe.epochs_per_view if distorted else recipe.epochs
    if before is not None and before.number == number:
        return before
    # Behind the seeds of the epochs, of which there are 10,000 at most.
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + 50_000 + number)
    seen, answers = [], [torch.empty(0, recipe.outputs, device=images.device)]
    for at in range(0, len(images), _BATCH):
        inputs = scale(images[at : at + _BATCH])
        if distorted:
            inputs = augment(inputs, recipe.augmentation, generator)
        seen.append((inputs * 255).round_().to(torch.uint8))
        if teacher is not None:
            answers.append(answers_of(recipe, teacher, scale(seen[-1])))
    return Views(number=number, images=torch.cat(seen), answers=torch.cat(answers))


def is_distorted(recipe: TrainRecipe, epoch: int) -> bool:
    """Whether the digits of an epoch, counted from 1, are distorted."""
    undistorted = recipe.epochs * (1 - recipe.augmentation.anneal)
    return recipe.augmentation.active and epoch <= undistorted


def answers_of(recipe: TrainRecipe, teacher: nn.Module, inputs: Tensor) -> Tensor:
    """The teacher's logits (N, classes) float32 to inputs (N, 1, 28, 28) float32."""
    with torch.no_grad(), precision(recipe, inputs.device):
        logits: Tensor = teacher(inputs)
    return logits.float()


def has_bfloat16(device: Device) -> bool:
    """Whether a device multiplies in bfloat16 by itself; where torch imitates it, it is slow."""
    if device == "cpu":
        return multiplies_bfloat16()
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def precision(recipe: TrainRecipe, device: torch.device) -> torch.autocast:
    """Products in bfloat16 if the recipe asks for it; weights and their updates stay float32."""
    return torch.autocast(device.type, torch.bfloat16, recipe.mixed_precision != "off")


def scale(images: Tensor) -> Tensor:
    """8-bit digits (N, 1, 28, 28) or (N, 28, 28) to (N, 1, 28, 28) float32 in [0, 1]."""
    pixels = images.view(-1, *IMAGE_SHAPE).to(torch.float32, memory_format=torch.channels_last)
    return pixels.div_(255.0)
