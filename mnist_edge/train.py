"""Training: the whole set as tensors, a pure schedule, every epoch seeded by itself.

Order, distortion and dropout of an epoch depend only on (seed, epoch), so a training that goes on
from the end of any epoch ends with the same bits as one that never stopped.
"""

from __future__ import annotations

import copy
import ctypes
import io
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its customary name)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_edge import codec, metrics
from mnist_edge.augment import augment
from mnist_edge.data import DataSet
from mnist_edge.distributed import ALONE, Group
from mnist_edge.errors import DeviceUnavailable, TrainingError, UsageError
from mnist_edge.history import Epoch
from mnist_edge.models import build_model
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes import Device, DeviceChoice, TrainRecipe
from mnist_edge.signature import IMAGE_SHAPE, RawImages
from mnist_edge.strokes import NO_DIGIT, training_set

_EVALUATION_BATCH = 1000
_STEPS_PER_REPORT = 10
_FROM_THE_START = "train from the start, without --resume"


@dataclass(frozen=True)
class Fitted:
    """A trained model in evaluation mode, with its averaged weights, and how it got there."""

    model: nn.Sequential
    history: tuple[Epoch, ...]
    duration_s: float
    device: Device


@dataclass
class _Run:
    """What changes while a model is trained.

    Attributes:
        model: the weights that the optimizer moves.
        replica: the same model, or its wrapper that averages gradients over processes.
        averaged: the exponential moving average of weights and batch statistics.
        history: one line for each epoch done.
    """

    model: nn.Sequential
    replica: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    history: tuple[Epoch, ...] = ()
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
    group: Group = ALONE,
    evaluate_epochs: bool = True,
    state: bytes | None = None,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    on_state: Callable[[bytes], None] | None = None,
) -> Fitted:
    """Train a model after a recipe.

    Args:
        recipe: everything that is asked for, the seed included.
        data: the data set; its test digits are displayed, never chosen by.
        device: where to train.
        threads: of torch on the CPU. Another number can give other last bits.
        group: the processes that train together.
        evaluate_epochs: measure the test set after every epoch; off, only after the last.
        state: where an interrupted training stood, as `on_state` was given it.
        progress: called every few steps with the steps done and in all.
        on_epoch: called with each line of the history.
        on_state: called after each epoch with all that it takes to go on from there.

    Raises:
        TrainingError: the loss is no longer a number, or `state` is of another training.
    """
    keep_memory()
    torch.set_num_threads(threads)
    train_images, train_labels = training_set(recipe, data)
    images = torch.from_numpy(train_images).unsqueeze(1).to(device)
    labels = torch.from_numpy(train_labels).to(device)
    run = _start(recipe, device, group)
    if state is not None:
        _restore(run, state, recipe, data)
    for epoch in range(len(run.history) + 1, recipe.epochs + 1):
        started = time.perf_counter()
        loss, right = _train_epoch(run, recipe, epoch, images, labels, group, progress)
        test_loss = test_accuracy = 0.0
        if evaluate_epochs or epoch == recipe.epochs:
            logits = evaluate(_result(run, recipe), data.test_images, device)
            test_loss = metrics.cross_entropy(logits, data.test_labels)
            test_accuracy = metrics.accuracy(logits, data.test_labels)
        line = Epoch(
            epoch=epoch,
            train_loss=loss,
            train_accuracy=right,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            learning_rate=run.optimizer.param_groups[0]["lr"],
            duration_s=time.perf_counter() - started,
        )
        run.history += (line,)
        run.duration_s += line.duration_s
        if on_state is not None:
            on_state(_saved(run, recipe, data))
        on_epoch(line)
    return Fitted(
        model=_result(run, recipe).eval().cpu().to(memory_format=torch.contiguous_format),
        history=run.history,
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


def saved_recipe(state: bytes) -> TrainRecipe:
    """The recipe of an interrupted training. Raises TrainingError where it cannot be read."""
    try:
        return codec.loads(TrainRecipe, _unpacked(state)["recipe"])
    except (ValueError, TypeError, UsageError) as error:
        raise TrainingError(
            f"the saved training has no recipe: {error}", fix=_FROM_THE_START
        ) from None


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


def _start(recipe: TrainRecipe, device: Device, group: Group) -> _Run:
    torch.manual_seed(recipe.seed)
    # Channels innermost: 0.6 to 1.0 of the time of the default layout, over all recipes.
    model = build_model(recipe).to(device).to(memory_format=torch.channels_last)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return _Run(
        model=model,
        replica=group.wrapped(model),
        averaged=AveragedModel(
            model,
            multi_avg_fn=get_ema_multi_avg_fn(recipe.average),  # type: ignore[no-untyped-call]
            use_buffers=True,
        ),
        optimizer=kind(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=device != "mps",
        ),
    )


def _saved(run: _Run, recipe: TrainRecipe, data: DataSet) -> bytes:
    # Only tensors, strings, numbers and containers: all that weights_only reads back.
    buffer = io.BytesIO()
    torch.save(
        {
            "recipe": codec.dumps(recipe),
            "data": data.sha256,
            "history": codec.dumps(run.history),
            "duration_s": run.duration_s,
            **{name: part.state_dict() for name, part in _stateful(run).items()},
        },
        buffer,
    )
    return buffer.getvalue()


def _restore(run: _Run, state: bytes, recipe: TrainRecipe, data: DataSet) -> None:
    saved = _unpacked(state)
    if saved_recipe(state) != recipe:
        raise TrainingError("the saved training is of another recipe", fix=_FROM_THE_START)
    if saved["data"] != data.sha256:
        raise TrainingError("the saved training is of another data set", fix=_FROM_THE_START)
    try:
        for name, part in _stateful(run).items():
            part.load_state_dict(saved[name])
        run.history = codec.loads(tuple[Epoch, ...], saved["history"])
        run.duration_s = float(saved["duration_s"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise TrainingError(
            f"the saved training is incomplete: {error}", fix=_FROM_THE_START
        ) from None


def _unpacked(state: bytes) -> dict[str, Any]:
    try:
        saved = torch.load(io.BytesIO(state), weights_only=True)
    except Exception as error:  # whatever a damaged or malicious archive provokes
        reason = type(error).__name__
        raise TrainingError(
            f"the saved training cannot be read ({reason})", fix=_FROM_THE_START
        ) from None
    if not isinstance(saved, dict) or not {"recipe", "data"} <= set(saved):
        raise TrainingError("the file is no saved training", fix=_FROM_THE_START)
    return saved


def _stateful(run: _Run) -> dict[str, nn.Module | torch.optim.Optimizer]:
    return {"model": run.model, "averaged": run.averaged, "optimizer": run.optimizer}


def _result(run: _Run, recipe: TrainRecipe) -> nn.Sequential:
    model = copy.deepcopy(run.averaged.module if recipe.average else run.model)
    assert isinstance(model, nn.Sequential)
    last = model[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():  # softmax(logits / temperature) needs no further step (Guo et al. 2017)
        for parameter in last.parameters():
            parameter.div_(recipe.temperature)
    return model


def _train_epoch(
    run: _Run,
    recipe: TrainRecipe,
    epoch: int,
    images: Tensor,
    labels: Tensor,
    group: Group,
    progress: Progress,
) -> tuple[float, float]:
    """One pass over the digits; the running mean loss and accuracy."""
    # Not seed + epoch: neighbouring seeds would share most of their epochs.
    seed = recipe.seed * 100_003 + epoch
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    order = order.to(images.device)
    # Dropout and distortion differ from process to process; the order must not.
    torch.manual_seed(seed + group.rank * 2**32)
    generator = torch.Generator().manual_seed(seed + group.rank * 2**32)
    # Batch normalisation cannot learn from a single digit: a smaller rest is left out.
    starts = range(0, max(1, len(order) - 2 * group.size + 1), recipe.batch_size)
    batches = [order[start : start + recipe.batch_size] for start in starts]
    first_step, steps = (epoch - 1) * len(batches), recipe.epochs * len(batches)
    distort = recipe.augmentation.active and epoch <= recipe.epochs * (
        1 - recipe.augmentation.anneal
    )
    totals = torch.zeros(3, device=images.device)
    seen = 0
    run.model.train()
    for number, batch in enumerate(batches):
        step = first_step + number
        rate = learning_rate(recipe, step, steps)
        for settings in run.optimizer.param_groups:
            settings["lr"] = rate
        share = group.share(batch)
        inputs, targets = _scale(images[share]), labels[share]
        if distort:
            inputs = augment(inputs, recipe.augmentation, generator)
        totals += _step(run, recipe, inputs, targets)
        seen += len(share)
        if (number + 1) % _STEPS_PER_REPORT == 0 or number + 1 == len(batches):
            loss, accuracy = (totals[0] / seen).item(), (totals[1] / totals[2]).item()
            _check_loss(loss, recipe, step)
            note = f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}  accuracy {accuracy:.2%}"
            progress(step + 1, steps, note)
    loss_sum, right_sum, digits, count = group.summed(
        torch.stack([*totals, totals.new_tensor(seen)])
    )
    return (loss_sum / count).item(), (right_sum / digits).item()


def _step(run: _Run, recipe: TrainRecipe, inputs: Tensor, targets: Tensor) -> Tensor:
    """One update of the weights; the summed loss, the right answers, and the digits."""
    logits = run.replica(inputs)
    loss = _loss(logits, targets, recipe)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    if recipe.average:
        run.averaged.update_parameters(run.model)
    with torch.no_grad():
        right, digits = (logits.argmax(1) == targets).sum(), (targets != NO_DIGIT).sum()
        return torch.stack([loss * len(targets), right, digits])


def _loss(logits: Tensor, targets: Tensor, recipe: TrainRecipe) -> Tensor:
    """Cross-entropy; of what is no digit, against all ten alike (Hendrycks et al. 2019)."""
    if not recipe.symbols:
        return F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
    wanted = torch.eye(NO_DIGIT + 1, NO_DIGIT, device=logits.device)
    wanted[NO_DIGIT] = 1 / NO_DIGIT
    return F.cross_entropy(logits, wanted[targets], label_smoothing=recipe.label_smoothing)


def _check_loss(loss: float, recipe: TrainRecipe, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"training diverged: the loss is {loss} at step {step + 1}",
            fix=f"use a smaller --learning-rate than {recipe.learning_rate:g}",
        )


def _scale(images: Tensor) -> Tensor:
    """8-bit digits (N, 1, 28, 28) or (N, 28, 28) to (N, 1, 28, 28) float32 in [0, 1]."""
    pixels = images.view(-1, *IMAGE_SHAPE).to(torch.float32, memory_format=torch.channels_last)
    return pixels.div_(255.0)
