"""Does the benchmark see what is there, and nothing else, whatever else the machine does?

    python benchmarks/selftest.py [--bundle exports/default] [--rounds 20] [--condition NAME]

In each round four rows take turns, for as long as `bench --quick` lasts: one artifact, the same
again, and the same with every run made to take 5 and 20 % longer. Under each condition, of 20
rounds: the second must come out "indistinguishable" and the 20 % "slower", at 99 %, in at least 19;
the 5 % in at least 19 of an idle machine and in 15 otherwise. Beside each verdict stands the one
that the same samples give when the process is the unit, as it was before rows took turns. All of it
takes about 25 minutes.

The conditions, each as far as the system lets a program choose its processor:

    idle             nothing of ours runs beside it
    other core       a busy loop on another processor than the benchmark's
    same core        a busy loop on the benchmark's own, and only, processor
    comes and goes   a busy loop on each processor, for 0.1 to 1.5 s at a time
    clock steps      every run takes 1, 1.25 or 1.6 times its time, changing every 50 to 500 ms
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from counter import count_restarts
from runs import RESULTS

from mnist_edge.bench.apart import Process, Program, start_apart
from mnist_edge.bench.report import BenchReport, Verdict, Word
from mnist_edge.bench.rounds import Start
from mnist_edge.bench.selftest import SelfTest, self_test
from mnist_edge.bench.turn import Job, Worker
from mnist_edge.bench.worker import Loaded, load_artifact, serve
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.contract import Images, Logits
from mnist_edge.formats import Backend
from mnist_edge.machine import load_average
from mnist_edge.recipes.bench import SELF_TEST_RECIPE
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.render.bench import listed
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.stats import Interval

HERE = Path(__file__).resolve().parent
# Of the rounds, at least: two equal things alike, a fifth, a twentieth where idle and elsewhere.
QUIET, FOUND, SLIGHT_IDLE, SLIGHT = 0.95, 0.95, 0.95, 0.75

_BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
_COMES_AND_GOES = """
import os, random, sys, time
chance, parent = random.Random(int(sys.argv[1])), os.getppid()
while os.getppid() == parent:
    end = time.monotonic() + chance.uniform(0.1, 1.5)
    while time.monotonic() < end: sum(range(10_000))
    time.sleep(chance.uniform(0.1, 1.5))
