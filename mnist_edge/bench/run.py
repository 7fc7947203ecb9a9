"""What one process measured, as a report keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_edge.recipes.terms import Device


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


NO_COST = Cost()


@dataclass(frozen=True, kw_only=True)
class Turns:
    """The turns of one process, in order: the k-th of each row belongs to the same round.

    Attributes:
        began_s: from the beginning of the benchmark.
        medians_s: of the runs of each turn, once they had settled.
        first_s: the first run of each, after others had the caches.
        loop_s: a loop that is always the same, just before each: the processor's speed.
        interruptions: how often the system took the processor away, in all of them together.
    """

    began_s: tuple[float, ...] = ()
    medians_s: tuple[float, ...] = ()
    first_s: tuple[float, ...] = ()
    loop_s: tuple[float, ...] = ()
    interruptions: int = 0


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
        fault: why the answers did not pass the artifact's gate; empty if they did, and in reports
            of before.
        turns: empty in reports of before, whose processes ran one after the other.
    """

    warmup_s: tuple[float, ...]
    runs: int
    samples_s: tuple[float, ...]
    max_abs_error: float
    digits: int
    flips: int
    fault: str = ""
    turns: Turns = Turns()


@dataclass(frozen=True, kw_only=True)
class BatchSamples:
    """Durations of whole batches, in order; none where the pictures have to be given one by one.

    Attributes:
        medians_s: of each turn; the k-th of each row belongs to the same round. Empty where they
            were not measured in turns.
    """

    batch_size: int
    samples_s: tuple[float, ...]
    medians_s: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PacedSamples:
    """Pictures that arrive at a fixed rate, whether or not the one before is done: an open loop.

    Attributes:
        rate: pictures per second.
        samples_s: from the intended start of each run to its end. A run that has to wait for the
            one before counts its waiting, too (no coordinated omission: G. Tene, "How NOT to
            Measure Latency", 2015).
        backlog_s: how late the last run started. It grows where the rate is too high; a whole
            session late, the session ends.
    """

    rate: float
    samples_s: tuple[float, ...]
    backlog_s: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one process measured.

    Attributes:
        backend: the runtime, and `version` its version.
        device: where it proved to run.
        timer_overhead_s: the median duration of nothing, contained in each sample.
        peak_resident_bytes: after single pictures, before the batches; 0 where unknown.
        paced: one per rate.
        resident: batches that never leave the device; empty on the CPU.
        cost: of the graph, where the format tells.
        core: the processor that it was kept on; None where it could choose.
        beside: which of several groups it took turns in, where memory did not hold all at once.
        built_bytes: of the code and data that a compiler made of the artifact; 0 without one.
        joules: of one picture, measured over many; 0 where it cannot be read.
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
    cost: Cost = NO_COST
    core: int | None = None
    beside: int = 0
    built_bytes: int = 0
    joules: float = 0.0
