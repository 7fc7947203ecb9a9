"""The paired test on data whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("paired", reason="needs the benchmarks of a checkout")

import paired
from paired import Difference, PairedReport, Record, compare_all, page
from runs import read_runs

from mnist_edge.recipes.catalogue import RECIPES

pytestmark = pytest.mark.edge

DIGITS = 10_000


def record(recipe: str, *wrong: range | tuple[int, ...]) -> Record:
    return Record(recipe=recipe, wrong=tuple(map(tuple, wrong)))


def only_difference(*records: Record, draws: int = 2_000) -> Difference:
    (found,) = compare_all(records, digits=DIGITS, draws=draws).differences
    return found


def draw_record(recipe: str, chances: NDArray[np.float64], rng: np.random.Generator) -> Record:
    """Five trainings of a recipe that names digit i wrongly with a chance of chances[i].

    One seed is better than another: its chances are all larger or smaller by a common factor.
    """
    seeds = (rng.random(DIGITS) < chances * rng.uniform(0.9, 1.1) for _ in range(5))
    return record(recipe, *(tuple(np.flatnonzero(wrong).tolist()) for wrong in seeds))


def draw_chances(rng: np.random.Generator, *, errors: float) -> NDArray[np.float64]:
    """A few digits are hard for every net, most for none: `errors` wrong ones are expected."""
    return rng.beta(0.02, 0.02 * (DIGITS / errors - 1), DIGITS)


def test_identical_nets_cannot_be_told_apart() -> None:
    same = [range(50), range(1, 51), range(2, 52)]
    found = only_difference(record("a", *same), record("b", *same))
    assert found.points.value == 0
    assert found.points.low < 0 < found.points.high
    assert found.word == "cannot be told apart"
    assert found.p_value == 1


def test_a_clear_difference_is_real_and_has_the_sign_of_the_better_net() -> None:
    worse = record("worse", range(100), range(1, 101), range(2, 102))
    better = record("better", range(40), range(1, 41), range(2, 42))
    found = only_difference(worse, better)
    assert (found.first, found.second) == ("better", "worse")
    assert found.points.value == pytest.approx(0.60)
    assert 0.3 < found.points.low < 0.6 < found.points.high < 0.9
    assert found.real
    assert (found.lost, found.gained) == (0, 60)
    assert found.p_value < 1e-10


def test_a_handful_of_digits_on_one_side_is_no_proof() -> None:
    fewer = record("fewer", *[range(45)] * 5)
    more = record("more", *[range(49)] * 5)
    assert not only_difference(fewer, more).real


def test_pairing_tells_apart_what_two_separate_shares_could_not() -> None:
    """Thirty digits of 500 are clear where both nets fail on the same others."""
    shared = record("few", *[range(500)] * 5), record("many", *[range(530)] * 5)
    apart = record("few", *[range(500)] * 5), record("many", *[range(1000, 1530)] * 5)
    assert only_difference(*shared).real
    assert not only_difference(*apart).real


def test_seeds_that_differ_much_hide_a_difference_that_like_ones_show() -> None:
    like = [record("a", *[range(50)] * 4), record("b", *[range(90)] * 4)]
    unlike = [
        record("a", range(10), range(30), range(70), range(90)),
        record("b", range(50), range(70), range(110), range(130)),
    ]
    assert only_difference(*like).points.value == only_difference(*unlike).points.value
    assert only_difference(*like).real
    assert not only_difference(*unlike).real


def test_a_single_seed_is_given_the_assumed_spread() -> None:
    """12 digits are more than chance over the digits, but within what seeds differ by."""
    one = only_difference(record("a", range(50)), record("b", range(62)))
    many = only_difference(record("a", *[range(50)] * 9), record("b", *[range(62)] * 9))
    assert many.real
    assert not one.real


def test_few_seeds_of_one_recipe_do_not_blur_the_assumed_spread_of_the_other() -> None:
    """A net of one seed with 70 errors is told from five like ones with 30, not from 55."""
    one = record("one", range(70))
    assert only_difference(record("far", *[range(30)] * 5), one).real
    assert not only_difference(record("near", *[range(55)] * 5), one).real


def test_the_same_seed_gives_the_same_report() -> None:
    records = [record("a", range(50), range(52)), record("b", range(60), range(61))]
    report = compare_all(records, draws=500)
    assert report == compare_all(records, draws=500)
    assert report.differences != compare_all(records, draws=500, seed=1).differences


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Each time other digits and other seeds; the truth is that of all digits and seeds."""
    rng = np.random.default_rng(1)
    held = real = 0
    rounds = 100
    for _ in range(rounds):
        common = draw_chances(rng, errors=60)
        mine = 0.7 * common + 0.3 * draw_chances(rng, errors=60)
        yours = 0.7 * common + 0.3 * draw_chances(rng, errors=60)
        found = only_difference(
            draw_record("a", mine, rng), draw_record("b", yours, rng), draws=1_000
        )
        held += found.points.low <= 0 <= found.points.high
        real += found.real
    assert held >= 98  # 99 are promised, and the method errs on the safe side
    assert real == rounds - held


def test_the_interval_is_not_too_wide_to_find_anything() -> None:
    rng = np.random.default_rng(2)
    real = 0
    for _ in range(20):
        common = draw_chances(rng, errors=60)
        found = only_difference(
            draw_record("a", 0.5 * common, rng), draw_record("b", common, rng), draws=1_000
        )
        real += found.real
    assert real >= 16


def test_the_page_names_every_pair_and_what_has_to_be_rerun() -> None:
    records = [record("a", range(50)), record("b", range(150)), record("c", range(52))]
    report = compare_all(records, {"old": 2, "new": 0}, draws=500)
    text = page(report)
    assert "| `a` − `b` |" in text
    assert "| `a` | 99.500% (1) | ≈ +0.02 | **+1.00** |" in text
    assert "* `old`: no per-digit record of 2 runs; rerun" in text
    assert "* `new`: no per-digit record of any run; rerun" in text
    assert [found.word for found in report.differences] == [
        "cannot be told apart",
        "real",
        "real",
    ]


def test_nothing_recorded_is_no_error() -> None:
    report = compare_all([], {"a": 0}, draws=10)
    assert isinstance(report, PairedReport)
    assert report.differences == ()
    assert "* `a`: no per-digit record" in page(report)


def test_a_repetition_takes_the_place_of_the_line_without_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = [run for run in read_runs() if run.recipe == "sprint" and run.seed == 0][-1]
    again = replace(old, wrong=(1, 2, 3))
    monkeypatch.setattr(paired, "read_runs", lambda: [replace(old, wrong=None)])
    assert paired.recorded() == ([], {name: int(name == "sprint") for name in RECIPES})
    monkeypatch.setattr(paired, "read_runs", lambda: [replace(old, wrong=None), again])
    records, missing = paired.recorded()
    assert records == [Record(recipe="sprint", wrong=((1, 2, 3),))]
    assert "sprint" not in missing
    assert "quick" in missing
