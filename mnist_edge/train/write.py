"""A trained model, or the bytes of an artifact, with all that its bundle must say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from safetensors.torch import save as save_safetensors
from torch import nn

from mnist_edge.bundle import codec
from mnist_edge.bundle.card import with_model_card
from mnist_edge.bundle.folder import Bundle, Reference, free_name, save_bundle
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.manifest import Lesson, Manifest, Role, TrainingRecord, record
from mnist_edge.bundle.storage import pack_arrays
from mnist_edge.contract import to_images
from mnist_edge.data.mnist import DataSet, balanced_sample, data_record
from mnist_edge.formats import Written
from mnist_edge.formats.checkpoint.run import float64_logits
from mnist_edge.formats.running import judged_artifact
from mnist_edge.machine import library_versions
from mnist_edge.metrics import accuracy, confidence, cross_entropy
from mnist_edge.models import count_parameters
from mnist_edge.plots.curves import training_curves
from mnist_edge.recipes.terms import Device
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.fit import evaluate

REFERENCE_SIZE = 256
CALIBRATION_SIZE = 1024


def write_bundle(
    folder: Path,
    recipe: TrainRecipe,
    data: DataSet,
    model: nn.Sequential,
    *,
    history: Sequence[Epoch] = (),
    duration_s: float = 0.0,
    device: Device = "cpu",
    lesson: Lesson | None = None,
) -> Bundle:
    """Write a trained model with all that later verbs need of it.

    Args:
        folder: of the bundle; an earlier bundle in it is replaced once all is written.
        recipe: names the architecture of `model`.
        data: measures the model; some of its digits become the reference.
        model: in evaluation mode, on the CPU.
        history: of the training; empty where it is not known.
        duration_s: of the training.
        device: it was trained on.
        lesson: that a net which was there before was given.

    Raises:
        StorageError: as for `save_bundle`; the folder is as it was.
    """
    weights = save_safetensors(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    )
    reference = _reference(model, data)
    files = [
        (free_name(folder, name), content, role)
        for name, content, role in _files(weights, reference, data, history)
    ]
    checkpoint, reference_record, *extras = (record(*file) for file in files)
    artifact = judged_artifact(
        Written(weights),
        recipe,
        reference,
        file=checkpoint.file,
        format_="checkpoint",
        precision="float32",
        checkpoint_sha256=checkpoint.sha256,
    )
    manifest = Manifest(
        schema=1,
        recipe=recipe,
        data=data_record(data),
        training=replace(
            _training(model, recipe, data, duration_s=duration_s, device=device), lesson=lesson
        ),
        versions=library_versions(),
        reference=reference_record,
        artifacts=(artifact,),
        extras=tuple(extras),
    )
    bundle, card = with_model_card(Bundle(folder, manifest))
    save_bundle(bundle, {name: content for name, content, _ in files} | card)
    return bundle


def _reference(model: nn.Sequential, data: DataSet) -> Reference:
    sample = balanced_sample(data.test_labels, REFERENCE_SIZE)
    images = data.test_images[sample]
    return Reference(
        images=images,
        labels=data.test_labels[sample],
        logits=float64_logits(model, to_images(images)),
    )


def _calibration(data: DataSet) -> bytes:
    """Training digits for static quantization: the test set must not shape an artifact."""
    sample = balanced_sample(data.train_labels, CALIBRATION_SIZE)
    return pack_arrays({"images": data.train_images[sample], "labels": data.train_labels[sample]})


def _files(
    weights: bytes, reference: Reference, data: DataSet, history: Sequence[Epoch]
) -> Iterator[tuple[str, bytes, Role]]:
    yield "checkpoint.safetensors", weights, ""
    yield "reference.npz", pack_arrays(asdict(reference)), ""
    yield "calibration.npz", _calibration(data), "calibration"
    if history:
        yield "history.json", codec.dumps(tuple(history)).encode(), "history"
        yield "training.png", training_curves(history), "training curves"


def _training(
    model: nn.Sequential,
    recipe: TrainRecipe,
    data: DataSet,
    *,
    duration_s: float,
    device: Device,
) -> TrainingRecord:
    train_logits = evaluate(model, data.train_images, "cpu")
    test_logits = evaluate(model, data.test_images, "cpu")
    return TrainingRecord(
        train_loss=cross_entropy(train_logits, data.train_labels),
        train_accuracy=accuracy(train_logits, data.train_labels),
        test_loss=cross_entropy(test_logits, data.test_labels),
        test_accuracy=accuracy(test_logits, data.test_labels),
        duration_s=duration_s,
        parameters=count_parameters(model),
        device=device,
        false_reject_rate=float(
            np.mean(confidence(test_logits, recipe.reject_temperature) < recipe.reject_below)
        ),
    )
