"""Latency and size of each recipe's ONNX and C artifacts, into benchmarks/results/latency.json.

    python benchmarks/latency.py FOLDER

FOLDER holds the bundles that `accuracy.py --keep FOLDER` leaves; of each recipe the one with the
least seed is measured, in float32 and static int8. All artifacts of all recipes are measured in
one run, as `mnist-edge bench` does it: a process each, which take turns and are started anew
several times, one thread, one digit at a time, real digits, answers checked. So the report holds
one run only: what is not in the folder leaves it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from counter import count_restarts
from kept import PRECISIONS, kept_bundles
from runs import RESULTS

from mnist_edge.bench.apart import start_apart
from mnist_edge.bench.judge import machine_doubts
from mnist_edge.bench.report import Measurement
from mnist_edge.bench.rounds import Start, measure_in_turns
from mnist_edge.bench.rows import row_of
from mnist_edge.bench.session import job_of
from mnist_edge.bench.subject import Subject
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.machine import describe_machine, load_average
from mnist_edge.recipes.bench import BENCH_RECIPES, BenchRecipe
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT, Format
from mnist_edge.render.published import Latency, Timed, recipe_digest

REPORT = RESULTS / "latency.json"
FORMATS: tuple[Format, ...] = ("onnx", "c")
# One picture at a time is all that is asked.
RECIPE = replace(BENCH_RECIPES["default"], budget_s=0.0, processes=5, batch_sizes=(), rates=())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=RECIPE.processes, help="a row")
    options = parser.parse_args()
    recipe = replace(RECIPE, processes=options.processes)
    bundles = one_a_recipe(kept_bundles(options.folder, *FORMATS))
    machine = describe_machine()
    for doubt in machine_doubts(machine, recipe, load_average() or ()):
        print(f"not to be published: {doubt}", file=sys.stderr)
    report = {
        digest: latency(rows, machine.processor)
        for digest, rows in measure(bundles, recipe).items()
        if DEFAULT_ARTIFACT in rows
    }
    atomic_write(REPORT, codec.dumps(report).encode())


def one_a_recipe(bundles: Sequence[Bundle]) -> dict[str, Bundle]:
    """The bundle with the least seed of each recipe, by the digest of the recipe."""
    chosen: dict[str, Bundle] = {}
    for bundle in sorted(bundles, key=lambda bundle: bundle.manifest.own_recipe.seed):
        chosen.setdefault(recipe_digest(bundle.manifest.own_recipe), bundle)
    return chosen


def measure(
    bundles: Mapping[str, Bundle],
    recipe: BenchRecipe,
    start: Start = start_apart,
) -> dict[str, dict[str, Measurement]]:
    """The artifacts of every bundle, in turns: their rows by digest and name.

    Those that failed, or whose answers are not to be relied on, are told of and left out.
    """
    subjects = {
        f"{digest} {artifact.name}": (digest, Subject(artifact=artifact.name, device="cpu"))
        for digest, bundle in bundles.items()
        for artifact in bundle.manifest.artifacts
        if artifact.format in FORMATS and artifact.precision in PRECISIONS
    }
    *_, outcomes = measure_in_turns(
        {label: job_of(bundles[at], subject, recipe) for label, (at, subject) in subjects.items()},
        recipe,
        failures={},
        start=start,
        progress=count_restarts,
    )
    print(file=sys.stderr)
    rows: dict[str, dict[str, Measurement]] = {digest: {} for digest in bundles}
    for label, (digest, subject) in subjects.items():
        artifact = bundles[digest].artifact(subject.artifact)
        row = row_of(artifact, subject, outcomes[label])
        _tell(bundles[digest].manifest.own_recipe.name, row)
        if row.usable:
            rows[digest][row.artifact] = row
    return rows


def _tell(recipe: str, row: Measurement) -> None:
    p50 = "not measured" if row.p50_s is None else f"{row.p50_s * 1e6:.1f} µs"
    doubts = f" {row.validity}: {'; '.join(row.doubts)}" if row.doubts else ""
    print(f"{recipe} {row.artifact}: {p50}, {row.size_bytes:,} bytes{doubts}")


def latency(rows: Mapping[str, Measurement], processor: str) -> Latency:
    """The figures of one recipe, from the rows of its artifacts, ONNX in float32 among them."""
    timed = {
        name: Timed(p50_s=row.percentiles_s["p50"].value, size_bytes=row.size_bytes)
        for name, row in rows.items()
    }
    plain = timed.pop(DEFAULT_ARTIFACT)
    return Latency(
        p50_s=plain.p50_s, size_bytes=plain.size_bytes, processor=processor, others=timed
    )


if __name__ == "__main__":
    main()
