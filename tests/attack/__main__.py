"""The long attack: some minutes on two cores. `make attack` runs it and keeps its table."""

from __future__ import annotations

import argparse
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attack.cases import Kind, Result
from attack.ground import make_ground
from attack.plan import LONG, cases
from attack.pool import run_cases
from attack.runs import kills, signals
from attack.table import Report, described, markdown, rows, table
from mnist_edge.bundle import codec
from mnist_edge.machine import describe_machine, library_versions


def main() -> int:
    """Attack, and tell what is to be mended; 1 if anything is."""
    parser = argparse.ArgumentParser(prog="attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="kinds, such as pictures")
    parser.add_argument("--out", type=Path, help="a folder for attack.json and attack.md")
    arguments = parser.parse_args()
    start = time.monotonic()
    only: set[Kind] = set(arguments.only or ())
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="attack-") as place:
        scratch = Path(place)
        ground = make_ground(scratch / "ground", scratch / "home")
        print(f"ground of {', '.join(ground.artifacts)} in {time.monotonic() - start:.0f} s")
        wanted = (c for c in cases(ground, LONG, arguments.seed) if not only or c.kind in only)
        told(results, run_cases(ground, wanted, scratch, workers=arguments.workers), start)
        ends = {"signals": (signals, LONG.signals), "kills": (kills, LONG.kills)}
        with ThreadPoolExecutor() as pool:
            running = [
                pool.submit(
                    told, results, end(ground, scratch, count, random.Random(arguments.seed)), start
                )
                for kind, (end, count) in ends.items()
                if not only or kind in only
            ]
        for ended in running:
            ended.result()
    report = Report(
        seed=arguments.seed,
        machine=f"{describe_machine().processor}, {platform.system()}",
        seconds=round(time.monotonic() - start, 1),
        versions=library_versions(),
        rows=tuple(rows(results)),
        bad=tuple(described(result) for result in results if result.bad),
    )
    print(table(report))
    if arguments.out:
        (arguments.out / "attack.json").write_text(codec.dumps(report))
        (arguments.out / "attack.md").write_text(markdown(report))
    return bool(report.bad)


def told(results: list[Result], found: Iterable[Result], start: float) -> None:
    """Gather results; what is bad is said at once."""
    for result in found:
        results.append(result)
        if result.bad:
            print(described(result), *result.outcome.left, flush=True)
        if len(results) % 500 == 0:
            print(f"{len(results)} tried in {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
