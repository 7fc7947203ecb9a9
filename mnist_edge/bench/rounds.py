"""Rounds: each row has one short turn in every round, in random order, beside all the others.

So a machine that is slow for a while is slow for all of them, and the ratio of two rows is taken
within each round. What only a fresh process shows, where the linker and the allocator put things
and what a first answer takes, comes from starting all workers anew several times.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TypeAlias

from mnist_edge.bench.apart import start_apart
from mnist_edge.bench.budget import ENERGY_S, Budget, starts_at_once
from mnist_edge.bench.energy import Meter
from mnist_edge.bench.run import Run
from mnist_edge.bench.seat import Seat
from mnist_edge.bench.surroundings import Watch, available_bytes, cores_alike
from mnist_edge.bench.turn import Block, Failure, Job, Turn, Worker
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.bench import BenchRecipe

Outcomes: TypeAlias = dict[str, Failure | tuple[Run, ...]]
"""By label: the runs of its processes so far, or why there are none."""

Start: TypeAlias = Callable[[Job], Worker]

# Of the memory that the largest worker so far has held, before the next one is started.
_ROOM = 1.25
# Batches in a turn, after one that settles. In its first turn a runtime plans and allocates for the
# new size, some only in the second batch.
_BATCHES = 2
_SETTLING, _PLANNING = 1, 2
# Where a round of slow rows leaves no time for so many, its turns are made shorter.
_WANTED_ROUNDS = 8
_FEWEST = Turn(settle=1, runs=3)


def measure_in_turns(
    jobs: Mapping[str, Job],
    recipe: BenchRecipe,
    *,
    failures: Mapping[str, Failure],
    start: Start = start_apart,
    progress: Progress = silent,
    watch: Watch | None = None,
    meters: Mapping[str, Meter] | None = None,
    room: Callable[[], int] = available_bytes,
) -> Iterator[Outcomes]:
    """Carry out jobs beside each other.

    Args:
        jobs: by label; they need not be of one bundle.
        recipe: how.
        failures: of those that need not be tried.
        start: gives each job its worker; by default a fresh process.
        progress: told after each start and each round, in workers.
        watch: looks at the machine between the rounds.
        meters: of energy, by label, where there is one.
        room: bytes of memory that are free; 0 where unknown.

    Yields:
        After each restart, and at Ctrl-C, what is known by then of each label.
    """
    table = _Table(jobs, recipe, failures, start, progress, watch or Watch(), meters or {}, room)
    try:
        for index in range(recipe.processes):
            if index >= table.budget.restarts or not table.standing:
                break
            table.restart(index)
            yield table.outcomes
        table.done()
    except (Exception, GeneratorExit):
        raise
    except BaseException:  # Ctrl-C, or whatever a caller makes of a signal
        table.keep_what_there_is()
        yield table.outcomes
        raise
    finally:
        table.end()


class _Table:
    """All rows of one benchmark, and the workers that sit at it just now."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        recipe: BenchRecipe,
        failures: Mapping[str, Failure],
        start: Start,
        progress: Progress,
        watch: Watch,
        meters: Mapping[str, Meter],
        room: Callable[[], int],
    ) -> None:
        self.outcomes: Outcomes = {label: failures.get(label, ()) for label in jobs}
        self.budget = Budget(recipe, len(self.standing))
        self._jobs, self._recipe, self._start = jobs, recipe, start
        self._progress, self._watch, self._meters, self._room = progress, watch, meters, room
        self._shuffle = random.Random(recipe.seed)  # noqa: S311  (an order, not a secret)
        self._began_ns = time.monotonic_ns()
        self._workers: list[Worker] = []
        self._seats: dict[str, Seat] = {}
        self._largest_bytes = 0
        self._beside = 0
        self._told = 0.0
        self._index = 0

    @property
    def standing(self) -> list[str]:
        """Labels of the rows that have not failed."""
        return [label for label, known in self.outcomes.items() if not isinstance(known, Failure)]

    def restart(self, index: int) -> None:
        """Start a worker for every row, let them take turns, and end them."""
        self._index, self._beside, self._told = index, 0, 0.0
        cores = cores_alike()
        core = cores[index % len(cores)] if cores else None
        waiting = self.standing
        self._shuffle.shuffle(waiting)
        # Two at a time start beside one that takes as long.
        waiting.sort(key=lambda label: self._jobs[label].subject.needs_torch)
        while waiting:
            waiting = self._seat(waiting, core)
            self._warm_up()
            self._take_rounds()
            self._sweep()
            self._leave()
            self._beside += 1
        self.budget.restarted()

    def done(self) -> None:
        """Tell that nothing is left to do."""
        whole = self.budget.restarts * max(1, len(self.standing))
        self._progress(whole, whole)

    def keep_what_there_is(self) -> None:
        """Make the most of a restart that was broken off."""
        self._leave()
        for label, known in self.outcomes.items():
            if known == ():
                self.outcomes[label] = Failure(
                    status="left out", reason="stopped before it had its first turn"
                )

    def end(self) -> None:
        """End all workers, whatever they are doing."""
        if self._workers:
            with ThreadPoolExecutor(len(self._workers)) as pool:
                list(pool.map(lambda worker: worker.end(), self._workers))
        self._workers.clear()

    def _seat(self, waiting: Sequence[str], core: int | None) -> list[str]:
        """Start the workers that memory holds; gives those that have to wait for the next group."""
        left: list[str] = []
        lock = threading.Lock()
        pending: set[str] = set()

        def begin(label: str) -> Failure | Seat | None:
            with lock:
                if not self.budget.may_start():
                    limit = f"{self._recipe.budget_s:g} s"
                    reason = f"no time was left for it within {limit}; measure without --quick"
                    return Failure(status="left out", reason=reason)
                if not self._fits(len(pending)) and (pending or self._seats):
                    return None
                pending.add(label)
            job = self._jobs[label]
            # Several threads would take turns on one core, and nothing else could be told.
            own = core if job.subject.threads == 1 else None
            worker = self._start(replace(job, core=own, memory_bytes=self._room()))
            self._workers.append(worker)
            opened = worker.open()
            with lock:
                pending.discard(label)
                if isinstance(opened, Failure):
                    return opened
                self._largest_bytes = max(self._largest_bytes, opened.resident_bytes)
                seat = Seat(worker=worker, opened=opened, core=own)
                self._seats[label] = seat
            return seat

        with ThreadPoolExecutor(starts_at_once()) as pool:
            begun = {pool.submit(begin, label): label for label in waiting}
            try:
                for future in as_completed(begun):
                    found, label = future.result(), begun[future]
                    if found is None:
                        left.append(label)
                    elif isinstance(found, Failure):
                        self._fail(label, found)
                    self._tell(label, 0.5 / len(self._jobs))
                    self._watch.look()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.end()  # so that nobody waits for them
                raise
        # Whoever was ready first: the order of the turns follows from the seed alone.
        self._seats = {label: self._seats[label] for label in waiting if label in self._seats}
        return [label for label in waiting if label in left]

    def _fits(self, pending: int) -> bool:
        free = self._room()
        return not free or free > _ROOM * self._largest_bytes * (1 + pending)

    def _warm_up(self) -> None:
        turn = Turn(runs=max(1, self._recipe.warmup_runs), seconds=self._recipe.warmup_s)
        for label, block in self._round(turn):
            self._seats[label].warmup = block

    def _take_rounds(self) -> None:
        recipe = self._recipe
        lasting_s = self.budget.for_rounds_s(len(self._seats), self._sweep_s())
        turn = self._fitted(lasting_s)
        fewest = -(-recipe.min_runs // turn.runs)
        begin_s = time.monotonic()
        rounds = 0
        while self._seats and (rounds < fewest or time.monotonic() - begin_s < lasting_s):
            for label, block in self._round(turn):
                self._seats[label].singles.append(block)
            rounds += 1
            passed = (time.monotonic() - begin_s) / max(lasting_s, 1e-9)
            self._tell(f"round {rounds}", 0.5 + 0.5 * min(passed, rounds / fewest, 1.0), at=True)
        self.budget.took_turns(time.monotonic() - begin_s)

    def _fitted(self, lasting_s: float) -> Turn:
        """A turn so short that several rounds of all rows fit."""
        turn = Turn(settle=self._recipe.settle_runs, runs=self._recipe.block_runs)
        run_s = sum(seat.run_s for seat in self._seats.values())
        while (
            turn.runs > _FEWEST.runs
            and run_s * (turn.settle + turn.runs) * _WANTED_ROUNDS > lasting_s
        ):
            turn = Turn(
                settle=max(_FEWEST.settle, turn.settle // 2),
                runs=max(_FEWEST.runs, turn.runs // 2),
            )
        return turn

    def _sweep(self) -> None:
        """All else that is asked of each row: batches, fixed rates, the device's clock, energy."""
        recipe = self._recipe
        for size in recipe.batch_sizes:
            for seat in self._seats.values():
                seat.batches[size] = []
            # A batch of one is a single picture.
            for index in range(-(-recipe.sweep_runs // _BATCHES) if size > 1 else 0):
                settle = _SETTLING if index else _PLANNING
                turn = Turn(settle=settle, runs=_BATCHES, batch_size=size)
                batched = [k for k, seat in self._seats.items() if seat.opened.batch_invariant]
                for label, block in self._round(turn, only=batched):
                    self._seats[label].batches[size].append(block)
        for rate in recipe.rates:
            runs = max(recipe.sweep_runs, round(rate * recipe.sweep_s))
            for label, block in self._round(Turn(kind="paced", runs=runs, rate=rate)):
                self._seats[label].paced[rate] = block
        on_device = [label for label, seat in self._seats.items() if seat.opened.resident]
        for size in recipe.batch_sizes if on_device else ():
            turn = Turn(kind="resident", runs=recipe.min_runs, batch_size=size)
            for label, block in self._round(turn, only=on_device):
                self._seats[label].resident[size] = [block]
        for label in [label for label in self._seats if label in self._meters]:
            self._meter(label)

    def _sweep_s(self) -> float:
        """About how long that will take."""
        recipe = self._recipe
        batches = _PLANNING + recipe.sweep_runs * (_SETTLING + _BATCHES) / _BATCHES
        pictures = batches * sum(recipe.batch_sizes)
        return sum(
            pictures * seat.run_s * seat.opened.batch_invariant
            + recipe.sweep_s * len(recipe.rates)
            + ENERGY_S * (label in self._meters)
            for label, seat in self._seats.items()
        )

    def _meter(self, label: str) -> None:
        seat = self._seats[label]
        turn = Turn(seconds=ENERGY_S)
        block, joules = self._meters[label].spent(lambda: seat.worker.take(turn))
        if isinstance(block, Failure):
            self._fail(label, block)
        else:
            seat.joules = joules / len(block.samples_ns)

    def _round(
        self, turn: Turn, *, only: Collection[str] | None = None
    ) -> Iterator[tuple[str, Block]]:
        """One turn of each row, in random order; one that fails is out."""
        order = list(self._seats if only is None else only)
        self._shuffle.shuffle(order)
        for label in order:
            block = self._seats[label].worker.take(turn)
            if isinstance(block, Failure):
                self._fail(label, block)
            else:
                yield label, block
        self._watch.look()

    def _fail(self, label: str, failure: Failure) -> None:
        self.outcomes[label] = failure
        seat = self._seats.pop(label, None)
        if seat:
            seat.worker.end()

    def _leave(self) -> None:
        """End the workers of this group, and keep what they have measured."""
        rounds = min((len(seat.singles) for seat in self._seats.values()), default=0)
        for label, seat in self._seats.items():
            known = self.outcomes[label]
            if rounds and seat.warmup and not isinstance(known, Failure):
                keep = self._recipe.keep_samples
                run = seat.run(self._began_ns, beside=self._beside, rounds=rounds, keep=keep)
                self.outcomes[label] = (*known, run)
        self._seats.clear()
        self.end()

    def _tell(self, note: str, share: float, *, at: bool = False) -> None:
        """Say how far this restart has got: `share` of it more, or `share` of it in all."""
        self._told = min(1.0, max(self._told, share) if at else self._told + share)
        count = max(1, len(self.standing))
        done = (self._index + self._told) * count
        whole = self.budget.restarts * count
        self._progress(min(int(done), whole - 1), whole, note)
