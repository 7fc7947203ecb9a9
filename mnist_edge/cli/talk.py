"""What the commands say: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from mnist_edge.progress import Progress, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from mnist_edge.errors import MnistEdgeError
    from mnist_edge.render.text import Table

# Seconds between two drawings of a bar. Nothing draws between two reports of progress: a thread
# that did would disturb what `bench` measures.
_REDRAW_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Talk:
    """What is said beside the result, on stderr. `quiet` leaves only warnings."""

    quiet: bool

    def say(self, line: str) -> None:
        """Tell where the work stands."""
        if not self.quiet:
            typer.echo(line, err=True)

    def warn(self, line: str) -> None:
        """Tell what the user must know, `--quiet` or not."""
        typer.echo(f"warning: {line}", err=True)

    def complain(self, error: MnistEdgeError) -> None:
        """Tell of an error that does not end the command."""
        typer.echo(f"mnist-edge: error: {error}", err=True)

    def suggest(self, command: str, *, to: str) -> None:
        """Name the next command to type."""
        self.say(f"next: {command}  (to {to})")

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Show one long step: as a bar on a terminal, as one line at its end elsewhere."""
        if self.quiet:
            yield silent
        elif sys.stderr.isatty():
            with _bar() as bar:
                yield _Drawn(bar, bar.add_task(title, note=""))
        else:
            yield _Line(title)


class _Drawn:
    def __init__(self, bar: Bar, task: TaskID) -> None:
        self._bar, self._task, self._drawn_s = bar, task, 0.0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now_s = time.monotonic()
        due = done == total or now_s - self._drawn_s >= _REDRAW_S
        self._bar.update(self._task, completed=done, total=total, note=note, refresh=due)
        if due:
            self._drawn_s = now_s


class _Line:
    def __init__(self, title: str) -> None:
        self._title, self._start_s, self._ended = title, time.monotonic(), False

    def __call__(self, done: int, total: int, note: str = "") -> None:
        if done < total or self._ended:
            return
        self._ended = True
        elapsed_s = time.monotonic() - self._start_s
        words = [self._title, f"{total} of {total}", note, f"{elapsed_s:.1f} s"]
        typer.echo(", ".join(filter(None, words)), err=True)


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
    typer.echo(text)


def emit_table(table: Table) -> None:
    """Print a table, folded and coloured for a terminal, as wide as it is for anything else."""
    from mnist_edge.render.text import terminal

    if sys.stdout.isatty():
        colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        emit(terminal(table, width=shutil.get_terminal_size().columns, colour=colour))
    else:
        emit(terminal(table))


def emit_json(document: str) -> None:
    """Print one JSON document, in UTF-8 whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(document.encode())
