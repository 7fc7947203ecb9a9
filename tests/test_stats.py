from __future__ import annotations

import math

import numpy as np
import pytest

from mnist_edge.stats import (
    ASSUMED_LAYOUT,
    LAYOUT_FLOOR,
    Interval,
    estimate_quantile,
    is_steady,
    mcnemar,
    mean_of_restarts,
    paired_change,
    ratio_of_medians,
    ratio_of_turns,
    samples_needed,
    share,
    student_quantile,
)

pytestmark = pytest.mark.edge


@pytest.mark.parametrize(("quantile", "count"), [(0.5, 11), (0.99, 662), (0.999, 6636)])
def test_a_percentile_needs_two_samples_beyond_it_99_times_in_100(
    quantile: float, count: int
) -> None:
    def chance_of_fewer_than_two_beyond(n: int) -> float:
        return quantile**n + n * (1 - quantile) * quantile ** (n - 1)

    assert samples_needed(quantile) == count
    assert chance_of_fewer_than_two_beyond(count) <= 0.01
    assert chance_of_fewer_than_two_beyond(count - 1) > 0.01


def test_a_percentile_without_enough_samples_is_not_shown() -> None:
    assert estimate_quantile(np.arange(661), 0.99) is None
    assert estimate_quantile(np.arange(662), 0.99) is not None


def test_the_limits_of_the_median_are_the_binomial_order_statistics() -> None:
    # Of 20 samples the 4th smallest and the 4th largest: the chance that fewer than four lie below
    # the median is 0.13 %, that fewer than five do, 0.59 %, more than the half per cent of a side.
    low = sum(math.comb(20, k) for k in range(4)) / 2**20
    assert low <= 0.005 < low + math.comb(20, 4) / 2**20

    interval = estimate_quantile(np.arange(1.0, 21.0)[::-1], 0.5)

    assert interval == Interval(value=10, low=4, high=17)


def test_an_estimate_and_its_limits_are_samples() -> None:
    samples = np.random.default_rng(0).lognormal(size=1000)
    interval = estimate_quantile(samples, 0.9)
    assert interval is not None
    assert {interval.value, interval.low, interval.high} <= set(samples.tolist())
    assert (samples <= interval.value).mean() == pytest.approx(0.9)


@pytest.mark.parametrize(("quantile", "count"), [(0.5, 50), (0.9, 200), (0.99, 662)])
def test_intervals_hold_the_true_percentile_99_times_in_100(quantile: float, count: int) -> None:
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(500):
        interval = estimate_quantile(generator.random(count), quantile)
        assert interval is not None
        held += interval.low <= quantile <= interval.high
    assert held >= 488  # 495 expected; fewer than 488 once in 500 if coverage is 99 %


def test_a_run_that_slows_down_halfway_is_not_steady() -> None:
    noise = np.random.default_rng(0).normal(1.0, 0.01, 1000)
    assert is_steady(noise)
    assert not is_steady(noise * np.repeat([1.0, 1.1], 500))


def test_a_sure_but_small_change_is_still_steady() -> None:
    noise = np.random.default_rng(0).normal(1.0, 0.001, 1000)
    assert is_steady(noise * np.repeat([1.0, 1.02], 500))


def test_too_few_samples_count_as_steady() -> None:
    assert is_steady([1.0] * 10 + [2.0] * 10)


def _process(generator: np.random.Generator, median_s: float) -> list[float]:
    """Skewed samples of one process, whose median is off by some 3 % from the true one."""
    shift = generator.normal(0, 0.03)
    samples: list[float] = (median_s * generator.lognormal(shift, 0.2, 200)).tolist()
    return samples


def test_the_ratio_is_that_of_the_geometric_means_of_the_medians() -> None:
    ratio = ratio_of_medians([[2.0] * 9, [8.0] * 9], [[1.0] * 9, [1.0] * 9])
    assert ratio.value == pytest.approx(4.0)
    assert ratio.low < 4 < ratio.high


