"""How long work tells where it stands, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with the units done, the units in all, and a few words on the current state.

    The last call of a piece of work has `done == total`.
    """

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Take one report of progress."""


def silent(done: int, total: int, note: str = "") -> None:
    """A `Progress` that nobody listens to."""
