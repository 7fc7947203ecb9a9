"""Does the benchmark see what is there, and nothing else? Twenty times, in about five minutes.

    python benchmarks/selftest.py [--bundle exports/default] [--rounds 20]

Each round measures one artifact three times over, in interleaved fresh processes: as it is, as it
is again, and with every run made to take a fifth longer. The first two must come out
"indistinguishable" and the third "slower", at 99 %, in at least 19 rounds of 20 each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from counter import count_processes
from runs import RESULTS

from mnist_edge.bench import SelfTest, self_test
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.recipes.bench import SELF_TEST_RECIPE
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.render.bench.sentences import self_test_lines
from mnist_edge.render.text import NOTHING, Table, markdown, microseconds
from mnist_edge.stats import Interval


def main() -> None:
    options = _options()
    recipe = replace(SELF_TEST_RECIPE, processes=options.processes)
    tested = self_test(
        open_bundle(options.bundle),
        options.artifact,
        recipe,
        rounds=options.rounds,
        progress=count_processes,
    )
    print(file=sys.stderr)
    path = options.out or RESULTS / _name(tested)
    atomic_write(path, codec.dumps({"rounds": tested.rounds, "recipe": recipe}).encode())
    atomic_write(path.with_suffix(".md"), page(tested).encode())
    print(page(tested))
    sys.exit(not tested.passed)


def page(tested: SelfTest) -> str:
    """Claim, machine, n, and every round."""
    report, count = tested.report, len(tested.rounds)
    machine = report.machine
    facts = [
        f"Machine: {machine.processor}, {machine.usable_threads} usable threads",
        (
            f"System: {machine.system}, {machine.python}, "
            f"onnxruntime {report.versions.get('onnxruntime', NOTHING)}"
        ),
        f"n = {count} rounds of 3 rows of {report.recipe.processes} processes",
        *self_test_lines(tested),
    ]
    rounds = Table(
        headers=("round", "median µs", "again", "interval", "slowed", "interval", "verdicts"),
        rows=tuple(
            (
                str(index),
                microseconds(statistics.median(found.medians_s[found.again.against])),
                *_ratio(found.again.ratio),
                *_ratio(found.planted.ratio),
                f"{found.again.word}, {found.planted.word}",
            )
            for index, found in enumerate(tested.rounds, start=1)
        ),
    )
    return (
        f"# The benchmark, benchmarked\n\nTwo equal things came out indistinguishable in "
        f"{tested.quiet} of {count} rounds, and a planted slowdown of {tested.slowdown:.0%} was "
        f"found in {tested.found} of {count}.\n\n"
        + "".join(f"* {fact}\n" for fact in facts)
        + f"\n{markdown(rounds)}"
    )


def _ratio(ratio: Interval) -> tuple[str, str]:
    return f"{ratio.value:.3f}", f"{ratio.low:.3f}–{ratio.high:.3f}"


def _name(tested: SelfTest) -> str:
    processor = tested.report.machine.processor
    return report_path(None, bundle="harness", verb="selftest", processor=processor).name


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, help="by default the one that every verb takes")
    parser.add_argument("--artifact", default=DEFAULT_ARTIFACT)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=SELF_TEST_RECIPE.processes)
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
