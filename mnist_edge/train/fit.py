"""Training: the whole set as tensors, a pure schedule, every epoch seeded by itself.

Order, distortion and dropout of an epoch depend only on (seed, epoch), so a training that goes on
from the end of any epoch ends with the same bits as one that never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its customary name)
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_edge import metrics
from mnist_edge.bundle.history import Epoch
from mnist_edge.contract import RawImages
from mnist_edge.data.mnist import DataSet
from mnist_edge.data.strokes import NO_DIGIT, training_set
from mnist_edge.errors import DeviceUnavailable, TrainingError
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import Device, DeviceChoice
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.augment import augment
from mnist_edge.train.distributed import ALONE, Group
from mnist_edge.train.state import Run, average, restore, result, save, start
from mnist_edge.train.teacher import find_teacher
from mnist_edge.train.views import (
    Views,
    answers_of,
    has_bfloat16,
    is_distorted,
    precision,
    scale,
    views_for,
)

_EVALUATION_BATCH = 1000
_STEPS_PER_REPORT = 10


@dataclass(frozen=True)
class Fitted:
    """A trained model in evaluation mode, with its averaged weights, and how it got there."""

    model: nn.Sequential
    history: tuple[Epoch, ...]
    duration_s: float
    device: Device


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
    teacher: Path | None = None,
    initial: nn.Sequential | None = None,
    evaluate_epochs: bool = True,
    state: bytes | None = None,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    on_start: Callable[[bytes], None] | None = None,
    on_state: Callable[[bytes], None] | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Train a model after a recipe.

    Args:
        recipe: everything that is asked for, the seed included.
        data: the data set; its test digits are displayed, never chosen by.
        device: where to train.
        threads: of torch on the CPU. Another number can give other last bits.
        group: the processes that train together.
        teacher: the bundle of the net to learn from, where it is not the shipped one.
        initial: the net to go on from; by default one with weights of the recipe's seed.
        evaluate_epochs: measure the test set after every epoch; off, only after the last, and
            the history has no other line.
        state: where an interrupted training stood, as `on_state` was given it.
        progress: called every few steps with the steps done and in all.
        on_epoch: called with each line of the history.
        on_start: called before the first step with all that it takes to go on from there.
        on_state: called with the same after each epoch.
        notice: called with a line on where an interrupted training goes on, and on products that
            are of another type than the recipe asks for.

    Raises:
        TrainingError: the loss is no longer a number, `state` is of another training, or the
            recipe's teacher is not to be found.
        BundleError, DigestMismatch, BadInput: the teacher's bundle is damaged.
    """
    started = time.perf_counter()
    torch.set_num_threads(threads)
    train_images, train_labels = training_set(recipe, data)
    images = torch.from_numpy(train_images).unsqueeze(1).to(device)
    labels = torch.from_numpy(train_labels).to(device)
    run = start(recipe, device, group, initial)
    if recipe.skip_easy:
        run.certainty = torch.zeros(len(images), device=device)
    taught_by = find_teacher(recipe, teacher)
    if recipe.mixed_precision != "off" and not has_bfloat16(device):
        notice("products in float32, which can take twice as long: there is no bfloat16 here")
        recipe = replace(recipe, mixed_precision="off")
    if taught_by is not None:
        taught_by = taught_by.to(device).to(memory_format=torch.channels_last)
    if state is not None:
        restore(run, state, recipe, data)
        done = f"resumed: {run.epoch} of {recipe.epochs} epochs are done"
        notice(f"{done}, epoch {run.epoch + 1} begins again" if run.epoch < recipe.epochs else done)
    elif on_start is not None:
        on_start(save(run, recipe, data))
    views = None
    while run.epoch < recipe.epochs:
        if recipe.epochs_per_view > 1:
            views = views_for(recipe, taught_by, images, run.epoch + 1, views)
        loss, right = _train_epoch(run, recipe, taught_by, images, labels, views, group, progress)
        duration_s = time.perf_counter() - started
        run.duration_s += duration_s
        if evaluate_epochs or run.epoch == recipe.epochs:
            run.history += (_line(run, recipe, data, device, loss, right, duration_s),)
        if on_state is not None:
            on_state(save(run, recipe, data))
        if evaluate_epochs:
            on_epoch(run.history[-1])
        started = time.perf_counter()
    return Fitted(
        model=result(run, recipe).eval().cpu().to(memory_format=torch.contiguous_format),
        history=run.history,
        duration_s=run.duration_s,
        device=device,
    )


def _line(
    run: Run,
    recipe: TrainRecipe,
    data: DataSet,
    device: Device,
    loss: float,
    right: float,
    duration_s: float,
) -> Epoch:
    logits = evaluate(result(run, recipe), data.test_images, device)
    return Epoch(
        epoch=run.epoch,
        train_loss=loss,
        train_accuracy=right,
        test_loss=metrics.cross_entropy(logits, data.test_labels),
        test_accuracy=metrics.accuracy(logits, data.test_labels),
        learning_rate=run.optimizer.param_groups[0]["lr"],
        duration_s=duration_s,
    )


