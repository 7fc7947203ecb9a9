"""What `predict` says of each digit: a line of text, a line of CSV, an object of JSON."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mnist_edge.predict import FileResult

CSV_HEADER = "picture,position,status,digit,probability,notes"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of the most probable digits."""

    digit: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a picture could not be read."""

    kind: str
    message: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One digit of one picture, or why there is none.

    Attributes:
        picture: as it was named on the command line, or found in a folder.
        position: of the digit in its picture, from the left, from 1; 0 where there is none.
        status: whether a digit was read, nothing was to be read, or the picture was bad.
        digit: 0 to 9; None where there is none.
        probability: of `digit`, 0 to 1.
        top: the most probable digits, the best first.
        notes: what to know before trusting the answer.
        steps: what was done to the picture before the net saw it.
        error: what was wrong with the picture, where something was.
    """

    picture: str
    position: int
    status: Literal["digit", "no digit", "error"]
    digit: int | None = None
    probability: float = 0.0
    top: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    error: Problem | None = None


def answers(picture: str, result: FileResult, top: int) -> tuple[Answer, ...]:
    """The answers of one picture, one at least."""
    if result.error is not None:
        problem = Problem(
            kind=type(result.error).__name__, message=result.error.what, fix=result.error.fix
        )
        return (Answer(picture=picture, position=0, status="error", error=problem),)
    if not result.readings:
        return (Answer(picture=picture, position=0, status="no digit", notes=("no digit found",)),)
    return tuple(
        Answer(
            picture=picture,
            position=position if reading.prediction.digit is not None else 0,
            status=reading.prediction.status,
            digit=reading.prediction.digit,
            probability=reading.prediction.probability,
            top=tuple(
                Candidate(digit=digit, probability=probability)
                for digit, probability in reading.prediction.top(top)
            ),
            notes=reading.prediction.notes,
            steps=reading.picture.steps,
        )
        for position, reading in enumerate(result.readings, start=1)
    )


def line(answer: Answer) -> str:
    """The answer for a reader: `seven.png: 7  99.95%  then 1 0.03%, 9 0.01%`."""
    parts = []
    if answer.digit is not None:
        parts.append(f"{answer.digit}  {answer.probability:.2%}")
        others = [f"{other.digit} {other.probability:.2%}" for other in answer.top[1:]]
        if others:
            parts.append(f"then {', '.join(others)}")
    if answer.notes:
        parts.append(f"({'; '.join(answer.notes)})")
    return f"{_printable(answer.picture)}: {'  '.join(parts)}"


def _printable(name: str) -> str:
    """A file's name in one line: it may hold line ends, and what would steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def csv_line(answer: Answer) -> str:
    """The answer under `CSV_HEADER`."""
    notes = [*answer.notes, *([answer.error.message] if answer.error else [])]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(
        (
            answer.picture,
            answer.position,
            answer.status,
            "" if answer.digit is None else answer.digit,
            f"{answer.probability:.6f}",
            "; ".join(notes),
        )
    )
    return stream.getvalue()
