"""What stands on the page of a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.manifest import DataRecord, Manifest, told_accuracy
from mnist_edge.recipes.classes import are_digits, joined, noun
from mnist_edge.recipes.train import Augmentation, Claim, TrainRecipe
from mnist_edge.render.report.findings import Findings
from mnist_edge.render.report.pages import (
    Html,
    heading,
    key_figures,
    note,
    page,
    paragraph,
    picture,
    section,
    table,
)
from mnist_edge.render.table import Table
from mnist_edge.render.text import lesson_lines


def write_page(
    manifest: Manifest,
    findings: Findings,
    history: Sequence[Epoch],
    pictures: Mapping[str, bytes],
    grids: Sequence[tuple[str, Table]],
) -> str:
    """The page. What there is no history, error or picture for is left out or said so."""
    data, what = manifest.data, noun(findings.names)
    title = f"{manifest.name}, trained on {data.name}"
    if manifest.imported:
        title = f"Imported from {manifest.imported.said}, trained elsewhere"
    elif manifest.training.imported:
        title = f"Imported {manifest.architecture} net, trained elsewhere"
    parts = [
        heading(title),
        paragraph(
            f"Examined on {findings.source} ({findings.count:,} {what}s), run as "
            f"{findings.artifact} by {findings.backend}."
        ),
        note(f"Data set {data.name}, SHA-256 {data.sha256}."),
        key_figures(_key_figures(manifest, findings)),
        *_claim(manifest),
        *map(paragraph, _lesson(manifest)),
    ]
    if history:
        parts.append(_training(history, pictures["training"]))
    parts += [
        _errors(findings, pictures),
        _wrong(findings, pictures),
        section(
            "Sample predictions",
            note(f"The first {what}s of each class, right or wrong; errors are orange."),
            picture(pictures["samples"], "Each with its prediction and probability"),
        ),
        _artifacts(manifest),
        *(
            section(title, table(grid.headers, grid.rows), *map(note, grid.notes))
            for title, grid in grids
        ),
        *_comparison(pictures),
        _origin(manifest),
    ]
    return page(f"mnist-edge report: {title}", *parts)


def _key_figures(manifest: Manifest, findings: Findings) -> list[tuple[str, str]]:
    training = manifest.training
    figures = [
        *([("accuracy", f"{findings.accuracy:.2%}")] if findings.test_set else []),
        ("wrong", f"{len(findings.wrong):,} of {findings.count:,}"),
        ("loss", f"{findings.loss:.4f} nats"),
        ("parameters", f"{training.parameters:,}"),
        ("file", f"{manifest.artifact(findings.artifact).size_bytes / 1000:,.1f} kB"),
    ]
    if not training.imported:
        figures.append(("training", f"{training.duration_s:,.1f} s on {training.device}"))
    return figures


def _claim(manifest: Manifest) -> list[Html]:
    claim = manifest.recipe.claim if manifest.recipe else None
    if claim is None or manifest.training.imported:
        return []
    measured = manifest.training.test_accuracy
    reached = f"This training has {measured:.2%} on the test set of {manifest.data.name}."
    if not claim.test_accuracy:
        return [
            paragraph(f"The recipe reproduces {claim.project}, which gives no figure. {reached}")
        ]
    return [
        paragraph(
            f"The recipe reproduces {claim.project}, which claims a test accuracy of "
            f"{claim.test_accuracy:.2f}%. {reached}"
        )
    ]


def _lesson(manifest: Manifest) -> Iterator[str]:
    for line in lesson_lines(manifest):
        yield f"{line[:1].upper()}{line[1:]}."


def _training(history: Sequence[Epoch], curves: bytes) -> Html:
    rows = [
        (
            str(line.epoch),
            f"{line.train_loss:.4f}",
            f"{line.train_accuracy:.2%}",
            f"{line.test_loss:.4f}",
            f"{line.test_accuracy:.2%}",
            f"{line.learning_rate:.3g}",
            f"{line.duration_s:.1f}",
        )
        for line in history
    ]
    headers = (
        *("epoch", "training loss", "training accuracy", "test loss", "test accuracy"),
        *("learning rate", "seconds"),
    )
    return section(
        "Training",
        picture(curves, "Curves of loss and accuracy over the epochs, training and test"),
        note(
            "The training values are the running ones of the pass itself, on digits as distorted "
            "and with dropout on; the test values are those of the weights that are kept. No "
            "epoch was chosen by them."
        ),
        table(headers, rows),
    )


def _errors(findings: Findings, pictures: Mapping[str, bytes]) -> Html:
    what = noun(findings.names)
    rows = [
        (
            findings.names[score.digit],
            f"{score.support:,}",
            f"{score.predicted:,}",
            f"{score.precision:.2%}",
            f"{score.recall:.2%}",
            f"{score.f1:.2%}",
        )
        for score in findings.classes
    ]
    return section(
        "Errors by class",
        picture(pictures["confusion"], "Confusion matrix: true classes against predicted ones"),
        picture(pictures["classes"], "Precision, recall and F1 of each class; the table has them"),
        table(
            (
                what if what == "digit" else "class",
                "there are",
                "predicted",
                "precision",
                "recall",
                "F1",
            ),
            rows,
        ),
    )


def _wrong(findings: Findings, pictures: Mapping[str, bytes]) -> Html:
    count, what = len(findings.wrong), noun(findings.names)
    title = f"Misclassified {what}s"
    if not count:
        return section(title, paragraph(f"None: every {what} is classified correctly."))
    return section(
        title,
        note(
            f"{count:,} in all, those first whose true class seemed least probable. Below each the "
            "probabilities of both classes, and its number in the set."
        ),
        picture(pictures["wrong"], "Those misclassified, with both classes and probabilities"),
    )


def _artifacts(manifest: Manifest) -> Html:
    what = noun(manifest.data.classes)
    rows = [
        (
            artifact.name,
            f"{artifact.size_bytes / 1000:,.1f}",
            f"{artifact.parity.max_abs_error:.1e}",
            f"{artifact.parity.sqnr_db:.1f}",
            str(len(artifact.parity.flips)),
            told_accuracy(artifact.parity, manifest.test_score(artifact)),
            "yes" if artifact.batch_invariant else "no",
            "equivalent" if artifact.parity.passed else f"differs: {artifact.parity.reason}",
        )
        for artifact in manifest.artifacts
    ]
    images = manifest.artifacts[0].parity.images
    headers = (
        *("artifact", "kB", "largest error", "SQNR, dB", "flips", "accuracy"),
        *("batch invariant", "verdict"),
    )
    return section(
        "Artifacts",
        note(
            f"Each was compared with the {manifest.origin.format} in double precision over "
            f"{images:,} reference {what}s as it was written; accuracy is that on the "
            "test set, or the count of these where the test set was not at hand."
        ),
        table(headers, rows),
    )


def _comparison(pictures: Mapping[str, bytes]) -> list[Html]:
    drawn = [
        picture(pictures[name], description)
        for name, description in (
            ("accuracy-size", "Test accuracy of the recipes against their parameters"),
            ("accuracy-latency", "Test accuracy of the recipes against their latency"),
        )
        if name in pictures
    ]
    return [section("The recipes side by side", *drawn)] if drawn else []


def _origin(manifest: Manifest) -> Html:
    data = manifest.data
    digits = f"{data.train_size:,} to train on, {data.test_size:,} to test on"
    if manifest.training.imported:
        digits = f"{data.test_size:,} to test on"
    facts = [
        ("data set", data.name),
        ("its SHA-256", data.sha256),
        (f"{noun(data.classes)}s", digits),
        *_classes(data),
        *((f"SHA-256 of {artifact.file}", artifact.sha256) for artifact in manifest.artifacts),
        *((f"version of {name}", version) for name, version in manifest.versions.items()),
    ]
    return section(
        "Origin",
        table(("recipe", "value"), _recipe(manifest)),
        table(("origin", "value"), facts),
    )


def _classes(data: DataRecord) -> list[tuple[str, str]]:
    if are_digits(data.classes) and data.preprocessing == "digit":
        return []
    return [("classes", joined(data.classes)), ("preprocessing", data.preprocessing)]


# What an imported net has of the recipe whose architecture it was given.
_OF_THE_NET = ("architecture", "widths", "mean", "std", "temperature", "reject below")


def _recipe(manifest: Manifest) -> list[tuple[str, str]]:
    if manifest.imported:
        known = manifest.imported
        return [
            ("file", known.file),
            ("what it is", known.said),
            ("its SHA-256", known.sha256),
            ("reads", f"{known.contract}{' (as was said)' if known.forced else ''}"),
        ]
    told = list(_fields(manifest.own_recipe))
    if not manifest.training.imported:
        return told
    return [(name, value) for name, value in told if name in _OF_THE_NET]


def _fields(part: TrainRecipe | Augmentation) -> Iterator[tuple[str, str]]:
    for field in fields(part):
        if field.name.startswith("teacher") and not getattr(part, "taught", False):
            continue
        value = getattr(part, field.name)
        if isinstance(value, Augmentation):
            yield from _fields(value)
        elif isinstance(value, tuple):
            yield field.name, ", ".join(map(str, value))
        elif not isinstance(value, Claim | None):
            yield field.name.replace("_", " "), str(value)
