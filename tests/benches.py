"""Reports of benchmarks that never ran, and workers that only say how long they take.

Not a test module: other tests build what they need from it.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from factory import make_artifact

from mnist_edge.bench.disturbance import with_disturbances
from mnist_edge.bench.report import BenchReport
from mnist_edge.bench.roofline import Ceiling
from mnist_edge.bench.rows import measured_row
from mnist_edge.bench.run import (
    BatchSamples,
    ColdStart,
    Cost,
    PacedSamples,
    Run,
    SingleStream,
    Turns,
)
from mnist_edge.bench.session import with_verdicts
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.surroundings import Moment
from mnist_edge.bench.turn import Block, Failure, Job, Opened, Turn
from mnist_edge.bundle.manifest import Score
from mnist_edge.machine import Machine
from mnist_edge.recipes.bench import BenchRecipe

PLAIN_MACHINE = Machine(
    processor="Chip 9000",
    architecture="x86_64",
    cpu_flags=("avx2",),
    cores=4,
    affinity=4,
    quota=None,
    usable_threads=4,
    memory_bytes=0,
    system="Linux 6",
    python="CPython 3.11",
    governor="performance",
    virtual=False,
    gpu=(),
)
COLD = ColdStart(startup_s=0.1, import_s=0.2, open_s=0.05, first_run_s=0.01)
SHORT = BenchRecipe(
    processes=5,
    warmup_s=0.0,
    warmup_runs=1,
    duration_s=0.01,
    min_runs=240,
    batch_sizes=(1, 8),
    rates=(),
)
"""A recipe that takes no time with workers that do not really run."""

_TURN = 20
TESTED = Score(0.9876, 10_000)


def make_run(samples_s: tuple[float, ...], *, turns: bool = True) -> Run:
    """One process with these samples, in turns of twenty, or as processes were measured before."""
    medians_s = tuple(
        statistics.median(samples_s[start : start + _TURN])
        for start in range(0, len(samples_s), _TURN)
    )
    stream = SingleStream(
        warmup_s=samples_s[:50],
        runs=len(samples_s),
        samples_s=samples_s,
        max_abs_error=0.0,
        digits=100,
        flips=0,
        turns=Turns(
            began_s=tuple(0.01 * index for index in range(len(medians_s))),
            medians_s=medians_s,
            first_s=tuple(5 * median for median in medians_s),
            loop_s=(1e-5,) * len(medians_s),
        )
        if turns
        else Turns(),
    )
    return Run(
        backend="fake",
        version="1",
        device="cpu",
        timer_overhead_s=4e-8,
        cold=COLD,
        single=stream,
        peak_resident_bytes=50_000_000,
        # A batch of eight takes as long as two pictures.
        batches=(BatchSamples(batch_size=8, samples_s=tuple(2 * s for s in samples_s[:50])),),
        paced=(PacedSamples(rate=1000.0, samples_s=samples_s, backlog_s=0.0),),
        cost=Cost(multiply_adds=1_000_000, moved_bytes=200_000),
    )


def make_report(
    medians_s: Mapping[str, float],
    *,
    spread: float = 0.005,
    processes: int = 5,
    turns: bool = True,
    moments: tuple[Moment, ...] = (),
    score: Score | None = TESTED,
) -> BenchReport:
    """A report of artifacts by their medians; `spread` is the deviation between processes.

    Each has the same `score` on the test set; with None, the reference alone is known.

    An artifact is named as in a bundle, or by one word, which then counts as an ONNX file.
    """
    generator = np.random.default_rng(0)
    rows = []
    for name, median_s in medians_s.items():
        artifact = make_artifact(name if "-" in name else "onnx-float32", b"1" * 1000, "0" * 64)
        factors = generator.normal(1, spread, processes)
        runs = [
            make_run(tuple((median_s * f * generator.normal(1, 0.01, 700)).tolist()), turns=turns)
            for f in factors
        ]
        artifact = replace(artifact, test_score=score)
        rows.append(measured_row(artifact, Subject(artifact=name, device="cpu"), runs))
    judged, doubts = with_disturbances(rows, moments, ())
    report = BenchReport(
        schema=2,
        bundle="model",
        data="mnist",
        data_sha256="0" * 64,
        machine=PLAIN_MACHINE,
        versions={"numpy": np.__version__},
        ceiling=Ceiling(threads=1, multiply_adds_per_s=1e11, reason="", copy_bytes_per_s=1e10),
        load_before=(0.1, 0.1, 0.1),
        load_after=(0.2, 0.2, 0.2),
        moments=moments,
        energy={"cpu": "no energy counter can be read here"},
        recipe=BenchRecipe(batch_sizes=(8,)),
        order=(),
        finished=True,
        doubts=doubts,
        rows=judged,
        fastest="",
        baseline="",
        verdicts=(),
    )
    return with_verdicts(report)


class FakeWorker:
    """A worker that takes as long as it is told, without any time going by.

    Args:
        job: what it would open.
        run_s: how long one more picture takes.
        opened: what it says of itself.
        fails: its answer to the turn of that number, counted from 0.
        changes: what its blocks say besides.
    """

    def __init__(
        self,
        job: Job,
        run_s: Callable[[], float],
        *,
        opened: Opened | Failure | None = None,
        fails: Mapping[int, Failure | BaseException] | None = None,
        changes: Mapping[str, object] | None = None,
    ) -> None:
        self.job, self.turns, self.ended = job, list[Turn](), 0
        self._run_s, self._fails, self._changes = run_s, fails or {}, changes or {}
        self._opened = opened or make_opened()

    def open(self) -> Opened | Failure:
        return self._opened

    def take(self, turn: Turn) -> Block | Failure:
        answer = self._fails.get(len(self.turns))
        self.turns.append(turn)
        if isinstance(answer, BaseException):
            raise answer
        if answer:
            return answer
        runs = [
            round(1e9 * turn.batch_size * self._run_s()) for _ in range(turn.settle + turn.runs)
        ]
        block = Block(
            began_ns=0,
            settling_ns=tuple(5 * ns for ns in runs[: turn.settle]),
            samples_ns=tuple(runs[turn.settle :]),
            loop_ns=10_000,
            digits=100,
            resident_bytes=1 << 20,
        )
        return replace(block, **self._changes)  # type: ignore[arg-type]

    def end(self) -> None:
        self.ended += 1


def make_opened(**changes: object) -> Opened:
    opened = Opened(
        backend="fake",
        version="1",
        device="cpu",
        timer_overhead_s=4e-8,
        cold=COLD,
        cost=Cost(),
        resident_bytes=1 << 20,
    )
    return replace(opened, **changes)  # type: ignore[arg-type]


def steady(run_s: float, *, seed: int = 0, noise: float = 0.01) -> Callable[[], float]:
    """Durations around a middle."""
    drawn = itertools.cycle(np.random.default_rng(seed).normal(run_s, noise * run_s, 997).tolist())
    return lambda: float(next(drawn))
