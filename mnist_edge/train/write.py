"""A trained model, or the bytes of an artifact, with all that its bundle must say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save as save_safetensors
from torch import nn

from mnist_edge.bundle import codec, golden
from mnist_edge.bundle.card import with_model_card
from mnist_edge.bundle.folder import (
    CHECKPOINT,
    REJECT_BELOW,
    Artifact,
    Bundle,
    DataRecord,
    Manifest,
    Reference,
    TrainingRecord,
    free_name,
    record,
    save_bundle,
)
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.storage import pack_arrays, unpack_arrays
from mnist_edge.contract import Images, Labels, to_images
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import BadInput, BundleError
from mnist_edge.formats import load_backend
from mnist_edge.formats.checkpoint.run import float64_logits
from mnist_edge.formats.parity import compare
from mnist_edge.formats.running import is_batch_invariant, run_in_batches
from mnist_edge.formats.tolerances import tolerance
from mnist_edge.machine import library_versions
from mnist_edge.metrics import accuracy, cross_entropy, softmax
from mnist_edge.models import count_parameters
from mnist_edge.plots import training_curves
from mnist_edge.recipes.train import Device, Format, Precision, TrainRecipe
from mnist_edge.train.fit import evaluate

REFERENCE_SIZE = 256
CALIBRATION_SIZE = 1024
CALIBRATION_STEM = "calibration"
GOLDEN_SIZE = 10  # one of each class: what every artifact carries must stay small


def write_bundle(
    folder: Path,
    recipe: TrainRecipe,
    data: DataSet,
    model: nn.Sequential,
    *,
    history: Sequence[Epoch] = (),
    duration_s: float = 0.0,
    device: Device = "cpu",
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

    Raises:
        StorageError: as for `save_bundle`; the folder is as it was.
    """
    weights = save_safetensors(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    )
    reference = _reference(model, data)
    contents = {
        free_name(folder, name): content
        for name, content in (
            ("checkpoint.safetensors", weights),
            ("reference.npz", pack_arrays(asdict(reference))),
            (f"{CALIBRATION_STEM}.npz", _calibration(data)),
            *_course(history),
        )
    }
    checkpoint, reference_record, *extras = (
        record(name, content) for name, content in contents.items()
    )
    artifact = judged_artifact(
        weights,
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
        data=DataRecord(
            name=data.name,
            sha256=data.sha256,
            train_size=len(data.train_labels),
            test_size=len(data.test_labels),
        ),
        training=_training(model, recipe, data, duration_s=duration_s, device=device),
        versions=library_versions(),
        reference=reference_record,
        artifacts=(artifact,),
        extras=tuple(extras),
    )
    bundle, card = with_model_card(Bundle(folder, manifest))
    save_bundle(bundle, contents | card)
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


def calibration_images(bundle: Bundle) -> Images:
    """The training digits that `write_bundle` put by for static quantization, (N, 1, 28, 28).

    Raises:
        BundleError: the bundle has none, or they are damaged.
    """
    fix = f"mnist-edge train --bundle {bundle.path}"
    for extra in bundle.manifest.extras:
        if extra.file.startswith(CALIBRATION_STEM):
            try:
                return to_images(unpack_arrays(bundle.read(extra))["images"])
            except (BadInput, KeyError, ValueError) as error:
                raise BundleError(
                    f"the calibration digits of {bundle.path} are damaged: {error}", fix=fix
                ) from None
    raise BundleError(f"{bundle.path} has no calibration digits", fix=fix)


def _course(history: Sequence[Epoch]) -> list[tuple[str, bytes]]:
    if not history:
        return []
    return [
        ("history.json", codec.dumps(tuple(history)).encode()),
        ("training.png", training_curves(history)),
    ]


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
        false_reject_rate=float(np.mean(softmax(test_logits).max(axis=1) < recipe.reject_below)),
    )


def balanced_sample(labels: Labels, count: int) -> NDArray[np.intp]:
    """Indices, in rising order, of the first digits of each class, `count` in all.

    Deterministic, and as even over the classes as the numbers allow.
    """
    rank = np.empty(len(labels), np.int64)
    for digit in np.unique(labels):
        members = np.flatnonzero(labels == digit)
        rank[members] = np.arange(len(members))
    return np.sort(np.argsort(rank, kind="stable")[:count])


def judged_artifact(
    data: bytes,
    recipe: TrainRecipe,
    reference: Reference,
    *,
    file: str,
    format_: Format,
    precision: Precision,
    checkpoint_sha256: str,
    opset: int = 0,
    float32_error: float = 0.0,
) -> Artifact:
    """Run the bytes of an artifact over the reference and describe it for the manifest.

    Args:
        data: the whole file.
        recipe: names the architecture.
        reference: the digits to run, and the answers of the checkpoint.
        file: the name that it will have in the bundle.
        format_: of the file.
        precision: of its arithmetic.
        checkpoint_sha256: of the weights that it was made from.
        opset: of the ONNX graph that it is or was made from; 0 where there is none.
        float32_error: of the checkpoint itself.
    """
    images = to_images(reference.images)
    backend = load_backend(data, format_, recipe)
    try:
        invariant = is_batch_invariant(backend, images)
        # As it is deployed: `predict` runs what is not invariant one picture at a time.
        logits = run_in_batches(backend, images, len(images) if invariant else 1)
        gate = tolerance(format_, precision, float32_error=float32_error)
        parity = compare(logits, reference.logits, reference.labels, gate)
    finally:
        backend.close()
    return Artifact(
        **asdict(record(file, data)),
        name=f"{format_}-{precision}",
        format=format_,
        precision=precision,
        opset=opset,
        checkpoint_sha256=checkpoint_sha256,
        parity=parity,
        batch_invariant=invariant,
    )


def artifact_metadata(bundle: Bundle) -> dict[str, str]:
    """What an artifact says of itself: no date, path or host, so the bytes stay the same."""
    manifest = bundle.manifest
    reference = bundle.reference()
    sample = balanced_sample(reference.labels, GOLDEN_SIZE)
    return {
        golden.KEY: golden.pack_golden(reference.images[sample], reference.logits[sample]),
        "recipe": manifest.recipe.name,
        "architecture": manifest.recipe.architecture,
        "seed": str(manifest.recipe.seed),
        REJECT_BELOW: str(manifest.recipe.reject_below),
        "data": manifest.data.name,
        "data_sha256": manifest.data.sha256,
        "checkpoint_sha256": manifest.artifact(CHECKPOINT).sha256,
        "checkpoint_test_accuracy": f"{manifest.training.test_accuracy:.4f}",
    }
