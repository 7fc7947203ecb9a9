"""What changes while a model is trained, and the bytes from which a training goes on."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_edge.bundle import codec
from mnist_edge.bundle.history import Epoch
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import TrainingError, UsageError
from mnist_edge.models import build_model
from mnist_edge.recipes.terms import Device
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.distributed import Group
from mnist_edge.train.form import trained_form
from mnist_edge.train.torch_file import check_read, read_torch_file

_FROM_THE_START = "train from the start, without --resume"


@dataclass
class Run:
    """What changes while a model is trained.

    Attributes:
        model: the weights that the optimizer moves.
        replica: the same model as it is trained, or its wrapper that averages gradients over
            processes.
        averaged: the exponential moving average of weights and batch statistics.
        pairs: what is averaged, and the values that go into it; of one kind of number each.
        certainty: in the first epoch of each right answer, where later ones skip the easy digits.
        epoch: how many are done.
        history: one line for each epoch that was measured.
        duration_s: seconds of training so far; measuring is not counted.
    """

    model: nn.Sequential
    replica: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    pairs: tuple[tuple[list[Tensor], ...], ...]
    certainty: Tensor = field(default_factory=lambda: torch.zeros(0))
    epoch: int = 0
    history: tuple[Epoch, ...] = ()
    duration_s: float = 0.0


def start(
    recipe: TrainRecipe, device: Device, group: Group, initial: nn.Sequential | None = None
) -> Run:
    """A training before its first step.

    Its first weights are those of `initial`, else drawn from the recipe's seed.
    """
    torch.manual_seed(recipe.seed)
    model = build_model(recipe)
    if initial is not None:
        model.load_state_dict(initial.state_dict())
    # Channels innermost: 0.6 to 1.0 of the time of the default layout, over all recipes.
    model = model.to(device).to(memory_format=torch.channels_last)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    averaged = AveragedModel(
        model,
        multi_avg_fn=get_ema_multi_avg_fn(recipe.average),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    return Run(
        model=model,
        replica=group.wrapped(trained_form(model)),
        averaged=averaged,
        pairs=tuple(_pairs(averaged.module, model)),
        optimizer=kind(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=device != "mps",
        ),
    )


def _pairs(*models: nn.Module) -> Iterator[tuple[list[Tensor], ...]]:
    for floats in (True, False):
        kind = tuple(
            [t for t in model.state_dict().values() if t.is_floating_point() is floats]
            for model in models
        )
        if kind[0]:
            yield kind


def average(run: Run) -> None:
    """Take the weights of now into their moving average.

    `AveragedModel` sorts all tensors anew in every step, which takes ten times as long.
    """
    averaged, blend = run.averaged, run.averaged.multi_avg_fn
    if blend is None or averaged.n_averaged == 0:
        averaged.update_parameters(run.model)  # the first are copied
        return
    for averages, values in run.pairs:
        blend(averages, values, averaged.n_averaged)
    averaged.n_averaged += 1


def result(run: Run, recipe: TrainRecipe) -> nn.Sequential:
    """A copy of the model as it would be shipped now: averaged, its temperature folded in."""
    model = copy.deepcopy(run.averaged.module if recipe.average else run.model)
    assert isinstance(model, nn.Sequential)
    if recipe.temperature != 1.0:
        last = model[-1]
        assert isinstance(last, nn.Linear)
        # softmax(logits / temperature) then needs no further step (Guo et al. 2017).
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.div_(recipe.temperature)
    return model


def save(run: Run, recipe: TrainRecipe, data: DataSet) -> bytes:
    """All that it takes to go on from here."""
    # Only tensors, strings, numbers and containers: all that weights_only reads back.
    buffer = io.BytesIO()
    torch.save(
        {
            "recipe": codec.dumps(recipe),
            "data": data.sha256,
            "epoch": run.epoch,
            "history": codec.dumps(run.history),
            "duration_s": run.duration_s,
            **({"certainty": run.certainty} if recipe.skip_easy else {}),
            **{name: part.state_dict() for name, part in _stateful(run).items()},
        },
        buffer,
    )
    return buffer.getvalue()


def restore(run: Run, state: bytes, recipe: TrainRecipe, data: DataSet) -> None:
    """Bring a fresh `run` to where a saved one stood.

    Raises:
        TrainingError: the bytes are damaged, or of another recipe or data set.
    """
    saved = _unpacked(state)
    known = saved_recipe(state)
    if known != recipe:
        if replace(known, teacher=recipe.teacher) == recipe:
            raise TrainingError(
                "the saved training has another teacher", fix="name its bundle again with --teacher"
            )
        raise TrainingError("the saved training is of another recipe", fix=_FROM_THE_START)
    if saved["data"] != data.sha256:
        raise TrainingError("the saved training is of another data set", fix=_FROM_THE_START)
    try:
        for name, part in _stateful(run).items():
            part.load_state_dict(saved[name])
        if recipe.skip_easy:
            run.certainty.copy_(saved["certainty"])
        run.history = codec.loads(tuple[Epoch, ...], saved["history"])
        run.epoch, run.duration_s = int(saved["epoch"]), float(saved["duration_s"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise TrainingError(
            f"the saved training is incomplete: {error}", fix=_FROM_THE_START
        ) from None


def _unpacked(state: bytes) -> dict[str, Any]:
    try:
        saved = read_torch_file(state)
        check_read(saved)
    except ValueError as error:
        raise TrainingError(
            f"the saved training cannot be read: {error!s:.200}", fix=_FROM_THE_START
        ) from None
    if not isinstance(saved, dict) or not {"recipe", "data"} <= set(saved):
        raise TrainingError("the file is no saved training", fix=_FROM_THE_START)
    return saved


def _stateful(run: Run) -> dict[str, nn.Module | torch.optim.Optimizer]:
    return {"model": run.model, "averaged": run.averaged, "optimizer": run.optimizer}


def saved_recipe(state: bytes) -> TrainRecipe:
    """The recipe of an interrupted training. Raises TrainingError where it cannot be read."""
    try:
        return codec.loads(TrainRecipe, _unpacked(state)["recipe"])
    except (ValueError, TypeError, UsageError) as error:
        raise TrainingError(
            f"the saved training has no recipe: {error}", fix=_FROM_THE_START
        ) from None
