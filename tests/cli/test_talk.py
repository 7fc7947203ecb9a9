"""What is said while a command works, on a terminal and elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from mnist_edge.bundle.history import Epoch
from mnist_edge.cli import talk as talking
from mnist_edge.cli.steps import start_training
from mnist_edge.cli.talk import Talk
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.render import text
from mnist_edge.train import session

pytestmark = pytest.mark.edge


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence of a hundredth of a second is long."""
    monkeypatch.setattr(talking, "_SILENCE_S", 0.01)


def test_a_step_that_reports_nothing_for_long_is_still_heard_of(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = threading.Event()
    monkeypatch.setattr(talking, "speak", lambda line: heard.set())
    with Talk(quiet=False).progress("train"):
        assert heard.wait(timeout=30)


def test_a_measurement_is_not_disturbed_by_a_thread(impatient: None) -> None:
    before = threading.active_count()
    with Talk(quiet=False).progress("bench", watched=False):
        assert threading.active_count() == before
    with Talk(quiet=False).progress("train"):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_a_report_after_a_long_silence_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Talk(quiet=False).progress("bench", watched=False) as progress:
        for now in (101.0, 114.0, 116.0, 117.0, 140.0):
            progress(int(now), 200, "onnx-float32")
        assert capsys.readouterr().err.splitlines() == [
            "bench, 116 of 200, onnx-float32, 16.0 s",
            "bench, 140 of 200, onnx-float32, 40.0 s",
        ]


def test_what_else_was_said_breaks_the_silence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    talk = Talk(quiet=False)
    with talk.progress("train", watched=False) as progress:
        now = 120.0
        talk.say("epoch 1/2")
        now = 121.0
        progress(5, 9)
        assert capsys.readouterr().err == "epoch 1/2\n"


class Screen:
    """A bar that keeps what it was told."""

    def __init__(self) -> None:
        self.tasks = [self]
        self.shown: list[float] = []
        self.total: float | None = 100

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take away."""

    def add_task(self, *_: object, **__: object) -> int:
        return 0

    def update(self, _: int, *, completed: float, total: float = 0, **__: object) -> None:
        self.total = total or self.total
        self.shown.append(completed / (self.total or 1))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(talking, "_bar", lambda: screen)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    return screen


def test_a_bar_is_full_only_when_its_step_has_ended(screen: Screen) -> None:
    with Talk(quiet=False).progress("train") as progress:
        progress(1, 4)
        progress(4, 4)
        assert max(screen.shown) < 1
    assert screen.shown[-1] == 1


def test_a_bar_never_goes_back(screen: Screen) -> None:
    with Talk(quiet=False).progress("train") as progress:
        for done in range(1, 4001):
            progress(done, 4000)
    assert screen.shown == sorted(screen.shown)


def test_a_line_stands_above_the_bar_not_at_its_end() -> None:
    pty = pytest.importorskip("pty")
    script = (
        "from mnist_edge.cli.talk import Talk\n"
        "talk = Talk(quiet=False)\n"
        "with talk.progress('train') as progress:\n"
        "    progress(1, 4, 'loss 0.5')\n"
        "    talk.say('epoch 1/2')\n"
    )
    main, child = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm"}
    subprocess.run(
        [sys.executable, "-c", script], stdout=child, stderr=child, env=environment, timeout=60
    )
    os.close(child)
    said = os.read(main, 1 << 16).decode()
    os.close(main)
    # A row is drawn again from its start, cleared before.
    rows = [re.split(r"\x1b\[2K", row)[-1] for row in said.splitlines()]
    assert "epoch 1/2" in [row.strip() for row in rows], rows


def test_the_bar_of_a_step_that_failed_is_not_full(screen: Screen) -> None:
    def fail() -> None:
        with Talk(quiet=False).progress("train") as progress:
            progress(4, 4)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert max(screen.shown) < 1


@pytest.mark.parametrize(
    ("epochs", "loss", "accuracy", "duration_s"),
    [(16, 0.0056, 0.999, 1.5), (10_000, 12.34567, 1.0, 86_399.9)],
)
def test_the_line_of_an_epoch_fits_80_columns(
    epochs: int, loss: float, accuracy: float, duration_s: float
) -> None:
    epoch = Epoch(
        epoch=epochs,
        train_loss=loss,
        train_accuracy=accuracy,
        test_loss=loss,
        test_accuracy=accuracy,
        learning_rate=0.1,
        duration_s=duration_s,
    )
    line = text.epoch_line(epoch, epochs)
    assert len(line) <= 80
    assert f"{accuracy:.2%}" in line


def test_what_is_trained_is_said_before_torch_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Loading(Exception):
        pass

    def wait_for_torch(*_: object) -> None:
        raise Loading

    monkeypatch.setattr(session, "check_start", lambda _: None)
    monkeypatch.setattr(session, "check_teacher", wait_for_torch)
    before = set(sys.modules)
    with pytest.raises(Loading):
        start_training(
            Talk(quiet=False),
            RECIPES["quick"],
            "mnist",
            Path("model"),
            device="auto",
            threads=None,
        )
    plan, time = capsys.readouterr().err.splitlines()
    assert plan == "train: recipe quick, 16 epochs, data mnist"
    assert time.startswith("time: about ")
    assert "torch" not in set(sys.modules) - before


def test_the_device_is_said_once_it_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("check_start", "check_teacher"):
        monkeypatch.setattr(session, name, lambda *_: None)
    monkeypatch.setattr(session, "training_device", lambda _: "cuda")
    start_training(
        Talk(quiet=False), RECIPES["quick"], "mnist", Path("m"), device="auto", threads=3
    )
    assert capsys.readouterr().err.splitlines()[-1] == "device: cuda, 3 threads"
