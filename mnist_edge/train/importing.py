"""Weights that a user already has, of any architecture in the table, as a model of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from mnist_edge.errors import BadInput, UsageError
from mnist_edge.foreign.state_dict import COUNTER
from mnist_edge.models import build_model
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.weights import read_weights

_Layers: TypeAlias = dict[int, list[dict[str, Tensor]]]
_KINDS = {4: "convolution", 2: "linear", 1: "normalisation", 0: "unknown"}
"""The kinds of layers, by the rank of their weight."""


def import_weights(
    path: Path, recipe: TrainRecipe, classes: int = len(DIGITS), *, key: str = ""
) -> tuple[TrainRecipe, nn.Sequential]:
    """Read a `.pth`, `.pt` or safetensors file into the recipe's architecture.

    The user's layers have names of their own, so layers are matched by kind (convolution, linear,
    normalisation) and order, and checked by shape; their widths are read off the file. They must
    tell so many classes apart. `key` says which of several weights in the file are meant.

    Returns:
        The recipe with the widths of the file and without calibration and teacher, which were of
        our own training, and the model in evaluation mode.

    Raises:
        BadInput: as for `weights.read_weights`, or they are of another architecture.
    """
    given = _by_kind(read_weights(path, key).tensors)
    widths = tuple(len(layer["weight"]) for kind in (4, 2) for layer in given.get(kind, []))
    try:
        recipe = replace(
            recipe,
            widths=widths[:-1],
            outputs=classes,
            teacher="",
            temperature=1.0,
            reject_below=0.0,
        )
        with torch.device("meta"):  # compared before there is room for it: widths multiply
            skeleton = build_model(recipe)
        _fill(_by_kind(skeleton.state_dict()), given)
        model = build_model(recipe)
        _fill(_by_kind(model.state_dict()), given)
    except (ValueError, UsageError) as error:
        reason = error.what if isinstance(error, UsageError) else str(error)
        raise BadInput(
            f"{path} does not fit the architecture {recipe.architecture}: {reason}",
            fix="choose another --recipe; mnist-edge recipes lists them",
        ) from None
    return recipe, model.eval()


def _fill(model: _Layers, given: _Layers) -> None:
    """Copy the tensors of a file into those of a model. Raises ValueError where they differ."""
    for kind, name in _KINDS.items():
        theirs, ours = given.get(kind, []), model.get(kind, [])
        if len(theirs) != len(ours):
            raise ValueError(f"{len(theirs)} {name} layers, not {len(ours)}")
        for number, (source, target) in enumerate(zip(theirs, ours, strict=True), 1):
            if source.keys() != target.keys():
                there, wanted = (", ".join(sorted(layer)) for layer in (source, target))
                raise ValueError(f"{name} layer {number} has {there}, not {wanted}")
            for leaf, tensor in source.items():
                there, wanted = (str(tuple(layer[leaf].shape)) for layer in (source, target))
                if there != wanted:
                    raise ValueError(
                        f"the {leaf} of {name} layer {number} has shape {there}, not {wanted}"
                    )
                target[leaf].copy_(tensor)


def _by_kind(tensors: dict[str, Tensor]) -> _Layers:
    """Layers, each a dict of its tensors, by the rank of their weight, in the order of the file."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        if leaf != COUNTER:
            layers.setdefault(layer, {})[leaf] = tensor
    kinds: _Layers = {}
    for members in layers.values():
        kind = members["weight"].ndim if "weight" in members else 0
        kinds.setdefault(kind, []).append(members)
    return kinds
