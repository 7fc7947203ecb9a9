"""What takes several verbs: from data to a bundle, from a bundle to verified artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from mnist_edge.bundle import card as model_card
from mnist_edge.bundle.folder import (
    CHECKPOINT,
    Artifact,
    Bundle,
    is_shipped,
    open_bundle,
    record,
    save_bundle,
)
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.storage import atomic_write, lock
from mnist_edge.data.mnist import DataSet, cache_dir, find_mnist, read_mnist
from mnist_edge.errors import (
    MnistEdgeError,
    NotEquivalent,
    TrainingError,
    UsageError,
    missing_package,
)
from mnist_edge.machine import usable_threads
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.train import (
    DEFAULT_OPSET,
    DataChoice,
    Device,
    DeviceChoice,
    ExportRecipe,
    Format,
    Precision,
    TrainRecipe,
)

SUFFIXES: dict[Format, str] = {
    "torchscript": ".pt",
    "pt2": ".pt2",
    "onnx": ".onnx",
    "ort": ".ort",
    "c": ".c",
}
STATE = "training-state.pt"
_FETCH_TIMEOUT_S = 20.0
_FROM_ONNX: tuple[Format, ...] = ("onnx", "ort", "c")  # the opset shapes their bytes


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
        from mnist_edge.data.fonts import rendered_data
    return rendered_data(progress=progress)


def check_start(folder: Path) -> None:
    """Refuse what can only fail, before time is spent on data: to be called by what trains.

    Raises:
        MissingDependency: torch is not installed.
        UsageError: the bundle in `folder` is a shipped one.
    """
    if find_spec("torch") is None:
        raise missing_package(ModuleNotFoundError(name="torch"), "train")
    refuse_shipped(folder)


def check_teacher(recipe: TrainRecipe, teacher: Path | None, folder: Path) -> None:
    """Refuse a teacher that cannot teach, before time is spent on data.

    Args:
        recipe: of the net that learns.
        teacher: the bundle that was named for it; None for the shipped one.
        folder: where the net that learns will lie.

    Raises:
        UsageError: the training would write over its teacher.
        TrainingError, BundleError, DigestMismatch, BadInput: as for `teacher.find_teacher`.
        MissingDependency: nothing can be trained here.
    """
    if teacher is not None and teacher.resolve() == folder.resolve():
        raise UsageError(
            f"{folder} is to be learnt from, and would be written over",
            fix="give the new net another --bundle",
        )
    with _needed_to("train"):
        from mnist_edge.train.teacher import find_teacher
    find_teacher(recipe, teacher)


def refuse_shipped(folder: Path) -> None:
    """Keep a bundle that came with the package as it came.

    Raises:
        UsageError: such a one is in `folder`.
    """
    if is_shipped(folder):
        raise UsageError(
            f"{folder} is a bundle that comes with mnist-edge, and stays as it is",
            fix="make one of your own with mnist-edge train, or give another --bundle",
        )


def training_device(choice: DeviceChoice) -> Device:
    """The device to train on: to be asked before time is spent on anything else.

    Raises:
        DeviceUnavailable: the device asked for is not there.
        MissingDependency: nothing can be trained here.
    """
    with _needed_to("train"):
        from mnist_edge.train.fit import choose_device
    return choose_device(choice)


def train_bundle(
    recipe: TrainRecipe,
    data: DataSet,
    folder: Path,
    *,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    teacher: Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Bundle:
    """Train a model and write its bundle. Artifacts of earlier weights leave the folder.

    Where the training stands is saved after each epoch; `resume` goes on from there. Started by
    torchrun, all processes train and the first one writes. `teacher` is the bundle of the net that
    the recipe learns from, where it is not the shipped one.

    Raises:
        TrainingError, DeviceUnavailable, MissingDependency, StorageError, BundleError: see there;
            a bundle that was in the folder before is then as it was.
        UsageError: the folder holds a shipped bundle, or the teacher's.
    """
    refuse_shipped(folder)
    check_teacher(recipe, teacher, folder)
    with _needed_to("train"):
        from mnist_edge.train.distributed import process_group
        from mnist_edge.train.fit import fit
        from mnist_edge.train.write import write_bundle
    chosen = training_device(device)
    with process_group(chosen) as group, lock(folder) if group.leads else nullcontext():
        # Locking comes before the minutes of training: it proves that the folder can be written.
        state = read_state(folder) if resume else None
        fitted = fit(
            recipe,
            data,
            device=chosen,
            threads=threads or usable_threads(),
            group=group,
            teacher=teacher,
            state=state,
            progress=progress,
            on_epoch=on_epoch,
            on_state=partial(atomic_write, folder / STATE) if group.leads else None,
        )
        if group.leads:
            write_bundle(
                folder,
                recipe,
                data,
                fitted.model,
                history=fitted.history,
                duration_s=fitted.duration_s,
                device=fitted.device,
            )
            (folder / STATE).unlink(missing_ok=True)
        group.wait()
        return open_bundle(folder)


def import_bundle(weights: Path, recipe: TrainRecipe, data: DataSet, folder: Path) -> Bundle:
    """Make a bundle of weights that were trained elsewhere, measured on `data`.

    Raises:
        BadInput: the file holds no weights of the recipe's architecture.
        UsageError: the folder holds the shipped bundle.
        StorageError, BundleError, MissingDependency: see there; the folder is as it was.
    """
    refuse_shipped(folder)
    with _needed_to("import weights"):
        from mnist_edge.train.importing import import_weights
        from mnist_edge.train.write import write_bundle
    recipe, model = import_weights(weights, recipe)
    with lock(folder):
        return write_bundle(folder, recipe, data, model)


def read_state(folder: Path) -> bytes:
    """Where an interrupted training in `folder` stands. Raises TrainingError if there is none."""
    try:
        return (folder / STATE).read_bytes()
    except OSError:
        raise TrainingError(
            f"there is no interrupted training in {folder}",
            fix=f"mnist-edge train --bundle {folder}",
        ) from None


def export_verified(
    bundle: Bundle, recipe: ExportRecipe, *, progress: Progress = silent
) -> tuple[Bundle, tuple[Artifact, ...]]:
    """Export artifacts, each verified over the reference before it enters the bundle.

    Returns:
        The bundle with its new manifest, and the artifacts written now.

    Raises:
        NotEquivalent: an artifact failed its gate. It is not kept unless the recipe allows it;
            those that passed are.
        UsageError: a precision finds nothing to act on in this model, or the bundle is the
            shipped one.
        StorageError, MissingDependency: see there; the bundle is as it was.
    """
    refuse_shipped(bundle.path)
    with _needed_to("export"):
        from mnist_edge.formats.c.write import header_of
        from mnist_edge.train.write import judged_artifact
    with lock(bundle.path):
        bundle = open_bundle(bundle.path)  # again, now that nobody else writes it
        replaced = {f"{pair[0]}-{pair[1]}{SUFFIXES[pair[0]]}" for pair in recipe.pairs}
        bundle.check(but=replaced | {model_card.FILE})
        checkpoint = bundle.artifact(CHECKPOINT)
        reference = bundle.reference()
        export = _exporter(bundle)
        written: list[Artifact] = []
        contents: dict[str, bytes] = {}
        headers: dict[str, bytes] = {}
        failed: list[str] = []
        for number, (format_, precision) in enumerate(recipe.pairs):
            name = f"{format_}-{precision}"
            progress(number, len(recipe.pairs), name)
            data = export(format_, precision, recipe.opset)
            artifact = judged_artifact(
                data,
                bundle.manifest.recipe,
                reference,
                file=name + SUFFIXES[format_],
                format_=format_,
                precision=precision,
                opset=recipe.opset if format_ in _FROM_ONNX else 0,
                checkpoint_sha256=checkpoint.sha256,
                float32_error=bundle.manifest.float32_error,
            )
            if not artifact.parity.passed:
                failed.append(f"{name}: {artifact.parity.reason}")
            if artifact.parity.passed or recipe.allow_mismatch:
                written.append(artifact)
                contents[artifact.file] = data
                if format_ == "c":
                    headers[f"{name}.h"] = header_of(data)
        bundle = _with_extras(bundle.with_artifacts(tuple(written)), headers)
        bundle, card = model_card.with_model_card(bundle)
        save_bundle(bundle, contents | headers | card)
        progress(len(recipe.pairs), len(recipe.pairs), "")
    if failed:
        raise NotEquivalent(
            f"not equivalent to the checkpoint: {'; '.join(failed)}",
            fix="train another recipe, or keep the file, marked so, with --allow-mismatch",
        )
    return bundle, tuple(written)


def prove_rebuildable(
    bundle: Bundle, *, artifacts: tuple[str, ...] = (), progress: Progress = silent
) -> tuple[str, ...]:
    """Export artifacts again, and compare them with the bundle's byte by byte.

    Returns:
        The names of those that were made again; the checkpoint cannot be.

    Raises:
        NotEquivalent: the bytes of one differ, as they may with other versions of the libraries.
        UsageError: there is no artifact of that name.
        MissingDependency: torch or onnx is not installed.
    """
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    chosen = [bundle.artifact(name) for name in names if name != CHECKPOINT]
    export = _exporter(bundle)
    changed = []
    for number, artifact in enumerate(chosen):
        progress(number, len(chosen), artifact.name)
        again = export(artifact.format, artifact.precision, artifact.opset or DEFAULT_OPSET)
        if again != bundle.read(artifact):
            changed.append(artifact.name)
    progress(len(chosen), len(chosen), "")
    if changed:
        raise NotEquivalent(
            f"{' and '.join(changed)}: made again, the bytes are others",
            fix="compare the versions in the manifest with doctor's, or export again",
        )
    return tuple(artifact.name for artifact in chosen)


def _exporter(bundle: Bundle) -> Callable[[Format, Precision, int], bytes]:
    """What exports a bundle's model: format, precision and opset to bytes."""
    with _needed_to("export"):
        from mnist_edge.formats.writing import export_artifact
        from mnist_edge.models import load_weights
        from mnist_edge.train.write import artifact_metadata, calibration_images
    model = load_weights(bundle.manifest.recipe, bundle.read(bundle.artifact(CHECKPOINT)))
    metadata = artifact_metadata(bundle)
    calibration = calibration_images(bundle)

    def export(format_: Format, precision: Precision, opset: int) -> bytes:
        return export_artifact(
            model,
            format_=format_,
            precision=precision,
            opset=opset,
            calibration=calibration,
            metadata=metadata,
        )

    return export


def _with_extras(bundle: Bundle, contents: dict[str, bytes]) -> Bundle:
    """The bundle with further files, or other bytes for those that it has."""
    kept = tuple(extra for extra in bundle.manifest.extras if extra.file not in contents)
    added = tuple(record(file, data) for file, data in contents.items())
    return replace(bundle, manifest=replace(bundle.manifest, extras=kept + added))


def _fetch(progress: Progress) -> Path:
    with _needed_to("fetch MNIST"):
        from mnist_edge.data.fetch import fetch_mnist
    return fetch_mnist(cache_dir(), timeout_s=_FETCH_TIMEOUT_S, progress=progress)


@contextmanager
def _needed_to(purpose: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose) from error
