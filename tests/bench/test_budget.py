"""How the time is divided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_edge.bench import budget
from mnist_edge.bench.budget import Budget, expected_s
from mnist_edge.bench.subject import Subject
from mnist_edge.recipes.bench import BENCH_RECIPES, BenchRecipe

pytestmark = pytest.mark.edge


class Clock:
    """A clock that stands still unless it is pushed."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def lasted_s(recipe: BenchRecipe, *, rows: int, start_s: float, sweep_s: float) -> float:
    """How long all restarts take whose starts and sweeps take as long as this."""
    clock = Clock()
    divided = Budget(recipe, rows, clock=clock)
    done = 0
    while done < divided.restarts:
        clock.now_s += start_s
        rounds_s = divided.for_rounds_s(rows, sweep_s)
        clock.now_s += rounds_s
        divided.took_turns(rounds_s)
        clock.now_s += sweep_s
        divided.restarted()
        done += 1
    return clock.now_s - 100.0


@pytest.mark.parametrize("start_s", [0.5, 3.0, 12.0, 19.0])
def test_the_default_ends_within_its_time(start_s: float) -> None:
    recipe = BENCH_RECIPES["default"]
    took_s = lasted_s(recipe, rows=12, start_s=start_s, sweep_s=2.0)
    assert took_s <= recipe.budget_s + 0.01


def test_starts_that_take_longer_than_all_of_it_still_come_five_times() -> None:
    clock = Clock()
    divided = Budget(BENCH_RECIPES["default"], 12, clock=clock)
    clock.now_s += 60
    assert divided.for_rounds_s(12, 2.0) == 0.0
    assert divided.restarts == 5


@pytest.mark.parametrize(("start_s", "restarts"), [(0.3, 5), (1.5, 4), (3.0, 2), (8.0, 1)])
def test_a_short_look_has_as_many_restarts_as_fit(start_s: float, restarts: int) -> None:
    clock = Clock()
    divided = Budget(BENCH_RECIPES["quick"], 9, clock=clock)
    clock.now_s += start_s
    divided.for_rounds_s(9, 0.2)
    assert divided.restarts == restarts


def test_cheap_starts_come_more_often_than_dear_ones() -> None:
    clock = Clock()
    divided = Budget(BENCH_RECIPES["default"], 4, clock=clock)
    clock.now_s += 1.0
    assert divided.for_rounds_s(4, 1.0) == 4 * BENCH_RECIPES["default"].duration_s
    assert divided.restarts == 10


def test_without_a_limit_each_restart_lasts_as_long_as_asked() -> None:
    recipe = BenchRecipe(processes=3, duration_s=2.0)
    assert lasted_s(recipe, rows=4, start_s=1.0, sweep_s=0.5) == pytest.approx(3 * (8 + 1.5))


def test_groups_that_memory_parts_share_the_time() -> None:
    recipe = replace(BENCH_RECIPES["default"], duration_s=100.0)
    clock = Clock()
    divided = Budget(recipe, 10, clock=clock)
    clock.now_s += 5
    first_s = divided.for_rounds_s(6, 1.0)
    whole = Budget(recipe, 10, clock=Clock())
    assert 0 < first_s < whole.for_rounds_s(10, 1.0)


def test_only_a_short_look_leaves_out_what_would_start_late() -> None:
    for name, may in (("quick", False), ("default", True)):
        clock = Clock()
        divided = Budget(BENCH_RECIPES[name], 12, clock=clock)
        assert divided.may_start()
        clock.now_s += 0.9 * BENCH_RECIPES[name].budget_s
        assert divided.may_start() == may


def test_the_estimate_is_the_budget_or_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "usable_threads", lambda: 2)
    light = [Subject(artifact=name, device="cpu") for name in ("onnx-float32", "c-float32")]
    heavy = [Subject(artifact="checkpoint-float32", device="cpu")] * 12
    assert expected_s(light, BENCH_RECIPES["default"]) < 30
    assert expected_s(heavy, BENCH_RECIPES["default"]) == 110
    assert expected_s(heavy * 4, BENCH_RECIPES["default"]) > 200
    assert expected_s(heavy, BENCH_RECIPES["thorough"]) > 300
