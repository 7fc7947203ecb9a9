"""Bad files of every kind that `import` takes: one line that says what it is, and nothing else."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("h5py")

import hostile_hdf5
import strangers
from torch import nn

from mnist_edge import cli
from mnist_edge.formats.torchscript.run import torchscript_warnings_ignored

NET = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
NOWHERE = ("--bundle", "new", "--data", "mnist", "--data-dir", "none")
"""What could be read wants digits, which are not there: so nothing is taken."""


def weights() -> bytes:
    buffer = io.BytesIO()
    torch.save(NET.state_dict(), buffer)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    with torchscript_warnings_ignored():
        torch.jit.save(torch.jit.trace(NET, torch.rand(1, 1, 28, 28)), buffer)
    return buffer.getvalue()


def program() -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(NET, (torch.rand(1, 1, 28, 28),)), buffer)
    return buffer.getvalue()


MAKERS: dict[str, Callable[[], bytes]] = {
    "net.onnx": strangers.mlp,
    "net.h5": hostile_hdf5.keras,
    "net.keras": hostile_hdf5.current,
    "net.pth": weights,
    "net.pt": script,
    "net.pt2": program,
}
made = cache(lambda name: MAKERS[name]())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that `import` says of it."""
    before = {*Path().iterdir()}
    code = cli.main(["import", *words, *NOWHERE])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert err.startswith("mnist-edge: error: ")
    assert err.count("\n") == 1
    assert {*Path().iterdir()} == before
    return err


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("name", MAKERS)
def test_a_file_that_is_cut_off_is_refused(
    name: str, tenth: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = made(name)
    (here / name).write_bytes(data[: len(data) * tenth // 10])
    said = refused(capsys, name, "--trust")
    assert name in said
    assert "no readable MNIST" not in said


@pytest.mark.parametrize("ending", MAKERS)
@pytest.mark.parametrize("name", MAKERS)
def test_a_file_is_what_it_holds_and_not_what_it_is_called(
    name: str, ending: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / ending).write_bytes(made(name))
    said = refused(capsys, ending)
    if name in ("net.pt", "net.pt2"):
        kind = {"net.pt": "a TorchScript archive", "net.pt2": "a program of torch.export (.pt2)"}
        assert f"{ending} is {kind[name]}: that is a program" in said
        assert "give --trust" in said
    else:  # it was read, and digits are what is missing
        assert "no readable MNIST in none" in said
    assert "damaged" not in said


def folder(path: Path) -> None:
    path.mkdir()


def vast(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [Path.touch, folder, os.mkfifo, vast])
@pytest.mark.parametrize("name", MAKERS)
def test_what_is_no_file_to_read_is_refused_at_once(
    name: str, make: Callable[[Path], None], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(here / name)
    refused(capsys, name, "--trust")


# --- classes of one's own -------------------------------------------------------------------------

HEAD = "import sys, time, torch\nclass Net(torch.nn.Module):\n    def __init__(self):"
CLASSES = {
    "raises": (f"{HEAD} raise ValueError('two\\nlines')", "ValueError: two lines"),
    "dies": (f"{HEAD} import os; os._exit(0)", "its program ended by itself"),
    "wants more": (f"{HEAD[:-2]}, size): pass", "missing 1 required positional argument: 'size'"),
    "prints": (f"print('x' * 5_000_000)\n{HEAD} raise ValueError", "ValueError"),
    "is another": (f"{HEAD} super().__init__(); self.fc = torch.nn.Linear(3, 4)", "state_dict"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_of_a_class_that_fails_the_reason_is_said(
    name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text, reason = CLASSES[name]
    (here / "net.py").write_text(text)
    (here / "net.pth").write_bytes(made("net.pth"))
    assert reason in refused(capfd, "net.pth", "--architecture", "net.py:Net")


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
@pytest.mark.timeout(120)
def test_a_class_that_sleeps_for_ever_is_left_by_ctrl_c(here: Path) -> None:
    (here / "net.py").write_text(
        f"import pathlib, signal\n{HEAD}\n"
        "        signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "        pathlib.Path('asleep').touch()\n"
        "        time.sleep(3600)\n"
    )
    (here / "net.pth").write_bytes(made("net.pth"))
    words = ["import", "net.pth", "--architecture", "net.py:Net", *NOWHERE]
    with subprocess.Popen(
        [sys.executable, "-m", "mnist_edge", *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (here / "asleep").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.count("\n") == 1
    assert not (here / "new").exists()
