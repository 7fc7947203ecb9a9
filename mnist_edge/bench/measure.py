"""Measure one artifact on one device, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from mnist_edge.bench.subject import Subject
from mnist_edge.bench.timing import (
    BatchSamples,
    Clock,
    PacedSamples,
    SingleStream,
    Slowed,
    seconds,
    time_batches,
    time_paced,
    time_resident,
    time_single,
    timer_overhead_s,
)
from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.contract import to_images
from mnist_edge.errors import missing_package
from mnist_edge.formats import FORMATS, open_backend
from mnist_edge.machine import peak_resident_bytes
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import Device, Format


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process is to measure.

    Attributes:
        bundle: the folder.
        started_ns: `time.monotonic_ns()` just before the process was started.
    """

    bundle: str
    subject: Subject
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

    @property
    def total_s(self) -> float:
        """All steps together."""
        return self.startup_s + self.import_s + self.open_s + self.first_run_s


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the operators of a graph do for one picture, as ONNX Runtime sees their shapes.

    Attributes:
        multiply_adds: of convolutions and matrix products; 0 where unknown.
        moved_bytes: weights and inputs read, outputs written, operator by operator.
    """

    multiply_adds: int = 0
    moved_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one process measured.

    Attributes:
        backend: the runtime, and `version` its version.
        device: where it proved to run.
        timer_overhead_s: the median duration of nothing, contained in each sample.
        peak_resident_bytes: after the single stream, before the batches; 0 where unknown.
        paced: one per rate.
        resident: batches that never leave the device; empty on the CPU.
        cost: of the graph, where the format tells.
    """

    backend: str
    version: str
    device: Device
    timer_overhead_s: float
    cold: ColdStart
    single: SingleStream
    peak_resident_bytes: int
    batches: tuple[BatchSamples, ...]
    paced: tuple[PacedSamples, ...] = ()
    resident: tuple[BatchSamples, ...] = ()
    cost: Cost = Cost()


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
    recipe, subject = job.recipe, job.subject
    bundle = open_bundle(Path(job.bundle))
    artifact = bundle.artifact(subject.artifact)
    reference = bundle.reference()
    first = to_images(reference.images[:1])

    ready = clock()
    _import_runtime(artifact.format)
    imported = clock()
    with open_backend(
        bundle, artifact, device=subject.device, threads=subject.threads, mode=subject.mode
    ) as opened_backend:
        opened = clock()
        opened_backend.run(first)
        answered = clock()
        backend = Slowed(opened_backend, subject.slowdown) if subject.slowdown else opened_backend
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
            paced=time_paced(backend, reference, recipe, clock),
            resident=time_resident(backend, reference, recipe),
            cost=_cost(bundle, artifact),
        )


def _import_runtime(format_: Format) -> None:
    """Import first what opening would import, so that its time can be told apart."""
    try:
        FORMATS[format_].import_runtime()
    except ModuleNotFoundError as error:
        raise missing_package(error, f"run {format_} files") from error


def _cost(bundle: Bundle, artifact: Artifact) -> Cost:
    if artifact.format != "onnx":
        return Cost()
    from mnist_edge.formats.onnx.cost import count_costs

    multiply_adds, moved_bytes = count_costs(bundle.read(artifact))
    return Cost(multiply_adds=multiply_adds, moved_bytes=moved_bytes)
