"""How long work tells where it stands, without knowing who listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Called with the units done, the units in all, and a few words on the current state.

    The last call of a piece of work has `done == total`.
    """

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Take one report of progress."""


def silent(done: int, total: int, note: str = "") -> None:
    """A `Progress` that nobody listens to."""


@dataclass
class Meter:
    """Counts images for a `Progress`."""

    progress: Progress
    total: int
    note: str
    done: int = 0

    def __call__(self, images: int) -> None:
        """Take the number of those that are done now."""
        self.done += images
        self.progress(self.done, self.total, self.note)
