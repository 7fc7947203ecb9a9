"""Two reports side by side: what has become slower, and whether that is sure."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from mnist_edge.bench.judge import verdict_apart
from mnist_edge.bench.report import SCHEMA, BenchReport, Measurement, Verdict
from mnist_edge.bundle import codec
from mnist_edge.bundle.storage import read_file, readable
from mnist_edge.errors import BadInput, UsageError
from mnist_edge.machine import Machine

_MAX_REPORT_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What has changed from one report to another.

    The two were not interleaved, so a difference may be that of the machine's two days, and an
    interval holds only how much the processes of each report differed among themselves.

    Attributes:
        verdicts: each row of the new report against the same row of the old one.
        regressions: labels of the rows that are slower by more than `limit`, and surely slower.
        limit: the share by which a row may be slower; 0 where any sure slowdown counts.
        missing: labels of rows that only one of the reports can tell of.
        machines: the facts in which the two machines differ: old and new.
        speed: how many times as long a loop that is always the same took in the new report; 0
            where one of them does not tell.
        beside: the least difference from the fastest that half of the new report's rows could
            have, and be told: what it would be known to, had both been one run.
    """

    verdicts: tuple[Verdict, ...]
    regressions: tuple[str, ...]
    limit: float
    missing: tuple[str, ...]
    machines: dict[str, tuple[str, ...]]
    speed: float = 0.0
    beside: float = 0.0


def read_report(path: Path) -> BenchReport:
    """Read a saved report.

    Raises:
        BadInput: there is none, it is none, or a newer version of this package wrote it.
    """
    fix = "name a report that mnist-edge bench has written"
    with readable(path, BadInput, fix):
        data = read_file(path, most=_MAX_REPORT_BYTES)
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON: {error}", fix=fix) from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise BadInput(
            f"{path} has schema {schema}, this version knows {SCHEMA}",
            fix="update mnist-edge, or measure again with this version",
        )
    try:
        return codec.decode(BenchReport, document)
    except ValueError as error:
        raise BadInput(f"{path} is not a report of bench: {error}", fix=fix) from None


def compare_reports(
    old: BenchReport, new: BenchReport, *, limit: float = 0.0, across_machines: bool = False
) -> Comparison:
    """Compare the medians of all rows that both reports have.

    Args:
        old: what is compared with.
        new: what is judged.
        limit: the share by which a row may be slower.
        across_machines: whether the two may come from different machines.

    Raises:
        UsageError: they do, and may not; or they have no usable row in common.
    """
    facts = zip(_facts(old.machine).items(), _facts(new.machine).values(), strict=True)
    machines: dict[str, tuple[str, ...]] = {
        fact: (str(was), str(now)) for (fact, was), now in facts if was != now
    }
    if machines and not across_machines:
        named = ", ".join(
            f"{fact} {before} and {after}" for fact, (before, after) in machines.items()
        )
        raise UsageError(
            f"the reports come from different machines: {named:.300}",
            fix="add --across-machines to compare them all the same",
        )
    before, after = _usable(old), _usable(new)
    common = [label for label in after if label in before]
    if not common:
        raise UsageError(
            "the reports have no usable row in common",
            fix="measure the same artifacts, devices and threads",
        )
    verdicts = tuple(
        verdict_apart(after[label], before[label], new.recipe.seed) for label in common
    )
    return Comparison(
        verdicts=verdicts,
        regressions=tuple(
            judged.row
            for judged in verdicts
            if judged.word == "slower" and judged.ratio.value > 1 + limit
        ),
        limit=limit,
        missing=tuple(sorted(before.keys() ^ after.keys())),
        machines=machines,
        speed=_loop_s(new) / before_s if (before_s := _loop_s(old)) else 0.0,
        beside=new.resolution,
    )


def _loop_s(report: BenchReport) -> float:
    loops_s = [s for row in report.rows for run in row.runs for s in run.single.turns.loop_s]
    return statistics.median(loops_s) if loops_s else 0.0


def _usable(report: BenchReport) -> dict[str, Measurement]:
    return {row.label: row for row in report.rows if row.usable}


def _facts(machine: Machine) -> dict[str, object]:
    """What makes a machine another one to a benchmark; a new kernel or Python does not."""
    return {
        "processor": machine.processor,
        "architecture": machine.architecture,
        "instruction sets": " ".join(machine.cpu_flags),
        "usable threads": machine.usable_threads,
        "GPU": ", ".join(machine.gpu) or "none",
    }
