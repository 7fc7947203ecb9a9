"""Reports to text: tables for the terminal and for Markdown from the same rows, and JSON.

SI units inside, readable ones here: microseconds, kilobytes of 1,000 bytes, percent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_edge.bundle import codec
from mnist_edge.bundle.manifest import Score, told_parity
from mnist_edge.errors import NOT_HERE, NOT_INSTALLED
from mnist_edge.recipes.catalogue import TEACHER
from mnist_edge.recipes.classes import noun
from mnist_edge.render.published import expected_training
from mnist_edge.render.table import NOTHING, Table

if TYPE_CHECKING:
    from mnist_edge.bench.report import BenchReport
    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.bundle.history import Epoch
    from mnist_edge.bundle.manifest import Artifact, Manifest
    from mnist_edge.machine import Machine
    from mnist_edge.recipes.terms import DataChoice
    from mnist_edge.recipes.train import TrainRecipe
    from mnist_edge.render.published import Accuracy, Figures
    from mnist_edge.verify.report import VerifyReport, VerifyRow


def json_text(report: VerifyReport | BenchReport) -> str:
    """A report as one JSON document."""
    return codec.join_numbers(codec.dumps(report))


def bundle_json(bundle: Bundle) -> str:
    """A bundle as one JSON document: where it lies, and its manifest."""
    return codec.dumps({"bundle": str(bundle.path), "manifest": bundle.manifest})


def plan_lines(recipe: TrainRecipe, data: DataChoice | Path) -> tuple[str, ...]:
    """What is about to be trained, and how long it may take."""
    plan = f"train: recipe {recipe.name}, {counted(recipe.epochs, 'epoch')}, data {data}"
    expected = expected_training(recipe)
    if expected is None or data not in ("auto", "mnist"):
        return plan, "time: none was published for such a training"
    figures, seconds = expected
    machine = f"{counted(figures.threads, 'thread')} of {figures.processor}"
    return plan, f"time: about {duration(seconds)}, an estimate from {machine}"


def duration(seconds: float) -> str:
    """About how long, in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """One line of the history, as the training goes on: within 80 columns."""
    train = f"train {epoch.train_accuracy:.2%} loss {_four_digits(epoch.train_loss)}"
    test = f"test {epoch.test_accuracy:.2%} loss {_four_digits(epoch.test_loss)}"
    seconds = f"{epoch.duration_s:.{1 if epoch.duration_s < 100 else 0}f} s"
    return f"epoch {epoch.epoch}/{epochs}  {train}  {test}  {seconds}"


def _four_digits(loss: float) -> str:
    return f"{loss:.4f}" if loss < 1 else f"{loss:.4g}"


def files_table(paths: Sequence[Path]) -> Table:
    """Files that were written, with their sizes."""
    return Table(
        headers=("file", "kB"),
        rows=tuple((str(path), kilobytes(path.stat().st_size)) for path in paths),
    )


def training_line(manifest: Manifest) -> str:
    """What a training has reached."""
    training = manifest.training
    reached = f"test accuracy {training.test_accuracy:.2%}, loss {training.test_loss:.4f}"
    size = f"{training.parameters:,} parameters"
    if training.imported:
        net = f"architecture {manifest.architecture}"
        if manifest.imported:
            net = f"{manifest.imported.said} that reads {manifest.imported.contract}"
        return f"{reached} on {manifest.data.name}: {net}, {size}, trained elsewhere"
    return (
        f"{reached}: recipe {manifest.name}, {size}, {manifest.data.name}, "
        f"{training.duration_s:.1f} s on {training.device}"
    )


def lesson_lines(manifest: Manifest) -> Iterator[str]:
    """What corrected pictures taught a net, and what it cost on its own data."""
    training, lesson = manifest.training, manifest.training.lesson
    if lesson is None:
        return
    yield (
        f"gained: {lesson.right_after} of {lesson.test_size} held-back pictures read right, "
        f"{lesson.right_before} before"
    )
    before, after = lesson.test_accuracy_before, training.test_accuracy
    yield (
        f"cost: {before:.2%} before on the test set of {manifest.data.name}, {after:.2%} now "
        f"({100 * (after - before):+.2f} points)"
    )
    yield (
        f"chosen on held-out training pictures: {lesson.share:.0%} of the way to the new weights, "
        f"which costs {lesson.cost:.2f} points there"
    )


def recipes_table(rows: Sequence[tuple[TrainRecipe, Figures | None]]) -> Table:
    """The named recipes, each with what was measured of it."""
    return Table(
        headers=(
            "recipe",
            "architecture",
            "epochs",
            "parameters",
            "multiply-adds",
            "test accuracy",
            "training",
            "ONNX kB",
            "p50 µs",
        ),
        rows=tuple(
            (recipe.name, recipe.architecture, str(recipe.epochs), *_figure_cells(figures))
            for recipe, figures in rows
        ),
        notes=(
            *_figure_notes([figures for _, figures in rows if figures]),
            *_teacher_notes([recipe.name for recipe, _ in rows if recipe.taught]),
        ),
    )


def _figure_cells(figures: Figures | None) -> tuple[str, ...]:
    if figures is None:
        return (NOTHING,) * 6
    latency = figures.latency
    return (
        f"{figures.parameters:,}",
        f"{figures.multiply_adds:,}",
        accuracy_text(figures.accuracy),
        f"{figures.train_s:.1f} s",
        kilobytes(latency.size_bytes) if latency else NOTHING,
        microseconds(latency.p50_s) if latency else NOTHING,
    )


def accuracy_text(accuracy: Accuracy) -> str:
    """A mean over seeds with its standard deviation in points, and how many seeds."""
    spread = f" ± {100 * accuracy.sd:.2f}" if accuracy.n > 1 else ""
    return f"{accuracy.mean:.2%}{spread} (n = {accuracy.n})"


