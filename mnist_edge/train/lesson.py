"""Teach a net that is there: go on from its weights with corrected pictures, at a bounded cost.

The corrected pictures are mixed with the net's own training pictures, so that it does not forget.
What is kept lies on the straight line between the old weights and the new ones (M. Wortsman et al.,
"Robust fine-tuning of zero-shot models", CVPR 2022): as near to the new ones as the accuracy on
pictures of its own training set allows that the lesson left out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from mnist_edge import metrics
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.manifest import Lesson
from mnist_edge.data.folder import Pictures
from mnist_edge.data.mnist import DataSet, balanced_sample, development_twin
from mnist_edge.models import load_weights
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import Device
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.fit import Fitted, evaluate, fit

_PICTURES = 12_000  # of an epoch
_LESSON_SHARE = 0.25  # of them
_STEPS = 20  # on the way from the old weights to the new ones


def lesson_recipe(recipe: TrainRecipe) -> TrainRecipe:
    """How a net of that recipe is taught: minutes at most, and no faster than it can bear.

    Its temperature is in its weights already, and what taught it is not needed again.
    """
    share = _PICTURES * (1 - _LESSON_SHARE) / 60_000
    return replace(
        recipe,
        epochs=5,
        batch_size=128,
        learning_rate=2e-3,
        optimizer="adamw",
        schedule="onecycle",
        average=0.98,
        strokes=round(recipe.strokes * share),
        symbols=round(recipe.symbols * share),
        teacher="",
        temperature=1.0,
        claim=None,
    )


def teach(
    source: Bundle,
    recipe: TrainRecipe,
    data: DataSet,
    lesson: tuple[Pictures, Pictures],
    *,
    most_cost: float,
    device: Device = "cpu",
    threads: int = 1,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> tuple[Fitted, Lesson]:
    """Go on from the weights of a bundle.

    Args:
        source: whose net is taught.
        recipe: of the lesson; see `lesson_recipe`.
        data: the bundle's own.
        lesson: corrected pictures to train on, and such that are held back.
        most_cost: percentage points of accuracy that it may cost on held-out training pictures.
        device: where to train.
        threads: of torch on the CPU.
        progress: see `fit`.
        on_epoch: called with each line of the history.

    Raises:
        TrainingError, BadInput, BundleError: as for `fit`, and of the bundle.
    """
    corrected, held_back = lesson
    old = load_weights(recipe, source.read(source.manifest.origin))
    twin = development_twin(data)
    fitted = fit(
        recipe,
        _mixed(twin, data, corrected, seed=recipe.seed),
        device=device,
        threads=threads,
        initial=old,
        progress=progress,
        on_epoch=on_epoch,
    )
    judge = Pictures(images=twin.test_images, labels=twin.test_labels)
    before = _right(old, judge, recipe)
    for step in range(_STEPS, -1, -1):
        share = step / _STEPS
        model = _between(old, fitted.model, share)
        cost = 100 * (before - _right(model, judge, recipe))
        if cost <= most_cost:
            break
    whole = DataSet(
        name="folder",
        train_images=corrected.images,
        train_labels=corrected.labels,
        test_images=held_back.images,
        test_labels=held_back.labels,
        classes=data.classes,
    )
    tests = Pictures(images=data.test_images, labels=data.test_labels)
    record = Lesson(
        source_sha256=source.manifest.origin.sha256,
        sha256=whole.sha256,
        train_size=len(corrected.labels),
        test_size=len(held_back.labels),
        right_before=_count(old, held_back, recipe),
        right_after=_count(model, held_back, recipe),
        test_accuracy_before=metrics.accuracy(evaluate(old, tests.images, "cpu"), tests.labels),
        cost=cost,
        share=share,
    )
    return replace(fitted, model=model), record


def _mixed(twin: DataSet, data: DataSet, corrected: Pictures, *, seed: int) -> DataSet:
    """Some of the net's own pictures, and the corrected ones as often as makes up their share."""
    count = min(len(twin.train_labels), round(_PICTURES * (1 - _LESSON_SHARE)))
    order = np.random.default_rng(seed).permutation(len(twin.train_labels))
    own = order[balanced_sample(twin.train_labels[order], count)]
    times = max(1, round(count * _LESSON_SHARE / (1 - _LESSON_SHARE) / len(corrected.labels)))
    return DataSet(
        name=data.name,
        train_images=np.concatenate([twin.train_images[own], *[corrected.images] * times]),
        train_labels=np.concatenate([twin.train_labels[own], *[corrected.labels] * times]),
        test_images=data.test_images,
        test_labels=data.test_labels,
        classes=data.classes,
        preprocessing=data.preprocessing,
    )


def _between(old: nn.Sequential, new: nn.Sequential, share: float) -> nn.Sequential:
    """The net that lies so far on the way from one to the other."""
    model = copy.deepcopy(new)
    weights = new.state_dict()
    for name, tensor in old.state_dict().items():
        if tensor.is_floating_point():
            weights[name] = torch.lerp(tensor, weights[name], share)
    model.load_state_dict(weights)
    return model.eval()


def _right(model: nn.Sequential, pictures: Pictures, recipe: TrainRecipe) -> float:
    """The share of pictures that `predict` would read rightly."""
    return _count(model, pictures, recipe) / len(pictures.labels)


def _count(model: nn.Sequential, pictures: Pictures, recipe: TrainRecipe) -> int:
    logits = evaluate(model, pictures.images, "cpu")
    sure = metrics.confidence(logits, recipe.reject_temperature) >= recipe.reject_below
    return int(np.count_nonzero(sure & (logits.argmax(axis=1) == pictures.labels)))
