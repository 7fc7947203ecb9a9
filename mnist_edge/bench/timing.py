"""Time an open backend: one picture after another, at a fixed rate, in batches, on the device."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mnist_edge.bundle.folder import Reference
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.formats import Backend, DeviceResident
from mnist_edge.recipes.bench import BenchRecipe

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds from any fixed point."""

_TIMER_PAIRS = 1001


@dataclass(frozen=True, kw_only=True)
class SingleStream:
    """One picture after another, each timed from host memory to host memory.

    A closed loop: the next run starts when the last has ended, so these are service times.

    Attributes:
        warmup_s: durations of the warm-up in order; part of no figure.
        runs: how many were timed after it.
        samples_s: their durations in order. As of the warm-up, every k-th if there are too many.
        max_abs_error: of any logit of any run, against the reference.
        digits: how many different digits they rotated over.
        flips: those whose top class differed from the reference's when each was last run.
    """

    warmup_s: tuple[float, ...]
    runs: int
    samples_s: tuple[float, ...]
    max_abs_error: float
    digits: int
    flips: int


@dataclass(frozen=True, kw_only=True)
class BatchSamples:
    """Durations of whole batches, in order."""

    batch_size: int
    samples_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PacedSamples:
    """Pictures that arrive at a fixed rate, whether or not the one before is done: an open loop.

    Attributes:
        rate: pictures per second.
        samples_s: from the intended start of each run to its end. A run that has to wait for the
            one before counts its waiting, too (no coordinated omission: G. Tene, "How NOT to
            Measure Latency", 2015).
        backlog_s: how late the last run started. It grows where the rate is too high; a whole
            session late, the session ends.
    """

    rate: float
    samples_s: tuple[float, ...]
    backlog_s: float


def time_single(
    backend: Backend, reference: Reference, recipe: BenchRecipe, clock: Clock
) -> SingleStream:
    """Time runs of one digit each, rotating over the reference, and check every answer."""
    digits = _single_digits(reference)
    answers = reference.logits.copy()
    errors = []

    def classify(index: int) -> int:
        image = digits[index]
        start = clock()
        logits = backend.run(image)
        duration = clock() - start
        answers[index] = logits[0]
        if index == len(digits) - 1:
            errors.append(np.abs(answers - reference.logits).max())
        return duration

    with _no_collection():
        warmup = _repeat(classify, len(digits), recipe.warmup_s, recipe.warmup_runs, clock)
        samples = _repeat(classify, len(digits), recipe.duration_s, recipe.min_runs, clock)
    errors.append(np.abs(answers - reference.logits).max())
    return SingleStream(
        warmup_s=_thin(warmup, recipe.keep_samples),
        runs=len(samples),
        samples_s=_thin(samples, recipe.keep_samples),
        max_abs_error=float(np.max(errors)),
        digits=len(digits),
        flips=int((answers.argmax(axis=1) != reference.logits.argmax(axis=1)).sum()),
    )


def time_paced(
    backend: Backend, reference: Reference, recipe: BenchRecipe, clock: Clock
) -> tuple[PacedSamples, ...]:
    """Time runs of one digit each that are due at fixed times, at each rate in turn.

    It waits by asking the clock: a sleep would add its own late awakening to each sample.
    """
    digits = _single_digits(reference)
    paced = []
    for rate in recipe.rates:
        count = max(recipe.sweep_runs, round(rate * recipe.sweep_s))
        period_ns = 1e9 / rate
        most_late_ns = count * period_ns  # it will not catch up, and the queue would only grow
        samples: list[int] = []
        late_ns = 0
        with _no_collection():
            begin = clock()
            for index in range(count):
                due = begin + round(index * period_ns)
                while (now := clock()) < due:
                    pass
                late_ns = now - due
                if late_ns > most_late_ns:
                    break
                backend.run(digits[index % len(digits)])
                samples.append(clock() - due)
        samples_s = _thin(samples, recipe.keep_samples)
        paced.append(PacedSamples(rate=rate, samples_s=samples_s, backlog_s=seconds(late_ns)))
    return tuple(paced)


def time_batches(
    backend: Backend, reference: Reference, recipe: BenchRecipe, clock: Clock
) -> tuple[BatchSamples, ...]:
    """Time whole batches of reference digits, of each size in turn."""
    images = to_images(reference.images)
    return tuple(
        _time_batch(backend, take(images, batch_size), recipe, clock)
        for batch_size in recipe.batch_sizes
    )


def _time_batch(
    backend: Backend, images: Images, recipe: BenchRecipe, clock: Clock
) -> BatchSamples:
    def classify(_: int) -> int:
        start = clock()
        backend.run(images)
        return clock() - start

    classify(0)  # a runtime plans and allocates for each new shape
    with _no_collection():
        samples = _repeat(classify, 1, recipe.sweep_s, recipe.sweep_runs, clock)
    return BatchSamples(batch_size=len(images), samples_s=_thin(samples, recipe.keep_samples))


def time_resident(
    backend: Backend, reference: Reference, recipe: BenchRecipe
) -> tuple[BatchSamples, ...]:
    """Time batches that lie on the device already, on its own clock; none on the CPU."""
    if backend.device == "cpu" or not isinstance(backend, DeviceResident):
        return ()
    images = to_images(reference.images)
    return tuple(
        BatchSamples(
            batch_size=batch_size,
            samples_s=backend.time_resident(take(images, batch_size), recipe.min_runs),
        )
        for batch_size in recipe.batch_sizes
    )


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


def seconds(nanoseconds: int) -> float:
    """Nanoseconds as the seconds that all reports are in."""
    return nanoseconds / 1e9


def _single_digits(reference: Reference) -> Sequence[Images]:
    images = to_images(reference.images)
    return [images[i : i + 1] for i in range(len(images))]


def _repeat(
    classify: Callable[[int], int], digits: int, duration_s: float, count: int, clock: Clock
) -> list[int]:
    """Durations of runs over the digits in turn, for so many seconds and runs at least."""
    samples: list[int] = []
    end = clock() + round(duration_s * 1e9)
    while len(samples) < count or clock() < end:
        samples.append(classify(len(samples) % digits))
    return samples


def _thin(samples: list[int], keep: int) -> tuple[float, ...]:
    """Every k-th of the samples, so that at most `keep` are left; nanoseconds to seconds."""
    stride = -(-len(samples) // keep) or 1
    return tuple(map(seconds, samples[::stride]))


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
