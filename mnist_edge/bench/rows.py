"""From what the processes measured to the rows of a report."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mnist_edge.bench.judge import errors
from mnist_edge.bench.report import PERCENTILES, Measurement, Paced, Throughput
from mnist_edge.bench.run import PacedSamples, Run
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.turn import Failure
from mnist_edge.bundle.manifest import Artifact, Score
from mnist_edge.formats import FORMATS
from mnist_edge.stats import Interval, estimate_quantile, mean_of_restarts

# A process that ends later than this share of its time after the last picture was due falls behind.
_MOST_BACKLOG = 0.1


def row_of(artifact: Artifact, subject: Subject, outcome: Failure | Sequence[Run]) -> Measurement:
    """The row of what its processes gave: their runs, at least one, or why there are none."""
    if not isinstance(outcome, Failure):
        return measured_row(artifact, subject, outcome)
    return Measurement(
        **_known(artifact, subject),
        status=outcome.status,
        reason=outcome.reason,
        doubts=(outcome.reason,),
        percentiles_s={},
    )


def measured_row(artifact: Artifact, subject: Subject, runs: Sequence[Run]) -> Measurement:
    """The row of one or more processes; what disturbed it is seen beside the other rows alone."""
    percentiles = percentiles_s([sample for run in runs for sample in run.single.samples_s])
    doubts = errors(artifact, runs, percentiles)
    return Measurement(
        **_known(artifact, subject),
        status="ok",
        backend=runs[0].backend,
        version=runs[0].version,
        validity="INVALID" if doubts else "VALID",
        doubts=doubts,
        percentiles_s=percentiles,
        after_others_s=estimate_quantile(
            [first for run in runs for first in run.single.turns.first_s], 0.5
        ),
        throughput=_throughput(runs, batch_invariant=artifact.batch_invariant),
        paced=_paced(runs),
        joules=mean_of_restarts([run.joules for run in runs])
        if all(run.joules for run in runs)
        else None,
        runs=tuple(runs),
    )


def _known(artifact: Artifact, subject: Subject) -> dict[str, Any]:
    """What is known of a row before it has run.

    Its bytes are those of the file and of those without which it cannot run, its accuracy that on
    the test set, or on the reference where that was not at hand.
    """
    companions = (c for c in artifact.companions if c.file.endswith(FORMATS[artifact.format].needs))
    score = artifact.test_score or Score(artifact.parity.accuracy, artifact.parity.images)
    return asdict(subject) | {
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes + sum(c.size_bytes for c in companions),
        "accuracy": score.accuracy,
        "digits": score.images,
        "source": "test set" if artifact.test_score else "reference",
    }


def percentiles_s(samples_s: Sequence[float]) -> dict[str, Interval]:
    """Those percentiles, with their intervals, that there are enough samples for."""
    estimates = {name: estimate_quantile(samples_s, q) for name, q in PERCENTILES.items()}
    return {name: estimate for name, estimate in estimates.items() if estimate}


def _throughput(runs: Sequence[Run], *, batch_invariant: bool) -> tuple[Throughput, ...]:
    """Of each batch size: the mean of the restarts, whose spread is the interval."""
    rates: dict[int, list[float]] = {}
    for run in runs:
        for batch in run.batches:
            # `predict` gives the pictures one by one to a file whose answers depend on their batch.
            samples_s, count = batch.samples_s, batch.batch_size
            if not batch_invariant:
                samples_s, count = run.single.samples_s, 1
            if samples_s:
                found = rates.setdefault(batch.batch_size, [])
                found.append(count / statistics.median(samples_s))
    return tuple(
        Throughput(batch_size=batch_size, images_per_s=mean_of_restarts(found))
        for batch_size, found in rates.items()
    )


def _paced(runs: Sequence[Run]) -> tuple[Paced, ...]:
    """Of each rate."""
    by_rate: dict[float, list[PacedSamples]] = {}
    for run in runs:
        for paced in run.paced:
            by_rate.setdefault(paced.rate, []).append(paced)
    return tuple(
        Paced(
            rate=rate,
            percentiles_s=percentiles_s([s for paced in same_rate for s in paced.samples_s]),
            kept_up=all(
                paced.backlog_s <= _MOST_BACKLOG * len(paced.samples_s) / rate
                for paced in same_rate
            ),
        )
        for rate, same_rate in by_rate.items()
    )
