"""Measure in a process of its own.

Two runtimes in one process slow each other down, since their idle threads spin; and what one has
imported, the next need not. So each job goes to a fresh `python -m mnist_edge.bench.worker`,
through stdin, and its result comes back through stdout: nothing depends on how the parent was
started, as it would with `multiprocessing`, which imports the parent's main module again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from mnist_edge.bench.measure import Failure, Job, Run
from mnist_edge.bundle import codec

FAILURE_CODE = 2  # of a worker whose stdout holds a Failure

_WORKER = "mnist_edge.bench.worker"


def run_apart(job: Job) -> Run | Failure:
    """Measure in a fresh process; a crash or a time-out is an answer, too."""
    return run_worker(job, [sys.executable, "-P", "-m", _WORKER])


def run_worker(job: Job, command: list[str], *, path: tuple[Path, ...] = ()) -> Run | Failure:
    """Hand a job to any Python program that takes it on stdin and gives a Run on stdout.

    Args:
        job: what to measure.
        command: the program.
        path: folders from which it imports, after this package's own.
    """
    try:
        done = subprocess.run(
            command,
            input=codec.dumps(job),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=job.recipe.timeout_s,
            env=os.environ | _environment(job.subject.threads, path),
        )
    except subprocess.TimeoutExpired:
        reason = f"no answer within {job.recipe.timeout_s:g} s; raise --timeout"
        return Failure(absent=False, reason=reason)
    if done.returncode == 0:
        return codec.loads(Run, done.stdout)
    if done.returncode == FAILURE_CODE and done.stdout:
        return codec.loads(Failure, done.stdout)
    return Failure(absent=False, reason=_crash(done.returncode, done.stderr))


def _environment(threads: int, path: tuple[Path, ...]) -> dict[str, str]:
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # The package is found where the parent found it, installed or not.
    folders = [str(folder) for folder in (Path(__file__).parents[2], *path)]
    places = os.pathsep.join(filter(None, (*folders, os.environ.get("PYTHONPATH"))))
    return dict.fromkeys(pools, str(threads)) | {
        "PYTHONPATH": places,
        "ORT_DISABLE_TELEMETRY": "1",
    }


def _crash(code: int, stderr: str) -> str:
    lines = stderr.split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    try:
        cause = f"signal {signal.Signals(-code).name}"
    except ValueError:
        cause = f"exit code {code}"
    return f"the process ended with {cause}: {last:.200}"
