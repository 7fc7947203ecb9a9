"""What samples allow one to say: percentiles and ratios of durations, shares and their change.

Latencies are skewed, have several modes and heavy tails, so no interval here assumes a normal
distribution of the samples. All of them are meant to hold the true value 99 times in 100.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.99

# Two halves of a run count as different only if a user would care, however sure the difference is.
STEADY_CHANGE = 0.05

# One process cannot show how much processes differ. ONNX Runtime's median moved between 31 and
# 42 µs from process to process on one machine: a standard deviation of about a tenth.
ASSUMED_SPREAD = 0.10

# Of two processes of one file the medians differ by where the linker and the allocator put them:
# half a percent on one machine, two on another. Below this no ratio is known any better.
LAYOUT_FLOOR = 0.01

# Fewer restarts than this show too little of that spread (three would have to be multiplied by
# 9.9), so it is assumed to be as large as this.
ENOUGH_RESTARTS = 5
ASSUMED_LAYOUT = 0.05

# Of the rounds that are left out at either end: those in which only one of two rows was disturbed.
_TRIMMED = 0.2
# Rounds in turn that may have been disturbed by the same thing.
_RUN_OF_ROUNDS = 5

_DRAWS = 10_000
_HALVINGS = 50
# A coarse clock may show a duration of 0, which has no logarithm.
_SHORTEST_S = 1e-9


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate between the limits of its 99 % confidence interval, all in one unit."""

    value: float
    low: float
    high: float


@cache
def samples_needed(quantile: float) -> int:
    """How many samples a quantile needs before it is shown: 662 for 0.99, 6,636 for 0.999.

    With fewer, the chance that not even two samples lie beyond the quantile is above 1 %, and the
    largest sample would decide the figure (S. S. Wilks, "Determination of sample sizes for setting
    tolerance limits", 1941).
    """
    inner = max(quantile, 1 - quantile)
    count = 2
    while inner**count + count * (1 - inner) * inner ** (count - 1) > 1 - CONFIDENCE:
        count += 1
    return count


