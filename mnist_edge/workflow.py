"""What takes several verbs: from data to a bundle, from a bundle to verified artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_edge import codec
from mnist_edge.backends import load_backend, missing_package
from mnist_edge.bundle import (
    CHECKPOINT,
    Artifact,
    Bundle,
    DataRecord,
    Manifest,
    Reference,
    TrainingRecord,
    free_name,
    open_bundle,
    record,
    save_bundle,
)
from mnist_edge.data import DataSet, cache_dir, find_mnist, read_mnist
from mnist_edge.errors import MnistEdgeError, NotEquivalent, TrainingError
from mnist_edge.history import Epoch
from mnist_edge.machine import library_versions, usable_threads
from mnist_edge.metrics import accuracy, cross_entropy
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes import (
    DataChoice,
    DeviceChoice,
    ExportRecipe,
    Format,
    Precision,
    TrainRecipe,
    tolerance,
)
from mnist_edge.signature import Labels, to_images
from mnist_edge.storage import atomic_write, lock, pack_arrays
from mnist_edge.verify import compare, is_batch_invariant

if TYPE_CHECKING:
    from mnist_edge.train import Fitted

REFERENCE_SIZE = 256
SUFFIXES: dict[Format, str] = {"torchscript": ".pt", "onnx": ".onnx"}
CALIBRATION_SIZE = 512
STATE = "training-state.pt"
_FETCH_TIMEOUT_S = 20.0


def obtain_data(
    choice: DataChoice,
    data_dir: Path | None,
    *,
    progress: Progress = silent,
    notice: Callable[[str], None] = lambda _: None,
) -> DataSet:
    """Find MNIST, fetch it where it is nowhere, or render digits.

    Args:
        choice: `auto` takes rendered digits where MNIST cannot be had.
        data_dir: where to look first; there it must be.
        progress: called while digits are fetched or rendered.
        notice: called with the reason when `auto` falls back.

    Raises:
        DataUnavailable: MNIST is asked for and cannot be had, or is not where it was said to be.
    """
    if choice != "rendered":
        try:
            folder = find_mnist(data_dir) or _fetch(progress)
            return read_mnist(folder)
        except MnistEdgeError as error:
            if choice == "mnist" or data_dir is not None:
                raise
            notice(f"MNIST cannot be had ({error.what}); going on with digits drawn from fonts")
    with _needed_to("render digits"):
        from mnist_edge.rendered import rendered_data
    return rendered_data(progress=progress)


def train_bundle(
    recipe: TrainRecipe,
    data: DataSet,
    folder: Path,
    *,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    resume: bool = False,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Bundle:
    """Train a model and write its bundle. Artifacts of earlier weights leave the folder.

    Where the training stands is saved after each epoch; `resume` goes on from there. Started by
    torchrun, all processes train and the first one writes.

    Raises:
        TrainingError, DeviceUnavailable, MissingDependency, StorageError, BundleError: see there;
            a bundle that was in the folder before is then as it was.
    """
    with _needed_to("train"):
        from mnist_edge.distributed import process_group
        from mnist_edge.train import choose_device, fit
    chosen = choose_device(device)
    with process_group(chosen) as group, lock(folder) if group.leads else nullcontext():
        # Locking comes before the minutes of training: it proves that the folder can be written.
        state = read_state(folder) if resume else None
        fitted = fit(
            recipe,
            data,
            device=chosen,
            threads=threads or usable_threads(),
            group=group,
            state=state,
            progress=progress,
            on_epoch=on_epoch,
            on_state=partial(atomic_write, folder / STATE) if group.leads else None,
        )
        if group.leads:
            write_bundle(folder, recipe, data, fitted)
            (folder / STATE).unlink(missing_ok=True)
        group.wait()
        return open_bundle(folder)


def read_state(folder: Path) -> bytes:
    """Where an interrupted training in `folder` stands. Raises TrainingError if there is none."""
    try:
        return (folder / STATE).read_bytes()
    except OSError:
        raise TrainingError(
            f"there is no interrupted training in {folder}",
            fix=f"mnist-edge train --bundle {folder}",
        ) from None


def write_bundle(folder: Path, recipe: TrainRecipe, data: DataSet, fitted: Fitted) -> Bundle:
    """Write a trained model with all that later verbs need of it."""
    from safetensors.torch import save as save_safetensors

    from mnist_edge.backends.eager import float64_logits
    from mnist_edge.models import count_parameters
    from mnist_edge.plots import training_curves
    from mnist_edge.train import evaluate

    weights = save_safetensors(
        {name: tensor.contiguous() for name, tensor in fitted.model.state_dict().items()}
    )
    sample = balanced_sample(data.test_labels, REFERENCE_SIZE)
    images = data.test_images[sample]
    reference = Reference(
        images=images,
        labels=data.test_labels[sample],
        logits=float64_logits(fitted.model, to_images(images)),
    )
    calibration = balanced_sample(data.train_labels, CALIBRATION_SIZE)
    contents = {
        free_name(folder, name): content
        for name, content in {
            "checkpoint.safetensors": weights,
            "reference.npz": pack_arrays(asdict(reference)),
            "calibration.npz": pack_arrays(
                {
                    "images": data.train_images[calibration],
                    "labels": data.train_labels[calibration],
                }
            ),
            "history.json": codec.dumps(fitted.history).encode(),
            "training.png": training_curves(fitted.history),
        }.items()
    }
    checkpoint_record, reference_record, *extras = (
        record(name, content) for name, content in contents.items()
    )
    checkpoint = _judged(
        weights,
        recipe,
        reference,
        file=checkpoint_record.file,
        format_="checkpoint",
        precision="float32",
        opset=0,
        checkpoint_sha256=checkpoint_record.sha256,
    )
    last = fitted.history[-1]
    train_logits = evaluate(fitted.model, data.train_images, "cpu")
    manifest = Manifest(
        schema=1,
        recipe=recipe,
        data=DataRecord(
            name=data.name,
            sha256=data.sha256,
            train_size=len(data.train_labels),
            test_size=len(data.test_labels),
        ),
        training=TrainingRecord(
            train_loss=cross_entropy(train_logits, data.train_labels),
            train_accuracy=accuracy(train_logits, data.train_labels),
            test_loss=last.test_loss,
            test_accuracy=last.test_accuracy,
            duration_s=fitted.duration_s,
            parameters=count_parameters(fitted.model),
            device=fitted.device,
        ),
        versions=library_versions(),
        reference=reference_record,
        artifacts=(checkpoint,),
        extras=tuple(extras),
    )
    bundle = Bundle(folder, manifest)
    save_bundle(bundle, contents)
    return bundle


def export_verified(
    bundle: Bundle, recipe: ExportRecipe, *, progress: Progress = silent
) -> tuple[Bundle, tuple[Artifact, ...]]:
    """Export artifacts, each verified over the reference before it enters the bundle.

    Returns:
        The bundle with its new manifest, and the artifacts written now.

    Raises:
        NotEquivalent: an artifact failed its gate. It is not kept unless the recipe allows it;
            those that passed are.
        UsageError: a precision finds nothing to act on in this model.
        StorageError, MissingDependency: see there; the bundle is as it was.
    """
    with _needed_to("export"):
        from mnist_edge.exporters import export_artifact
        from mnist_edge.models import load_weights
    with lock(bundle.path):
        bundle = open_bundle(bundle.path)  # again, now that nobody else writes it
        checkpoint = bundle.artifact(CHECKPOINT)
        model = load_weights(bundle.manifest.recipe, bundle.read(checkpoint))
        reference = bundle.reference()
        metadata = _metadata(bundle)
        written: list[Artifact] = []
        contents: dict[str, bytes] = {}
        failed: list[str] = []
        for number, (format_, precision) in enumerate(recipe.pairs):
            name = f"{format_}-{precision}"
            progress(number, len(recipe.pairs), name)
            data = export_artifact(
                model, format_=format_, precision=precision, opset=recipe.opset, metadata=metadata
            )
            artifact = _judged(
                data,
                bundle.manifest.recipe,
                reference,
                file=name + SUFFIXES[format_],
                format_=format_,
                precision=precision,
                opset=recipe.opset if format_ == "onnx" else 0,
                checkpoint_sha256=checkpoint.sha256,
            )
            if not artifact.parity.passed:
                failed.append(f"{name}: {artifact.parity.reason}")
            if artifact.parity.passed or recipe.allow_mismatch:
                written.append(artifact)
                contents[artifact.file] = data
        bundle = bundle.with_artifacts(tuple(written))
        save_bundle(bundle, contents)
        progress(len(recipe.pairs), len(recipe.pairs), "")
    if failed:
        raise NotEquivalent(
            f"not equivalent to the checkpoint: {'; '.join(failed)}",
            fix="train another recipe, or keep the file, marked so, with --allow-mismatch",
        )
    return bundle, tuple(written)


def balanced_sample(labels: Labels, count: int) -> NDArray[np.intp]:
    """Indices, in rising order, of the first digits of each class, `count` in all.

    Deterministic, and as even over the classes as the numbers allow.
    """
    rank = np.empty(len(labels), np.int64)
    for digit in np.unique(labels):
        members = np.flatnonzero(labels == digit)
        rank[members] = np.arange(len(members))
    return np.sort(np.argsort(rank, kind="stable")[:count])


def _judged(
    data: bytes,
    recipe: TrainRecipe,
    reference: Reference,
    *,
    file: str,
    format_: Format,
    precision: Precision,
    opset: int,
    checkpoint_sha256: str,
) -> Artifact:
    """Run the bytes of an artifact over the reference and describe it for the manifest."""
    images = to_images(reference.images)
    backend = load_backend(data, format_, recipe)
    try:
        parity = compare(
            backend.run(images), reference.logits, reference.labels, tolerance(format_, precision)
        )
        invariant = is_batch_invariant(backend, images)
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


def _metadata(bundle: Bundle) -> dict[str, str]:
    """What an artifact says of itself: no date, path or host, so the bytes stay the same."""
    manifest = bundle.manifest
    return {
        "recipe": manifest.recipe.name,
        "architecture": manifest.recipe.architecture,
        "seed": str(manifest.recipe.seed),
        "data": manifest.data.name,
        "data_sha256": manifest.data.sha256,
        "checkpoint_sha256": manifest.artifact(CHECKPOINT).sha256,
        "checkpoint_test_accuracy": f"{manifest.training.test_accuracy:.4f}",
    }


def _fetch(progress: Progress) -> Path:
    with _needed_to("fetch MNIST"):
        from mnist_edge.fetch import fetch_mnist
    return fetch_mnist(cache_dir(), timeout_s=_FETCH_TIMEOUT_S, progress=progress)


@contextmanager
def _needed_to(purpose: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose) from error
