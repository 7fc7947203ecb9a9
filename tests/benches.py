"""Reports of benchmarks that never ran, with latencies as they are ordered.

Not a test module: other tests build what they need from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from factory import make_artifact

from mnist_edge.bench import BenchReport, Subject
from mnist_edge.bench.measure import ColdStart, Cost, Run
from mnist_edge.bench.roofline import Ceiling
from mnist_edge.bench.rows import measured_row
from mnist_edge.bench.session import with_verdicts
from mnist_edge.bench.timing import BatchSamples, PacedSamples, SingleStream
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


TESTED = Score(0.9876, 10_000)


def make_run(samples_s: tuple[float, ...]) -> Run:
    """One process with these samples; a batch of eight takes as long as two pictures."""
    stream = SingleStream(
        warmup_s=samples_s[:50],
        runs=len(samples_s),
        samples_s=samples_s,
        max_abs_error=0.0,
        digits=100,
        flips=0,
    )
    return Run(
        backend="fake",
        version="1",
        device="cpu",
        timer_overhead_s=4e-8,
        cold=ColdStart(startup_s=0.1, import_s=0.2, open_s=0.05, first_run_s=0.01),
        single=stream,
        peak_resident_bytes=50_000_000,
        batches=(BatchSamples(batch_size=8, samples_s=tuple(2 * s for s in samples_s[:50])),),
        paced=(PacedSamples(rate=1000.0, samples_s=samples_s, backlog_s=0.0),),
        cost=Cost(multiply_adds=1_000_000, moved_bytes=200_000),
    )


def make_report(
    medians_s: Mapping[str, float],
    *,
    spread: float = 0.005,
    processes: int = 3,
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
            make_run(tuple((median_s * f * generator.normal(1, 0.01, 700)).tolist()))
            for f in factors
        ]
        artifact = replace(artifact, test_score=score)
        subject = Subject(artifact=name, device="cpu")
        rows.append(measured_row(artifact, subject, runs, machine_doubted=False))
    report = BenchReport(
        schema=1,
        bundle="model",
        data="mnist",
        data_sha256="0" * 64,
        machine=PLAIN_MACHINE,
        versions={"numpy": np.__version__},
        ceiling=Ceiling(threads=1, multiply_adds_per_s=1e11, reason="", copy_bytes_per_s=1e10),
        load_before=(0.1, 0.1, 0.1),
        load_after=(0.2, 0.2, 0.2),
        recipe=BenchRecipe(batch_sizes=(8,)),
        order=(),
        finished=True,
        doubts=(),
        rows=tuple(rows),
        fastest="",
        baseline="",
        verdicts=(),
    )
    return with_verdicts(report)
