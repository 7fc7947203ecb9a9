"""Everything that is known to make an export lie, tried on every artifact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.quantization import Verdict, read_verdict
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import BadInput
from mnist_edge.formats import Loading
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import Device, Precision
from mnist_edge.verify.decisions import Decisions, decide
from mnist_edge.verify.matrix import Inputs, Matrix, Stratum, matrix_inputs, run_matrix
from mnist_edge.verify.report import Source, Status, VerifyReport
from mnist_edge.verify.session import Answers, run_samples

# Of the work: the test set takes about as long as the settings.
_PLAIN_PERCENT = 50


@dataclass(frozen=True, kw_only=True)
class Scrutiny:
    """What all trials say of one artifact.

    Attributes:
        artifact: `<format>-<precision>`.
        precision: of its arithmetic.
        status: of all trials together.
        faults: why it differs or is not checked; empty if it is equivalent.
        sentence: whether it may be shipped, and why.
        source: the digits of `decisions`: the test set where it could be run.
        decisions, matrix: None where the artifact did not run.
    """

    artifact: str
    precision: Precision
    status: Status
    faults: tuple[str, ...]
    sentence: str
    source: Source
    decisions: Decisions | None
    matrix: Matrix | None


@dataclass(frozen=True, kw_only=True)
class ThoroughReport:
    """What `verify_thoroughly` found.

    Attributes:
        plain: each artifact on the reference and on the test set, with one thread.
        artifacts: each in all trials.
        kinds: of input; digits alone where the checkpoint cannot be run for the others.
        quantization: what the last export of several precisions measured, and where; None if
            there was none.
    """

    schema: Literal[1]
    plain: VerifyReport
    artifacts: tuple[Scrutiny, ...]
    kinds: tuple[Stratum, ...]
    quantization: Verdict | None

    @property
    def passed(self) -> bool:
        """Whether no artifact differs."""
        return all(artifact.status != "differs" for artifact in self.artifacts)


def verify_thoroughly(
    bundle: Bundle,
    *,
    data: DataSet | None = None,
    artifacts: tuple[str, ...] = (),
    device: Device = "cpu",
    progress: Progress = silent,
) -> ThoroughReport:
    """Compare artifacts with the checkpoint in every way in which they may be run; see `verify`."""
    plain, answers = run_samples(
        bundle,
        Loading(device=device),
        data=data,
        artifacts=artifacts,
        progress=_part(progress, 0, _PLAIN_PERCENT),
    )
    inputs = matrix_inputs(bundle)
    names = tuple(dict.fromkeys(row.artifact for row in plain.rows))
    found = []
    for number, name in enumerate(names):
        first, last = (
            _PLAIN_PERCENT + (100 - _PLAIN_PERCENT) * edge // len(names)
            for edge in (number, number + 1)
        )
        own = [answer for answer in answers if answer.artifact == name]
        found.append(
            _scrutinise(bundle, plain, name, own, inputs, device, _part(progress, first, last))
        )
    progress(100, 100)
    return ThoroughReport(
        schema=1,
        plain=plain,
        artifacts=tuple(found),
        kinds=tuple(inputs),
        quantization=read_verdict(bundle),
    )


def _part(progress: Progress, first: int, last: int) -> Progress:
    def report(done: int, total: int, note: str = "") -> None:
        percent = first + (last - first) * done // max(1, total)
        if percent < 100:
            progress(percent, 100, note)

    return report


def _scrutinise(
    bundle: Bundle,
    plain: VerifyReport,
    name: str,
    answers: list[Answers],
    inputs: dict[Stratum, Inputs],
    device: Device,
    progress: Progress,
) -> Scrutiny:
    artifact = bundle.artifact(name)
    rows = [row for row in plain.rows if row.artifact == name]
    faults = [f"{row.source}: {row.reason}" for row in rows if row.status == "differs"]
    decisions = matrix = None
    source: Source = "reference"
    invariant = all(row.batch_invariant for row in rows if row.batch_invariant is not None)
    if answers:
        seen = answers[-1]  # the test set comes last
        source = seen.sample.source
        decisions = decide(seen.logits, seen.sample.logits, seen.sample.labels)
        try:
            matrix = run_matrix(
                bundle,
                artifact,
                inputs,
                batch_invariant=invariant,
                device=device,
                progress=progress,
            )
            faults += matrix.faults
        except BadInput as error:
            faults.append(f"not every setting runs: {error}")
    status: Status = "differs" if faults else "equivalent" if answers else "not checked"
    if status == "not checked":
        faults = [rows[0].reason]
    return Scrutiny(
        artifact=name,
        precision=artifact.precision,
        status=status,
        faults=tuple(faults),
        sentence=_sentence(name, status, faults, decisions, invariant=invariant),
        source=source,
        decisions=decisions,
        matrix=matrix,
    )


def _sentence(
    name: str, status: Status, faults: list[str], decisions: Decisions | None, *, invariant: bool
) -> str:
    if decisions is None or status != "equivalent":
        word = "do not ship" if status == "differs" else "not checked"
        return f"{word}: {name}: {'; '.join(faults)}"
    alone = "" if invariant else ", one picture at a time"
    count = len(decisions.flips)
    answers = (
        "not one answer changed"
        if not count
        else f"{count} {'answer' if count == 1 else 'answers'} changed, {decisions.lost} for the "
        f"worse and {decisions.gained} for the better"
    )
    return (
        f"may be shipped{alone}: {name}: {answers} in {decisions.images:,} pictures, so at most "
        f"{decisions.flip_rate.high:.2%} do (99 % sure)"
    )
