"""How rows take turns, and what becomes of those that do not end well."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pytest
from benches import SHORT, FakeWorker, make_opened, steady

from mnist_edge.bench import rounds
from mnist_edge.bench.rounds import Outcomes, measure_in_turns
from mnist_edge.bench.run import Run
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.turn import Block, Failure, Job, Turn
from mnist_edge.recipes.bench import BenchRecipe

pytestmark = pytest.mark.edge

LABELS = ("a", "b", "c")
ONE = dataclasses.replace(SHORT, processes=1, min_processes=1, batch_sizes=())


def job(artifact: str, **changes: object) -> Job:
    subject = dataclasses.replace(Subject(artifact=artifact, device="cpu"), **changes)  # type: ignore[arg-type]
    return Job(bundle="b", subject=subject)


class Table:
    """Workers that note whose turn it is.

    Args:
        fails: what a worker answers to a turn instead, by label and number of the turn.
        run_s: of every picture.
    """

    def __init__(
        self,
        fails: Mapping[str, Mapping[int, Failure | BaseException]] | None = None,
        *,
        run_s: float = 1e-5,
        resident_bytes: int = 1 << 20,
    ) -> None:
        self.turns: list[tuple[str, Turn]] = []
        self.workers: list[FakeWorker] = []
        self.alive = self.most_alive = 0
        self._fails, self._run_s, self._resident_bytes = fails or {}, run_s, resident_bytes

    def start(self, job: Job) -> FakeWorker:
        table, name = self, job.subject.artifact

        class Noted(FakeWorker):
            def take(self, turn: Turn) -> Block | Failure:
                table.turns.append((name, turn))
                return super().take(turn)

            def end(self) -> None:
                table.alive -= not self.ended
                super().end()

        worker = Noted(
            job,
            steady(self._run_s, seed=len(self.workers)),
            opened=make_opened(resident_bytes=self._resident_bytes),
            fails=self._fails.get(name),
        )
        self.workers.append(worker)
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        return worker

    def measure(
        self,
        recipe: BenchRecipe = SHORT,
        labels: tuple[str, ...] = LABELS,
        room: Callable[[], int] = lambda: 0,
    ) -> Outcomes:
        steps = measure_in_turns(
            {label: job(label) for label in labels},
            recipe,
            failures={},
            start=self.start,
            room=room,
        )
        *_, last = steps
        return last


def runs(outcome: Failure | tuple[Run, ...]) -> tuple[Run, ...]:
    assert not isinstance(outcome, Failure), outcome
    return outcome


def in_rounds(table: Table) -> list[list[str]]:
    turns = [name for name, turn in table.turns if turn.settle == SHORT.settle_runs]
    return [turns[start : start + 3] for start in range(0, len(turns), 3)]


def test_every_row_has_exactly_one_turn_a_round_in_an_order_of_chance() -> None:
    table = Table()
    table.measure(ONE)
    orders = in_rounds(table)
    assert len(orders) >= ONE.min_runs // ONE.block_runs
    assert all(sorted(order) == list(LABELS) for order in orders)
    assert len(set(map(tuple, orders))) > 1


def test_the_order_depends_on_the_seed_alone() -> None:
    orders = []
    for seed in (5, 5, 6):
        table = Table()
        table.measure(dataclasses.replace(ONE, seed=seed))
        orders.append(in_rounds(table)[:10])
    assert orders[0] == orders[1] != orders[2]


def test_turns_are_alike_for_all_rows() -> None:
    table = Table()
    table.measure(ONE)
    singles = {turn for _, turn in table.turns if turn.settle}
    assert singles == {Turn(settle=ONE.settle_runs, runs=ONE.block_runs)}


def test_a_restart_gives_every_row_a_fresh_worker_on_the_same_other_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "cores_alike", lambda: (4, 7))
    table = Table()
    found = table.measure(dataclasses.replace(SHORT, processes=3))
    cores = [[run.core for run in runs(outcome)] for outcome in found.values()]
    assert cores == [[4, 7, 4]] * 3
    assert len(table.workers) == 9
    assert all(worker.ended for worker in table.workers)


def test_a_row_of_several_threads_is_kept_on_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "cores_alike", lambda: (4,))
    table = Table()
    *_, found = measure_in_turns(
        {"one": job("a"), "two": job("a", threads=2)}, ONE, failures={}, start=table.start
    )
    assert [runs(found[label])[0].core for label in ("one", "two")] == [4, None]


def test_the_first_runs_of_a_turn_are_kept_apart() -> None:
    found = Table().measure(ONE)
    turns = runs(found["a"])[0].single.turns
    assert min(turns.first_s) > 4 * max(turns.medians_s)
    assert max(runs(found["a"])[0].single.samples_s) < 2e-5


def test_slow_rows_have_shorter_turns_so_that_several_rounds_fit() -> None:
    table = Table(run_s=0.1)
    found = table.measure(dataclasses.replace(ONE, duration_s=1.0, min_runs=60))
    assert len(runs(found["a"])[0].single.turns.medians_s) >= 3
    assert {turn.runs for _, turn in table.turns if turn.settle} == {3}


@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_worker_that_dies_is_a_row_with_its_reason_and_the_others_go_on(at: int) -> None:
    table = Table({"b": {at: Failure(reason="the process ended with signal SIGKILL")}})
    found = table.measure()
    assert found["b"] == Failure(reason="the process ended with signal SIGKILL")
    assert len(runs(found["a"])) == len(runs(found["c"])) == SHORT.processes
    assert [worker.job.subject.artifact for worker in table.workers].count("b") == 1
    rounds_of = [len(runs(found[label])[0].single.turns.medians_s) for label in ("a", "c")]
    assert rounds_of[0] == rounds_of[1]


def test_where_all_rows_fail_nothing_is_waited_for() -> None:
    table = Table({label: {0: Failure(reason="no")} for label in LABELS})
    assert all(isinstance(outcome, Failure) for outcome in table.measure().values())
    assert len(table.workers) == 3


def until_stopped(table: Table) -> Outcomes:
    """What is known when Ctrl-C ends it."""
    steps = measure_in_turns(
        {label: job(label) for label in LABELS}, SHORT, failures={}, start=table.start
    )
    last: Outcomes = {}
    try:
        for outcomes in steps:
            last = dict(outcomes)
    except KeyboardInterrupt:
        return last
    raise AssertionError("it was not stopped")


def test_ctrl_c_keeps_what_there_is() -> None:
    table = Table({"b": {9: KeyboardInterrupt()}})
    last = until_stopped(table)
    counts = {
        label: [len(run.single.turns.medians_s) for run in runs(found)]
        for label, found in last.items()
    }
    # Its first turn was the warm-up, and in its tenth it was stopped.
    assert counts == {label: [8] for label in LABELS}
    assert all(worker.ended for worker in table.workers)


def test_what_was_stopped_before_its_first_turn_is_named() -> None:
    table = Table({"b": {0: KeyboardInterrupt()}})
    last = until_stopped(table)
    stopped = Failure(status="left out", reason="stopped before it had its first turn")
    assert last == dict.fromkeys(LABELS, stopped)


def test_more_rows_than_memory_holds_sit_down_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "starts_at_once", lambda: 1)
    table = Table(resident_bytes=100)
    labels = tuple("abcde")
    found = table.measure(ONE, labels, lambda: 250 - 100 * table.alive)
    assert table.most_alive == 2
    groups = [runs(found[label])[0].beside for label in labels]
    assert sorted(groups) == [0, 0, 1, 1, 2]


def test_a_row_that_fits_alone_only_is_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "starts_at_once", lambda: 1)
    table = Table(resident_bytes=100)
    found = table.measure(ONE, LABELS, lambda: 1)
    assert table.most_alive == 1
    assert {len(runs(outcome)) for outcome in found.values()} == {1}


def test_what_a_short_look_has_no_time_for_is_left_out_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "starts_at_once", lambda: 1)
    table = Table()
    recipe = dataclasses.replace(
        ONE, processes=5, min_processes=1, budget_s=10.0, may_leave_out=True
    )
    late = iter([True, True, False])
    monkeypatch.setattr("mnist_edge.bench.budget.Budget.may_start", lambda _: next(late, True))
    found = table.measure(recipe)
    (left_out,) = (f for f in found.values() if isinstance(f, Failure))
    assert left_out.status == "left out"
    assert "no time was left for it within 10 s; measure without --quick" in left_out.reason
