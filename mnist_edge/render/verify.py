"""The report of `verify --thorough`: a table for the terminal, a page, and a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mnist_edge.bundle.quantization import Verdict, Weighed
from mnist_edge.contract import RawImages
from mnist_edge.recipes.classes import noun
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.render.text import counted, kilobytes, microseconds
from mnist_edge.stats import Interval
from mnist_edge.verify.decisions import Decisions
from mnist_edge.verify.matrix import Matrix, Stratum
from mnist_edge.verify.thorough import Scrutiny, ThoroughReport

# Of one artifact; those that led by most come first, which are those to look at.
_SHEET_DIGITS = 32
_PAGE_FLIPS = 50

# Units in the last place tell something of float32 alone.
_ULP_PRECISION = "float32"


def thorough_table(report: ThoroughReport) -> Table:
    """Each artifact in a row, and in a sentence below."""
    return Table(
        headers=(
            *("artifact", "largest error", "ULP", "SQNR dB", "cosine", "flips", "cannot flip"),
            *("accuracy change", "McNemar p", "ECE change", "NLL change", "batches", "repeats"),
            *("settings", "verdict"),
        ),
        rows=tuple(_row(report, artifact) for artifact in report.artifacts),
        notes=(*_context(report), "", *(artifact.sentence for artifact in report.artifacts)),
    )


def quantization_table(verdict: Verdict, names: Sequence[str]) -> Table:
    """What each precision cost and gained, with a sentence for each; `names` are the classes."""
    what, threads = noun(names), counted(verdict.threads, "thread")
    return Table(
        headers=(
            *("artifact", "kB", "size", "accuracy", "accuracy change"),
            *("p50 µs", "99 % interval", "latency", "pace"),
        ),
        rows=tuple(_weighed(row, verdict) for row in verdict.rows),
        notes=(
            f"accuracy over {verdict.digits:,} {what}s ({verdict.source}), its change in points",
            "against float32 of the same format; intervals of 99 %",
            f"latency of one {what}, {threads}, on {verdict.machine.processor}",
            *verdict.doubts,
            *(row.advice for row in verdict.rows if row.advice),
        ),
    )


def thorough_markdown(report: ThoroughReport, sheet: str = "") -> str:
    """The whole report as a page; `sheet` is the file name of the contact sheet."""
    # The sentences stand at the top.
    compared = replace(thorough_table(report), notes=tuple(_context(report)))
    parts = [
        f"# May these files be shipped? Bundle {report.plain.bundle}\n",
        "".join(f"- {artifact.sentence}\n" for artifact in report.artifacts),
        f"## Against the checkpoint\n\n{markdown(compared)}",
        "## Answers that changed\n",
        f"![The pictures whose answer changed]({sheet})\n" if sheet else "",
        *_flips(report),
        "## Inputs, batches, optimisation, threads\n",
        markdown(_matrix_table(report)),
        "## Quantization\n",
        markdown(quantization_table(report.quantization, report.plain.classes))
        if report.quantization
        else "Not measured when these files were exported.\n",
    ]
    return "\n".join(part for part in parts if part)


def flip_picture(report: ThoroughReport, images: RawImages) -> bytes | None:
    """The contact sheet as PNG; None without matplotlib, or if no answer changed.

    Args:
        report: whose flips are drawn.
        images: (N, 28, 28), the digits that the report's `decisions` are about.
    """
    try:
        from mnist_edge.plots.flips import flip_sheet
    except ModuleNotFoundError:
        return None
    groups = []
    for artifact in report.artifacts:
        flips = artifact.decisions.flips if artifact.decisions else ()
        shown = sorted(flips, key=lambda flip: -flip.margin)[:_SHEET_DIGITS]
        title = f"{artifact.artifact}: checkpoint → artifact, {len(flips)} changed"
        if len(shown) < len(flips):
            title += f", the {len(shown)} that led by most"
        groups.append((title, shown))
    names = report.plain.classes
    return flip_sheet(groups, images, names) if any(shown for _, shown in groups) else None


def _row(report: ThoroughReport, artifact: Scrutiny) -> tuple[str, ...]:
    decisions, matrix = artifact.decisions, artifact.matrix
    row = next(
        row
        for row in report.plain.rows
        if (row.artifact, row.source) == (artifact.artifact, artifact.source)
    )
    if decisions is None or row.parity is None:
        return (artifact.artifact, *(NOTHING,) * 13, artifact.status)
    return (
        artifact.artifact,
        f"{row.parity.max_abs_error:.1e}",
        f"{decisions.ulp:.1f}" if artifact.precision == _ULP_PRECISION else NOTHING,
        f"{row.parity.sqnr_db:.1f}",
        f"{decisions.cosine:.6f}",
        str(len(decisions.flips)),
        f"{decisions.cannot_flip:.2%}",
        _points(decisions.accuracy_change),
        f"{decisions.p_value:.3f}",
        f"{decisions.calibration_change:+.1e}",
        f"{decisions.loss_change:+.1e}",
        "invariant" if row.batch_invariant else "variant",
        *_in_all_settings(matrix),
        artifact.status,
    )


def _in_all_settings(matrix: Matrix | None) -> tuple[str, str]:
    """Whether it repeats its bits, and how many settings are good."""
    if matrix is None:
        return NOTHING, NOTHING
    good = sum(not setting.faults for setting in matrix.settings)
    return "same bits" if matrix.repeatable else "vary", f"{good} of {len(matrix.settings)}"


def _context(report: ThoroughReport) -> Iterator[str]:
    plain, machine = report.plain, report.plain.machine
    sources = {artifact.source for artifact in report.artifacts if artifact.decisions}
    judged = [artifact.decisions for artifact in report.artifacts if artifact.decisions]
    count, what = judged[0].images if judged else 0, noun(plain.classes)
    yield (
        f"over {count:,} {what}s ({' and '.join(sorted(sources))}) against the checkpoint in "
        f"float64, from which its own float32 is {plain.float32_error:.1e}; change of accuracy "
        "in points, intervals of 99 %"
    )
    yield (
        "cannot flip: the checkpoint's answer leads by more than twice the artifact's largest "
        "error; settings: batches × graph optimisation × threads, each on "
        f"{', '.join(_called(kind, what) for kind in report.kinds)}"
    )
    if report.kinds == ("digits",):
        yield f"nothing but {what}s was run: for other pictures it takes a checkpoint, and torch"
    yield (
        f"{machine.processor}, {plain.device}, {machine.system}, {machine.python}; "
        f"data: {plain.data.partition(' ')[0] or 'the reference of the bundle alone'}"
    )


def _flips(report: ThoroughReport) -> Iterator[str]:
    for artifact in report.artifacts:
        if artifact.decisions is None:
            continue
        yield f"### {artifact.artifact}\n"
        flips = _flip_table(artifact.decisions, report.plain.classes)
        yield markdown(flips) if flips.rows else "None.\n"


def _flip_table(decisions: Decisions, names: Sequence[str]) -> Table:
    flips = sorted(decisions.flips, key=lambda flip: -flip.margin)
    hidden = len(flips) - _PAGE_FLIPS
    return Table(
        headers=(f"{noun(names)} no.", "is", "checkpoint", "artifact", "margin", "error"),
        rows=tuple(
            (
                str(flip.index),
                *(names[number] for number in (flip.label, flip.reference, flip.candidate)),
                *(f"{flip.margin:.4f}", f"{flip.error:.4f}"),
            )
            for flip in flips[:_PAGE_FLIPS]
        ),
        notes=(f"{hidden} more, of smaller margins, stand in the JSON.",) if hidden > 0 else (),
    )


def _matrix_table(report: ThoroughReport) -> Table:
    """The worst setting of each artifact for each kind of input."""
    rows = []
    for artifact in report.artifacts:
        for kind in artifact.matrix.images if artifact.matrix else ():
            assert artifact.matrix is not None
            worst = max(artifact.matrix.settings, key=lambda each: each.max_abs_errors[kind])
            rows.append(
                (
                    artifact.artifact,
                    _called(kind, noun(report.plain.classes)),
                    f"{worst.max_abs_errors[kind]:.1e}",
                    str(worst.batch_size),
                    worst.optimization or NOTHING,
                    str(worst.threads),
                    str(max(setting.flips[kind] for setting in artifact.matrix.settings)),
                    f"{artifact.matrix.spread:.1e}" if kind == "digits" else NOTHING,
                )
            )
    return Table(
        headers=(
            *("artifact", "input", "largest error", "at batch", "optimisation", "threads"),
            *("most flips", "between settings"),
        ),
        rows=tuple(rows),
        notes=("A batch-variant artifact is held to its gate in batches of one alone.",),
    )


def _called(kind: Stratum, what: str) -> str:
    """A kind of input in words: what a report calls digits are the pictures of a bundle."""
    return f"{what}s" if kind == "digits" else kind


def _weighed(row: Weighed, verdict: Verdict) -> tuple[str, ...]:
    accuracy = f"{row.accuracy:.2%}"
    if verdict.source == "reference":
        accuracy = f"{round(row.accuracy * verdict.digits)} of {verdict.digits}"
    latency, ratio = row.latency_s, row.latency_ratio
    own = row.against == row.artifact
    return (
        row.artifact,
        kilobytes(row.size_bytes),
        NOTHING if own else f"{row.size_ratio:.2f}×",
        accuracy,
        NOTHING if own else _points(row.accuracy_change),
        microseconds(latency.value if latency else None),
        f"{microseconds(latency.low)} to {microseconds(latency.high)}" if latency else NOTHING,
        f"{ratio.value:.2f}× ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else NOTHING,
        NOTHING if own else row.pace,
    )


def _points(change: Interval) -> str:
    return f"{100 * change.value:+.2f} ({100 * change.low:+.2f} to {100 * change.high:+.2f})"
