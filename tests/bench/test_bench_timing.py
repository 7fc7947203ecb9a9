from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from itertools import cycle

import numpy as np
import pytest
from factory import make_reference

from mnist_edge.bench.timing import (
    Slowed,
    Stopwatch,
    speed_ns,
    thinned,
    timer_overhead_s,
)
from mnist_edge.bench.turn import Turn
from mnist_edge.bundle.folder import Reference
from mnist_edge.bundle.manifest import Parity
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.errors import UsageError
from mnist_edge.formats import FORMATS
from mnist_edge.formats.parity import compare
from mnist_edge.recipes.terms import Device, Precision

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


def watch(backend: FakeBackend, reference: Reference) -> Stopwatch:
    return Stopwatch(backend, reference, judged(reference), clock=backend.clock)


def judged(reference: Reference) -> partial[Parity]:
    return partial(
        compare,
        reference=reference.logits,
        labels=reference.labels,
        gate=FORMATS["onnx"].gate("float32"),
    )


def test_runs_that_settle_are_kept_apart(reference: Reference) -> None:
    durations = iter([900 * US, 800 * US, 700 * US] + [100 * US] * 100)
    backend = FakeBackend(FakeClock(), reference, durations)
    block = watch(backend, reference).take(Turn(settle=3, runs=100))
    assert block.settling_ns == (900 * US, 800 * US, 700 * US)
    assert block.samples_ns == (100 * US,) * 100


@pytest.mark.parametrize(("least", "runs"), [(1, 100), (130, 130)])
def test_runs_go_on_until_both_the_time_and_the_count_are_reached(
    reference: Reference, least: int, runs: int
) -> None:
    backend = FakeBackend(FakeClock(), reference, cycle([100 * US]))
    block = watch(backend, reference).take(Turn(runs=least, seconds=0.01))
    assert len(block.samples_ns) == runs


def test_inputs_rotate_over_the_reference_digits_from_turn_to_turn(reference: Reference) -> None:
    backend = FakeBackend(FakeClock(), reference, cycle([US]))
    stopwatch = watch(backend, reference)
    for _ in range(4):
        stopwatch.take(Turn(settle=1, runs=2))
    assert backend.seen == [[index % DIGITS] for index in range(12)]


def test_of_too_many_samples_every_kth_is_kept() -> None:
    assert thinned([100 * US, 200 * US, 300 * US] * 30, 30) == (1e-4,) * 30
    assert thinned([], 30) == ()


@pytest.mark.parametrize("wrong_call", [3, 7])
def test_one_wrong_answer_is_noticed_and_remembered(reference: Reference, wrong_call: int) -> None:
    class WrongOnce(FakeBackend):
        def run(self, images: Images) -> Logits:
            logits = super().run(images)
            return logits + np.float32(0.25) if len(self.seen) == wrong_call else logits

    stopwatch = watch(WrongOnce(FakeClock(), reference, cycle([US])), reference)
    errors = [stopwatch.take(Turn(runs=5)).max_abs_error for _ in range(4)]
    assert errors[-1] == 0.25
    assert errors.count(0.0) == (wrong_call - 1) // 5


def test_flipped_digits_are_counted(reference: Reference) -> None:
    other = dataclasses.replace(reference, logits=reference.logits.copy())
    other.logits[2] = -other.logits[2]
    for expected, flips in ((reference, 0), (other, 1)):
        backend = FakeBackend(FakeClock(), reference, cycle([100 * US]))
        block = watch(backend, expected).take(Turn(runs=DIGITS))
        assert (block.digits, block.flips) == (DIGITS, flips)
        assert bool(block.fault) == bool(flips)


@pytest.mark.parametrize(("precision", "fault"), [("float32", "largest error"), ("int8", "")])
def test_the_gate_is_that_of_the_artifact(
    reference: Reference, precision: Precision, fault: str
) -> None:
    class Coarse(FakeBackend):
        def run(self, images: Images) -> Logits:
            return super().run(images) * np.float32(0.99)

    backend = Coarse(FakeClock(), reference, cycle([US]))
    judged_so = partial(judged(reference), gate=FORMATS["onnx"].gate(precision))
    block = Stopwatch(backend, reference, judged_so, clock=backend.clock).take(Turn(runs=DIGITS))
    assert block.max_abs_error > 1e-4
    assert block.fault.startswith(fault)
    assert bool(block.fault) == bool(fault)


def test_a_batch_is_run_as_one_and_filled_from_the_start(reference: Reference) -> None:
    backend = FakeBackend(FakeClock(), reference, iter([9 * US, 3 * US, 4 * US]))
    block = watch(backend, reference).take(Turn(settle=1, runs=2, batch_size=7))
    assert block.samples_ns == (3 * US, 4 * US)
    assert backend.seen[-1] == [0, 1, 2, 3, 4, 0, 1]


class PatientClock(FakeClock):
    """A clock that goes on by a microsecond each time that it is asked."""

    def __call__(self) -> int:
        self.now_ns += US
        return self.now_ns


def test_a_run_that_waits_for_a_slow_one_counts_its_waiting(reference: Reference) -> None:
    # Due every 1,000 µs: the second run takes 2,500 and delays the third and the fourth.
    durations = iter([100 * US, 2500 * US, 100 * US, 100 * US] + [100 * US] * 6)
    backend = FakeBackend(PatientClock(), reference, durations)
    block = watch(backend, reference).take(Turn(kind="paced", rate=1000.0, runs=10))
    in_us = [round(sample / US, -2) for sample in block.samples_ns]
    assert in_us == [100, 2500, 1600, 700, 100, 100, 100, 100, 100, 100]
    assert block.late_ns < 100 * US


def test_a_session_ends_where_it_cannot_keep_up(reference: Reference) -> None:
    backend = FakeBackend(PatientClock(), reference, cycle([9000 * US]))
    block = watch(backend, reference).take(Turn(kind="paced", rate=1000.0, runs=100))
    assert 10 < len(block.samples_ns) < 20
    assert block.late_ns > 1e8


def test_what_cannot_time_on_the_device_says_so(reference: Reference) -> None:
    backend = FakeBackend(FakeClock(), reference, cycle([US]))
    with pytest.raises(UsageError, match="fake cannot time on the device"):
        watch(backend, reference).take(Turn(kind="resident"))


def test_a_planted_slowdown_is_as_large_as_it_says(reference: Reference) -> None:
    clock = PatientClock()
    slowed = Slowed(FakeBackend(clock, reference, cycle([1000 * US])), 0.2, clock)
    block = Stopwatch(slowed, reference, judged(reference), clock=clock).take(Turn(runs=5))
    assert block.samples_ns[0] == pytest.approx(1.2e6, rel=0.01)


def test_the_cost_of_the_clock_is_the_median_of_nothing() -> None:
    ticks = iter(range(0, 10**9, 40))
    assert timer_overhead_s(lambda: next(ticks)) == 40e-9


def test_the_speed_is_that_of_the_loop_that_nobody_interrupted() -> None:
    ticks = iter([0, 900, 1000, 1010, 2000, 2500])
    assert speed_ns(lambda: next(ticks)) == 10