def estimate_quantile(samples: ArrayLike, quantile: float) -> Interval | None:
    """A quantile and its distribution-free interval; None where the samples are too few.

    The number of samples below the true quantile is binomial whatever the distribution, so two
    order statistics enclose it (H. A. David, H. N. Nagaraja, "Order Statistics", 2003, 7.1). All
    three figures are samples that were really measured.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    count = len(ordered)
    if count < samples_needed(quantile):
        return None
    tail = (1 - CONFIDENCE) / 2
    below = _binomial_cdf(count, quantile)
    # 0-based: the sample at `low` lies above the quantile with a chance of at most `tail`, the one
    # at `high` below it. Both exist, since there are as many samples as needed.
    low = int(np.searchsorted(below, tail, side="right")) - 1
    high = int(np.searchsorted(below, 1 - tail, side="left"))
    return Interval(
        value=float(ordered[math.ceil(quantile * count) - 1]),
        low=float(ordered[low]),
        high=float(ordered[high]),
    )


def share(successes: int, count: int) -> Interval:
    """A share with its exact interval, which holds the true one at least 99 times in 100.

    The limits are the shares at which the count seen, or a more extreme one, would have half a
    percent of chance (C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 26, 1934).

    Args:
        successes: of `count`, from 0 to all.
        count: at least 1.
    """
    tail = (1 - CONFIDENCE) / 2
    low = high = successes / count
    if successes > 0:
        low = _falling_root(lambda p: _binomial_cdf(count, p)[successes - 1] - (1 - tail))
    if successes < count:
        high = _falling_root(lambda p: _binomial_cdf(count, p)[successes] - tail)
    return Interval(value=successes / count, low=low, high=high)


def mcnemar(lost: int, gained: int) -> float:
    """How surprising it would be if the same net gave both answers: an exact p, two-sided.

    Of the digits that one of two nets alone classifies correctly, as many should fall to either
    (Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947; exact by the binomial distribution of a half).

    Args:
        lost: digits that only the first net classifies correctly.
        gained: digits that only the second one does.
    """
    count = lost + gained
    ways = sum(math.comb(count, few) for few in range(min(lost, gained) + 1))
    return min(1.0, ways / 2 ** (count - 1)) if count else 1.0


def paired_change(lost: int, gained: int, count: int) -> Interval:
    """By how much the share of right answers changed over the same digits.

    Wald's interval with half a digit added to each cell of the table, which keeps its promise
    where few digits change, or none (A. Agresti, Y. Min, "Simple improved confidence intervals
    for comparing matched proportions", Statistics in Medicine 24, 2005).

    Args:
        lost: digits classified correctly before, and no longer.
        gained: digits classified correctly only now.
        count: all digits, at least 1.
    """
    total, changed = count + 2, lost + gained + 1
    centre = (gained - lost) / total
    spread = math.sqrt(changed / total - centre**2) / math.sqrt(total)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * spread
    return Interval(value=(gained - lost) / count, low=centre - reach, high=centre + reach)


def is_steady(samples: ArrayLike) -> bool:
    """Whether the second half of a run is as fast as the first.

    It is not if the intervals of the two medians are apart, and the medians by more than 5 %.
    True for samples too few to tell.
    """
    samples = np.asarray(samples, dtype=np.float64)
    middle = len(samples) // 2
    first = estimate_quantile(samples[:middle], 0.5)
    second = estimate_quantile(samples[middle:], 0.5)
    if first is None or second is None:
        return True
    if first.low <= second.high and second.low <= first.high:
        return True
    return abs(second.value - first.value) <= STEADY_CHANGE * first.value


def ratio_of_medians(
    candidate: Sequence[ArrayLike], baseline: Sequence[ArrayLike], *, seed: int = 0
) -> Interval:
    """How many times as long the candidate takes, from the samples of each process.

    A hierarchical bootstrap: processes are drawn anew, then samples within each. The figure of a
    side is the geometric mean of its processes' medians.

    Few processes say little about how much processes differ. So the spread between them is
    corrected for its bias and given the tails of Student's distribution, and for one process it is
    assumed (`ASSUMED_SPREAD`). A plain bootstrap of three processes calls two equal things
    different about once in ten times, not once in a hundred.

    Args:
        candidate: durations of one or more processes, one array each, none empty.
        baseline: the same of what it is compared with.
        seed: of the drawing.
    """
    generator = np.random.default_rng(seed)
    centre = _centre(candidate) - _centre(baseline)
    deviation = _deviations(candidate, generator) - _deviations(baseline, generator)
    freedom = len(candidate) + len(baseline) - 2
    if freedom:
        deviation *= np.sqrt(freedom / generator.chisquare(freedom, _DRAWS))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(centre + deviation, [tail, 1 - tail])
    return Interval(value=math.exp(centre), low=math.exp(low), high=math.exp(high))


def ratio_of_turns(restarts: Sequence[ArrayLike]) -> Interval:
    """How many times as long one row takes as another one that was measured in turns with it.

    A round gives the ratio on the machine as it was at that moment. A restart's figure is the
    trimmed mean of the logarithms of its rounds, and the estimate their mean over the restarts.
    The interval is the larger of two. One is Student's, from the spread of the restarts: it knows
    all that differs between them, but few of them are there. The other is from the spread of the
    rounds within each restart, single and in runs of five, and never less than what layout alone
    may be worth. With fewer than five restarts there is only the second, with a layout that is
    assumed.

    Sources: the trimmed mean and its error, J. W. Tukey, D. H. McLaughlin, "Less vulnerable
    confidence and significance procedures for location based on a single sample", Sankhya A 25,
    1963. Errors of dependent series from runs of them: E. Carlstein, "The use of subseries values
    for estimating the variance of a general statistic from a stationary sequence", Annals of
    Statistics 14, 1986; H. R. Kuensch, "The jackknife and the bootstrap for general stationary
    observations", Annals of Statistics 17, 1989. That restarts differ by layout: T. Mytkowicz and
    others, "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009.

    Args:
        restarts: of each restart, at least one, the ratio in each of its rounds, at least one.
    """
    logs = [np.log(np.asarray(ratios, dtype=np.float64)) for ratios in restarts]
    figures = [_trimmed_mean(rounds) for rounds in logs]
    count = len(figures)
    within = float(np.mean([_trimmed_error(rounds) ** 2 for rounds in logs]))
    layout = LAYOUT_FLOOR if count >= ENOUGH_RESTARTS else ASSUMED_LAYOUT
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt((within + layout**2) / count)
    if count >= ENOUGH_RESTARTS:
        spread = float(np.std(figures, ddof=1))
        reach = max(reach, student_quantile(count - 1) * spread / math.sqrt(count))
    centre = float(np.mean(figures))
    return Interval(
        value=math.exp(centre), low=math.exp(centre - reach), high=math.exp(centre + reach)
    )


def mean_of_restarts(figures: ArrayLike) -> Interval:
    """The geometric mean of one positive figure of each restart, with Student's interval.

    With fewer than five restarts their spread is assumed to be that of processes that ran at
    different times (`ASSUMED_SPREAD`).
    """
    logs = np.log(np.asarray(figures, dtype=np.float64))
    count, centre = len(logs), float(np.mean(logs))
    if count >= ENOUGH_RESTARTS:
        reach = student_quantile(count - 1) * float(np.std(logs, ddof=1)) / math.sqrt(count)
    else:
        reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * ASSUMED_SPREAD / math.sqrt(count)
    return Interval(
        value=math.exp(centre), low=math.exp(centre - reach), high=math.exp(centre + reach)
    )


@cache
def student_quantile(freedom: int) -> float:
    """What a Student-distributed figure stays within, either way, 99 times in 100.

    The distribution has a closed form for whole degrees of freedom (M. Abramowitz, I. A. Stegun,
    "Handbook of Mathematical Functions", 1964, 26.7.3 and 26.7.4).
    """

    def beyond(quarter: float) -> float:
        return CONFIDENCE - _student_within(quarter * math.pi / 2, freedom)

    return math.sqrt(freedom) * math.tan(_falling_root(beyond) * math.pi / 2)


def _student_within(angle: float, freedom: int) -> float:
    """The chance of a figure of at most sqrt(freedom) * tan(angle), either way."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for step in range(1 + odd, freedom, 2):
        total += term
        term *= step / (step + 1) * math.cos(angle) ** 2
    series = math.sin(angle) * total
    return (angle + series) * 2 / math.pi if odd else series


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    ordered = np.sort(values)
    cut = int(_TRIMMED * len(ordered))
    return float(np.mean(ordered[cut : len(ordered) - cut]))


def _trimmed_error(values: NDArray[np.float64]) -> float:
    """The standard error of the trimmed mean of values that may depend on their neighbours."""
    count = len(values)
    cut = int(_TRIMMED * count)
    ordered = np.sort(values)
    pulled_in = np.clip(values, ordered[cut], ordered[count - 1 - cut])
    runs = pulled_in[: count - count % _RUN_OF_ROUNDS].reshape(-1, _RUN_OF_ROUNDS).mean(axis=1)
    errors = [
        float(np.std(each, ddof=1)) / math.sqrt(len(each))
        for each in (pulled_in, runs)
        if len(each) > 1
    ]
    return max(errors, default=0.0) / (1 - 2 * _TRIMMED)


def _falling_root(function: Callable[[float], float]) -> float:
    """Where a function that falls over (0, 1) crosses zero, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _binomial_cdf(count: int, probability: float) -> NDArray[np.float64]:
    # P(at most k of `count`) for k = 0..count. In logarithms: (1 - p)^count underflows early.
    successes = np.arange(1, count + 1, dtype=np.float64)
    odds = math.log(probability) - math.log1p(-probability)
    steps = np.log(count - successes + 1) - np.log(successes) + odds
    log_mass = np.concatenate([[0.0], np.cumsum(steps)]) + count * math.log1p(-probability)
    cdf: NDArray[np.float64] = np.cumsum(np.exp(log_mass))
    return cdf


def _centre(processes: Sequence[ArrayLike]) -> float:
    return float(np.mean([_log_ordered(samples)[_median_rank(samples)] for samples in processes]))


def _deviations(
    processes: Sequence[ArrayLike], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Drawn centres less the observed one, in logarithms: (_DRAWS,)."""
    count = len(processes)
    chosen = generator.integers(count, size=(_DRAWS, count))
    medians = np.empty(chosen.shape)
    for index, samples in enumerate(processes):
        slots = chosen == index
        medians[slots] = _resampled_medians(samples, int(slots.sum()), generator)
    deviation: NDArray[np.float64] = medians.mean(axis=1) - _centre(processes)
    if count == 1:
        return deviation + generator.normal(0.0, ASSUMED_SPREAD, _DRAWS)
    # Drawing from `count` values underestimates their variance by (count - 1) / count.
    return deviation * math.sqrt(count / (count - 1))


def _resampled_medians(
    samples: ArrayLike, draws: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    # The median of n samples drawn with replacement is the sample at n·B, B being the median of
    # n uniform numbers, which is Beta distributed: exact, without drawing the n samples.
    ordered = _log_ordered(samples)
    count, rank = len(ordered), _median_rank(samples) + 1
    places = generator.beta(rank, count - rank + 1, draws)
    drawn: NDArray[np.float64] = ordered[(places * count).astype(np.intp).clip(max=count - 1)]
    return drawn


def _log_ordered(samples: ArrayLike) -> NDArray[np.float64]:
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    logs: NDArray[np.float64] = np.log(ordered.clip(min=_SHORTEST_S))
    return logs


def _median_rank(samples: ArrayLike) -> int:
    return (np.size(samples) + 1) // 2 - 1
