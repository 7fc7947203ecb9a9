"""Weights that a user already has, of any architecture in the table, as a model of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from mnist_edge.bundle.storage import read_file
from mnist_edge.errors import BadInput, UsageError
from mnist_edge.foreign.state_dict import natural
from mnist_edge.models import build_model
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.torch_file import read_torch_file

# Where common training scripts put the weights inside a checkpoint.
_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
# A count of batches, which no model of ours computes with.
_COUNTER = "num_batches_tracked"
_MAX_BYTES = 1 << 30
_DEEPEST = 5  # dictionaries in each other, around the weights
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_Layers: TypeAlias = dict[int, list[dict[str, Tensor]]]
_KINDS = {4: "convolution", 2: "linear", 1: "normalisation", 0: "unknown"}
"""The kinds of layers, by the rank of their weight."""


def import_weights(
    path: Path, recipe: TrainRecipe, classes: int = len(DIGITS)
) -> tuple[TrainRecipe, nn.Sequential]:
    """Read a `.pth`, `.pt` or safetensors file into the recipe's architecture.

    The user's layers have names of their own, so layers are matched by kind (convolution, linear,
    normalisation) and order, and checked by shape; their widths are read off the file. They must
    tell so many classes apart.

    Returns:
        The recipe with the widths of the file and without calibration and teacher, which were of
        our own training, and the model in evaluation mode.

    Raises:
        BadInput: no such file, no weights, code in a pickle, or another architecture.
    """
    given = _by_kind(learned(read_document(path), path))
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
        if leaf != _COUNTER:
            layers.setdefault(layer, {})[leaf] = tensor
    kinds: _Layers = {}
    for members in layers.values():
        kind = members["weight"].ndim if "weight" in members else 0
        kinds.setdefault(kind, []).append(members)
    return kinds


def read_document(path: Path) -> dict[str, object]:
    """The names and what stands under them in a file of weights. Raises BadInput."""
    try:
        data = read_file(path, most=_MAX_BYTES)
    except OSError as error:
        raise BadInput(
            f"cannot read {path}: {error.strerror}", fix="give the path of a weights file"
        ) from None
    fix = "save the weights alone, with torch.save(model.state_dict(), path)"
    document: object
    try:
        if data[:2] == b"PK" or data[:1] == b"\x80":  # torch's archives, new and old
            document = read_torch_file(data)
        else:
            # The format keeps no order: conv10 belongs after conv2.
            tensors = load_safetensors(data)
            document = {name: tensors[name] for name in sorted(tensors, key=natural)}
    except SafetensorError:
        raise BadInput(f"{path} is neither a torch file nor a safetensors file", fix=fix) from None
    except ValueError as error:  # a pickle that names code, a whole model, a damaged archive
        raise BadInput(
            f"{path} is damaged, or holds more than weights: {error!s:.200}", fix=fix
        ) from None
    for _ in range(_DEEPEST):  # not for ever: a dictionary may lie in itself
        if not isinstance(document, dict):
            break
        nested = [document[key] for key in _NESTED if isinstance(document.get(key), dict)]
        if not nested:
            return document
        document = nested[0]
    raise BadInput(f"{path} holds a {type(document).__name__}, not named weights", fix=fix)


def learned(document: dict[str, object], path: Path) -> dict[str, Tensor]:
    """The weights among what a file holds. Raises BadInput where one is no number."""
    tensors = {
        str(name): value
        for name, value in document.items()
        if isinstance(value, Tensor) and not str(name).endswith(_COUNTER)
    }
    if not tensors:
        raise BadInput(
            f"{path} holds no tensors",
            fix="save the weights with torch.save(model.state_dict(), path)",
        )
    distinct = {id(tensor): name for name, tensor in tensors.items()}
    for name in distinct.values():  # one tensor under many names costs the time of one
        tensor = tensors[name]
        if tensor.dtype not in _FLOATS or not torch.isfinite(tensor).all():
            raise BadInput(
                f"{path}: {name} holds NaN, infinity or {str(tensor.dtype).partition('.')[2]}",
                fix="give weights of a model that works",
            )
    return tensors
