"""What a benchmark says: raw samples, intervals, verdicts, and whether to believe them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from mnist_edge.bench.roofline import UNKNOWN_CEILING, Ceiling
from mnist_edge.bench.run import Cost, Run
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.surroundings import Moment
from mnist_edge.machine import Machine
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.stats import Interval

Schema: TypeAlias = Literal[1, 2]
SCHEMA: Schema = 2

Status: TypeAlias = Literal["ok", "failed", "absent", "left out"]
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
        status: `failed` if a process crashed or hung, `absent` if the device or runtime is,
            `left out` if there was no time for it.
        reason: why it is not `ok`.
        validity: whether the figures may be believed; `doubts` tells why not, with advice, as far
            as it concerns this row alone.
        percentiles_s: of single runs, all processes together: p50, p90, p99 and p99.9, those of
            them that the samples suffice for.
        after_others_s: the median of first runs, after others had the caches.
        throughput: by batch size.
        paced: by rate.
        joules: of one picture, and all that the meter covers besides; None where it is not read.
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
    after_others_s: Interval | None = None
    throughput: tuple[Throughput, ...] = ()
    paced: tuple[Paced, ...] = ()
    joules: Interval | None = None
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
    def p99_s(self) -> float | None:
        """99 in 100 single runs take no longer; None where there are too few."""
        return self._percentile("p99")

    @property
    def seen_s(self) -> tuple[float, float] | None:
        """What nine in ten turns lay between: the machine's speed, and the mix of them, changes."""
        turns = [median for run in self.runs for median in run.single.turns.medians_s]
        if not turns:
            return None
        low, high = np.quantile(turns, [0.05, 0.95])
        return float(low), float(high)

    @property
    def startup_s(self) -> float:
        """From the start of the process until this package is loaded; median of the processes."""
        return _median(run.cold.startup_s for run in self.runs)

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
    def deployed_bytes(self) -> int:
        """What goes onto a device: the file, or the code and data that a compiler made of it."""
        return max((run.built_bytes for run in self.runs), default=0) or self.size_bytes

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
        ratio: of the times; above 1 the row takes longer than what it is compared with.
        word: `indistinguishable` unless the whole 99 % interval lies on one side of 1.
    """

    row: str
    against: str
    ratio: Interval
    word: Word

    @property
    def within(self) -> float:
        """The share by which the two may differ at most: how indistinguishable they are."""
        return max(self.ratio.high, 1 / self.ratio.low) - 1

    @property
    def half_width(self) -> float:
        """The least difference that this comparison could have told apart, as a share."""
        return math.sqrt(self.ratio.high / self.ratio.low) - 1


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """One benchmark, complete with what is needed to judge it.

    Attributes:
        bundle: its folder's name, without the way there.
        data, data_sha256: the data set of the model and of the reference digits.
        load_before, load_after: averages over 1, 5 and 15 minutes; empty where unknown.
        order: labels of the rows in the order in which their processes ran, one after the other;
            empty where they took turns, in an order that follows from the seed.
        finished: whether all of it has run.
        ceiling: what the CPU could do at most.
        gpu_before, gpu_after: clock and temperature of each GPU; they are read, never set.
        moments: what went on on the machine meanwhile.
        starts_at_once: how many processes were started at the same time.
        at_a_time: the fewest rows that took turns beside each other, where memory did not hold
            them all; else 0.
        installed_bytes: of the packages that the rows need, as they lie on this disk.
        energy: what was metered, or why nothing was, by device.
        doubts: why no row is VALID, with advice; empty where only rows have doubts of their own.
        rows: as far as they have run, in the order of the manifest.
        fastest: the label of the row that takes the least time; empty if no row is usable.
        baseline: the label of the checkpoint's first usable row; empty if there is none.
        verdicts: every usable row against the fastest, the baseline, and its own format in float32.
    """

    schema: Schema
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
    moments: tuple[Moment, ...] = ()
    starts_at_once: int = 1
    at_a_time: int = 0
    energy: dict[str, str] = field(default_factory=dict)
    installed_bytes: dict[str, int] = field(default_factory=dict)
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
        """The least difference from the fastest that half of the rows could have, and be told."""
        return _median(v.half_width for v in self.verdicts if v.against == self.fastest)

    @property
    def ranked(self) -> tuple[Measurement, ...]:
        """The rows that were measured, by their time beside the fastest; INVALID ones follow."""
        beside = {v.row: v.ratio.value for v in self.verdicts if v.against == self.fastest}
        beside[self.fastest] = 1.0
        measured = [row for row in self.rows if row.status == "ok"]

        def place(row: Measurement) -> tuple[bool, float, float]:
            return not row.usable, beside.get(row.label, 1.0), row.p50_s or 0.0

        return tuple(sorted(measured, key=place))

    @property
    def in_turns(self) -> bool:
        """Whether the rows took turns, and did not run one after the other."""
        return any(run.single.turns.medians_s for row in self.rows for run in row.runs)

    @property
    def restarts(self) -> int:
        """How many processes the rows had, each."""
        return max((len(row.runs) for row in self.rows), default=0)


def _median(values: Iterable[float]) -> float:
    known = list(values)
    return statistics.median(known) if known else 0.0
