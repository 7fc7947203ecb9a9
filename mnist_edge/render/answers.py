"""What `predict` says of each digit: a line of text, a line of CSV, an object of JSON."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.frozen import frozen
from mnist_edge.render.printable import printable

if TYPE_CHECKING:
    from mnist_edge.picture.components import Box
    from mnist_edge.predict import FileResult, Reading

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

CSV_HEADER = "picture,position,status,digit,probability,notes,row,left,top,right,bottom,page,label"


@frozen
class Candidate:
    """One of the most probable classes; its name is its `label`, and where it is one, a digit."""

    digit: int | None
    probability: float
    label: str


@frozen
class Problem:
    """Why a picture could not be read."""

    kind: str
    message: str
    fix: str


@frozen
class Answer:
    """One digit of one picture, or why there is none.

    Attributes:
        picture: as it was named on the command line, or found in a folder.
        position: of the digit in its picture, in reading order, from 1; 0 where nothing is to be
            read. What is rejected keeps its place.
        status: whether a digit was read, nothing was to be read, or the picture was bad; where the
            classes are no digits, `label` and `no label`.
        digit: 0 to 9; None where there is none.
        probability: of `label`, 0 to 1.
        top: the most probable classes, the best first.
        notes: what to know before trusting the answer.
        steps: what was done to the picture before the net saw it.
        error: what was wrong with the picture, where something was.
        row: of the digit on its page, from the top, from 1; 0 where nothing is to be read.
        box: of the digit; None where nothing is to be read.
        page: of the file, from 1; 0 where nothing is to be read.
        label: the name of the class; None where there is none.
    """

    picture: str
    position: int
    status: Literal["digit", "no digit", "label", "no label", "error"]
    digit: int | None = None
    probability: float = 0.0
    top: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    error: Problem | None = None
    row: int = 0
    box: Box | None = None
    page: int = 0
    label: str | None = None


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
        _answer(picture, reading, position, top)
        for position, reading in enumerate(result.readings, start=1)
    )


def _answer(picture: str, reading: Reading, position: int, top: int) -> Answer:
    prediction, shown = reading.prediction, reading.picture
    answer = Answer(
        picture=picture,
        position=0,
        status=prediction.status,
        digit=prediction.digit,
        probability=prediction.probability,
        top=tuple(
            _candidate(prediction.classes[number], probability)
            for number, probability in prediction.top(top)
        ),
        notes=prediction.notes,
        steps=shown.steps,
        label=prediction.label,
    )
    if shown.blank:
        return answer
    return replace(answer, position=position, row=shown.row, box=shown.box, page=shown.page)


def _candidate(label: str, probability: float) -> Candidate:
    digit = int(label) if label in DIGITS else None
    return Candidate(digit=digit, probability=probability, label=label)


def line(answer: Answer, *, placed: bool = False) -> str:
    """The answer for a reader: `seven.png: 7  99.95%  then 1 0.03%, 9 0.01%`.

    With `placed`, where the digit stands, too: `row 2  34x50 at 120,88`.
    """
    parts = []
    if placed and answer.box is not None:
        box = answer.box
        page = f"page {answer.page} " if answer.page > 1 else ""
        size = f"{box.width}x{box.height}"
        parts.append(f"{page}row {answer.row}  {size} at {box.left},{box.top}")
    if answer.label is not None:
        parts.append(f"{answer.label}  {answer.probability:.2%}")
        others = [f"{other.label} {other.probability:.2%}" for other in answer.top[1:]]
        if others:
            parts.append(f"then {', '.join(others)}")
    if answer.notes:
        parts.append(f"({'; '.join(answer.notes)})")
    return f"{printable(answer.picture)}: {'  '.join(parts)}"


def csv_line(answer: Answer) -> str:
    """The answer under `CSV_HEADER`."""
    notes = [*answer.notes, *([answer.error.message] if answer.error else [])]
    import csv

    stream, box = io.StringIO(), answer.box
    csv.writer(stream, lineterminator="").writerow(
        (
            _cell(answer.picture),
            answer.position,
            answer.status,
            "" if answer.digit is None else answer.digit,
            f"{answer.probability:.6f}",
            _cell("; ".join(notes)),
            answer.row,
            *(("",) * 4 if box is None else (box.left, box.top, box.right, box.bottom)),
            answer.page,
            _cell(answer.label or ""),
        )
    )
    return stream.getvalue()


def _cell(text: str) -> str:
    """A text that no table program takes for a formula (OWASP, CSV injection)."""
    return printable(f"'{text}" if text.startswith(_FORMULA) else text)
