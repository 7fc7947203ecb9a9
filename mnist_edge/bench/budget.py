"""How the time of a benchmark is divided: restarts, rounds between them, and what else it asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mnist_edge.bench.subject import Subject
from mnist_edge.machine import usable_threads
from mnist_edge.recipes.bench import BenchRecipe

# More starts at once than this would wait for the disk and for each other.
_MOST_AT_ONCE = 4
# Of the whole, for starting workers: what is left must do for their turns.
_TO_START = 0.65
# What a start takes about, torch's import included or not, on a machine of 2023.
_START_S, _TORCH_START_S = 0.5, 2.4
ENERGY_S = 0.3


def starts_at_once() -> int:
    """How many workers are started at the same time, which their first answers are measured in."""
    return min(usable_threads(), _MOST_AT_ONCE)


def expected_s(subjects: Sequence[Subject], recipe: BenchRecipe) -> float:
    """About how long a benchmark will take, told before anything has been started."""
    starts_s = sum(_TORCH_START_S if s.needs_torch else _START_S for s in subjects)
    turns_s = recipe.warmup_s + recipe.duration_s + recipe.sweep_s * len(recipe.rates)
    one_s = starts_s / starts_at_once() + len(subjects) * turns_s
    if not recipe.budget_s:
        return recipe.processes * one_s
    # Rounds are given what is left of the budget; fewer restarts than these there cannot be.
    fewest_s = recipe.min_processes * starts_s / starts_at_once()
    return min(recipe.processes * one_s, max(recipe.budget_s, fewest_s))


class Budget:
    """Says how many restarts there are, and until when each may go on with its rounds.

    Args:
        recipe: its `budget_s` is for all restarts together; without one each lasts as long as
            `duration_s` asks.
        rows: how many there are.
        clock: seconds from any fixed point.
    """

    def __init__(
        self, recipe: BenchRecipe, rows: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._recipe, self._rows, self._clock = recipe, rows, clock
        self._begin_s = self._restart_s = clock()
        self._besides_s = 0.0  # of one restart, without its rounds
        self._rounds_s = 0.0  # of this one, so far
        self._done = 0
        self.restarts = recipe.processes

    def may_start(self) -> bool:
        """Whether there is time for one more worker, or it has to be left out."""
        if not self._recipe.may_leave_out or self._done:
            return True
        return self._clock() - self._begin_s < _TO_START * self._recipe.budget_s

    def for_rounds_s(self, rows: int, sweep_s: float) -> float:
        """How long some of the rows may take turns now, all of them having been started.

        Args:
            rows: how many of them.
            sweep_s: what all else that is asked of them will take, about.
        """
        now_s, budget_s = self._clock(), self._recipe.budget_s
        wanted_s = self._recipe.duration_s * rows
        if not budget_s:
            return wanted_s
        share = rows / self._rows
        # Where memory holds some of the rows only, the others will take as much each.
        if not self._done:
            self._besides_s = (now_s - self._restart_s + sweep_s) / share
            fitting = int(_TO_START * budget_s / max(self._besides_s, 1e-9))
            self.restarts = min(self.restarts, max(fitting, self._recipe.min_processes))
        left = self.restarts - self._done
        free_s = budget_s - (now_s - self._begin_s) - (left - 1) * self._besides_s - sweep_s
        return min(wanted_s, max(0.0, free_s * share / left))

    def took_turns(self, seconds: float) -> None:
        """Be told how long they did."""
        self._rounds_s += seconds

    def restarted(self) -> None:
        """Be told that a restart is over, so that the next ones are judged by it."""
        now_s = self._clock()
        self._besides_s = now_s - self._restart_s - self._rounds_s
        self._restart_s, self._rounds_s = now_s, 0.0
        self._done += 1
