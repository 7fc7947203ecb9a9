"""What a benchmark says: raw samples, intervals, verdicts, and whether to believe them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mnist_edge.bench.measure import Cost, Run
from mnist_edge.bench.roofline import UNKNOWN_CEILING, Ceiling
from mnist_edge.bench.subject import Subject
from mnist_edge.machine import Machine
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.stats import Interval, ratio_of_medians

SCHEMA: Literal[1] = 1

Status: TypeAlias = Literal["ok", "failed", "absent"]
Validity: TypeAlias = Literal["VALID", "SUSPECT", "INVALID"]
Word: TypeAlias = Literal["faster", "slower", "indistinguishable"]

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Images per second at one batch size: the batch over the median duration."""

    batch_size: int
    images_per_s: Interval


@dataclass(frozen=True, kw_only=True)
class Paced:
    """Latency from the intended start, of pictures that arrive at a fixed rate.

    Attributes:
        rate: pictures per second.
        percentiles_s: as of single runs.
        kept_up: whether no process fell ever further behind.
    """

    rate: float
    percentiles_s: dict[str, Interval]
    kept_up: bool


@dataclass(frozen=True, kw_only=True)
class Measurement(Subject):
    """What is known of one row.

    Attributes:
        sha256, size_bytes: of the file.
        accuracy, digits: of the artifact, 0 to 1, on so many digits when it was exported.
        source: those digits.
        backend, version: the runtime; empty where nothing ran.
        status: `failed` if a process crashed or hung, `absent` if the device or runtime is.
        reason: why it is not `ok`.
        validity: whether the figures may be believed; `doubts` tells why not, with advice, as far
            as it concerns this row alone.
        percentiles_s: of single runs, all processes together: p50, p90, p99 and p99.9, those of
            them that the samples suffice for.
        throughput: by batch size.
        paced: by rate.
        runs: one per process, with the raw samples.
    """

    sha256: str
    size_bytes: int
    accuracy: float = 0.0
    digits: int = 0
    source: Literal["reference", "test set"] = "reference"
    status: Status
    reason: str = ""
    backend: str = ""
    version: str = ""
    validity: Validity = "INVALID"
    doubts: tuple[str, ...] = ()
    percentiles_s: dict[str, Interval]
    throughput: tuple[Throughput, ...] = ()
    paced: tuple[Paced, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it has figures that a verdict may rest on."""
        return self.status == "ok" and self.validity != "INVALID"

    @property
    def samples_s(self) -> tuple[float, ...]:
        """Durations of single runs, of all processes."""
        return tuple(sample for run in self.runs for sample in run.single.samples_s)

    @property
    def p50_s(self) -> float | None:
        """The median of single runs; None where there are too few."""
        return self._percentile("p50")

    @property
    def p90_s(self) -> float | None:
        """Nine in ten single runs take no longer; None where there are too few."""
        return self._percentile("p90")

    @property
    def p99_s(self) -> float | None:
        """99 in 100 single runs take no longer; None where there are too few."""
        return self._percentile("p99")

    @property
    def startup_s(self) -> float:
        """From the start of the process until this package is loaded; median of the processes."""
        return _median(run.cold.startup_s for run in self.runs)

    @property
    def load_s(self) -> float:
        """Importing the runtime and opening the file; median of the processes."""
        return _median(run.cold.import_s + run.cold.open_s for run in self.runs)

    @property
    def first_run_s(self) -> float:
        """The first picture after opening; median of the processes."""
        return _median(run.cold.first_run_s for run in self.runs)

    @property
    def first_answer_s(self) -> float:
        """From the start of the process to the first answer; median of the processes."""
        return _median(run.cold.total_s for run in self.runs)

    @property
    def peak_resident_bytes(self) -> int:
        """Of a process that loads only this backend; 0 where unknown."""
        return max((run.peak_resident_bytes for run in self.runs), default=0)

    @property
    def max_abs_error(self) -> float:
        """Of any logit of the timed runs, against the reference."""
        return max((run.single.max_abs_error for run in self.runs), default=0.0)

    def _percentile(self, name: str) -> float | None:
        interval = self.percentiles_s.get(name)
        return None if interval is None else interval.value


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One row against another, by the labels of both.

    Attributes:
        ratio: of the medians; above 1 the row takes longer than what it is compared with.
        word: `indistinguishable` unless the whole 99 % interval lies on one side of 1.
    """

    row: str
    against: str
    ratio: Interval
    word: Word


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """One benchmark, complete with what is needed to judge it.

    Attributes:
        bundle: its folder's name, without the way there.
        data, data_sha256: the data set of the model and of the reference digits.
        load_before, load_after: averages over 1, 5 and 15 minutes; empty where unknown.
        order: labels of the rows in the order in which their processes ran.
        finished: whether all of `order` has run.
        ceiling: what the CPU could do at most.
        gpu_before, gpu_after: clock and temperature of each GPU; they are read, never set.
        doubts: why no row is VALID, with advice; empty where only rows have doubts of their own.
        rows: as far as they have run, in the order of the manifest.
        fastest: the label of the row with the least median; empty if no row is usable.
        baseline: the label of the checkpoint's first usable row; empty if there is none.
        verdicts: every usable row against the fastest, the baseline, and its own format in float32.
    """

    schema: Literal[1]
    bundle: str
    data: str
    data_sha256: str
    machine: Machine
    versions: dict[str, str]
    ceiling: Ceiling = UNKNOWN_CEILING
    gpu_before: tuple[str, ...] = ()
    gpu_after: tuple[str, ...] = ()
    load_before: tuple[float, ...]
    load_after: tuple[float, ...]
    recipe: BenchRecipe
    order: tuple[str, ...]
    finished: bool
    doubts: tuple[str, ...]
    rows: tuple[Measurement, ...]
    fastest: str
    baseline: str
    verdicts: tuple[Verdict, ...]

    @property
    def cost(self) -> Cost:
        """Of the network, from the first row that tells; zeros where none does."""
        costs = (run.cost for row in self.rows for run in row.runs)
        return next((cost for cost in costs if cost.multiply_adds), Cost())

    @property
    def resolution(self) -> float:
        """The least difference of two medians that this report can tell apart, as a share.

        Each row is compared with itself, as if its processes had been measured twice.
        """
        widths = [
            ratio_of_medians(samples, samples).high - 1
            for row in self.rows
            if row.usable and (samples := [run.single.samples_s for run in row.runs])
        ]
        return _median(widths)


def _median(values: Iterable[float]) -> float:
    known = list(values)
    return statistics.median(known) if known else 0.0
