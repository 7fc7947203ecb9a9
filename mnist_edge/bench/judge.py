"""Whether a measurement may be believed, and which of two is faster."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mnist_edge.bench.measure import Run
from mnist_edge.bench.report import Measurement, Validity, Verdict, Word
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.formats import FORMATS
from mnist_edge.machine import Machine
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import Device
from mnist_edge.stats import Interval, is_steady, ratio_of_medians, samples_needed

_ENOUGH_PROCESSES = 3
# A quantized net names a few digits in a thousand otherwise; more, and it is another net.
_MOST_FLIPS = 0.05
_MOST_SPREAD = 0.10
_MOST_TIMER_OVERHEAD = 0.05
_SLOW_GOVERNORS = ("powersave", "conservative")


def judge(
    artifact: Artifact,
    runs: Sequence[Run],
    percentiles_s: dict[str, Interval],
    *,
    device: Device = "cpu",
) -> tuple[Validity, tuple[str, ...]]:
    """Whether the figures of one row may be believed, and each reason why not, with advice.

    What all rows have in common is left to `common_doubts`.
    """
    errors = _errors(artifact, runs, percentiles_s, device)
    if errors:
        return "INVALID", errors
    doubts = _sample_doubts(runs, percentiles_s)
    return ("SUSPECT" if doubts else "VALID"), doubts


def common_doubts(
    machine: Machine, recipe: BenchRecipe, load: tuple[float, ...]
) -> tuple[str, ...]:
    """What is to be doubted of every row: the machine, and how it was asked."""
    doubts = []
    if recipe.processes < _ENOUGH_PROCESSES:
        doubts.append(
            f"{recipe.processes} of the {_ENOUGH_PROCESSES} processes that show how much processes "
            "differ; raise --processes"
        )
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
    """Whether one row is faster or slower than another, both usable."""
    ratio = ratio_of_medians(
        [run.single.samples_s for run in row.runs],
        [run.single.samples_s for run in against.runs],
        seed=seed,
    )
    word: Word = "indistinguishable"
    if ratio.low > 1:
        word = "slower"
    elif ratio.high < 1:
        word = "faster"
    return Verdict(row=row.label, against=against.label, ratio=ratio, word=word)


def _errors(
    artifact: Artifact, runs: Sequence[Run], percentiles_s: dict[str, Interval], device: Device
) -> tuple[str, ...]:
    errors = []
    if not artifact.parity.passed:
        errors.append(f"it failed parity ({artifact.parity.reason}); export it again")
    gate = FORMATS[artifact.format].gate(artifact.precision, device)
    error = max(run.single.max_abs_error for run in runs)
    # Twice what it was off by when it was verified is no longer rounding.
    allowed = max(gate.max_abs_error, 2 * artifact.parity.max_abs_error)
    if error > allowed:
        errors.append(f"its logits were off by {error:.1e}, allowed are {allowed:.0e}")
    flips, digits = max((run.single.flips, run.single.digits) for run in runs)
    if flips > _MOST_FLIPS * digits:
        errors.append(f"it named {flips} of {digits} digits otherwise than the reference")
    if "p50" not in percentiles_s:
        errors.append(f"fewer than {samples_needed(0.5)} timed runs; raise --min-runs")
    return tuple(errors)


def _sample_doubts(runs: Sequence[Run], percentiles_s: dict[str, Interval]) -> tuple[str, ...]:
    doubts = []
    unsteady = sum(not is_steady(run.single.samples_s) for run in runs)
    if unsteady:
        doubts.append(f"not steady in {unsteady} of {len(runs)} processes; raise --warmup")
    medians = [statistics.median(run.single.samples_s) for run in runs]
    if max(medians) > (1 + _MOST_SPREAD) * min(medians):
        spread = max(medians) / min(medians) - 1
        doubts.append(f"the medians of its processes differ by {spread:.0%}; raise --processes")
    if "p99" not in percentiles_s:
        doubts.append(f"fewer than {samples_needed(0.99)} samples for p99; raise --min-runs")
    overhead = max(run.timer_overhead_s for run in runs)
    if overhead > _MOST_TIMER_OVERHEAD * min(medians):
        doubts.append(f"the clock itself takes {overhead / min(medians):.0%} of a run")
    return tuple(doubts)
