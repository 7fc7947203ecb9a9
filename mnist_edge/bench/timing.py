"""Time an open backend: turns of pictures, of batches, at a fixed rate, and on the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from mnist_edge.bench.surroundings import interruptions
from mnist_edge.bench.turn import Block, Turn
from mnist_edge.bundle.folder import Reference
from mnist_edge.bundle.manifest import Parity
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.errors import UsageError
from mnist_edge.formats import Backend, DeviceResident
from mnist_edge.machine import peak_resident_bytes

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds from any fixed point."""

Judge: TypeAlias = Callable[[Logits], Parity]
"""Holds the answers to all digits of the reference against its own."""

_TIMER_PAIRS = 1001
# About ten microseconds of additions; the best of three is that of a loop that nobody interrupted.
_LOOP = range(1000)
_LOOPS = 3


class Stopwatch:
    """An open backend, and the digits that it is timed on.

    Each picture's answer is judged after the clock has stopped.

    Args:
        backend: what is timed.
        reference: its digits, in turn.
        judge: says of the last answer to each digit whether they pass.
        clock: for tests.
    """

    def __init__(
        self,
        backend: Backend,
        reference: Reference,
        judge: Judge,
        *,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        self._backend, self._judge, self._clock = backend, judge, clock
        self._images = to_images(reference.images)
        self._digits = [self._images[i : i + 1] for i in range(len(self._images))]
        # What has not been asked yet counts as answered rightly.
        self._answers = reference.logits.astype(np.float32)
        self._parity = judge(self._answers)
        self._judged = self._answers.copy()
        self._error, self._fault = 0.0, ""
        self._runs = 0

    def take(self, turn: Turn) -> Block:
        """Run one turn.

        Raises:
            UsageError: the device has no memory of its own.
            BadInput: the logits are no numbers.
        """
        began_ns = time.monotonic_ns()
        loop_ns = speed_ns(self._clock)
        interrupted = interruptions()
        late_ns = 0
        if turn.kind == "paced":
            samples, late_ns = self._paced(turn)
        elif turn.kind == "resident":
            samples = self._resident(turn)
        else:
            samples = self._repeat(turn)
        self._compare()
        return Block(
            began_ns=began_ns,
            settling_ns=tuple(samples[: turn.settle]),
            samples_ns=tuple(samples[turn.settle :]),
            loop_ns=loop_ns,
            interruptions=interruptions() - interrupted,
            late_ns=late_ns,
            max_abs_error=self._error,
            digits=len(self._digits),
            flips=len(self._parity.flips),
            fault=self._fault,
            resident_bytes=peak_resident_bytes(),
        )

    def _repeat(self, turn: Turn) -> list[int]:
        once = self._single if turn.batch_size == 1 else self._batch(turn.batch_size)
        samples = [once() for _ in range(turn.settle)]
        end = self._clock() + round(turn.seconds * 1e9)
        while len(samples) < turn.settle + turn.runs or self._clock() < end:
            samples.append(once())
        return samples

    def _single(self) -> int:
        index = self._runs % len(self._digits)
        self._runs += 1
        image = self._digits[index]
        start = self._clock()
        logits = self._backend.run(image)
        duration = self._clock() - start
        self._answers[index] = logits[0]
        if index == len(self._digits) - 1:
            self._compare()
        return duration

    def _batch(self, batch_size: int) -> Callable[[], int]:
        images = take(self._images, batch_size)

        def once() -> int:
            start = self._clock()
            self._backend.run(images)
            return self._clock() - start

        return once

    def _paced(self, turn: Turn) -> tuple[list[int], int]:
        """Runs of one digit each that are due at fixed times, from when they were due.

        It waits by asking the clock: a sleep would add its own late awakening to each sample.
        """
        period_ns = 1e9 / turn.rate
        most_late_ns = turn.runs * period_ns  # it will not catch up, and the queue would only grow
        samples: list[int] = []
        late_ns = 0
        begin = self._clock()
        for index in range(turn.runs):
            due = begin + round(index * period_ns)
            while (now := self._clock()) < due:
                pass
            late_ns = now - due
            if late_ns > most_late_ns:
                break
            self._backend.run(self._digits[index % len(self._digits)])
            samples.append(self._clock() - due)
        return samples, late_ns

    def _resident(self, turn: Turn) -> list[int]:
        """Batches that lie on the device already, by its own clock."""
        if not isinstance(self._backend, DeviceResident):
            raise UsageError(
                f"{self._backend.name} cannot time on the device", fix="choose another artifact"
            )
        images = take(self._images, turn.batch_size)
        samples_s = self._backend.time_resident(images, turn.settle + turn.runs)
        return [round(sample * 1e9) for sample in samples_s]

    def _compare(self) -> None:
        # Judging takes as long as a turn, and once all digits were asked the answers stay.
        if np.array_equal(self._answers, self._judged):
            return
        self._judged = self._answers.copy()
        self._parity = self._judge(self._answers)
        # A digit whose last answer was right may have been answered wrongly before.
        self._error = max(self._error, self._parity.max_abs_error)
        self._fault = self._fault or self._parity.reason


def speed_ns(clock: Clock) -> int:
    """How long a loop takes that is always the same: the speed of the processor just now."""
    durations = []
    for _ in range(_LOOPS):
        start = clock()
        sum(_LOOP)
        durations.append(clock() - start)
    return min(durations)


def timer_overhead_s(clock: Clock) -> float:
    """The median duration that the clock shows for nothing."""
    pairs = [-(clock() - clock()) for _ in range(_TIMER_PAIRS)]
    return seconds(sorted(pairs)[_TIMER_PAIRS // 2])


class Slowed:
    """A backend each of whose runs takes longer by a known share: what the benchmark must find."""

    def __init__(self, backend: Backend, share: float, clock: Clock = time.perf_counter_ns) -> None:
        self.name, self.version, self.device = backend.name, backend.version, backend.device
        self._backend, self._share, self._clock = backend, share, clock

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        start = self._clock()
        logits = self._backend.run(images)
        end = self._clock()
        end += round(self._share * (end - start))
        while self._clock() < end:
            pass
        return logits

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()


def take(images: Images, count: int) -> Images:
    """`count` images, from the start again where they run out."""
    return images[np.arange(count) % len(images)]


def seconds(nanoseconds: float) -> float:
    """Nanoseconds as the seconds that all reports are in."""
    return nanoseconds / 1e9


def thinned(samples: Sequence[int], keep: int) -> tuple[float, ...]:
    """Every k-th of the samples, so that at most `keep` are left; nanoseconds to seconds."""
    stride = -(-len(samples) // keep) or 1
    return tuple(map(seconds, samples[::stride]))
