"""Whether a measurement may be believed, and which of two is faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bench.report import Measurement, Verdict, Word
from mnist_edge.bench.run import Run
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.machine import Machine
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.stats import Interval, ratio_of_medians, ratio_of_turns, samples_needed

_SLOW_GOVERNORS = ("powersave", "conservative")
# A coarse clock may show a duration of 0, which has no logarithm.
_SHORTEST_S = 1e-9

Medians = Callable[[Run], Sequence[float]]
"""The durations of a process's turns, in the order of the rounds."""


def errors(
    artifact: Artifact, runs: Sequence[Run], percentiles_s: dict[str, Interval]
) -> tuple[str, ...]:
    """Why the figures of one row are none, each with advice."""
    found = []
    if not artifact.parity.passed:
        found.append(f"it failed parity ({artifact.parity.reason}); export it again")
    if fault := next((run.single.fault for run in runs if run.single.fault), ""):
        found.append(f"its answers here are not the checkpoint's ({fault}); see mnist-edge doctor")
    if "p50" not in percentiles_s:
        found.append(f"fewer than {samples_needed(0.5)} timed runs; raise --min-runs")
    return tuple(found)


def machine_doubts(
    machine: Machine, recipe: BenchRecipe, load: tuple[float, ...]
) -> tuple[str, ...]:
    """What is to be doubted of every row before anything has run."""
    doubts = []
    threads = max((recipe.threads, *recipe.sweep_threads))
    if machine.quota is not None and machine.quota < threads:
        doubts.append(
            f"a quota of {machine.quota:g} processors throttles {threads} "
            f"thread{'s' * (threads > 1)}; raise the quota or lower --threads"
        )
    elif threads > machine.usable_threads:
        doubts.append(f"{threads} threads where {machine.usable_threads} can run; lower --threads")
    elif load and load[0] + recipe.threads > machine.usable_threads:
        doubts.append(
            f"a load of {load[0]:.1f} leaves too few of {machine.usable_threads} processors free; "
            "wait for other programs to end"
        )
    if machine.governor in _SLOW_GOVERNORS:
        doubts.append(f"the frequency governor is {machine.governor}; set it to performance")
    return tuple(doubts)


def verdict(row: Measurement, against: Measurement, seed: int) -> Verdict:
    """Whether one row of a report is faster or slower than another one, both usable."""
    ratio = ratio_in_turns(row.runs, against.runs, single_medians)
    return _worded(row, against, ratio) if ratio else verdict_apart(row, against, seed)


def verdict_apart(row: Measurement, against: Measurement, seed: int) -> Verdict:
    """The same of rows that were not measured beside each other: of two reports, say."""
    ratio = ratio_of_medians(
        [run.single.samples_s for run in row.runs],
        [run.single.samples_s for run in against.runs],
        seed=seed,
    )
    return _worded(row, against, ratio)


def _worded(row: Measurement, against: Measurement, ratio: Interval) -> Verdict:
    word: Word = "indistinguishable"
    if ratio.low > 1:
        word = "slower"
    elif ratio.high < 1:
        word = "faster"
    return Verdict(row=row.label, against=against.label, ratio=ratio, word=word)


def single_medians(run: Run) -> Sequence[float]:
    """Of turns of single pictures."""
    return run.single.turns.medians_s


def ratio_in_turns(
    candidate: Sequence[Run], baseline: Sequence[Run], medians_s: Medians
) -> Interval | None:
    """How many times as long the candidate takes; None where the two never took turns.

    Args:
        candidate: the processes of a row, restart by restart.
        baseline: those of another row of the same report.
        medians_s: what is compared of each.
    """
    ratios = [
        found
        for mine, other in zip(candidate, baseline, strict=False)
        if mine.beside == other.beside and len(found := _ratios(medians_s(mine), medians_s(other)))
    ]
    return ratio_of_turns(ratios) if ratios else None


def _ratios(candidate: Sequence[float], baseline: Sequence[float]) -> NDArray[np.float64]:
    rounds = min(len(candidate), len(baseline))
    above, below = (
        np.asarray(side[:rounds], np.float64).clip(min=_SHORTEST_S)
        for side in (candidate, baseline)
    )
    ratios: NDArray[np.float64] = above / below
    return ratios
