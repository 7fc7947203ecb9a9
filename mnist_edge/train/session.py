"""From data or weights to a bundle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from mnist_edge.bundle.folder import Bundle, open_bundle, refuse_shipped
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.bundle.signing import ANYONE, vouching_bundle
from mnist_edge.bundle.storage import atomic_write, lock, read_file
from mnist_edge.data.folder import Pictures
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import (
    BundleError,
    StorageError,
    TrainingError,
    UsageError,
    has_torch,
    missing_package,
    needed_to,
)
from mnist_edge.machine import process_as_it_was, usable_threads
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.catalogue import recipe_for
from mnist_edge.recipes.terms import Device, DeviceChoice
from mnist_edge.recipes.train import TrainRecipe

STATE = "training-state.pt"
_MAX_STATE_BYTES = 1 << 30


def check_start(folder: Path) -> None:
    """Refuse what can only fail, before time is spent on data: to be called by what trains.

    Raises:
        MissingDependency: torch is not installed.
        UsageError: the bundle in `folder` is a shipped one.
        StorageError: it is no folder.
    """
    if not has_torch():
        raise missing_package(ModuleNotFoundError(name="torch"), "train")
    refuse_shipped(folder)
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder} is no folder", fix="give another --bundle")


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
    with needed_to("train"):
        from mnist_edge.train.teacher import find_teacher
    find_teacher(recipe, teacher)


def training_device(choice: DeviceChoice) -> Device:
    """The device to train on: to be asked before time is spent on anything else.

    Raises:
        DeviceUnavailable: the device asked for is not there.
        MissingDependency: nothing can be trained here.
    """
    with needed_to("train"):
        from mnist_edge.train.fit import choose_device
    return choose_device(choice)


@process_as_it_was()
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
    notice: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Train a model and write its bundle. Artifacts of earlier weights leave the folder.

    Where the training stands is saved as it starts and after each epoch; `resume` goes on from
    there, which `notice` is told. Started by torchrun, all processes train and the first one
    writes. `teacher` is the bundle of the net that the recipe learns from, where it is not the
    shipped one.

    Raises:
        TrainingError, DeviceUnavailable, MissingDependency, StorageError, BundleError: see there;
            a bundle that was in the folder before is then as it was.
        UsageError: the folder holds a shipped bundle, or the teacher's.
    """
    refuse_shipped(folder)
    recipe, left_out = recipe_for(recipe, data.classes)
    if left_out:
        notice(f"{recipe.name}: without {', '.join(left_out)}, which it has for digits")
    check_teacher(recipe, teacher, folder)
    with needed_to("train"):
        from mnist_edge.train.distributed import process_group
        from mnist_edge.train.fit import fit
        from mnist_edge.train.write import write_bundle
    chosen = training_device(device)
    with process_group(chosen) as group, lock(folder) if group.leads else nullcontext():
        # Locking comes before the minutes of training: it proves that the folder can be written.
        state = read_state(folder) if resume else None
        keep = partial(atomic_write, folder / STATE) if group.leads else None
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
            # Whatever an earlier training left can still be resumed until this one has an epoch.
            on_start=None if (folder / STATE).exists() else keep,
            on_state=keep,
            notice=notice,
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


@process_as_it_was()
def teach_bundle(
    source: Bundle,
    recipe: TrainRecipe,
    data: DataSet,
    lesson: tuple[Pictures, Pictures],
    folder: Path,
    *,
    most_cost: float,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Bundle:
    """Go on from the weights of a bundle with corrected pictures, and write a bundle of its own.

    Raises:
        UsageError: the folder holds a shipped bundle, or the one that is taught.
        TrainingError, DeviceUnavailable, MissingDependency, StorageError, BundleError: see there.
    """
    check_teacher(recipe, source.path, folder)
    refuse_shipped(folder)
    with needed_to("train"):
        from mnist_edge.train.lesson import teach
        from mnist_edge.train.write import write_bundle
    with lock(folder):
        fitted, record = teach(
            source,
            recipe,
            data,
            lesson,
            most_cost=most_cost,
            device=training_device(device),
            threads=threads or usable_threads(),
            progress=progress,
            on_epoch=on_epoch,
        )
        return write_bundle(
            folder,
            recipe,
            data,
            fitted.model,
            history=fitted.history,
            duration_s=fitted.duration_s,
            device=fitted.device,
            lesson=record,
        )


@process_as_it_was()
def import_bundle(
    weights: Path,
    recipe: TrainRecipe,
    data: DataSet,
    folder: Path,
    *,
    key: str = "",
    notice: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Make a bundle of weights that were trained elsewhere, measured on `data`.

    `key` says which of several weights in the file are meant.

    The checkpoint of a bundle of ours keeps its temperature and confidence threshold. For other
    weights those of the recipe, which were found for ours, are left out, which `notice` is told.

    Raises:
        BadInput: the file holds no weights of the recipe's architecture.
        UsageError: the folder holds the shipped bundle.
        StorageError, BundleError, MissingDependency: see there; the folder is as it was.
    """
    refuse_shipped(folder)
    with needed_to("import weights"):
        from mnist_edge.train.importing import import_weights
        from mnist_edge.train.write import write_bundle
    asked = recipe
    recipe, model = import_weights(weights, asked, len(data.classes), key=key)
    own = _recipe_beside(weights)
    if own is not None:
        recipe = replace(recipe, temperature=own.temperature, reject_below=own.reject_below)
    elif (asked.temperature, asked.reject_below) != (1.0, 0.0):
        notice(
            f"the temperature and the confidence threshold of {asked.name} are left out: they "
            "were found for weights that mnist-edge trained"
        )
    with lock(folder):
        return write_bundle(folder, recipe, data, model)


def _recipe_beside(weights: Path) -> TrainRecipe | None:
    """The recipe of the bundle whose checkpoint these weights are; None where they are none."""
    try:
        found = vouching_bundle(weights, read_file(weights, most=_MAX_STATE_BYTES), ANYONE)
    except (BundleError, OSError):
        return None
    return found[0].manifest.recipe if found and found[1].name == CHECKPOINT else None


def read_state(folder: Path) -> bytes:
    """Where an interrupted training in `folder` stands. Raises TrainingError if there is none."""
    try:
        return read_file(folder / STATE, most=_MAX_STATE_BYTES)
    except OSError:
        raise TrainingError(
            f"there is no interrupted training in {folder}",
            fix=f"mnist-edge train --bundle {folder}",
        ) from None
