"""The measuring process: it opens one artifact, and runs it whenever its turn comes.

Started by `apart`. While others have their turn it waits for a line on stdin, which costs nothing.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, TextIO, cast

from mnist_edge.bench.run import NO_COST, ColdStart, Cost
from mnist_edge.bench.timing import Clock, Slowed, Stopwatch, seconds, timer_overhead_s
from mnist_edge.bench.turn import Block, Failure, Job, Opened, Turn
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.contract import to_images
from mnist_edge.errors import DeviceUnavailable, MissingDependency, MnistEdgeError
from mnist_edge.formats import (
    FORMATS,
    Backend,
    DeviceResident,
    Loading,
    missing_runtime,
    open_backend,
)
from mnist_edge.formats.parity import compare
from mnist_edge.formats.running import gate_of
from mnist_edge.machine import peak_resident_bytes
from mnist_edge.recipes.terms import Format, Runtime

_READ_BYTES = 65536
# For what a runtime does at its end, once nobody listens any more.
_FAREWELL_S = 5.0
# Beyond the parent's own patience, so that it is the one that tells.
_PATIENCE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A backend that has answered once.

    Attributes:
        batch_invariant: whether a batch may be run as one.
        import_s, open_s, first_run_s: see `ColdStart`.
    """

    backend: Backend
    batch_invariant: bool = True
    import_s: float
    open_s: float
    first_run_s: float
    cost: Cost = NO_COST


def work() -> int:
    """Measure an artifact of a bundle, and give the exit code."""
    return serve(load_artifact)


def serve(load: Callable[[Job], AbstractContextManager[Loaded]]) -> int:
    """Take a job and then turns from stdin, and answer on what was stdout."""
    # monotonic_ns counts alike in all processes of a machine, perf_counter_ns need not.
    entered_ns = time.monotonic_ns()
    with _answers() as answers:
        lines = _lines()
        first = lines.get()
        if first is None:
            return 0
        job = codec.loads(Job, first)
        if job.core is not None:
            os.sched_setaffinity(0, {job.core})
        _bound_memory(job.memory_bytes)
        try:
            with load(job) as loaded:
                backend = loaded.backend
                if job.subject.slowdown:
                    backend = Slowed(backend, job.subject.slowdown)
                watch = _stopwatch(backend, job)
                _say(answers, _opened(loaded, seconds(entered_ns - job.started_ns)))
                # A collection in the middle of a run would be timed with it.
                gc.collect()
                gc.freeze()
                gc.disable()
                while (line := lines.get()) is not None:
                    faulthandler.dump_traceback_later(job.timeout_s + _PATIENCE_S, exit=True)
                    block = watch.take(codec.loads(Turn, line))
                    faulthandler.cancel_dump_traceback_later()
                    _say(answers, block)
        except MnistEdgeError as error:
            absent = isinstance(error, (DeviceUnavailable, MissingDependency))
            _say(answers, Failure(status="absent" if absent else "failed", reason=str(error)))
        except MemoryError:
            _say(answers, Failure(reason="it wanted more memory than there is; free some"))
    return 0


def _stopwatch(backend: Backend, job: Job) -> Stopwatch:
    bundle = open_bundle(Path(job.bundle))
    artifact, reference = bundle.artifact(job.subject.artifact), bundle.reference()
    judged = partial(
        compare,
        reference=reference.logits,
        labels=reference.labels,
        gate=gate_of(bundle.manifest, artifact, backend.device),
    )
    return Stopwatch(backend, reference, judged)


@contextlib.contextmanager
def load_artifact(job: Job) -> Iterator[Loaded]:
    """Open an artifact of a bundle, and time each step."""
    clock: Clock = time.perf_counter_ns
    subject = job.subject
    bundle = open_bundle(Path(job.bundle))
    artifact = bundle.artifact(subject.artifact)
    bundle = replace(bundle, trusted=artifact.sha256 == job.consent)
    first = to_images(bundle.reference().images[:1])
    # Those of others are measured by workers of their own.
    runtime = cast("Runtime | Literal['']", subject.runtime)
    ready = clock()
    _import_runtime(artifact.format, runtime)
    imported = clock()
    how = Loading(
        device=subject.device, threads=subject.threads, mode=subject.mode, runtime=runtime
    )
    with open_backend(bundle, artifact, how) as backend:
        opened = clock()
        backend.run(first)
        answered = clock()
        yield Loaded(
            backend=backend,
            batch_invariant=artifact.batch_invariant,
            import_s=seconds(imported - ready),
            open_s=seconds(opened - imported),
            first_run_s=seconds(answered - opened),
            cost=_cost(bundle, artifact),
        )


def _opened(loaded: Loaded, startup_s: float) -> Opened:
    backend = loaded.backend
    return Opened(
        backend=backend.name,
        version=backend.version,
        device=backend.device,
        timer_overhead_s=timer_overhead_s(time.perf_counter_ns),
        cold=ColdStart(
            startup_s=startup_s,
            import_s=loaded.import_s,
            open_s=loaded.open_s,
            first_run_s=loaded.first_run_s,
        ),
        cost=loaded.cost,
        batch_invariant=loaded.batch_invariant,
        resident=backend.device != "cpu" and isinstance(backend, DeviceResident),
        resident_bytes=peak_resident_bytes(),
        built_bytes=getattr(backend, "built_bytes", 0),
    )


def _import_runtime(format_: Format, runtime: Runtime | Literal[""]) -> None:
    """Import first what opening would import, so that its time can be told apart."""
    try:
        FORMATS[format_].import_runtime(runtime)
    except ModuleNotFoundError as error:
        raise missing_runtime(error, format_, runtime) from error


def _cost(bundle: Bundle, artifact: Artifact) -> Cost:
    if artifact.format != "onnx":
        return NO_COST
    from mnist_edge.formats.onnx.cost import count_costs

    multiply_adds, moved_bytes = count_costs(bundle.read(artifact))
    return Cost(multiply_adds=multiply_adds, moved_bytes=moved_bytes)


@contextlib.contextmanager
def _answers() -> Iterator[TextIO]:
    """What was stdout, for the answers alone: runtimes print there, which goes to stderr now."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        yield answers


def _say(answers: TextIO, answer: Opened | Block | Failure) -> None:
    answers.write(codec.line(answer))
    answers.flush()


def _lines() -> SimpleQueue[str | None]:
    """Lines of stdin, and None at its end.

    They are read in a thread, so that a worker whose parent has died ends in the middle of a turn.
    """
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        # Not sys.stdin, which cannot be closed at the end while a thread waits in it.
        rest = b""
        while part := os.read(0, _READ_BYTES):
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                lines.put(line.decode())
        lines.put(None)
        time.sleep(_FAREWELL_S)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _bound_memory(limit: int) -> None:
    """See to it that where memory runs out, it runs out for this process and for no other."""
    if sys.platform != "linux":
        return
    import resource

    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if limit:
        with contextlib.suppress(OSError, ValueError):
            _, most = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


if __name__ == "__main__":
    sys.exit(work())
