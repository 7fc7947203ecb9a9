"""The measuring process: one job from stdin, its result to stdout. Started by `apart`."""

from __future__ import annotations

import os
import sys
import time

from mnist_edge.bench.apart import FAILURE_CODE
from mnist_edge.bench.measure import Failure, Job, Run, measure
from mnist_edge.bench.timing import seconds
from mnist_edge.bundle import codec
from mnist_edge.errors import DeviceUnavailable, MissingDependency, MnistEdgeError


def work() -> int:
    """Carry out one job and give the exit code."""
    # monotonic_ns counts alike in all processes of a machine, perf_counter_ns need not.
    entered_ns = time.monotonic_ns()
    # Runtimes print on stdout; the result must be alone there.
    result = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = codec.loads(Job, sys.stdin.read())
    outcome: Run | Failure
    try:
        outcome = measure(job, startup_s=seconds(entered_ns - job.started_ns))
    except MnistEdgeError as error:
        absent = isinstance(error, (DeviceUnavailable, MissingDependency))
        outcome = Failure(absent=absent, reason=str(error))
    with result:
        result.write(codec.dumps(outcome))
    return 0 if isinstance(outcome, Run) else FAILURE_CODE


if __name__ == "__main__":
    sys.exit(work())
