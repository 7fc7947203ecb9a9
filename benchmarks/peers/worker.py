"""In a peer's own environment: convert the network for it, or measure it as `bench` measures ours.

python -m peers.worker convert PEER BUNDLE FOLDER
python -m peers.worker measure PEER FOLDER   # a Job on stdin, a Run on stdout
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TextIO

from mnist_edge.bench.measure import ColdStart, Job, Run
from mnist_edge.bench.timing import (
    seconds,
    time_batches,
    time_single,
    timer_overhead_s,
)
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.machine import peak_resident_bytes
from mnist_edge.recipes.terms import Device


class PeerBackend:
    """A function with the manners of a backend."""

    device: Device = "cpu"

    def __init__(self, name: str, version: str, run: Callable[[Images], Logits]) -> None:
        self.name, self.version, self._run = name, version, run

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        return self._run(images)

    def close(self) -> None:
        """See `Backend.close`."""


def measure_function(
    job: Job,
    load: Callable[[], Callable[[Images], Logits]],
    *,
    name: str,
    distribution: str,
    entered_ns: int,
) -> Run:
    """As `mnist_edge.bench.measure.measure`, with a function in the backend's place.

    Args:
        job: what is asked for.
        load: imports the runtime and opens the network.
        name: of the runtime.
        distribution: the package whose version is reported.
        entered_ns: `time.monotonic_ns()` when the process had begun.
    """
    reference = open_bundle(Path(job.bundle)).reference()
    first = to_images(reference.images[:1])
    clock = time.perf_counter_ns
    begin = clock()
    run = load()
    opened = clock()
    run(first)
    answered = clock()
    backend = PeerBackend(name, metadata.version(distribution), run)
    single = time_single(backend, reference, job.recipe, clock)
    return Run(
        backend=backend.name,
        version=backend.version,
        device=backend.device,
        timer_overhead_s=timer_overhead_s(clock),
        cold=ColdStart(
            startup_s=seconds(entered_ns - job.started_ns),
            import_s=0.0,  # cannot be told from the opening: both happen in `load`
            open_s=seconds(opened - begin),
            first_run_s=seconds(answered - opened),
        ),
        single=single,
        peak_resident_bytes=peak_resident_bytes(),
        batches=time_batches(backend, reference, job.recipe, clock),
    )


@contextmanager
def result_on_stdout() -> Iterator[TextIO]:
    """Keep stdout for the result alone: runtimes print there, too."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as result:
        os.dup2(2, 1)
        yield result


def main() -> None:
    entered_ns = time.monotonic_ns()
    verb, peer, *paths = sys.argv[1:]
    module = importlib.import_module(f"peers.{peer}")
    if verb == "convert":
        module.convert(*map(Path, paths))
        return
    with result_on_stdout() as result:
        job = codec.loads(Job, sys.stdin.read())
        run = measure_function(
            job,
            lambda: module.load(Path(paths[0]), job.subject.threads),
            name=peer,
            distribution=module.REQUIREMENTS[0].partition("[")[0],
            entered_ns=entered_ns,
        )
        result.write(codec.dumps(run))


if __name__ == "__main__":
    main()