def test_two_equal_things_are_seldom_told_apart() -> None:
    generator = np.random.default_rng(2)
    apart = 0
    for _ in range(100):
        candidate, baseline = ([_process(generator, 1e-4) for _ in range(3)] for _ in range(2))
        ratio = ratio_of_medians(candidate, baseline)
        apart += not ratio.low <= 1 <= ratio.high
    assert apart <= 4  # at 99 %, more than 4 of 100 come once in 300 runs


def test_a_planted_slowdown_of_20_per_cent_is_found() -> None:
    generator = np.random.default_rng(3)
    found = 0
    for _ in range(20):
        candidate = [_process(generator, 1.2e-4) for _ in range(5)]
        found += ratio_of_medians(candidate, [_process(generator, 1e-4) for _ in range(5)]).low > 1
    assert found >= 19


def test_one_process_cannot_resolve_what_processes_differ_by() -> None:
    one = ratio_of_medians([[1.1e-4] * 1000], [[1e-4] * 1000])
    assert one.low < 1 < one.high
    assert ratio_of_medians([[3e-4] * 1000], [[1e-4] * 1000]).low > 1


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(4)
    candidate, baseline = ([_process(generator, 1e-4) for _ in range(3)] for _ in range(2))
    first = ratio_of_medians(candidate, baseline, seed=1)
    assert first == ratio_of_medians(candidate, baseline, seed=1)
    assert first != ratio_of_medians(candidate, baseline, seed=2)


def test_a_clock_too_coarse_for_a_run_gives_no_infinity() -> None:
    ratio = ratio_of_medians([[0.0] * 20], [[1e-6] * 20])
    assert math.isfinite(ratio.low)
    assert 0 < ratio.value < 1


# --- shares -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (0, 10, 0.0, 1 - 0.005**0.1),
        (10, 10, 0.005**0.1, 1.0),
        (1, 1, 0.005, 1.0),
        (0, 10_000, 0.0, 1 - 0.005**1e-4),
    ],
)
def test_the_interval_of_a_share_is_exact(
    successes: int, count: int, low: float, high: float
) -> None:
    interval = share(successes, count)
    assert interval.value == successes / count
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)


def test_beyond_the_limits_of_a_share_the_count_seen_has_half_a_percent_of_chance() -> None:
    def chance(successes: int, share: float) -> float:
        return math.comb(50, successes) * share**successes * (1 - share) ** (50 - successes)

    interval = share(7, 50)
    assert sum(chance(k, interval.low) for k in range(7, 51)) == pytest.approx(0.005)
    assert sum(chance(k, interval.high) for k in range(8)) == pytest.approx(0.005)


def test_mcnemars_test_is_the_two_sided_sign_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 5) == mcnemar(5, 0) == 2 / 32
    assert mcnemar(2, 8) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar(0, 10_000) < 1e-300


def test_the_interval_of_a_paired_change_covers_the_true_change() -> None:
    rng = np.random.default_rng(0)
    lost, gained, _ = rng.multinomial(1000, [0.01, 0.005, 0.985], size=2000).T
    intervals = [paired_change(int(a), int(b), 1000) for a, b in zip(lost, gained, strict=True)]
    covered = np.mean([each.low <= -0.005 <= each.high for each in intervals])
    assert covered > 0.98
    assert paired_change(0, 0, 10_000).low < 0 < paired_change(0, 0, 10_000).high < 0.001


# --- SciPy as the oracle ------------------------------------------------------------------------

scipy_stats = pytest.importorskip("scipy.stats", reason="the oracle of these tests")


@pytest.mark.parametrize("count", [1, 7, 256, 10_000])
@pytest.mark.parametrize("part", [0.0, 0.004, 0.5, 0.9963, 1.0])
def test_the_interval_of_a_share_is_scipys(part: float, count: int) -> None:
    successes = round(part * count)
    exact = scipy_stats.binomtest(successes, count).proportion_ci(0.99, method="exact")
    interval = share(successes, count)
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("lost", "gained"), [(1, 0), (2, 8), (30, 11), (500, 480)])
def test_mcnemars_test_is_scipys(lost: int, gained: int) -> None:
    assert mcnemar(lost, gained) == pytest.approx(scipy_stats.binomtest(lost, lost + gained).pvalue)


