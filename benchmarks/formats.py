"""Every artifact that `export` writes, and every runtime that `bench` knows, in one run.

    python benchmarks/formats.py BUNDLE [BUNDLE ...]

Each BUNDLE holds what shall be measured, as `mnist-edge export --format all` leaves it; all rows of
all bundles take turns. `runtimes.py` sets runtimes up as their makers advise, with converters of
others; this one shows what a user of this package gets.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from counter import count_restarts
from runs import RESULTS
from runtimes import Row, by_recipe
from runtimes_page import Comparison, compared, median_s, ratio

from mnist_edge.bench.report import BenchReport
from mnist_edge.bench.roofline import measure_ceiling
from mnist_edge.bench.rounds import measure_in_turns
from mnist_edge.bench.session import empty_report, job_of, subjects_of
from mnist_edge.bench.surroundings import Watch
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.formats.devices import DEVICES
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.render.bench import context, listed
from mnist_edge.render.bench.sentences import doubts
from mnist_edge.render.bench.tables import span
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.render.text import microseconds

RECIPE = BenchRecipe(processes=5, duration_s=0.3, batch_sizes=(), rates=())


_ORT = (
    "`ort` is for size alone: for an ONNX Runtime that is built with these operators and no others."
    " As it opens an `.onnx` file it lays the weights out for the processor at hand, which it does"
    " not for its own format; a file that is saved with that layout is as fast"
    " (`.ort format` in [its settings](ort-settings-amd-epyc.md)), on such processors only.\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    rows = {
        f"{bundle.path.name}/{subject.label}": Row(bundle=bundle, subject=subject)
        for bundle in map(open_bundle, parser.parse_args().bundles)
        for subject in (
            *subjects_of(bundle, RECIPE),
            *subjects_of(bundle, RECIPE, runtimes=("openvino",)),
        )
    }
    report = empty_report(next(iter(rows.values())).bundle, RECIPE)
    watch = Watch()
    *_, outcomes = measure_in_turns(
        {label: job_of(row.bundle, row.subject, RECIPE) for label, row in rows.items()},
        RECIPE,
        failures={},
        progress=count_restarts,
        watch=watch,
    )
    print(file=sys.stderr)
    report = replace(report, ceiling=measure_ceiling(), finished=True)
    _write(by_recipe(report, rows, outcomes, watch))


def _write(reports: dict[str, BenchReport]) -> None:
    first = next(iter(reports.values()))
    name = report_path(
        None, bundle="formats", verb="runtimes", processor=first.machine.processor
    ).name
    path = RESULTS / name
    found = compared(reports)
    atomic_write(path, codec.join_numbers(codec.dumps(found)).encode())
    atomic_write(path.with_suffix(".md"), page(found).encode())
    print(markdown(formats_table(found)))


def page(comparison: Comparison) -> str:
    """Claim, hardware, versions and n, then every row of every net."""
    reports = comparison.reports
    first = next(iter(reports.values()))
    every = replace(first, rows=tuple(row for report in reports.values() for row in report.rows))
    parts = [
        f"# What `export` writes and `bench` runs, side by side\n\n{context(every)}",
        f"## Every row\n\n{markdown(formats_table(comparison))}",
        f"## The same net as `.ort` and as `.onnx`\n\n{markdown(ort_table(comparison))}\n{_ORT}",
        f"## What makes them doubtful\n\n{listed(doubts(replace(first, rows=())))}",
        f"## Bytes of the runtimes\n\n{listed(_installed(first))}",
    ]
    return "\n".join(parts)


def read_formats(folder: Path) -> Comparison | None:
    """What this script wrote on the machine that the README speaks of; None where it has not."""
    path = folder / "formats-runtimes-amd-epyc.json"
    return codec.loads(Comparison, path.read_text()) if path.exists() else None


def formats_table(comparison: Comparison) -> Table:
    """Bytes that are deployed, and microseconds for one picture, of every row on every net."""
    nets = {
        net: {row.label.removesuffix("/cpu"): row for row in report.rows}
        for net, report in comparison.reports.items()
    }
    first = next(iter(nets.values()))
    usable = [name for name, row in first.items() if row.usable]
    cells = []
    for name in sorted(usable, key=lambda name: median_s(first[name], "one picture")):
        found = [name.replace("@", " with ")]
        for rows in nets.values():
            row = rows.get(name)
            if row is None or not row.usable:
                found += (NOTHING, NOTHING)
            else:
                found += (f"{row.deployed_bytes / 1000:,.1f}", microseconds(row.p50_s))
        cells.append(tuple(found))
    heads = (head for net in nets for head in (f"`{net}` kB", f"`{net}` µs"))
    return Table(headers=("artifact", *heads), rows=tuple(cells))


def ort_table(comparison: Comparison) -> Table:
    """How many times as long ONNX Runtime takes for its own format as for ONNX, turn by turn."""
    cells = []
    for net, report in comparison.reports.items():
        rows = {row.artifact: row for row in report.rows if row.usable and not row.runtime}
        for precision in ("float32", "int8"):
            own, onnx = (rows.get(f"{name}-{precision}") for name in ("ort", "onnx"))
            if own is not None and onnx is not None:
                times = ratio(own, onnx, "one picture", report.recipe.seed)
                cells.append((f"`{net}`", precision, f"{times.value:.2f}", span(times)))
    return Table(headers=("net", "precision", "times as long", "99 % interval"), rows=tuple(cells))


def devices_table(comparison: Comparison, net: str) -> Table:
    """What `doctor` advises, with what was measured of the shipped net."""
    report = comparison.reports[net]
    rows = {row.label.removesuffix("/cpu"): row for row in report.rows if row.usable}
    cells = []
    for advice in DEVICES:
        row = rows.get(advice.artifact)
        size = report.installed_bytes.get(advice.package)
        cells.append(
            (
                advice.device,
                f"`export {advice.options}`",
                f"{row.deployed_bytes / 1000:,.1f}" if row else NOTHING,
                advice.runtime + (f", {size / 1e6:.0f} MB" if size else "") or "none",
                microseconds(row.p50_s) if row else NOTHING,
                advice.proof,
            )
        )
    return Table(
        headers=("for", "take", "kB", "runtime", "µs on x86-64", "gave its answers in"),
        rows=tuple(cells),
    )


def _installed(report: BenchReport) -> list[str]:
    return [f"{name}: {size / 1e6:.0f} MB" for name, size in report.installed_bytes.items()]


if __name__ == "__main__":
    main()
