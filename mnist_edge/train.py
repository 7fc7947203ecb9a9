"""Training: the whole set as tensors, a pure schedule, every epoch seeded by itself.

Order, distortion and dropout of an epoch depend only on (seed, epoch), so a training that goes on
from the end of any epoch ends with the same bits as one that never stopped.
"""

from __future__ import annotations

import ctypes
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its customary name)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_edge import metrics
from mnist_edge.augment import augment
from mnist_edge.data import DataSet
from mnist_edge.errors import DeviceUnavailable, TrainingError
from mnist_edge.history import Epoch
from mnist_edge.models import build_model
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes import Device, DeviceChoice, TrainRecipe
from mnist_edge.signature import RawImages

_EVALUATION_BATCH = 1000
_STEPS_PER_REPORT = 10


@dataclass(frozen=True)
class Fitted:
    """A trained model in evaluation mode, with its averaged weights, and how it got there."""

    model: nn.Sequential
    history: tuple[Epoch, ...]
    duration_s: float
    device: Device


@dataclass
class _Run:
    """What changes while a model is trained."""

    model: nn.Sequential
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    history: list[Epoch]
    duration_s: float = 0.0


def choose_device(choice: DeviceChoice) -> Device:
    """The device to train on; `auto` takes a GPU if there is one.

    Raises:
        DeviceUnavailable: the device asked for is not there.
    """
    available: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice == "auto":
        return next(device for device, there in available.items() if there)
    if not available[choice]:
        names = " or ".join(device for device, there in available.items() if there)
        raise DeviceUnavailable(f"torch finds no {choice} device here", fix=f"use --device {names}")
    return choice