@pytest.mark.parametrize(("quantile", "count"), [(0.5, 11), (0.5, 2000), (0.99, 662), (0.9, 5000)])
def test_the_interval_of_a_quantile_is_as_narrow_as_scipys_binomial_allows(
    quantile: float, count: int
) -> None:
    interval = estimate_quantile(np.arange(count), quantile)
    assert interval is not None
    binomial = scipy_stats.binom(count, quantile)
    low, high = int(interval.low), int(interval.high)
    assert binomial.cdf(low) <= 0.005 < binomial.cdf(low + 1)  # `low` lies above with this chance
    assert binomial.sf(high) <= 0.005 < binomial.sf(high - 1)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 63.657), (2, 9.925), (4, 4.604), (5, 4.032), (9, 3.250), (30, 2.750), (99, 2.626)],
)
def test_student_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, abs=5e-4)


def turns(
    generator: np.random.Generator, ratio: float, *, restarts: int, layout: float, disturbed: float
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Ratios of rounds on a machine that is 1.7 times as slow in a share of all turns."""
    found = []
    for _ in range(restarts):
        slow = generator.random((2, 60)) < disturbed
        noise = np.exp(generator.normal(0, 0.01, (2, 60)) + 0.53 * slow)
        found.append(ratio * generator.normal(1, layout) * noise[0] / noise[1])
    return found


@pytest.mark.parametrize("disturbed", [0.0, 0.1, 0.4])
def test_the_interval_of_turns_holds_the_true_ratio(disturbed: float) -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        found = ratio_of_turns(turns(generator, 1.3, restarts=5, layout=0.01, disturbed=disturbed))
        held += found.low <= 1.3 <= found.high
    assert held >= 292  # 99 in 100 are promised


def test_a_difference_of_a_twentieth_shows_on_a_machine_that_is_disturbed() -> None:
    generator = np.random.default_rng(1)
    slower = [
        ratio_of_turns(turns(generator, 1.05, restarts=10, layout=0.005, disturbed=0.1)).low > 1
        for _ in range(50)
    ]
    assert sum(slower) >= 45


def test_disturbed_turns_of_one_row_alone_move_the_ratio_little() -> None:
    rounds = [np.array([2.0] * 85 + [9.0] * 15) for _ in range(5)]
    assert ratio_of_turns(rounds).value == pytest.approx(2.0)


def test_no_ratio_is_known_any_better_than_layout_allows() -> None:
    found = ratio_of_turns([[1.0] * 50] * 5)
    assert found.high == pytest.approx(math.exp(2.5758 * LAYOUT_FLOOR / math.sqrt(5)), rel=1e-4)


def test_fewer_restarts_than_show_their_spread_widen_the_interval() -> None:
    widths = [ratio_of_turns([[1.0] * 50] * count).high - 1 for count in range(1, 6)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx(math.exp(2.5758 * ASSUMED_LAYOUT) - 1, rel=1e-4)
    assert widths[0] < 0.5  # a short look tells a factor of 1.5 apart


def test_rounds_that_hang_together_count_less() -> None:
    generator = np.random.default_rng(2)
    drifting = np.exp(np.repeat(generator.normal(0, 0.1, 40), 5))
    alone = generator.permutation(drifting)
    wide, narrow = (ratio_of_turns([rounds]) for rounds in (drifting, alone))
    assert wide.high / wide.low > narrow.high / narrow.low


def test_the_mean_of_restarts_is_as_sure_as_they_agree() -> None:
    even, uneven = (mean_of_restarts(s) for s in ([1.0] * 5, [1.0, 1.1, 0.9, 1.05, 0.95]))
    assert even.low == even.value == even.high == pytest.approx(1.0)
    assert uneven.low < 0.9
    assert uneven.high > 1.1
    assert mean_of_restarts([1.0]).high > 1.2
