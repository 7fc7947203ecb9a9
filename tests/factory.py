"""Bundles made without torch: whole and consistent, of small files that no runtime loads.

Not a test module: other tests build what they need from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np

from mnist_edge.bundle.folder import Bundle, Reference, open_bundle, save_bundle
from mnist_edge.bundle.manifest import (
    CHECKPOINT,
    Artifact,
    DataRecord,
    FileRecord,
    Manifest,
    Parity,
    TrainingRecord,
    record,
)
from mnist_edge.bundle.own import remember
from mnist_edge.bundle.storage import pack_arrays
from mnist_edge.recipes.terms import Format, Precision
from mnist_edge.recipes.train import TrainRecipe

TESTS = Path(__file__).parent
ROOT = TESTS.parent

RECIPE = TrainRecipe(
    name="tiny", architecture="compact", widths=(4, 8), epochs=1, batch_size=8, learning_rate=0.01
)
SUFFIXES = {"checkpoint": ".safetensors", "onnx": ".onnx", "torchscript": ".pt"}
ARTIFACTS: dict[str, bytes] = {
    "onnx-float32": b"onnx bytes",
    "torchscript-float32": b"torchscript bytes",
}


def make_reference(count: int = 10, *, seed: int = 0) -> Reference:
    """Noise with labels 0 to 9 in turn, and logits that name each label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    return Reference(
        images=rng.integers(0, 256, (count, 28, 28), np.uint8),
        labels=labels,
        logits=rng.normal(size=(count, 10)) + 8 * np.eye(10)[labels],
    )


def make_artifact(
    name: str, data: bytes, checkpoint_sha256: str, *, file: str = "", passed: bool = True
) -> Artifact:
    """The record of an artifact with these bytes, under a file name made from its own name."""
    format_, _, precision = name.partition("-")
    known = record(file or name + SUFFIXES.get(format_, "." + format_), data)
    return Artifact(
        **asdict(known),
        name=name,
        format=cast("Format", format_),
        precision=cast("Precision", precision),
        opset=18 if format_ == "onnx" else 0,
        checkpoint_sha256=checkpoint_sha256,
        parity=Parity(
            passed=passed,
            images=10,
            max_abs_error=1e-6,
            sqnr_db=120.0,
            flips=(),
            accuracy=1.0,
            reference_accuracy=1.0,
            reason="" if passed else "made to fail",
        ),
        batch_invariant=True,
    )


def make_bundle(
    folder: Path,
    artifacts: Mapping[str, bytes] = ARTIFACTS,
    *,
    weights: bytes = b"weights",
    reference: Reference | None = None,
    extras: Mapping[str, bytes] | None = None,
    own: bool = True,
) -> Bundle:
    """Write a bundle that opens, and whose every file has the digest that the manifest names.

    Args:
        folder: of the bundle, which holds none yet.
        artifacts: the bytes of each artifact by its name, such as `onnx-float32`.
        weights: the bytes of the checkpoint.
        reference: the digits and logits; by default those of `make_reference`.
        extras: further files by name.
        own: whether this user counts as its maker.
    """
    extras = extras if extras is not None else {"history.json": b"[]\n"}
    checkpoint_sha256 = record("weights", weights).sha256
    checkpoint = make_artifact(
        CHECKPOINT, weights, checkpoint_sha256, file="checkpoint.safetensors"
    )
    reference = reference or make_reference()
    right = float((reference.logits.argmax(axis=1) == reference.labels).mean())
    parity = replace(checkpoint.parity, images=len(reference.labels), reference_accuracy=right)
    checkpoint = replace(checkpoint, parity=parity)
    exported = {
        name: make_artifact(name, data, checkpoint_sha256) for name, data in artifacts.items()
    }
    packed = pack_arrays(asdict(reference))
    bundle = Bundle(
        folder,
        make_manifest(
            reference=record("reference.npz", packed),
            artifacts=(checkpoint, *exported.values()),
            extras=tuple(record(file, data) for file, data in extras.items()),
        ),
    )
    if own:
        remember(artifact.sha256 for artifact in exported.values())
    files = {exported[name].file: data for name, data in artifacts.items()}
    save_bundle(bundle, {checkpoint.file: weights, "reference.npz": packed, **files, **extras})
    return bundle


def read_all(folder: Path) -> Bundle:
    """Open a bundle and read every file that it names: it is whole, or this raises."""
    bundle = open_bundle(folder)
    for known in bundle.manifest.records:
        bundle.read(known)
    bundle.reference()
    return bundle


def names(folder: Path) -> set[str]:
    """Of everything in a folder."""
    return {path.name for path in folder.iterdir()}


def make_manifest(
    *,
    reference: FileRecord,
    artifacts: tuple[Artifact, ...],
    extras: tuple[FileRecord, ...] = (),
) -> Manifest:
    """A manifest of a small training, around these records."""
    return Manifest(
        schema=1,
        recipe=RECIPE,
        data=DataRecord(name="rendered", sha256="0" * 64, train_size=600, test_size=200),
        training=TrainingRecord(
            train_loss=0.1,
            train_accuracy=0.98,
            test_loss=0.2,
            test_accuracy=0.97,
            duration_s=1.5,
            parameters=1234,
            device="cpu",
        ),
        versions={"numpy": np.__version__},
        reference=reference,
        artifacts=artifacts,
        extras=extras,
    )
