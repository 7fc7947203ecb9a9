"""Measure one artifact on one device, in this process."""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from mnist_edge.backends import Backend, missing_package, open_backend
from mnist_edge.bundle import Reference, open_bundle
from mnist_edge.machine import peak_resident_bytes
from mnist_edge.recipes import BenchRecipe, Device, Format
from mnist_edge.signature import Images, to_images

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds from any fixed point."""

# What open_backend would import; imported first here only to be timed apart from the opening.
_BACKEND_MODULES: dict[Format, str] = {
    "checkpoint": "mnist_edge.backends.eager",
    "torchscript": "mnist_edge.backends.torchscript",
    "onnx": "mnist_edge.backends.ort",
}

_TIMER_PAIRS = 1001


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process is to measure.

    Attributes:
        bundle: the folder.
        started_ns: `time.monotonic_ns()` just before the process was started.
    """

    bundle: str
    artifact: str
    device: Device
    recipe: BenchRecipe
    started_ns: int


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """From nothing to the first answer. The steps follow one another; reading the digits is out.

    Attributes:
        startup_s: interpreter, NumPy and this package.
        import_s: the runtime.
        open_s: reading and checking the file, and building the session.
        first_run_s: the first picture.
    """

    startup_s: float
    import_s: float
    open_s: float
    first_run_s: float


@dataclass(frozen=True, kw_only=True)
class SingleStream:
    """One picture after another, each timed from host memory to host memory.

    A closed loop: the next run starts when the last has ended, so these are service times.

    Attributes:
        warmup_s: durations of the warm-up in order; part of no figure.
        runs: how many were timed after it.
        samples_s: their durations in order. As of the warm-up, every k-th if there are too many.
        max_abs_error: of any logit of any run, against the reference.
        digits: how many different digits they rotated over.
        flips: those whose top class differed from the reference's when each was last run.
    """

    warmup_s: tuple[float, ...]
    runs: int
    samples_s: tuple[float, ...]
    max_abs_error: float
    digits: int
    flips: int


@dataclass(frozen=True, kw_only=True)
class BatchSamples:
    """Durations of whole batches, in order."""

    batch_size: int
    samples_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one process measured.

    Attributes:
        backend: the runtime, and `version` its version.
        device: where it proved to run.
        timer_overhead_s: the median duration of nothing, contained in each sample.
        peak_resident_bytes: after the single stream, before the batches; 0 where unknown.
    """

    backend: str
    version: str
    device: Device
    timer_overhead_s: float
    cold: ColdStart
    single: SingleStream
    peak_resident_bytes: int
    batches: tuple[BatchSamples, ...]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a process gave no measurement.

    Attributes:
        absent: the device or the runtime is not there, which is nobody's fault.
        reason: in one line, with the fix where there is one.
    """

    absent: bool
    reason: str


def measure(job: Job, *, startup_s: float, clock: Clock = time.perf_counter_ns) -> Run:
    """Measure in this process, which must not have loaded any runtime before.

    Raises:
        MnistEdgeError: the artifact cannot be opened or run.
    """
    recipe = job.recipe
    bundle = open_bundle(Path(job.bundle))
    artifact = bundle.artifact(job.artifact)
    reference = bundle.reference()
    first = to_images(reference.images[:1])

    ready = clock()
    _import_runtime(artifact.format)
    imported = clock()
    with open_backend(bundle, artifact, device=job.device, threads=recipe.threads) as backend:
        opened = clock()
        backend.run(first)
        answered = clock()
        single = time_single(backend, reference, recipe, clock)
        peak = peak_resident_bytes()
        return Run(
            backend=backend.name,
            version=backend.version,
            device=backend.device,
            timer_overhead_s=timer_overhead_s(clock),
            cold=ColdStart(
                startup_s=startup_s,
                import_s=seconds(imported - ready),
                open_s=seconds(opened - imported),
                first_run_s=seconds(answered - opened),
            ),
            single=single,
            peak_resident_bytes=peak,
            batches=time_batches(backend, reference, recipe, clock),
        )


def time_single(
    backend: Backend, reference: Reference, recipe: BenchRecipe, clock: Clock
) -> SingleStream:
    """Time runs of one digit each, rotating over the reference, and check every answer."""
    images = to_images(reference.images)
    digits = [images[i : i + 1] for i in range(len(images))]
    answers = reference.logits.copy()
    errors = []

    def classify(index: int) -> int:
        image = digits[index]
        start = clock()
        logits = backend.run(image)
        duration = clock() - start
        answers[index] = logits[0]
        if index == len(digits) - 1:
            errors.append(np.abs(answers - reference.logits).max())
        return duration

    with _no_collection():
        warmup = _repeat(classify, len(digits), recipe.warmup_s, recipe.warmup_runs, clock)
        samples = _repeat(classify, len(digits), recipe.duration_s, recipe.min_runs, clock)
    errors.append(np.abs(answers - reference.logits).max())
    return SingleStream(
        warmup_s=_thin(warmup, recipe.keep_samples),
        runs=len(samples),
        samples_s=_thin(samples, recipe.keep_samples),
        max_abs_error=float(np.max(errors)),
        digits=len(digits),
        flips=int((answers.argmax(axis=1) != reference.logits.argmax(axis=1)).sum()),
    )


def time_batches(
    backend: Backend, reference: Reference, recipe: BenchRecipe, clock: Clock
) -> tuple[BatchSamples, ...]:
    """Time whole batches of reference digits, of each size in turn."""
    images = to_images(reference.images)
    return tuple(
        _time_batch(backend, _take(images, batch_size), recipe, clock)
        for batch_size in recipe.batch_sizes
    )


def _time_batch(
    backend: Backend, images: Images, recipe: BenchRecipe, clock: Clock
) -> BatchSamples:
    def classify(_: int) -> int:
        start = clock()
        backend.run(images)
        return clock() - start

    classify(0)  # a runtime plans and allocates for each new shape
    with _no_collection():
        samples = _repeat(classify, 1, recipe.sweep_s, recipe.sweep_runs, clock)
    return BatchSamples(batch_size=len(images), samples_s=_thin(samples, recipe.keep_samples))


def timer_overhead_s(clock: Clock) -> float:
    """The median duration that the clock shows for nothing."""
    pairs = [-(clock() - clock()) for _ in range(_TIMER_PAIRS)]
    return seconds(sorted(pairs)[_TIMER_PAIRS // 2])


def _repeat(
    classify: Callable[[int], int], digits: int, duration_s: float, count: int, clock: Clock
) -> list[int]:
    """Durations of runs over the digits in turn, for so many seconds and runs at least."""
    samples: list[int] = []
    end = clock() + round(duration_s * 1e9)
    while len(samples) < count or clock() < end:
        samples.append(classify(len(samples) % digits))
    return samples


def _thin(samples: list[int], keep: int) -> tuple[float, ...]:
    """Every k-th of the samples, so that at most `keep` are left; nanoseconds to seconds."""
    stride = -(-len(samples) // keep) or 1
    return tuple(map(seconds, samples[::stride]))


def _take(images: Images, count: int) -> Images:
    """`count` images, from the start again where they run out."""
    return images[np.arange(count) % len(images)]


def _import_runtime(format_: Format) -> None:
    if format_ in _BACKEND_MODULES:
        try:
            importlib.import_module(_BACKEND_MODULES[format_])
        except ModuleNotFoundError as error:
            raise missing_package(error, f"run {format_} files") from error


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds(nanoseconds: int) -> float:
    """Nanoseconds as the seconds that all reports are in."""
    return nanoseconds / 1e9