def _teacher_notes(taught: Sequence[str]) -> tuple[str, ...]:
    if not taught:
        return ()
    names = ", ".join(taught)
    return (f"{names}: trained with the answers of the shipped {TEACHER} (seed 0).",)


def _figure_notes(measured: Sequence[Figures]) -> tuple[str, ...]:
    if not measured:
        return ()
    processors = " and ".join(sorted({figures.processor for figures in measured}))
    return (
        "Accuracy: MNIST's test set after the last step, mean ± standard deviation over n seeds.",
        f"Training and latency (ONNX Runtime, one digit, one thread): {processors}.",
    )


def recipes_json(rows: Sequence[tuple[TrainRecipe, Figures | None]]) -> str:
    """The named recipes as one JSON document."""
    return codec.dumps([{"recipe": recipe, "figures": figures} for recipe, figures in rows])


def artifact_table(folder: Path, artifacts: Sequence[Artifact]) -> Table:
    """Artifacts of the bundle in `folder`, as they were verified over its reference."""
    return Table(
        headers=("artifact", "file", "kB", *_PARITY_HEADERS),
        rows=tuple(
            (
                artifact.name,
                str(folder / artifact.file),
                kilobytes(artifact.size_bytes),
                *told_parity(artifact.parity, artifact.test_score),
                "equivalent" if artifact.parity.passed else "differs",
            )
            for artifact in artifacts
        ),
        notes=tuple(
            _batch_note(artifact.name) for artifact in artifacts if not artifact.batch_invariant
        ),
    )


_TEST_SET = "the test set"
_PARITY_HEADERS = ("largest error", "flips", "accuracy", "verdict")


def _batch_note(artifact: str) -> str:
    return f"{artifact}: a picture's answer depends on its batch mates, so it is run alone"


def verify_table(report: VerifyReport) -> Table:
    """Each artifact on each set of digits, against the checkpoint in double precision."""
    rows = [
        (
            row.artifact,
            row.source,
            row.backend or NOTHING,
            *_verified_cells(row),
            row.status,
        )
        for row in report.rows
        if NOT_INSTALLED not in row.reason
    ]
    ran = {row.artifact for row in report.rows if row.parity}
    notes = reason_notes((_unchecked(row, ran), row.reason) for row in report.rows if row.reason)
    variant = {row.artifact for row in report.rows if row.batch_invariant is False}
    notes += [_batch_note(artifact) for artifact in sorted(variant)]
    notes.append(
        f"the checkpoint's own float32 is {report.float32_error:.1e} from its float64; "
        f"{counted(report.threads, 'thread')} on {report.device}"
    )
    data = report.data.partition(" ")[0] or "the bundle's reference alone"
    return Table(
        headers=("artifact", f"{noun(report.classes)}s", "backend", *_PARITY_HEADERS),
        rows=tuple(rows),
        notes=(*notes, _context(report.machine, data)),
    )


def _unchecked(row: VerifyRow, ran: Collection[str]) -> str:
    if NOT_INSTALLED not in row.reason:
        return f"{row.artifact}, {row.source}"
    # What ran lacks nothing itself: the answers that it is compared with do.
    return _TEST_SET if row.artifact in ran else row.artifact


def reason_notes(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """Why artifacts differ or were not checked.

    All that lack a package stand in one line, and so do all whose files were left behind.
    """
    lacking: dict[str, dict[str, str]] = {}
    behind: dict[str, dict[str, None]] = {}
    notes = []
    for name, reason in reasons:
        package, absent, rest = reason.partition(NOT_INSTALLED)
        if absent:
            lacking.setdefault(package, {}).setdefault(name, rest.partition("; ")[2])
        elif NOT_HERE in reason:
            file, _, fix = reason.partition(f"{NOT_HERE}; ")
            behind.setdefault(fix, {})[Path(file).name] = None
        else:
            notes.append(f"{name}: {reason}")
    for fix, files in behind.items():
        verb = "is" if len(files) == 1 else "are"
        them = fix if len(files) == 1 else fix.replace("copy it ", "copy them ")
        notes.append(f"not checked: {', '.join(files)} {verb} not here; {them}")
    for package, fixes in lacking.items():
        names = [name for name in fixes if name != _TEST_SET]
        who = [counted(len(names), "artifact")] if len(names) != 1 else names
        who = [*(who if names else ()), *({_TEST_SET} & set(fixes))]
        verb = "needs" if len(fixes) == 1 else "need"
        notes.append(
            f"not checked: {' and '.join(who)} {verb} {package}; {next(iter(fixes.values()))}"
        )
    return notes


def _verified_cells(row: VerifyRow) -> tuple[str, str, str]:
    parity = row.parity
    if parity is None:
        return (NOTHING,) * 3
    tested = row.source == "test set"
    return told_parity(parity, Score(parity.accuracy, parity.images) if tested else None)


def _context(machine: Machine, data: str) -> str:
    return (
        f"{machine.processor}, {counted(machine.usable_threads, 'usable thread')}, "
        f"{machine.system}, {machine.python}; data: {data}"
    )


def microseconds(seconds: float | None) -> str:
    """A latency; nothing where the samples did not suffice."""
    if seconds is None:
        return NOTHING
    return f"{seconds * 1e6:,.1f}" if seconds < 1e-3 else f"{seconds * 1e6:,.0f}"


def kilobytes(size_bytes: int) -> str:
    """A size in kB of 1,000 bytes."""
    return f"{size_bytes / 1000:,.1f}"


def counted(count: int, noun: str) -> str:
    """So many of something: `1 thread`, `2 threads`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"1 {noun}" if count == 1 else f"{count} {plural}"
