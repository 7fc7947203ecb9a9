"""In a peer's own environment: convert the network for it, or measure it as `bench` measures ours.

python -m peers.worker convert PEER BUNDLE FOLDER
python -m peers.worker measure PEER FOLDER   # a worker of mnist_edge.bench, on stdin and stdout
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from mnist_edge.bench.timing import seconds
from mnist_edge.bench.turn import Job
from mnist_edge.bench.worker import Loaded, serve
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.contract import Images, Logits, to_images
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


@contextmanager
def loaded(
    load: Callable[[], Callable[[Images], Logits]], job: Job, *, name: str, distribution: str
) -> Iterator[Loaded]:
    """What `mnist_edge.bench.worker.serve` asks for, with a function in the backend's place.

    Args:
        load: imports the runtime and opens the network.
        job: what is asked for.
        name: of the runtime.
        distribution: the package whose version is reported.
    """
    first = to_images(open_bundle(Path(job.bundle)).reference().images[:1])
    clock = time.perf_counter_ns
    begin = clock()
    run = load()
    opened = clock()
    run(first)
    answered = clock()
    yield Loaded(
        backend=PeerBackend(name, metadata.version(distribution), run),
        import_s=0.0,  # cannot be told from the opening: both happen in `load`
        open_s=seconds(opened - begin),
        first_run_s=seconds(answered - opened),
    )


def main() -> int:
    verb, peer, *paths = sys.argv[1:]
    module = importlib.import_module(f"peers.{peer}")
    if verb == "convert":
        module.convert(*map(Path, paths))
        return 0
    return serve(
        lambda job: loaded(
            lambda: module.load(Path(paths[0]), job.subject.threads),
            job,
            name=peer,
            distribution=module.REQUIREMENTS[0].partition("[")[0],
        )
    )


if __name__ == "__main__":
    sys.exit(main())
