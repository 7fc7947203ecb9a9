from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import cycle

import numpy as np
import pytest
from factory import make_reference

from mnist_edge.bench.timing import (
    BatchSamples,
    Slowed,
    time_batches,
    time_paced,
    time_single,
    timer_overhead_s,
)
from mnist_edge.bundle.folder import Reference
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import Device

pytestmark = pytest.mark.edge

DIGITS = 5
US = 1000  # nanoseconds


class FakeClock:
    """A clock that stands still unless it is pushed."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class FakeBackend:
    """Answers like the reference, and takes exactly as long as it is told, in nanoseconds."""

    name, version = "fake", "1"
    device: Device = "cpu"

    def __init__(self, clock: FakeClock, reference: Reference, durations_ns: Iterator[int]) -> None:
        self.clock, self.durations_ns = clock, durations_ns
        self.images, self.logits = to_images(reference.images), reference.logits
        self.seen: list[list[int]] = []

    def run(self, images: Images) -> Logits:
        self.clock.now_ns += next(self.durations_ns)
        indices = [int(np.abs(self.images - image).sum((1, 2, 3)).argmin()) for image in images]
        self.seen.append(indices)
        return self.logits[indices].astype(np.float32)

    def close(self) -> None:
        pass


@pytest.fixture
def reference() -> Reference:
    made = make_reference(DIGITS)
    # Halves are exact in float32, so any error is one that a test has planted.
    return dataclasses.replace(made, logits=np.round(made.logits * 2) / 2)


def _recipe(**changes: object) -> BenchRecipe:
    recipe = BenchRecipe(
        processes=1, warmup_s=0, warmup_runs=0, duration_s=0.01, min_runs=1, sweep_s=0
    )
    return dataclasses.replace(recipe, **changes)  # type: ignore[arg-type]


def test_warmup_is_not_measured(reference: Reference) -> None:
    clock = FakeClock()
    durations = iter([900 * US, 800 * US, 700 * US] + [100 * US] * 100)
    backend = FakeBackend(clock, reference, durations)

    single = time_single(backend, reference, _recipe(warmup_runs=3, min_runs=100), clock)

    assert single.warmup_s == (9e-4, 8e-4, 7e-4)
    assert single.samples_s == (1e-4,) * 100
    assert single.runs == 100


def test_warmup_lasts_for_its_time_however_short_the_runs(reference: Reference) -> None:
    clock = FakeClock()
    backend = FakeBackend(clock, reference, cycle([100 * US]))
    single = time_single(backend, reference, _recipe(warmup_s=0.02, warmup_runs=3), clock)
    assert len(single.warmup_s) == 200


@pytest.mark.parametrize(("min_runs", "runs"), [(1, 100), (130, 130)])
def test_runs_go_on_until_both_the_time_and_the_count_are_reached(
    reference: Reference, min_runs: int, runs: int
) -> None:
    clock = FakeClock()
    backend = FakeBackend(clock, reference, cycle([100 * US]))
    single = time_single(backend, reference, _recipe(min_runs=min_runs), clock)
    assert single.runs == len(single.samples_s) == runs


def test_inputs_rotate_over_the_reference_digits(reference: Reference) -> None:
    clock = FakeClock()
    backend = FakeBackend(clock, reference, cycle([US]))
    time_single(backend, reference, _recipe(duration_s=0.01, min_runs=12), clock)
    assert backend.seen[:12] == [[index % DIGITS] for index in range(12)]


def test_of_too_many_samples_every_kth_is_kept(reference: Reference) -> None:
    clock = FakeClock()
    backend = FakeBackend(clock, reference, cycle([100 * US, 200 * US, 300 * US]))
    single = time_single(backend, reference, _recipe(min_runs=90, keep_samples=30), clock)
    assert single.runs == 90
    assert single.samples_s == (1e-4,) * 30


@pytest.mark.parametrize("wrong_call", [3, 7])
def test_one_wrong_answer_in_the_timed_run_is_noticed(
    reference: Reference, wrong_call: int
) -> None:
    class WrongOnce(FakeBackend):
        def run(self, images: Images) -> Logits:
            logits = super().run(images)
            return logits + np.float32(0.25) if len(self.seen) == wrong_call else logits

    clock = FakeClock()
    backend = WrongOnce(clock, reference, cycle([US]))
    recipe = _recipe(min_runs=10, duration_s=0.01)
    single = time_single(backend, reference, recipe, clock)
    assert single.max_abs_error == 0.25
    assert single.digits == DIGITS


def test_flipped_digits_are_counted(reference: Reference) -> None:
    clock = FakeClock()
    backend = FakeBackend(clock, reference, cycle([100 * US]))
    other = dataclasses.replace(reference, logits=reference.logits.copy())
    other.logits[2] = -other.logits[2]
    assert time_single(backend, reference, _recipe(), clock).flips == 0
    assert time_single(backend, other, _recipe(), clock).flips == 1


def test_each_batch_size_is_run_once_before_it_is_timed(reference: Reference) -> None:
    clock = FakeClock()
    backend = FakeBackend(clock, reference, iter([9 * US, US, 2 * US, 9 * US, 3 * US, 4 * US]))
    timed = time_batches(backend, reference, _recipe(batch_sizes=(1, 7), sweep_runs=2), clock)
    assert timed == (
        BatchSamples(batch_size=1, samples_s=(1e-6, 2e-6)),
        BatchSamples(batch_size=7, samples_s=(3e-6, 4e-6)),
    )
    assert backend.seen[-1] == [0, 1, 2, 3, 4, 0, 1]


class PatientClock(FakeClock):
    """A clock that goes on by a microsecond each time that it is asked."""

    def __call__(self) -> int:
        self.now_ns += US
        return self.now_ns


def test_a_run_that_waits_for_a_slow_one_counts_its_waiting(reference: Reference) -> None:
    clock = PatientClock()
    # Due every 1,000 µs: the second run takes 2,500 and delays the third and the fourth.
    durations = iter([100 * US, 2500 * US, 100 * US, 100 * US] + [100 * US] * 6)
    backend = FakeBackend(clock, reference, durations)
    (paced,) = time_paced(backend, reference, _recipe(rates=(1000.0,), sweep_runs=10), clock)
    in_us = [round(sample * 1e6, -2) for sample in paced.samples_s]
    assert in_us == [100, 2500, 1600, 700, 100, 100, 100, 100, 100, 100]
    assert paced.backlog_s < 1e-4


def test_a_session_ends_where_it_cannot_keep_up(reference: Reference) -> None:
    clock = PatientClock()
    backend = FakeBackend(clock, reference, cycle([9000 * US]))
    recipe = _recipe(rates=(1000.0,), sweep_s=0.1)
    (paced,) = time_paced(backend, reference, recipe, clock)
    assert 10 < len(paced.samples_s) < 20
    assert paced.backlog_s > 0.1


def test_a_planted_slowdown_is_as_large_as_it_says(reference: Reference) -> None:
    clock = PatientClock()
    backend = FakeBackend(clock, reference, cycle([1000 * US]))
    slowed = Slowed(backend, 0.2, clock)
    single = time_single(slowed, reference, _recipe(min_runs=5), clock)
    assert single.samples_s[0] == pytest.approx(1.2e-3, rel=0.01)


def test_the_cost_of_the_clock_is_the_median_of_nothing() -> None:
    ticks = iter(range(0, 10**9, 40))
    assert timer_overhead_s(lambda: next(ticks)) == 40e-9