def fit(
    recipe: TrainRecipe,
    data: DataSet,
    *,
    device: Device = "cpu",
    threads: int = 1,
    evaluate_epochs: bool = True,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Fitted:
    """Train a model after a recipe.

    Args:
        recipe: everything that is asked for, the seed included.
        data: the data set; its test digits are displayed, never chosen by.
        device: where to train.
        threads: of torch on the CPU. Another number can give other last bits.
        evaluate_epochs: measure the test set after every epoch; off, only after the last.
        progress: called every few steps with the steps done and in all.
        on_epoch: called with each line of the history.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    keep_memory()
    torch.set_num_threads(threads)
    images = torch.from_numpy(data.train_images).unsqueeze(1).to(device)
    labels = torch.from_numpy(data.train_labels).to(device)
    run = _start(recipe, device)
    for epoch in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        loss, accuracy = _train_epoch(run, recipe, epoch, images, labels, progress)
        test_loss = test_accuracy = 0.0
        if evaluate_epochs or epoch == recipe.epochs:
            logits = evaluate(_result(run, recipe), data.test_images, device)
            test_loss = metrics.cross_entropy(logits, data.test_labels)
            test_accuracy = metrics.accuracy(logits, data.test_labels)
        duration_s = time.perf_counter() - started
        run.duration_s += duration_s
        run.history.append(
            Epoch(
                epoch=epoch,
                train_loss=loss,
                train_accuracy=accuracy,
                test_loss=test_loss,
                test_accuracy=test_accuracy,
                learning_rate=run.optimizer.param_groups[0]["lr"],
                duration_s=duration_s,
            )
        )
        on_epoch(run.history[-1])
    return Fitted(
        model=_result(run, recipe).eval().to("cpu"),
        history=tuple(run.history),
        duration_s=run.duration_s,
        device=device,
    )


def evaluate(model: nn.Module, images: RawImages, device: Device) -> NDArray[np.float32]:
    """Logits (N, 10) of 8-bit digits (N, 28, 28); the model is left in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        parts = [
            model(_scale(torch.from_numpy(images[i : i + _EVALUATION_BATCH]).to(device))).cpu()
            for i in range(0, len(images), _EVALUATION_BATCH)
        ]
    logits: NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def learning_rate(recipe: TrainRecipe, step: int, steps: int) -> float:
    """The rate at `step` of `steps`, counted from 0: a pure function, so nothing to save.

    `onecycle` is the single cycle of Smith and Topin (2018), with cosine halves as in fast.ai.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = step / max(1, steps - 1)
    if recipe.schedule == "step":
        return recipe.learning_rate * 0.1 ** ((done >= 0.5) + (done >= 0.75))
    start = 0.04  # of the peak, as OneCycleLR's div_factor of 25
    if done < recipe.warmup:
        rise = (1 - math.cos(math.pi * done / recipe.warmup)) / 2
        return recipe.learning_rate * (start + (1 - start) * rise)
    fall = (done - recipe.warmup) / max(1e-9, 1 - recipe.warmup)
    return recipe.learning_rate * (1 + math.cos(math.pi * fall)) / 2


def keep_memory() -> None:
    """Let glibc keep large freed blocks instead of handing them back at every step.

    An epoch takes 0.6 to 0.7 of the time. Elsewhere than on Linux nothing is changed.
    """
    if sys.platform != "linux":
        return
    mmap_threshold, trim_threshold, one_gib = -3, -1, 1 << 30  # names and limits of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(mmap_threshold, one_gib)
        mallopt(trim_threshold, one_gib)


def _start(recipe: TrainRecipe, device: Device) -> _Run:
    torch.manual_seed(recipe.seed)
    model = build_model(recipe).to(device)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return _Run(
        model=model,
        averaged=AveragedModel(
            model,
            multi_avg_fn=get_ema_multi_avg_fn(recipe.average),  # type: ignore[no-untyped-call]
            use_buffers=True,
        ),
        optimizer=kind(
            model.parameters(),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=device != "mps",
        ),
        history=[],
    )


def _result(run: _Run, recipe: TrainRecipe) -> nn.Sequential:
    model = run.averaged.module if recipe.average else run.model
    assert isinstance(model, nn.Sequential)
    return model


def _train_epoch(
    run: _Run,
    recipe: TrainRecipe,
    epoch: int,
    images: Tensor,
    labels: Tensor,
    progress: Progress,
) -> tuple[float, float]:
    """One pass over the digits; the running mean loss and accuracy."""
    # Not seed + epoch: neighbouring seeds would share most of their epochs.
    seed = recipe.seed * 100_003 + epoch
    torch.manual_seed(seed)  # dropout
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator).to(images.device)
    # Batch normalisation cannot learn from a single digit.
    starts = range(0, max(1, len(order) - 1), recipe.batch_size)
    batches = [order[start : start + recipe.batch_size] for start in starts]
    first_step, steps = (epoch - 1) * len(batches), recipe.epochs * len(batches)
    distort = recipe.augmentation.active and epoch <= recipe.epochs * (
        1 - recipe.augmentation.anneal
    )
    totals = torch.zeros(2, device=images.device)
    seen = 0
    run.model.train()
    for number, batch in enumerate(batches):
        step = first_step + number
        rate = learning_rate(recipe, step, steps)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        inputs, targets = _scale(images[batch]), labels[batch]
        if distort:
            inputs = augment(inputs, recipe.augmentation, generator)
        totals += _step(run, recipe, inputs, targets)
        seen += len(batch)
        if (number + 1) % _STEPS_PER_REPORT == 0 or number + 1 == len(batches):
            loss, accuracy = (totals / seen).tolist()
            _check_loss(loss, recipe, step)
            note = f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}  accuracy {accuracy:.2%}"
            progress(step + 1, steps, note)
    return loss, accuracy


def _step(run: _Run, recipe: TrainRecipe, inputs: Tensor, targets: Tensor) -> Tensor:
    """One update of the weights; the summed loss and the number of right answers."""
    logits = run.model(inputs)
    loss = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    if recipe.average:
        run.averaged.update_parameters(run.model)
    with torch.no_grad():
        right = (logits.argmax(1) == targets).sum()
        return torch.stack([loss * len(targets), right])


def _check_loss(loss: float, recipe: TrainRecipe, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"training diverged: the loss is {loss} at step {step + 1}",
            fix=f"use a smaller --learning-rate than {recipe.learning_rate:g}",
        )


def _scale(images: Tensor) -> Tensor:
    """8-bit digits (N, 1, 28, 28) or (N, 28, 28) to (N, 1, 28, 28) float32 in [0, 1]."""
    return images.view(-1, 1, *images.shape[-2:]).float().div_(255.0)
