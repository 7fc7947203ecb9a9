"""The long steps, with their progress: each is a verb by itself, and `run` takes them in order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, cast

from mnist_edge.cli import options
from mnist_edge.cli.reports import report_path, write_bench_page, write_report
from mnist_edge.cli.talk import Talk
from mnist_edge.errors import UsageError
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import DataChoice, Device, DeviceChoice, Preprocessing, Runtime
from mnist_edge.recipes.train import TrainRecipe

if TYPE_CHECKING:
    from mnist_edge.bench.report import BenchReport
    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.bundle.manifest import Artifact
    from mnist_edge.bundle.quantization import Verdict
    from mnist_edge.data.mnist import DataSet
    from mnist_edge.verify.report import VerifyReport

RecipeOption: TypeAlias = Annotated[
    str,
    options.value(
        "--recipe", "NAME", f"A named recipe: {', '.join(RECIPES)}.", known=tuple(RECIPES)
    ),
]


def get_data(
    talk: Talk,
    choice: DataChoice | Path,
    data_dir: Path | None,
    preprocessing: Preprocessing | None = None,
) -> DataSet:
    """Find, fetch or render a data set, or read a folder."""
    from mnist_edge.data.obtain import obtain_data

    tell = talk.say if isinstance(choice, Path) else talk.warn
    with talk.progress("data") as progress:
        return obtain_data(
            choice, data_dir, preprocessing=preprocessing, progress=progress, notice=tell
        )


def known_test_set(talk: Talk, bundle: Bundle, data_dir: Path | None) -> DataSet | None:
    """The data set of a bundle, where it is on this machine; drawn digits judge nothing."""
    from mnist_edge.data.obtain import known_data

    record = bundle.manifest.data
    found = known_data(record, data_dir)
    if found is None and record.name == "mnist":
        talk.say("MNIST is not on this machine: using the bundle's reference digits alone")
    elif found is None and record.name not in ("rendered", "drawn"):
        what = "--data-dir names no folder" if record.name == "folder" else "it is not here"
        talk.say(f"data set {record.name}: {what}, using the bundle's reference pictures alone")
    if found is not None and found.classes != record.classes:
        raise UsageError(
            f"{found.name} has other classes than {bundle.path}",
            fix="name the data that it was trained on with --data-dir",
        )
    return found


def own_data(talk: Talk, bundle: Bundle, data_dir: Path | None) -> DataSet:
    """The data that the net of a bundle was trained on, which must be had."""
    from mnist_edge.data.obtain import obtain_data

    record = bundle.manifest.data
    if record.name == "folder" and data_dir is None:
        raise UsageError(
            f"{bundle.path} was trained on a folder of pictures, which are needed again",
            fix="name that folder with --data-dir FOLDER",
        )
    choice = data_dir if record.name == "folder" and data_dir else record.name
    preprocessing = record.preprocessing if record.name == "folder" else None
    place = None if record.name == "folder" else data_dir
    with talk.progress("data") as progress:
        found = obtain_data(
            cast("DataChoice | Path", choice), place, preprocessing=preprocessing, progress=progress
        )
    if found.sha256 != record.sha256:
        talk.warn(f"{record.name} is not the very data that {bundle.path} was trained on")
    if found.classes != record.classes:
        raise UsageError(
            f"{choice} has other classes than {bundle.path}",
            fix="name the data that it was trained on with --data-dir",
        )
    return found


def leads() -> bool:
    """Whether this process speaks and writes: torchrun starts several."""
    return os.environ.get("RANK", "0") == "0"


def start_training(
    talk: Talk,
    recipe: TrainRecipe,
    data: DataChoice | Path,
    folder: Path,
    *,
    device: DeviceChoice,
    threads: int | None,
    teacher: Path | None = None,
) -> Device:
    """Say what will be trained, and refuse what can only fail, before time is spent on data."""
    from mnist_edge.machine import usable_threads
    from mnist_edge.render import text
    from mnist_edge.train.session import check_start, check_teacher, training_device

    check_start(folder)
    for line in text.plan_lines(recipe, data):
        talk.say(line)
    check_teacher(recipe, teacher, folder)  # waits for torch, as the next line does
    chosen = training_device(device)
    talk.say(f"device: {chosen}, {threads or usable_threads()} threads")
    return chosen


def train_model(
    talk: Talk,
    recipe: TrainRecipe,
    data: DataSet,
    folder: Path,
    *,
    device: Device,
    threads: int | None,
    teacher: Path | None = None,
    resume: bool = False,
) -> Bundle:
    """Train, with a line for each epoch."""
    from mnist_edge.machine import keep_memory
    from mnist_edge.render import text
    from mnist_edge.train.session import train_bundle

    keep_memory()
    with talk.signature_kept(folder), talk.progress("train") as progress:
        return train_bundle(
            recipe,
            data,
            folder,
            device=device,
            threads=threads,
            teacher=teacher,
            resume=resume,
            progress=progress,
            on_epoch=lambda epoch: talk.say(text.epoch_line(epoch, recipe.epochs)),
            notice=talk.say,
        )


def export_artifacts(
    talk: Talk,
    bundle: Bundle,
    recipe: ExportRecipe,
    data: DataSet | None,
    *,
    out: Path | None = None,
) -> tuple[Bundle, tuple[Artifact, ...]]:
    """Export, verify each artifact as it is written, and record its accuracy on the test set."""
    from mnist_edge.formats.export import export_verified

    with talk.signature_kept(out or bundle.path), talk.progress("export") as progress:
        return export_verified(bundle, recipe, data=data, out=out, progress=progress)


def verify_artifacts(
    talk: Talk,
    bundle: Bundle,
    data: DataSet | None,
    *,
    artifacts: tuple[str, ...] = (),
    device: Device = "cpu",
    threads: int = 1,
    runtime: Runtime | Literal[""] = "",
    out: Path | None = None,
) -> tuple[VerifyReport, Path]:
    """Compare artifacts with the checkpoint, and write the report."""
    from mnist_edge.verify.session import verify

    with talk.progress("verify") as progress:
        report = verify(
            bundle,
            data=data,
            artifacts=artifacts,
            device=device,
            threads=threads,
            runtime=runtime,
            progress=progress,
        )
    path = report_path(out, bundle=report.bundle, verb="verify", processor=report.machine.processor)
    write_report(path, report)
    return report, path


def weigh_precisions(talk: Talk, bundle: Bundle, data: DataSet | None) -> Verdict | None:
    """Say whether quantization paid on this machine, and record it in the bundle."""
    from mnist_edge.bench.quantization import record_verdict, weigh

    with talk.progress("trade-off", watched=False) as progress:
        verdict = weigh(bundle, data=data, progress=progress)
    if verdict:
        with talk.signature_kept(bundle.path):
            record_verdict(bundle, verdict)
    return verdict


def measure_artifacts(
    talk: Talk,
    bundle: Bundle,
    recipe: BenchRecipe,
    *,
    devices: tuple[Device, ...] = ("cpu",),
    artifacts: tuple[str, ...] = (),
    compile_: bool = False,
    runtimes: tuple[Runtime, ...] = (),
    out: Path | None = None,
) -> tuple[BenchReport, list[Path]]:
    """Measure artifacts, and write the report, a page and its figures.

    The report is written after each restart, and when the user stops it.

    Returns:
        What was measured, and the files, the report first.
    """
    from mnist_edge.bench.budget import expected_s
    from mnist_edge.bench.roofline import measure_ceiling
    from mnist_edge.bench.session import measure_subjects, subjects_of
    from mnist_edge.machine import describe_machine
    from mnist_edge.render.text import duration

    subjects = subjects_of(
        bundle,
        recipe,
        devices=devices,
        artifacts=artifacts,
        compile_=compile_,
        runtimes=runtimes,
    )
    path = report_path(
        out, bundle=bundle.path.resolve().name, verb="bench", processor=describe_machine().processor
    )
    rows = f"{len(subjects)} row{'s' * (len(subjects) > 1)}"
    talk.say(f"bench: {rows}, about {duration(expected_s(subjects, recipe))}")
    try:
        with talk.progress("bench", watched=False) as progress:
            report = measure_subjects(
                bundle,
                recipe,
                subjects,
                ceiling=measure_ceiling(recipe.threads),
                progress=progress,
                on_row=lambda rows: write_report(path, rows),
            )
    except Exception:
        raise
    except BaseException:  # the user's wish; what he gets to know of it is said elsewhere
        if path.exists():
            talk.warn(f"stopped early; what there is: mnist-edge bench --from {path}")
        raise
    return report, [path, *write_bench_page(path, report)]


def bundle_files(bundle: Bundle) -> list[Path]:
    """Every file of a bundle, the manifest first."""
    from mnist_edge.bundle.manifest import MANIFEST

    names = [MANIFEST, *(record.file for record in bundle.manifest.records)]
    return [bundle.path / name for name in names]


def write_samples(bundle: Bundle) -> list[Path]:
    """One picture of each class from the bundle's reference, to try `predict` on."""
    import io

    import numpy as np
    from PIL import Image

    from mnist_edge.bundle.storage import atomic_write
    from mnist_edge.recipes.classes import are_digits

    reference, classes = bundle.reference(), bundle.manifest.data.classes
    paths = []
    for label in np.unique(reference.labels):
        first = int(np.argmax(reference.labels == label))
        png = io.BytesIO()
        Image.fromarray(reference.images[first]).save(png, "PNG")
        name = classes[label] if are_digits(classes) else f"{label:03}"
        paths.append(bundle.path / "samples" / f"{name}.png")
        atomic_write(paths[-1], png.getvalue())
    return paths
