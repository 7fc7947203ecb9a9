"""From what the processes measured to the rows of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mnist_edge.bench.judge import judge
from mnist_edge.bench.measure import Failure, Run
from mnist_edge.bench.report import PERCENTILES, Measurement, Paced, Status, Throughput
from mnist_edge.bench.subject import Subject
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.stats import Interval, estimate_quantile

# A process that ends later than this share of its time after the last picture was due falls behind.
_MOST_BACKLOG = 0.1


def row_of(
    artifact: Artifact,
    subject: Subject,
    outcome: Failure | Sequence[Run],
    *,
    machine_doubted: bool,
) -> Measurement:
    """The row of what its processes gave: their runs, at least one, or why there are none."""
    if isinstance(outcome, Failure):
        return failed_row(artifact, subject, outcome)
    return measured_row(artifact, subject, outcome, machine_doubted=machine_doubted)


def failed_row(artifact: Artifact, subject: Subject, failure: Failure) -> Measurement:
    """The row of what could not be measured, with the reason."""
    status: Status = "absent" if failure.absent else "failed"
    return Measurement(
        **asdict(subject),
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        **_score(artifact),
        status=status,
        reason=failure.reason,
        doubts=(failure.reason,),
        percentiles_s={},
    )


def measured_row(
    artifact: Artifact, subject: Subject, runs: Sequence[Run], *, machine_doubted: bool
) -> Measurement:
    """The row of one or more processes, with its percentiles and a verdict on their validity."""
    percentiles = percentiles_s([sample for run in runs for sample in run.single.samples_s])
    validity, doubts = judge(artifact, runs, percentiles, device=subject.device)
    if validity == "VALID" and machine_doubted:
        validity = "SUSPECT"
    return Measurement(
        **asdict(subject),
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        **_score(artifact),
        status="ok",
        backend=runs[0].backend,
        version=runs[0].version,
        validity=validity,
        doubts=doubts,
        percentiles_s=percentiles,
        throughput=_throughput(runs),
        paced=_paced(runs),
        runs=tuple(runs),
    )


def _score(artifact: Artifact) -> dict[str, Any]:
    """Over the test set; over the reference where that was not at hand."""
    score, parity = artifact.test_score, artifact.parity
    if score is None:
        return {"accuracy": parity.accuracy, "digits": parity.images, "source": "reference"}
    return {"accuracy": score.accuracy, "digits": score.images, "source": "test set"}


def percentiles_s(samples_s: Sequence[float]) -> dict[str, Interval]:
    """Those percentiles, with their intervals, that there are enough samples for."""
    estimates = {name: estimate_quantile(samples_s, q) for name, q in PERCENTILES.items()}
    return {name: estimate for name, estimate in estimates.items() if estimate}


def _throughput(runs: Sequence[Run]) -> tuple[Throughput, ...]:
    """Of each batch size for which the processes together have enough samples."""
    rates = []
    for same_size in zip(*(run.batches for run in runs), strict=True):
        batch_size = same_size[0].batch_size
        samples_s = [sample for batch in same_size for sample in batch.samples_s]
        duration_s = estimate_quantile(samples_s, 0.5)
        if duration_s:
            # The shortest duration is the highest rate.
            images_per_s = Interval(
                value=batch_size / duration_s.value,
                low=batch_size / duration_s.high,
                high=batch_size / duration_s.low,
            )
            rates.append(Throughput(batch_size=batch_size, images_per_s=images_per_s))
    return tuple(rates)


def _paced(runs: Sequence[Run]) -> tuple[Paced, ...]:
    """Of each rate."""
    return tuple(
        Paced(
            rate=same_rate[0].rate,
            percentiles_s=percentiles_s([s for paced in same_rate for s in paced.samples_s]),
            kept_up=all(
                paced.backlog_s <= _MOST_BACKLOG * len(paced.samples_s) / paced.rate
                for paced in same_rate
            ),
        )
        for same_rate in zip(*(run.paced for run in runs), strict=True)
    )
