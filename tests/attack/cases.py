"""What is tried, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "damaged bundles",
    "forged bundles",
    "signed bundles",
    "bare files",
    "weights",
    "nets of others",
    "graphs",
    "web pages",
    "pictures",
    "command lines",
    "signals",
    "kills",
]

MUTANTS: tuple[Kind, ...] = ("damaged bundles", "forged bundles", "signed bundles", "bare files")

LIMIT_S = 20.0
"""A command that takes longer hangs; on a machine that others use, three times as long."""

MOST_BYTES = 256 << 20
"""More than the same command takes for what is good, no bad input may cost."""

STRUCK = "struck"
"""The file that hostile code leaves behind."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One command over the ground (`ground.py`), with something wrong laid over it.

    Attributes:
        kind: the row of the table that it counts in.
        name: what is wrong.
        words: of the command line.
        files: laid over the ground, by path.
        prepare: whatever is no file, such as a pipe or a link.
        environment: added to that of the ground.
        may_pass: whether it may be taken: it does no harm, or nobody can tell.
        answers: a command that gives answers as JSON. If the case is taken, they must be those of
            the ground, but for one in twenty.
    """

    kind: Kind
    name: str
    words: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    may_pass: bool = False
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a command.

    Attributes:
        code: of its exit; below 0 the signal that ended it, None if it had to be ended.
        ended: why it had to be.
        error: the last of what it said on stderr.
        traceback: whether that holds one.
        struck: whether code ran that nobody asked for.
        seconds: that it took.
        grown_bytes: of memory that it took at most, more than there was before it.
        left: what it left behind though it failed.
    """

    code: int | None
    ended: Literal["", "time", "memory"] = ""
    error: str = ""
    traceback: bool = False
    struck: bool = False
    seconds: float = 0.0
    grown_bytes: int = 0
    left: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether it was said, in its place, that this will not do."""
        return self.code in (1, 2) and not self.traceback

    @property
    def accepted(self) -> bool:
        """Whether it was taken."""
        return self.code == 0 and not self.traceback

    @property
    def crashed(self) -> bool:
        """Whether it ended as no command should."""
        return not self.ended and not self.refused and not self.accepted


@dataclass(frozen=True, kw_only=True)
class Result:
    """A case, and what came of it in the end.

    Attributes:
        wrong: whether it was taken though it must not be.
        again: whether a process of its own, started as a user would, had the last word.
    """

    case: Case
    outcome: Outcome
    wrong: bool = False
    again: bool = False

    @property
    def bad(self) -> bool:
        """Whether something is to be mended."""
        outcome = self.outcome
        return bool(
            self.wrong
            or outcome.crashed
            or outcome.ended
            or outcome.struck
            or outcome.left
            or outcome.grown_bytes > MOST_BYTES
        )
