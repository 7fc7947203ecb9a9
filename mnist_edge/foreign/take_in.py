"""From a net of others to a bundle: its contract found and kept, its reference computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from mnist_edge.bundle.card import with_model_card
from mnist_edge.bundle.folder import Bundle, Reference, free_name, refuse_shipped, save_bundle
from mnist_edge.bundle.imported import FOREIGN, ImportRecord
from mnist_edge.bundle.manifest import (
    Manifest,
    Role,
    TrainingRecord,
    record,
)
from mnist_edge.bundle.storage import lock, pack_arrays
from mnist_edge.contract import to_images
from mnist_edge.data.mnist import DataSet, balanced_sample, data_record
from mnist_edge.errors import BadInput
from mnist_edge.foreign.contract import Found, find_contract
from mnist_edge.foreign.net import NOTHING, Forced, ForeignNet
from mnist_edge.foreign.prepare import count_parameters
from mnist_edge.foreign.proof import reference_logits
from mnist_edge.foreign.read import about
from mnist_edge.foreign.wrap import wrap
from mnist_edge.formats import Written, load_backend
from mnist_edge.formats.onnx.write import serialize_onnx
from mnist_edge.formats.running import judged_artifact, run_in_batches
from mnist_edge.machine import library_versions, process_as_it_was
from mnist_edge.metrics import accuracy, cross_entropy
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import DEFAULT_OPSET

REFERENCE_SIZE = 256
CALIBRATION_SIZE = 1024
DOUBTFUL, HOPELESS = 0.9, 0.5
"""Accuracy under which an import warns, and under which it refuses."""

_CLOSE, _ALIKE = 0.005, 1.1
"""Accuracy, and times the loss, by which a second contract is as good."""

_BATCH = 500


@process_as_it_was()
def take_in(
    nets: Sequence[ForeignNet],
    file: Path,
    digest: str,
    data: DataSet,
    folder: Path,
    *,
    forced: Forced = NOTHING,
    notice: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    progress: Progress = silent,
) -> Bundle:
    """Make a bundle of a net that others made, measured on `data`.

    Args:
        nets: what its file may hold; the digits decide.
        file: it came from.
        digest: the SHA-256 of that.
        data: on whose training digits the contract is found.
        folder: of the bundle; an earlier one in it is replaced once all is written.
        forced: what the user says of the contract.
        notice: told what was found.
        warn: told what is doubtful in it.
        progress: in trials.

    Raises:
        BadInput: it cannot be run, has other classes, or reads none of this data.
        UsageError: the folder holds a shipped bundle.
        StorageError: the folder is as it was.
    """
    refuse_shipped(folder)
    with about(file):
        found = find_contract(
            nets,
            data.train_images,
            data.train_labels,
            classes=len(data.classes),
            forced=forced,
            progress=progress,
        )
        _judge(found, data, notice, warn)
        best = found.best
        imported = ImportRecord(
            kind=best.prepared.net.kind,
            said=best.prepared.net.said,
            file=file.name,
            sha256=digest,
            contract=best.contract,
            forced=forced.complete,
        )
        manifest, contents = _made(imported, found, data, folder)
    with lock(folder):
        bundle, card = with_model_card(Bundle(folder, manifest))
        save_bundle(bundle, contents | card)
    return bundle


def _made(
    imported: ImportRecord, found: Found, data: DataSet, folder: Path
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of a bundle, and its files."""
    best = found.best
    graph = wrap(best.prepared, best.contract)
    parameters = count_parameters(graph)
    source = serialize_onnx(graph, _metadata(imported))
    chosen = balanced_sample(data.test_labels, REFERENCE_SIZE)
    images = to_images(data.test_images[chosen])
    reference = Reference(
        images=data.test_images[chosen],
        labels=data.test_labels[chosen],
        logits=reference_logits(best.prepared, best.contract, source, images),
    )
    return _manifest(imported, source, reference, data, found, folder, parameters)


def _judge(
    found: Found, data: DataSet, notice: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Say what was found. Raises BadInput where it is nothing."""
    best, other = found.best, found.runner_up
    against = f"; next best, {other.contract}: {other.accuracy:.2%}" if other else ""
    told = (
        f"it reads {best.contract}: {best.accuracy:.2%} of {best.digits:,} training digits "
        f"of {data.name}{against}"
    )
    net = best.prepared.net
    if best.accuracy < HOPELESS:
        raise BadInput(
            f"it is no classifier of {data.name}: at best {told}",
            fix="give --mean and --std as it was trained, or --data of its own"
            + (", or --architecture FILE.py:CLASS" if net.guessed else ""),
        )
    notice(told)
    if net.guessed:
        near = found.reading
        say = warn if net.vague or best.accuracy < DOUBTFUL else notice
        also = f" ({near.prepared.net.guessed} is right as often)" if near else ""
        say(
            f"its file names no more than layers; on the digits it is taken for {net.guessed}"
            f"{also}; if its class does otherwise, give that with --architecture FILE.py:CLASS"
        )
    if best.accuracy < DOUBTFUL:
        warn(
            f"{best.accuracy:.2%} is little: if it was trained with another normalisation, give "
            "--mean and --std, with --invert and --transpose where its digits were so"
        )
    elif other and other.accuracy > best.accuracy - _CLOSE and other.loss < _ALIKE * best.loss:
        warn(
            f"{other.contract} would be as good: if you know how it was trained, say so with "
            "--mean and --std"
        )


def _metadata(imported: ImportRecord) -> dict[str, str]:
    return {
        "producer": "mnist-edge",
        "format": "source",
        "precision": "float32",
        "source": imported.said,
        FOREIGN: imported.sha256,
        "contract": str(imported.contract),
    }


def _manifest(
    imported: ImportRecord,
    source: bytes,
    reference: Reference,
    data: DataSet,
    found: Found,
    folder: Path,
    parameters: int,
) -> tuple[Manifest, dict[str, bytes]]:
    sample = balanced_sample(data.train_labels, CALIBRATION_SIZE)
    calibration = pack_arrays(
        {"images": data.train_images[sample], "labels": data.train_labels[sample]}
    )
    files: list[tuple[str, bytes, Role]] = [
        (free_name(folder, "source.onnx"), source, ""),
        (free_name(folder, "reference.npz"), pack_arrays(asdict(reference)), ""),
        (free_name(folder, "calibration.npz"), calibration, "calibration"),
    ]
    first, second, *extras = (record(*known) for known in files)
    artifact = judged_artifact(
        Written(source),
        None,
        reference,
        file=first.file,
        format_="source",
        precision="float32",
        checkpoint_sha256=first.sha256,
        opset=DEFAULT_OPSET,
    )
    manifest = Manifest(
        schema=2,
        imported=imported,
        data=data_record(data),
        training=_training(source, data, found, parameters),
        versions=library_versions(),
        reference=second,
        artifacts=(artifact,),
        extras=tuple(extras),
    )
    return manifest, {name: content for name, content, _ in files}


def _training(source: bytes, data: DataSet, found: Found, parameters: int) -> TrainingRecord:
    backend = load_backend(source, "onnx", classes=len(data.classes))
    logits = run_in_batches(backend, to_images(data.test_images), _BATCH)
    backend.close()
    return TrainingRecord(
        train_loss=found.best.loss,
        train_accuracy=found.best.accuracy,
        test_loss=cross_entropy(logits, data.test_labels),
        test_accuracy=accuracy(logits, data.test_labels),
        duration_s=0.0,
        parameters=parameters,
        device="cpu",
    )
