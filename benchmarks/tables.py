"""Turns the results in benchmarks/ into mnist_edge/figures.json and the tables of the README.

python benchmarks/tables.py            rewrites both
python benchmarks/tables.py --check    says whether they are stale, and exits 1 if so
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from mnist_edge import codec
from mnist_edge.catalogue import RECIPES
from mnist_edge.figures import FIGURES, Accuracy, Figures, Latency, recipe_digest
from mnist_edge.recipes import Claim, TrainRecipe
from mnist_edge.render import Table, accuracy_text, markdown

HERE = Path(__file__).parent
README = HERE.parent / "README.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    wanted = {FIGURES: figures_text(), README: readme_text()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if arguments.check:
        for path in stale:
            print(f"{path.name} is stale; run python benchmarks/tables.py", file=sys.stderr)
        raise SystemExit(bool(stale))
    for path in stale:
        path.write_text(wanted[path])
        print(f"wrote {path.name}")


def figures() -> dict[str, Figures]:
    """What was measured of every recipe, by name, in the order of the catalogue."""
    lines = (HERE / "accuracy.jsonl").read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    latencies = codec.loads(dict[str, Latency], (HERE / "latency.json").read_text())
    found = {}
    for recipe in RECIPES.values():
        digest = recipe_digest(recipe)
        mine = [run for run in runs if run["digest"] == digest and run["device"] == "cpu"]
        if mine:
            found[recipe.name] = _summary(recipe.name, digest, mine, latencies.get(digest))
    return found


def _summary(
    name: str, digest: str, runs: list[dict[str, float]], latency: Latency | None
) -> Figures:
    accuracies = [run["accuracy"] for run in runs]
    first = runs[0]
    return Figures(
        recipe=name,
        digest=digest,
        parameters=int(first["parameters"]),
        multiply_adds=int(first["multiply_adds"]),
        accuracy=Accuracy(
            mean=statistics.mean(accuracies),
            sd=statistics.stdev(accuracies) if len(runs) > 1 else 0.0,
            low=min(accuracies),
            n=len(runs),
        ),
        train_s=statistics.mean(run["seconds"] for run in runs),
        threads=int(first["threads"]),
        processor=str(first["processor"]),
        latency=latency,
    )


def figures_text() -> str:
    return codec.dumps(tuple(figures().values()))


def readme_text() -> str:
    """The README with each generated table in its place."""
    text = README.read_text()
    for name, table in {
        "recipes": recipes_table(),
        "seeds": seeds_table(),
        "training": training_table(),
    }.items():
        before, start, rest = text.partition(f"<!-- table: {name} -->\n")
        if start:
            _, end, after = rest.partition("<!-- end -->")
            text = before + start + markdown(table) + end + after
    return text


def recipes_table() -> Table:
    """Every recipe that was measured."""
    return Table(
        headers=("recipe", "parameters", "multiply-adds", "test accuracy (mean ± sd, n)",
                 "training", "ONNX float32", "batch-1 p50"),
        rows=tuple(_row(RECIPES[name], found) for name, found in figures().items()),
    )  # fmt: skip


def _row(recipe: TrainRecipe, found: Figures) -> tuple[str, ...]:
    latency = found.latency
    return (
        f"`{recipe.name}`",
        f"{found.parameters:,}",
        f"{found.multiply_adds / 1e6:.2f} M",
        accuracy_text(found.accuracy),
        f"{found.train_s:.1f} s",
        f"{latency.size_bytes / 1000:.0f} kB" if latency else "not measured",
        f"{latency.p50_s * 1e6:.0f} µs" if latency else "not measured",
    )


def seeds_table() -> Table:
    """What each of the five projects claims, beside what its recipe gave here."""
    rows = []
    for name, found in figures().items():
        claim = RECIPES[name].claim
        if claim is not None:
            rows.append(
                (
                    f"`{name}`",
                    claim.project,
                    claim_text(claim),
                    accuracy_text(found.accuracy),
                    verdict(claim, found.accuracy),
                    f"{found.train_s:.0f} s",
                )
            )
    return Table(
        headers=("recipe", "project", "its claim", "measured here", "verdict", "training"),
        rows=tuple(rows),
    )


def training_table() -> Table:
    """Seconds to two lines of accuracy, ours beside theirs, from one run."""
    report = json.loads((HERE / "training.json").read_text())
    names = {
        "sprint": "`sprint`",
        "quick": "`quick`",
        "lenet-dataloader": "the LeNet-like project's way",
        "pytorch-example": "PyTorch's MNIST example",
    }
    rows = []
    for name, shown in names.items():
        runs = [row for row in report["rows"] if row["name"] == name]
        rows.append(
            (
                shown,
                str(len(runs)),
                seconds_to(0.990, runs),
                seconds_to(0.994, runs),
                f"{statistics.mean(run['accuracy'] for run in runs):.2%}",
                f"{statistics.mean(run['seconds'] for run in runs):.1f} s",
            )
        )
    return Table(
        headers=("training", "runs", "to 99.0 %", "to 99.4 %", "accuracy at its end", "its end"),
        rows=tuple(rows),
    )


def seconds_to(line: float, runs: list[dict[str, list[dict[str, float]]]]) -> str:
    """Mean seconds to the first measured accuracy at or over a line, and in how many runs."""
    reached = [
        min(epoch["seconds"] for epoch in run["epochs"] if epoch["accuracy"] >= line)
        for run in runs
        if any(epoch["accuracy"] >= line for epoch in run["epochs"])
    ]
    if not reached:
        return "not reached"
    part = "" if len(reached) == len(runs) else f" ({len(reached)} of {len(runs)} runs)"
    return f"{statistics.mean(reached):.1f} s{part}"


def claim_text(claim: Claim) -> str:
    return f"{claim.test_accuracy:.2f}%" if claim.test_accuracy else "“high accuracy”"


def verdict(claim: Claim, accuracy: Accuracy) -> str:
    if not claim.test_accuracy:
        return "no figure to reach"
    gap = 100 * accuracy.mean - claim.test_accuracy
    # Accuracies are counted in steps of one digit in 10,000.
    return "reached" if gap > -0.005 else f"missed by {-gap:.2f} points"


if __name__ == "__main__":
    main()
