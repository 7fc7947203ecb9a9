"""`predict` from outside where names, streams, terminal, language and home are against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drawn import draw, encode

from mnist_edge import cli

pytestmark = pytest.mark.edge

# The command line in a process of its own, around a backend that answers 7 to everything.
COMMAND = """
import sys
import numpy as np
from mnist_edge import cli
from mnist_edge.predict import Predictor

class Sevens:
    def run(self, images):
        return np.tile(np.eye(10, dtype=np.float32)[7] * 9, (len(images), 1))

    def close(self):
        pass

Predictor.load = lambda *_, **__: Predictor(Sevens())
sys.exit(cli.main(["predict", "--bundle", "any", *sys.argv[1:]]))
"""
PNG = encode(draw(7, size=(28, 28), pen=3))


def started(*words: str, **options: object) -> subprocess.Popen[bytes]:
    settings: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-c", COMMAND, *words], **settings)  # type: ignore[call-overload,no-any-return]


def said_by(*words: str, **options: object) -> tuple[int, str, str]:
    with started(*words, **options) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def folder_of(place: Path, names: list[str]) -> Path:
    place.mkdir()
    for name in names:
        (place / name).write_bytes(PNG)
    return place


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in names}


SURROUNDINGS: dict[str, dict[str, str]] = {
    "LANG=C": os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII streams": os.environ | {"PYTHONIOENCODING": "ascii"},
    "20 columns": os.environ | {"COLUMNS": "20", "TERMINAL_WIDTH": "20"},
    "no home": without("HOME", "USERPROFILE", "XDG_CACHE_HOME"),
    "a home that is not there": os.environ | {"HOME": "/nonexistent"},
    "a dumb terminal": os.environ | {"TERM": "dumb"},
    "nothing set": {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
}


@pytest.mark.parametrize("name", SURROUNDINGS)
@pytest.mark.parametrize("way", [[], ["--json"], ["--csv"], ["--show"]], ids=" ".join)
def test_a_picture_is_named_in_any_surroundings(tmp_path: Path, name: str, way: list[str]) -> None:
    folder = folder_of(tmp_path / "scans", ["sieben-七.png"])
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)} | SURROUNDINGS[name]
    code, out, err = said_by(str(folder), *way, env=environment)
    assert (code, err) == (0, "")
    assert "7" in out


NAMES = ["-7.png", "--help.png", "line\nbreak.png", "\x1b[31mred.png", " .png", 'a,b".png']


def test_odd_names_of_a_folder_are_each_one_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "scans", NAMES)
    code, out, err = said_by(str(folder))
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(NAMES)
    assert "\x1b" not in out
    assert "line\\nbreak.png: 7" in out
    document = json.loads(said_by(str(folder), "--json")[1])
    assert {Path(answer["picture"]).name for answer in document["answers"]} == set(NAMES)


@pytest.mark.parametrize("name", ["-7.png", "--help", "line\nbreak.png"])
def test_an_odd_name_can_be_given_by_itself(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path / "scans", [name])
    code, out, err = said_by("--", name, cwd=folder)
    assert (code, err) == (0, "")
    assert out.count("\n") == 1


def test_a_bad_file_with_a_line_break_in_its_name_is_one_line_of_error(tmp_path: Path) -> None:
    (tmp_path / "line\nbreak.png").write_bytes(b"no picture")
    code, out, err = said_by(str(tmp_path))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no endless files on this system")
def test_an_endless_stdin_is_an_error() -> None:
    with Path("/dev/zero").open("rb") as zeros:
        code, out, err = said_by("-", stdin=zeros)
    assert (code, out) == (2, "")
    assert "the stream is not a picture" in err


def test_an_empty_stdin_is_an_error() -> None:
    code, out, err = said_by("-", stdin=subprocess.DEVNULL)
    assert (code, out) == (2, "")
    assert "the stream is empty" in err


def linked(place: Path, count: int) -> Path:
    """A folder of so many pictures, each a link to the first where there are links."""
    folder = folder_of(place, ["00000.png"])
    for number in range(1, count):
        os.link(folder / "00000.png", folder / f"{number:05}.png")
    return folder


@pytest.mark.slow
def test_ten_thousand_files_are_named_in_order(tmp_path: Path) -> None:
    folder = linked(tmp_path / "scans", 10_000)
    (folder / "05000.png").unlink()
    (folder / "05000.png").write_bytes(b"no picture")
    code, out, err = said_by(str(folder), "--quiet")
    lines = out.splitlines()
    expected = [folder / f"{number:05}.png" for number in range(10_000) if number != 5000]
    assert [line.partition(": ")[0] for line in lines] == list(map(str, expected))
    assert code == 2
    assert err.count("\n") == 1


@pytest.mark.parametrize("way", [[], ["--csv"], ["--json"], ["--show"]], ids=" ".join)
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path, way: list[str]) -> None:
    folder = linked(tmp_path / "scans", 2000)
    with started(str(folder), "--quiet", *way) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_ctrl_c_ends_it_with_one_line(tmp_path: Path) -> None:
    folder = linked(tmp_path / "scans", 10_000)
    with started(str(folder), "--quiet") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count(b"\n") == 1
    assert b"Traceback" not in err


def test_a_terminal_of_20_columns_gets_the_answers(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    folder = folder_of(tmp_path / "scans", ["7.png"])
    main, child = pty.openpty()
    environment = os.environ | {"COLUMNS": "20", "TERM": "xterm"}
    with started(str(folder), "--show", stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        said = b""
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s and (block := _read(main)):
            said += block
    os.close(main)
    assert process.returncode == 0, said
    assert b"7.png: 7" in said


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 4096)
    except OSError:  # Linux tells the end of a terminal so
        return b""


@pytest.mark.parametrize("words", [["x" * 5000], ["--bundle", "x" * 5000, "7.png"]])
def test_a_path_that_is_too_long_is_no_bug(words: list[str]) -> None:
    code, out, err = said_by(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_an_error_for_which_a_library_had_no_room_is_want_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resource = pytest.importorskip("resource")
    error = SystemError("error return without exception set")
    assert cli._failure(error, []).exit_code == 3, "of no limit it is a bug"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 28, 1 << 28))
    failure = cli._failure(error, [])
    assert (failure.exit_code, failure.message) == (2, "this takes more memory than there is")
