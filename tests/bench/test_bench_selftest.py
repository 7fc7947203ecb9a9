from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benches import make_run
from factory import make_bundle

from mnist_edge.bench import self_test
from mnist_edge.bench.measure import Failure, Job, Run
from mnist_edge.bundle.folder import Bundle
from mnist_edge.errors import BadInput
from mnist_edge.recipes.bench import SELF_TEST_RECIPE
from mnist_edge.render.bench.sentences import self_test_lines

pytestmark = pytest.mark.edge


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "model")


def processes(*, spread: float, blind: bool = False) -> Callable[[Job], Run | Failure]:
    """Processes whose medians differ by `spread`, slowed as planted unless `blind`."""
    generator = np.random.default_rng(0)

    def measure(job: Job) -> Run:
        planted = 0.0 if blind else job.subject.slowdown
        factor = (1 + planted) * generator.normal(1, spread)
        return make_run(tuple((1e-4 * factor * generator.normal(1, 0.02, 700)).tolist()))

    return measure


def test_twenty_rounds_see_the_planted_slowdown_and_nothing_else(bundle: Bundle) -> None:
    tested = self_test(
        bundle, "onnx-float32", SELF_TEST_RECIPE, rounds=20, measure=processes(spread=0.03)
    )
    assert tested.quiet >= 19
    assert tested.found >= 19
    assert tested.passed
    assert 0 < tested.noise_floor < 0.1
    assert tested.timer_overhead_s == 4e-8
    assert "found in" in self_test_lines(tested)[1]


def test_a_benchmark_that_sees_nothing_fails(bundle: Bundle) -> None:
    blind = processes(spread=0.01, blind=True)
    tested = self_test(bundle, "onnx-float32", SELF_TEST_RECIPE, rounds=2, measure=blind)
    assert (tested.quiet, tested.found) == (2, 0)
    assert not tested.passed
    assert "not to be believed" in self_test_lines(tested)[-1]


def test_one_wrong_round_fails_a_single_one_but_not_twenty(bundle: Bundle) -> None:
    even = processes(spread=0.0)

    def measure(job: Job) -> Run | Failure:
        run = even(job)
        if job.subject.variant == "again" and job.recipe.seed == 0:
            return make_run((2e-4,) * 700)
        return run

    once = self_test(bundle, "onnx-float32", SELF_TEST_RECIPE, rounds=1, measure=measure)
    often = self_test(bundle, "onnx-float32", SELF_TEST_RECIPE, rounds=20, measure=measure)
    assert not once.passed
    assert often.quiet == 19
    assert often.passed


def test_progress_goes_on_over_the_rounds(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    self_test(
        bundle,
        "onnx-float32",
        SELF_TEST_RECIPE,
        rounds=2,
        measure=processes(spread=0.01),
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    assert seen[-1] == (36, 36)
    assert seen == sorted(seen)


def test_what_cannot_be_measured_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(BadInput, match="out of luck"):
        self_test(
            bundle,
            "onnx-float32",
            SELF_TEST_RECIPE,
            measure=lambda _: Failure(absent=False, reason="out of luck"),
        )
