"""What a benchmark says: raw samples, intervals, verdicts, and whether to believe them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mnist_edge.bench.measure import Run
from mnist_edge.machine import Machine
from mnist_edge.recipes import BenchRecipe, Device
from mnist_edge.stats import Interval

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
class Measurement:
    """What is known of one artifact on one device.

    Attributes:
        sha256, size_bytes: of the file.
        backend, version: the runtime; empty where nothing ran.
        threads: of the runtime, as set.
        status: `failed` if a process crashed or hung, `absent` if the device or runtime is.
        reason: why it is not `ok`.
        validity: whether the figures may be believed; `doubts` tells why not, with advice, as far
            as it concerns this row alone.
        percentiles_s: of single runs, all processes together: p50, p90, p99 and p99.9, those of
            them that the samples suffice for.
        throughput: by batch size.
        runs: one per process, with the raw samples.
    """

    artifact: str
    device: Device
    sha256: str
    size_bytes: int
    threads: int
    status: Status
    reason: str = ""
    backend: str = ""
    version: str = ""
    validity: Validity = "INVALID"
    doubts: tuple[str, ...] = ()
    percentiles_s: dict[str, Interval]
    throughput: tuple[Throughput, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def label(self) -> str:
        """The name of the row: artifact and device."""
        return row_label(self.artifact, self.device)

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
        doubts: why no row is VALID, with advice; empty where only rows have doubts of their own.
        rows: as far as they have run, in the order of the manifest.
        fastest: the label of the row with the least median; empty if no row is usable.
        baseline: the label of the checkpoint's first usable row; empty if there is none.
        verdicts: every other usable row against the fastest, and against the baseline.
    """

    schema: Literal[1]
    bundle: str
    data: str
    data_sha256: str
    machine: Machine
    versions: dict[str, str]
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


def row_label(artifact: str, device: Device) -> str:
    """How a row is named in orders and verdicts."""
    return f"{artifact}/{device}"


def _median(values: Iterable[float]) -> float:
    known = list(values)
    return statistics.median(known) if known else 0.0
