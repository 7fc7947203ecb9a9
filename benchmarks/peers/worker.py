"""In a peer's own environment: convert the network for it, or measure it as `bench` measures ours.

python -m peers.worker convert PEER BUNDLE FOLDER
python -m peers.worker measure PEER FOLDER   # a Job on stdin, a Run on stdout
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from mnist_edge import codec
from mnist_edge.bench.measure import ColdStart, Job, Run
from mnist_edge.bench.timing import (
    seconds,
    time_batches,
    time_single,
    timer_overhead_s,
)
from mnist_edge.bundle import open_bundle
from mnist_edge.machine import peak_resident_bytes
from mnist_edge.recipes import Device
from mnist_edge.signature import Images, Logits, to_images


class PeerBackend:
    """A peer's function with the manners of a backend."""

    device: Device = "cpu"

    def __init__(self, name: str, version: str, run: Callable[[Images], Logits]) -> None:
        self.name, self.version, self._run = name, version, run

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        return self._run(images)

    def close(self) -> None:
        """See `Backend.close`."""


def measure(job: Job, peer: str, folder: Path, *, startup_s: float) -> Run:
    """As `mnist_edge.bench.measure.measure`, with the peer in the backend's place."""
    module = importlib.import_module(f"peers.{peer}")
    bundle = open_bundle(Path(job.bundle))
    reference = bundle.reference()
    first = to_images(reference.images[:1])
    clock = time.perf_counter_ns
    begin = clock()
    # Its import cannot be told from its opening: both happen in `load`.
    run = module.load(folder, job.subject.threads)
    opened = clock()
    run(first)
    answered = clock()
    distribution = module.REQUIREMENTS[0].partition("[")[0]
    backend = PeerBackend(peer, metadata.version(distribution), run)
    single = time_single(backend, reference, job.recipe, clock)
    return Run(
        backend=backend.name,
        version=backend.version,
        device=backend.device,
        timer_overhead_s=timer_overhead_s(clock),
        cold=ColdStart(
            startup_s=startup_s,
            import_s=0.0,
            open_s=seconds(opened - begin),
            first_run_s=seconds(answered - opened),
        ),
        single=single,
        peak_resident_bytes=peak_resident_bytes(),
        batches=time_batches(backend, reference, job.recipe, clock),
    )


def main() -> None:
    entered_ns = time.monotonic_ns()
    verb, peer, *paths = sys.argv[1:]
    if verb == "convert":
        bundle, folder = map(Path, paths)
        importlib.import_module(f"peers.{peer}").convert(bundle, folder)
        return
    # Runtimes print on stdout; the result must be alone there.
    result = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = codec.loads(Job, sys.stdin.read())
    run = measure(job, peer, Path(paths[0]), startup_s=seconds(entered_ns - job.started_ns))
    with result:
        result.write(codec.dumps(run))


if __name__ == "__main__":
    main()
