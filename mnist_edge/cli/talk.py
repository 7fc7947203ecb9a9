"""What the commands say: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_edge.progress import Progress, silent
from mnist_edge.render.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from mnist_edge.errors import MnistEdgeError
    from mnist_edge.render.table import Table

# Seconds between two drawings of a bar.
_REDRAW_S = 0.1
# Seconds after which a step without a terminal says where it stands: with work that reports as
# often, no silence is longer than twice that.
_SILENCE_S = 15.0
# What follows the last unit of a step (measuring, writing) is work, too.
_MOST_BEFORE_THE_END = 0.99


@dataclass(kw_only=True)
class Talk:
    """What is said beside the result, on stderr. `quiet` leaves only warnings."""

    quiet: bool
    said_s: float = field(default_factory=lambda: time.monotonic(), init=False)

    def say(self, line: str) -> None:
        """Tell where the work stands."""
        self.said_s = time.monotonic()
        if not self.quiet:
            speak(line)

    def warn(self, line: str) -> None:
        """Tell what the user must know, `--quiet` or not."""
        speak(f"warning: {line}")

    def complain(self, error: MnistEdgeError) -> None:
        """Tell of an error that does not end the command."""
        speak(f"mnist-edge: error: {error}")

    def suggest(self, command: str, *, to: str) -> None:
        """Name the next command to type."""
        self.say(f"next: {command}  (to {to})")

    @contextmanager
    def signature_kept(self, folder: Path) -> Iterator[None]:
        """Tell where what is done in here changes a bundle, so that its signature must go."""
        from mnist_edge.bundle.manifest import SIGNATURE

        signature = folder / SIGNATURE
        signed = signature.exists()
        try:
            yield
        finally:
            if signed and not signature.exists():
                self.warn(f"{folder} has changed, so its signature is gone: sign it again")

    @contextmanager
    def progress(self, title: str, *, watched: bool = True) -> Iterator[Progress]:
        """Show one long step: as a bar on a terminal, in lines elsewhere.

        The bar is full, and the last line said, when the step has ended, not with its last unit.

        Args:
            title: of the step.
            watched: whether a thread breaks a long silence between two reports of progress; it
                would disturb what is being measured.
        """
        if self.quiet:
            yield silent
        elif sys.stderr.isatty():
            with _bar() as bar:
                drawn = _Drawn(bar, bar.add_task(title, note=""))
                yield drawn
                drawn.end()
        else:
            lines = _Lines(self, title)
            with lines.watching() if watched else nullcontext():
                yield lines
            lines.end()


def speak(line: str) -> None:
    """Print a line to stderr."""
    # By what stderr is now: a bar stands in for it, and draws itself below the line. typer.echo
    # would look up the stream behind it, and write at the end of the bar.
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


class _Drawn:
    """A step as a bar."""

    def __init__(self, bar: Bar, task: TaskID) -> None:
        self._bar, self._task, self._drawn_s = bar, task, 0.0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now_s = time.monotonic()
        if done < total and now_s - self._drawn_s < _REDRAW_S:
            return
        self._drawn_s = now_s
        shown = min(done, total * _MOST_BEFORE_THE_END)
        self._bar.update(self._task, completed=shown, total=total, note=note, refresh=True)

    def end(self) -> None:
        total = self._bar.tasks[self._task].total
        self._bar.update(self._task, completed=total, refresh=True)


class _Lines:
    """A step as a line at its end, and one whenever there was silence for long."""

    def __init__(self, talk: Talk, title: str) -> None:
        self._talk, self._title, self._start_s = talk, title, time.monotonic()
        self._state: list[str] = []

    def __call__(self, done: int, total: int, note: str = "") -> None:
        self._state = [f"{done} of {total}", *([note] if note else [])]
        self.break_silence()

    def break_silence(self) -> None:
        if time.monotonic() - self._talk.said_s >= _SILENCE_S:
            self._say()

    @contextmanager
    def watching(self) -> Iterator[None]:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_SILENCE_S):
                self.break_silence()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def end(self) -> None:
        if self._state:  # what needed no time says nothing
            self._say()

    def _say(self) -> None:
        elapsed_s = time.monotonic() - self._start_s
        self._talk.say(", ".join([self._title, *self._state, f"{elapsed_s:.1f} s"]))


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        auto_refresh=False,
        redirect_stdout=False,
    )


def emit(text: str) -> None:
    """Print a result, a line end added."""
    _print(printable(text, keep="\n"))


def emit_table(table: Table) -> None:
    """Print a table, folded and coloured for a terminal, as wide as it is for anything else."""
    from mnist_edge.render.table import terminal

    if sys.stdout.isatty():
        import shutil

        import typer  # which knows old consoles of Windows

        colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        width = shutil.get_terminal_size().columns
        typer.echo(terminal(table, width=width, colour=colour))  # its colours are no text of others
    else:
        emit(terminal(table))


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def emit_json(document: str) -> None:
    """Print one JSON document, in UTF-8 whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(document.encode())