def evaluate(model: nn.Module, images: RawImages, device: Device) -> NDArray[np.float32]:
    """Logits (N, 10) of 8-bit digits (N, 28, 28); the model is left in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        parts = [
            model(scale(torch.from_numpy(images[i : i + _EVALUATION_BATCH]).to(device))).cpu()
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


def _train_epoch(
    run: Run,
    recipe: TrainRecipe,
    teacher: nn.Module | None,
    images: Tensor,
    labels: Tensor,
    views: Views | None,
    group: Group,
    progress: Progress,
) -> tuple[float, float]:
    """One pass over the digits, or over views of them; the running mean loss and accuracy."""
    run.epoch += 1
    epoch = run.epoch
    # Not seed + epoch: neighbouring seeds would share most of their epochs.
    seed = recipe.seed * 100_003 + epoch
    order = _shown(run, recipe, len(images), torch.Generator().manual_seed(seed))
    order = order.to(images.device)
    # Dropout and distortion differ from process to process; the order must not.
    torch.manual_seed(seed + group.rank * 2**32)
    generator = torch.Generator().manual_seed(seed + group.rank * 2**32)
    starts = _starts(recipe, len(order), group)
    batches = [order[start : start + recipe.batch_size] for start in starts]
    first_step, steps = (
        _steps_before(recipe, which, len(images), group) for which in (epoch, recipe.epochs + 1)
    )
    distort = views is None and is_distorted(recipe, epoch)
    totals = torch.zeros(3, device=images.device)
    seen = 0
    run.model.train()
    for number, batch in enumerate(batches):
        step = first_step + number
        rate = learning_rate(recipe, step, steps)
        for settings in run.optimizer.param_groups:
            settings["lr"] = rate
        share = group.share(batch)
        shown = images if views is None else views.images
        inputs = scale(shown.index_select(0, share))
        if distort:
            inputs = augment(inputs, recipe.augmentation, generator)
        answers = None
        if teacher is not None:
            answers = answers_of(recipe, teacher, inputs) if views is None else views.answers[share]
        totals += _step(run, recipe, inputs, labels[share], answers, share)
        seen += len(share)
        if (number + 1) % _STEPS_PER_REPORT == 0 or number + 1 == len(batches):
            loss = (totals[0] / seen).item()
            _check_loss(loss, recipe, step)
            progress(step + 1, steps, f"epoch {epoch}/{recipe.epochs}, loss {loss:.4f}")
    if epoch == 1 and recipe.skip_easy:
        run.certainty = group.summed(run.certainty)
    loss_sum, right_sum, digits, count = group.summed(
        torch.stack([*totals, totals.new_tensor(seen)])
    )
    return (loss_sum / count).item(), (right_sum / digits).item()


def _shown(run: Run, recipe: TrainRecipe, count: int, generator: torch.Generator) -> Tensor:
    """Indices of what the epoch shows, in their order, of `count` in all.

    The first epoch shows all, a later one those of which the first was least certain.
    """
    if run.epoch == 1 or not recipe.skip_easy:
        return torch.randperm(count, generator=generator)
    hardest = run.certainty.cpu().argsort(stable=True)[: _kept(recipe, count)]
    return hardest[torch.randperm(len(hardest), generator=generator)]


def _kept(recipe: TrainRecipe, count: int) -> int:
    return count - int(count * recipe.skip_easy)


def _starts(recipe: TrainRecipe, shown: int, group: Group) -> range:
    """Where the batches of an epoch begin."""
    # Batch normalisation cannot learn from a single digit: a smaller rest is left out.
    return range(0, max(1, shown - 2 * group.size + 1), recipe.batch_size)


def _steps_before(recipe: TrainRecipe, epoch: int, count: int, group: Group) -> int:
    """The steps of all epochs before one."""
    first, later = (len(_starts(recipe, n, group)) for n in (count, _kept(recipe, count)))
    return first + (epoch - 2) * later if epoch > 1 else 0


def _step(
    run: Run,
    recipe: TrainRecipe,
    inputs: Tensor,
    targets: Tensor,
    answers: Tensor | None,
    share: Tensor,
) -> Tensor:
    """One update of the weights; the summed loss, the right answers, and the digits.

    The loss is that of the labels, whoever else teaches, so that it can stand beside others.
    `share` tells where in the training set the digits stand.
    """
    with precision(recipe, inputs.device):
        logits = run.replica(inputs).float()
    labelled = loss = _loss(logits, targets, recipe)
    if answers is not None:
        loss = torch.lerp(loss, _distance(logits, answers, recipe), recipe.teacher_weight)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    if recipe.average:
        average(run)
    with torch.no_grad():
        if run.epoch == 1 and recipe.skip_easy:
            run.certainty[share] = _certainty(logits, targets)
        right, digits = (logits.argmax(1) == targets).sum(), (targets < recipe.outputs).sum()
        return torch.stack([labelled * len(targets), right, digits])


def _certainty(logits: Tensor, targets: Tensor) -> Tensor:
    """The probability of each right answer; 0 for what is no digit, which is never easy."""
    # One column more than there are answers, for those that have none.
    return F.pad(F.softmax(logits, dim=1), (0, 1)).gather(1, targets.unsqueeze(1)).squeeze(1)


def _loss(logits: Tensor, targets: Tensor, recipe: TrainRecipe) -> Tensor:
    """Cross-entropy; of what is no digit, against all ten alike (Hendrycks et al. 2019)."""
    if not recipe.symbols:
        return F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
    wanted = torch.eye(NO_DIGIT + 1, NO_DIGIT, device=logits.device)
    wanted[NO_DIGIT] = 1 / NO_DIGIT
    return F.cross_entropy(logits, wanted[targets], label_smoothing=recipe.label_smoothing)


def _distance(logits: Tensor, answers: Tensor, recipe: TrainRecipe) -> Tensor:
    """Cross-entropy against a teacher's softened answers (Hinton, Vinyals and Dean 2015)."""
    temperature = recipe.teacher_temperature
    wanted = F.softmax(answers / temperature, dim=1)
    # Its gradients shrink with the square of the temperature.
    return F.cross_entropy(logits / temperature, wanted) * temperature**2


def _check_loss(loss: float, recipe: TrainRecipe, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"training diverged: the loss is {loss} at step {step + 1}",
            fix=f"use a smaller --learning-rate than {recipe.learning_rate:g}",
        )