"""
_CLOCKS = (1.0, 1.25, 1.6)
_STEPS = 20_000


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What goes on beside the benchmark.

    Attributes:
        name: of it.
        around: makes it so, and undoes it at the end.
        start: of each worker.
    """

    name: str
    around: Callable[[], AbstractContextManager[object]]
    start: Start = start_apart


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All rounds under one condition.

    Attributes:
        load: of the machine at its beginning, over the last minute.
        planted: the shares by which rows were slowed down, in the order of the verdicts.
        rounds: of each, the verdicts on the same again, on the fifth and on the twentieth.
        apart: the same with the process as the unit.
        doubts: what disturbed the last round.
    """

    condition: str
    load: float
    planted: tuple[float, float, float]
    rounds: tuple[tuple[Verdict, ...], ...]
    apart: tuple[tuple[Verdict, ...], ...]
    doubts: tuple[str, ...]


def main() -> None:
    options = _options()
    if options.worker:
        sys.exit(serve(_load_stepped))
    bundle = open_bundle(options.bundle)
    outcomes: list[Outcome] = []
    for condition in CONDITIONS:
        if options.conditions and condition.name not in options.conditions:
            continue
        print(f"{condition.name}:", file=sys.stderr)
        load = (load_average() or (0.0,))[0]
        with condition.around():
            tested = self_test(
                bundle,
                options.artifact,
                SELF_TEST_RECIPE,
                rounds=options.rounds,
                progress=count_restarts,
                start=condition.start,
            )
        print(file=sys.stderr)
        outcomes.append(_outcome(condition, load, tested))
        text = _write(outcomes, tested.report, options.out)
    print(text)
    sys.exit(not all(met(outcome) for outcome in outcomes))


def _write(outcomes: list[Outcome], report: BenchReport, out: Path | None) -> str:
    """Keep what there is after each condition, for the next one takes minutes."""
    path, text = out or RESULTS / _name(report), page(outcomes, report)
    written = {"recipe": report.recipe, "machine": report.machine, "outcomes": outcomes}
    atomic_write(path, codec.join_numbers(codec.dumps(written)).encode())
    atomic_write(path.with_suffix(".md"), text.encode())
    return text


def met(outcome: Outcome) -> bool:
    """Whether enough of its rounds were judged rightly."""
    return all(
        count >= share * len(outcome.rounds)
        for count, share in zip(counts(outcome.rounds), _shares(outcome), strict=True)
    )


def counts(rounds: tuple[tuple[Verdict, ...], ...]) -> tuple[int, ...]:
    """How many verdicts were right: on the same again, the fifth, the twentieth."""
    right: tuple[Word, ...] = ("indistinguishable", "slower", "slower")
    return tuple(
        sum(verdict.word == word for verdict in same)
        for same, word in zip(zip(*rounds, strict=True), right, strict=True)
    )


def page(outcomes: list[Outcome], report: BenchReport) -> str:
    """Claim, machine, n, every condition, and every round."""
    machine, recipe = report.machine, report.recipe
    count = len(outcomes[0].rounds)
    facts = [
        f"Machine: {machine.processor}, {machine.usable_threads} usable threads",
        (
            f"System: {machine.system}, {machine.python}, "
            f"onnxruntime {report.versions.get('onnxruntime', NOTHING)}"
        ),
        (
            f"n = {count} rounds a condition, of 4 rows and up to {recipe.processes} restarts in "
            f"{recipe.budget_s:g} s"
        ),
        *(
            f"{outcome.condition}: load {outcome.load:.1f} before it; "
            f"{'; '.join(outcome.doubts) or 'nothing disturbed its last round'}"
            for outcome in outcomes
        ),
    ]
    told = " and ".join(outcome.condition for outcome in outcomes if not met(outcome))
    claim = f"not enough of them under: {told}" if told else "enough of them under every condition"
    return (
        f"# The benchmark, benchmarked\n\nOf {count} rounds each, verdicts that were right: "
        f"{claim}. In turns, and beside it what the same samples say where the process is the "
        f"unit; ± is half of the 99 % interval's width, the median of the rounds; load is that of "
        f"the machine, ours and others', in the minute before.\n\n"
        f"{markdown(_summary(outcomes))}\n{listed(facts)}\n## Every round\n\n"
        f"{markdown(_rounds(outcomes))}"
    )


def _summary(outcomes: list[Outcome]) -> Table:
    rows = []
    for outcome in outcomes:
        asked = [f"{share * len(outcome.rounds):.0f}" for share in _shares(outcome)]
        for method, rounds in (("in turns", outcome.rounds), ("process as unit", outcome.apart)):
            cells = [
                f"{found} (≥ {least})" if method == "in turns" else str(found)
                for found, least in zip(counts(rounds), asked, strict=True)
            ]
            widths = sorted(verdict.half_width for verdict, *_ in rounds)
            apart = max(abs(verdict.ratio.value - 1) for verdict, *_ in rounds)
            rows.append(
                (
                    *(outcome.condition, f"{outcome.load:.1f}", method, *cells),
                    f"±{widths[len(widths) // 2]:.1%}",
                    f"{apart:.1%}",
                )
            )
    return Table(
        headers=(
            *("condition", "load", "method", "same: indistinguishable", "20 % found", "5 % found"),
            *("±", "largest difference of the same"),
        ),
        rows=tuple(rows),
    )


def _rounds(outcomes: list[Outcome]) -> Table:
    return Table(
        headers=("condition", "round", "again", "slowed by 20 %", "by 5 %"),
        rows=tuple(
            (outcome.condition, str(index), *(_ratio(verdict.ratio) for verdict in verdicts))
            for outcome in outcomes
            for index, verdicts in enumerate(outcome.rounds, start=1)
        ),
    )


def _ratio(ratio: Interval) -> str:
    return f"{ratio.value:.3f} ({ratio.low:.3f}–{ratio.high:.3f})"


def _shares(outcome: Outcome) -> tuple[float, float, float]:
    return QUIET, FOUND, SLIGHT_IDLE if outcome.condition == "idle" else SLIGHT


def _outcome(condition: Condition, load: float, tested: SelfTest) -> Outcome:
    last = tested.report
    return Outcome(
        condition=condition.name,
        load=load,
        planted=(0.0, tested.slowdown, tested.slight_slowdown),
        rounds=tuple((found.again, found.planted, found.slight) for found in tested.rounds),
        apart=tuple(found.apart for found in tested.rounds),
        doubts=(*last.doubts, *(doubt for row in last.rows for doubt in row.doubts)),
    )


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _beside(*, same: bool) -> Iterator[None]:
    """Keep the benchmark on one processor, and a busy loop on it, or on another one."""
    allowed = sorted(os.sched_getaffinity(0))
    mine, other = allowed[0], allowed[-1]
    with _running(_BUSY, mine if same else other):
        os.sched_setaffinity(0, {mine})
        try:
            yield
        finally:
            os.sched_setaffinity(0, allowed)


@contextmanager
def _neighbours() -> Iterator[None]:
    with ExitStack() as stack:
        for core in sorted(os.sched_getaffinity(0)):
            stack.enter_context(_running(_COMES_AND_GOES, core))
        yield


@contextmanager
def _running(program: str, core: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", program, str(core)])
    try:
        os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        process.kill()
        process.wait()


def _start_stepped(job: Job) -> Worker:
    command = (sys.executable, "-P", "-m", "selftest", "--worker")
    return Process(job, Program(command=command, path=(HERE,)))


@contextmanager
def _load_stepped(job: Job) -> Iterator[Loaded]:
    with load_artifact(job) as loaded:
        yield replace(loaded, backend=Stepped(loaded.backend))


class Stepped:
    """A backend on a processor whose clock goes up and down, the same way for all processes."""

    def __init__(self, backend: Backend) -> None:
        self.name, self.version, self.device = backend.name, backend.version, backend.device
        self._backend = backend
        chance = random.Random(0)
        self._ends_s = list(accumulate(chance.uniform(0.05, 0.5) for _ in range(_STEPS)))
        self._slower = [chance.choice(_CLOCKS) - 1 for _ in range(_STEPS)]
        self._step = 0

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        start = time.perf_counter_ns()
        logits = self._backend.run(images)
        end = time.perf_counter_ns()
        end += round(self._share() * (end - start))
        while time.perf_counter_ns() < end:
            pass
        return logits

    def _share(self) -> float:
        now_s = time.monotonic() % self._ends_s[-1]
        if now_s < self._ends_s[max(0, self._step - 1)]:
            self._step = 0  # it has begun again
        while self._ends_s[self._step] < now_s:
            self._step += 1
        return self._slower[self._step]

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()


CONDITIONS = (
    Condition(name="idle", around=_nothing),
    Condition(name="other core", around=lambda: _beside(same=False)),
    Condition(name="same core", around=lambda: _beside(same=True)),
    Condition(name="comes and goes", around=_neighbours),
    Condition(name="clock steps", around=_nothing, start=_start_stepped),
)


def _name(report: BenchReport) -> str:
    processor = report.machine.processor
    return report_path(None, bundle="harness", verb="selftest", processor=processor).name


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help="by default the one that every verb takes")
    parser.add_argument("--artifact", default=DEFAULT_ARTIFACT)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--condition", action="append", dest="conditions", choices=[c.name for c in CONDITIONS]
    )
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
