from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benches import SHORT, FakeWorker, steady
from factory import make_bundle

from mnist_edge.bench.selftest import self_test
from mnist_edge.bench.turn import Failure, Job
from mnist_edge.bundle.folder import Bundle
from mnist_edge.errors import BadInput
from mnist_edge.render.bench.sentences import self_test_lines

pytestmark = pytest.mark.edge

RECIPE = replace(SHORT, batch_sizes=())


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "model")


def workers(*, layout: float, blind: bool = False) -> Callable[[Job], FakeWorker]:
    """Processes whose times differ by `layout`, slowed as planted unless `blind`."""
    generator = np.random.default_rng(0)

    def start(job: Job) -> FakeWorker:
        planted = 0.0 if blind else job.subject.slowdown
        run_s = 1e-5 * (1 + planted) * generator.normal(1, layout)
        return FakeWorker(job, steady(run_s, seed=int(generator.integers(1000)), noise=0.02))

    return start


def test_twenty_rounds_see_what_was_planted_and_nothing_else(bundle: Bundle) -> None:
    tested = self_test(bundle, "onnx-float32", RECIPE, rounds=20, start=workers(layout=0.005))
    assert tested.quiet >= 19
    assert tested.found == 20
    assert tested.found_slight >= 19
    assert tested.passed
    assert 0 < tested.noise_floor < 0.03
    assert tested.timer_overhead_s == 4e-8
    assert "slowed by 20%: found in 20 of 20" in self_test_lines(tested)[1]
    assert all(len(found.apart) == 3 for found in tested.rounds)


def test_a_benchmark_that_sees_nothing_fails(bundle: Bundle) -> None:
    blind = workers(layout=0.001, blind=True)
    tested = self_test(bundle, "onnx-float32", RECIPE, rounds=2, start=blind)
    assert (tested.quiet, tested.found) == (2, 0)
    assert not tested.passed
    assert "not to be believed" in self_test_lines(tested)[-1]


def test_one_wrong_round_fails_a_single_one_but_not_twenty(bundle: Bundle) -> None:
    even = workers(layout=0.0)
    started: list[Job] = []

    def start(job: Job) -> FakeWorker:
        started.append(job)
        wrong = job.subject.variant == "again" and len(started) <= 4 * RECIPE.processes
        return FakeWorker(job, steady(2e-5)) if wrong else even(job)

    once = self_test(bundle, "onnx-float32", RECIPE, rounds=1, start=start)
    started.clear()
    often = self_test(bundle, "onnx-float32", RECIPE, rounds=20, start=start)
    assert not once.passed
    assert often.quiet == 19
    assert often.passed


def test_progress_goes_on_over_the_rounds(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    self_test(
        bundle,
        "onnx-float32",
        RECIPE,
        rounds=2,
        start=workers(layout=0.01),
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    assert seen[-1] == (40, 40)
    assert seen == sorted(seen)


def test_what_cannot_be_measured_is_an_error(bundle: Bundle) -> None:
    lost = Failure(reason="out of luck")
    with pytest.raises(BadInput, match="out of luck"):
        self_test(
            bundle,
            "onnx-float32",
            RECIPE,
            start=lambda job: FakeWorker(job, steady(1e-5), opened=lost),
        )
