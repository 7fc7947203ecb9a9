"""Nothing that others named steers a terminal, a table program or a reader of JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn import draw, encode

from mnist_edge import cli
from mnist_edge.bundle import codec
from mnist_edge.render.printable import printable
from mnist_edge.render.table import Table, terminal

pytestmark = pytest.mark.edge

STEERING = {
    "escape": "\x1b[31mred",
    "bell": "\a",
    "delete": "\x7f",
    "C1": "\x9b31m",
    "next line": "\x85",
    "right to left": "\u202egnp.7",
    "isolate": "\u2067x\u2069",
    "line separator": "a\u2028b",
    "mark of byte order": "\ufeff",
}


@pytest.mark.parametrize("name", STEERING)
def test_what_steers_a_terminal_is_shown_as_its_escape(name: str) -> None:
    text = STEERING[name]
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == text


def test_letters_and_blanks_of_any_script_stay() -> None:
    for text in ("sieben-七.png", "café", "12 \N{NARROW NO-BREAK SPACE}µs", "a\u3000b"):
        assert printable(text) == text
    assert printable("a\nb", keep="\n") == "a\nb"
    assert printable("a\nb") == r"a\nb"


@pytest.mark.parametrize("width", [None, 12])
@pytest.mark.parametrize("name", STEERING)
def test_a_table_shows_no_cell_raw(name: str, width: int | None) -> None:
    text = STEERING[name]
    table = Table(headers=("name", text), rows=((text, "1"),), notes=(text,))
    drawn = terminal(table, width=width)
    assert drawn.replace("\n", "").isprintable()


@pytest.mark.parametrize("name", STEERING)
def test_json_escapes_it_and_a_reader_gets_it_back(name: str) -> None:
    text = STEERING[name]
    for document in (codec.dumps({"name": text}), codec.line({"name": text})):
        assert document.replace("\n", "").isprintable()
        assert json.loads(document) == {"name": text}


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)

    def write(*names: str) -> None:
        for name in names:
            Path(name).write_bytes(encode(draw(7)))

    return write


@pytest.mark.parametrize("name", STEERING)
def test_a_name_of_a_picture_reaches_no_stream_raw(
    name: str, named: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    named(picture := f"7{STEERING[name]}.png")
    Path("bad" + picture).write_bytes(b"no picture")
    for way in ([], ["--csv"], ["--json"], ["--show"]):
        cli.main(["predict", picture, "bad" + picture, *way])
        out, err = capfd.readouterr()
        assert "".join((out, err)).replace("\n", "").isprintable(), way


def test_no_cell_of_csv_is_a_formula(
    named: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["=1+2.png", "+7.png", "-7.png", "@SUM(A1).png", "7.png"]
    named(*names)
    assert cli.main(["predict", "--csv", "--", *names]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["picture"] for row in rows] == [*(f"'{name}" for name in names[:4]), "7.png"]
