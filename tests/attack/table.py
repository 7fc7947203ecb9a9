"""What an attack came to, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import get_args

from attacks import attack_table

from attack.cases import MUTANTS, Kind, Result
from mnist_edge.render.table import markdown as render


@dataclass(frozen=True, kw_only=True)
class Row:
    """The cases of one kind.

    Attributes:
        accepted: of those that were tried, and rightly: they did no harm, or answered alike.
        wrong: accepted, though they must not be.
        crashed: ended by a traceback, a signal or as no command should.
        hung: had to be ended, for time or memory.
        struck: ran code that nobody asked for.
        grown_mib: the most memory beyond that of the same command on what is good.
    """

    kind: Kind
    tried: int
    refused: int
    accepted: int
    wrong: int
    crashed: int
    hung: int
    struck: int
    seconds: float
    grown_mib: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `make attack` writes."""

    seed: int
    machine: str
    seconds: float
    versions: dict[str, str]
    rows: tuple[Row, ...]
    bad: tuple[str, ...]


def rows(results: Sequence[Result]) -> Iterator[Row]:
    """One for each kind that was tried."""
    for kind in get_args(Kind):
        if of_kind := [result for result in results if result.case.kind == kind]:
            yield _row(kind, of_kind)


def _row(kind: Kind, results: Sequence[Result]) -> Row:
    outcomes = [result.outcome for result in results]
    wrong = sum(result.wrong for result in results)
    return Row(
        kind=kind,
        tried=len(results),
        refused=sum(outcome.refused for outcome in outcomes),
        accepted=sum(outcome.accepted for outcome in outcomes) - wrong,
        wrong=wrong,
        crashed=sum(outcome.crashed for outcome in outcomes),
        hung=sum(bool(outcome.ended) for outcome in outcomes),
        struck=sum(outcome.struck for outcome in outcomes),
        seconds=round(max(outcome.seconds for outcome in outcomes), 1),
        grown_mib=max(outcome.grown_bytes for outcome in outcomes) >> 20,
    )


def described(result: Result) -> str:
    """What is to be mended."""
    outcome = result.outcome
    said = outcome.error.strip().splitlines()[-1:] or [""]
    return (
        f"{result.case.kind}: {result.case.name}: code {outcome.code}"
        f"{' STRUCK' if outcome.struck else ''}{' WRONG' if result.wrong else ''}"
        f"{f' ended for {outcome.ended}' if outcome.ended else ''}"
        f" after {outcome.seconds:.1f} s, {outcome.grown_bytes >> 20} MiB: {said[0][-200:]}"
    )


def markdown(report: Report) -> str:
    """The table, and what it says."""
    mutants = sum(row.tried for row in report.rows if row.kind in MUTANTS)
    said = (
        f"`make attack`, seed {report.seed}, on {report.machine}, in {report.seconds:.0f} s:"
        f" {mutants:,} mutants of bundles and files, and the rest below. What was not refused at"
        " once was tried again in a process of its own. *Accepted* are cases that do no harm (a"
        " large picture of a digit, another remark in a manifest), or whose answers are those of"
        " the good file. *Memory* is the most beyond what the same verb takes for what is good."
    )
    lines = ["# What attacks came to", "", said, "", table(report)]
    lines += [f"* {line}" for line in report.bad]
    return "\n".join(lines).rstrip() + "\n"


def table(report: Report) -> str:
    """In Markdown, as SECURITY.md shows it."""
    return render(attack_table(asdict(report)))
