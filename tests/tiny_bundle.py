"""A bundle small enough to be made by a test, without torch. Five digits that differ in a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnist_edge.bundle import (
    CHECKPOINT,
    Artifact,
    Bundle,
    DataRecord,
    Manifest,
    Parity,
    Reference,
    TrainingRecord,
    record,
    save_bundle,
)
from mnist_edge.recipes import Format, Precision, TrainRecipe
from mnist_edge.storage import pack_arrays

DIGITS = 5
_WEIGHTS = b"weights"


def tiny_reference() -> Reference:
    """Digit i has the intensity i in its first pixel and nothing else."""
    images = np.zeros((DIGITS, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(DIGITS)
    # Halves are exact in float32, so any error is one that a test has planted.
    logits = np.random.default_rng(0).integers(-20, 20, (DIGITS, 10)) / 2
    return Reference(images=images, labels=np.arange(DIGITS), logits=logits)


def tiny_artifact(name: str, data: bytes, *, passed: bool = True) -> Artifact:
    format_, _, precision = name.partition("-")
    formats: dict[str, Format] = {"checkpoint": "checkpoint", "onnx": "onnx"}
    precisions: dict[str, Precision] = {"float32": "float32", "int8-dynamic": "int8-dynamic"}
    named = record(f"{name}.bin", data)
    return Artifact(
        file=named.file,
        size_bytes=named.size_bytes,
        sha256=named.sha256,
        name=name,
        format=formats[format_],
        precision=precisions[precision],
        opset=0,
        checkpoint_sha256=record("weights", _WEIGHTS).sha256,
        parity=Parity(
            passed=passed,
            images=DIGITS,
            max_abs_error=0.0,
            sqnr_db=100.0,
            flips=(),
            accuracy=1.0,
            reference_accuracy=1.0,
            reason="" if passed else "9 flips",
        ),
        batch_invariant=True,
    )


def tiny_bundle(folder: Path, reference: Reference, files: dict[str, bytes]) -> Bundle:
    files = {CHECKPOINT: _WEIGHTS} | files
    artifacts = tuple(tiny_artifact(name, data) for name, data in files.items())
    packed = pack_arrays(
        {"images": reference.images, "labels": reference.labels, "logits": reference.logits}
    )
    manifest = Manifest(
        schema=1,
        recipe=TrainRecipe(
            name="tiny",
            architecture="simple",
            widths=(8,),
            epochs=1,
            batch_size=1,
            learning_rate=0.1,
        ),
        data=DataRecord(name="rendered", sha256="0" * 64, train_size=1, test_size=1),
        training=TrainingRecord(
            train_loss=0.0,
            train_accuracy=1.0,
            test_loss=0.0,
            test_accuracy=1.0,
            duration_s=1.0,
            parameters=1,
            device="cpu",
        ),
        versions={},
        reference=record("reference.npz", packed),
        artifacts=artifacts,
    )
    bundle = Bundle(folder, manifest)
    contents = {a.file: files[a.name] for a in artifacts} | {"reference.npz": packed}
    save_bundle(bundle, contents)
    return bundle
