"""What goes over the pipe between a benchmark and one of its workers: lines of JSON.

The worker is told its job, answers with what opening the file took, and then waits. Each time that
its turn comes it is given a `Turn` and answers with a `Block`; the end of the pipe is its own end.
A `Failure` in place of an answer is its last word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from mnist_edge.bench.run import ColdStart, Cost
from mnist_edge.bench.subject import Subject
from mnist_edge.recipes.terms import Device

Lack: TypeAlias = Literal["failed", "absent", "left out"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one worker is to open.

    Attributes:
        bundle: the folder.
        core: the processor that it stays on; None where it may choose.
        memory_bytes: that it may take at most; 0 where nobody knows how many there are.
        timeout_s: after which it ends by itself if one turn is not done by then.
        started_ns: `time.monotonic_ns()` just before the process was started.
        consent: the digest of the artifact, if it may run even though it is a program.
    """

    bundle: str
    subject: Subject
    core: int | None = None
    memory_bytes: int = 0
    timeout_s: float = 300.0
    started_ns: int = 0
    consent: str = ""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What the worker has opened.

    Attributes:
        backend: the runtime, and `version` its version.
        device: where it proved to run.
        timer_overhead_s: the median duration of nothing, contained in each sample.
        cost: of the graph, where the format tells.
        batch_invariant: whether a batch may be run as one; else `predict` gives it the pictures one
            by one.
        resident: whether it can time batches that stay on the device.
        resident_bytes: the most memory that it has held so far; 0 where unknown.
        built_bytes: of the code and data that a compiler made of the artifact; 0 without one.
    """

    backend: str
    version: str
    device: Device
    timer_overhead_s: float
    cold: ColdStart
    cost: Cost
    batch_invariant: bool = True
    resident: bool = False
    resident_bytes: int = 0
    built_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a worker is to run before the next one's turn comes.

    Attributes:
        kind: `pictures`, one after another, or as batches; `paced`, due at a fixed rate; or
            `resident`, batches that never leave the device.
        settle: runs at the beginning that are kept apart, until the caches hold what is needed.
        runs: runs after them, at least.
        seconds: so long, at least.
        batch_size: of each run.
        rate: pictures per second, of `paced`.
    """

    kind: Literal["pictures", "paced", "resident"] = "pictures"
    settle: int = 0
    runs: int = 1
    seconds: float = 0.0
    batch_size: int = 1
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Block:
    """What a turn gave.

    Attributes:
        began_ns: `time.monotonic_ns()` before its first run.
        settling_ns: durations of the runs that are kept apart.
        samples_ns: of those after them.
        loop_ns: of a loop that is always the same, just before: the processor's speed.
        interruptions: how often the system took the processor away meanwhile.
        late_ns: how late the last run of `paced` began.
        max_abs_error: of any logit of any picture so far, against the reference.
        digits, flips: how many digits there are, and how many of them were last answered
            otherwise than by the reference.
        fault: why the answers did not pass when they first did not; empty if they always did.
        resident_bytes: the most memory that the worker has held so far; 0 where unknown.
    """

    began_ns: int
    settling_ns: tuple[int, ...] = ()
    samples_ns: tuple[int, ...]
    loop_ns: int = 0
    interruptions: int = 0
    late_ns: int = 0
    max_abs_error: float = 0.0
    digits: int = 0
    flips: int = 0
    fault: str = ""
    resident_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no measurement.

    Attributes:
        status: `absent` where the device or the runtime is not there, which is nobody's fault,
            `left out` where there was no time for it.
        reason: in one line, with the fix where there is one.
    """

    status: Lack = "failed"
    reason: str


@runtime_checkable
class Worker(Protocol):
    """One process that holds one artifact open, or what stands in for it."""

    def open(self) -> Opened | Failure:
        """Wait until it is ready for its turns. Asked once."""

    def take(self, turn: Turn) -> Block | Failure:
        """Let it run alone; after a failure it is asked no more."""

    def end(self) -> None:
        """End it, whatever it is doing. Safe to call twice."""
