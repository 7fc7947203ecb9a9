"""Whole-process time of `mnist-edge --help` and `mnist-edge predict PICTURE`, beside others.

    python benchmarks/startup.py [PICTURE] [--bundle exports/model] [--rounds 24] [--before FOLDER]

Every round runs each command once, in a random order that every second round repeats backwards;
the figures are medians over the rounds. A ratio is the median over the rounds of one command's time
over another's in the same round, so that what slows the machine for a while weighs on both.
Intervals are distribution-free, at 99 %. The first round warms the file cache, compiles as an
installation does, and is kept apart.

Beside them stand the imports that each cannot do without, and with --before, the checkout of an
earlier version, that one's predict. OpenBLAS, which NumPy brings, starts a thread a core as it is
imported, unless it is told to take one, as `predict` tells it: so these imports are timed both
ways, and no number of threads is taken over from the shell. torch does the job twice: through this
package (`predict --artifact torchscript-float32`), and in the shortest script that reads a picture
and runs the TorchScript file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from abba import Ratio, command_before, median_of, plan, ratio_of
from PIL import Image, ImageDraw
from runs import RESULTS

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.errors import MnistEdgeError
from mnist_edge.machine import Machine, describe_machine, library_versions, load_average
from mnist_edge.stats import Interval, samples_needed

HELP = "mnist-edge --help"
PREDICT = "mnist-edge predict, ONNX Runtime"
TORCH = "mnist-edge predict, TorchScript"
SCRIPT = "bare script, TorchScript"
EMPTY = "python -c pass"
BEFORE = "mnist-edge predict, the version before"
IMPORT_TYPER = "import typer"
IMPORT_RUNTIME = "import numpy, PIL.Image, onnxruntime"
ON_ONE_THREAD = "the same imports, OPENBLAS_NUM_THREADS=1"
RATIOS = (
    (TORCH, PREDICT),
    (SCRIPT, PREDICT),
    (BEFORE, PREDICT),
    (PREDICT, IMPORT_RUNTIME),
    (PREDICT, ON_ONE_THREAD),
    (HELP, IMPORT_TYPER),
)
"""What is divided by what."""

BARE_SCRIPT = """
import sys, numpy, torch
from PIL import Image
digit = numpy.asarray(Image.open(sys.argv[2]).convert("L").resize((28, 28)), numpy.float32) / 255
model = torch.jit.load(sys.argv[1])
with torch.inference_mode():
    print(int(model(torch.from_numpy(digit)[None, None]).argmax()))
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Durations of one command, from its start to its end."""

    command: str
    median_s: Interval
    warmup_s: float
    samples_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class StartupReport:
    """The claim, and what it rests on."""

    claim: str
    machine: Machine
    versions: dict[str, str]
    load_before: tuple[float, ...]
    rounds: int
    seed: int
    order: tuple[str, ...]
    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...]


def main() -> None:
    options = _options()
    if options.rounds < samples_needed(0.5):
        sys.exit(f"a median needs {samples_needed(0.5)} rounds; raise --rounds")
    try:
        bundle = open_bundle(options.bundle)
        model = bundle.path / bundle.artifact("torchscript-float32").file
    except MnistEdgeError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory() as scratch:
        picture = options.picture or _draw_seven(Path(scratch, "seven.png"))
        product = [sys.executable, "-m", "mnist_edge"]
        predict = [*product, "predict", "--bundle", str(bundle.path)]
        commands = {
            EMPTY: [sys.executable, "-c", "pass"],
            IMPORT_TYPER: [sys.executable, "-c", IMPORT_TYPER],
            IMPORT_RUNTIME: [sys.executable, "-c", IMPORT_RUNTIME],
            ON_ONE_THREAD: [
                *(sys.executable, "-c"),
                f"import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'; {IMPORT_RUNTIME}",
            ],
            HELP: [*product, "--help"],
            PREDICT: [*predict, str(picture)],
            TORCH: [*predict, "--artifact", "torchscript-float32", str(picture)],
            SCRIPT: [
                *(sys.executable, "-W", "ignore", "-c", BARE_SCRIPT),
                *(str(model), str(picture)),
            ],
        }
        if options.before:
            commands[BEFORE] = [*command_before(options.before), str(picture)]
        report = measure(commands, rounds=options.rounds, seed=options.seed)
    stem = report.machine.processor.lower().replace(" ", "-").replace("/", "-")
    path = options.out or RESULTS / f"startup-{stem}.json"
    atomic_write(path, codec.dumps(report).encode())
    atomic_write(path.with_suffix(".md"), markdown(report).encode())
    print(markdown(report))


def measure(commands: dict[str, list[str]], *, rounds: int, seed: int) -> StartupReport:
    """Run every command once to warm up, then `rounds` times, interleaved."""
    load = load_average() or ()
    warmup = {name: _timed(command) for name, command in commands.items()}
    if warmup[PREDICT][1] != warmup[TORCH][1]:
        sys.exit(f"{PREDICT} and {TORCH} print different answers; verify the bundle")
    samples_s: dict[str, list[float]] = {name: [] for name in commands}
    order = plan(tuple(commands), rounds, seed)
    for done, name in enumerate(order):
        print(f"\r{done}/{len(order)} processes", end="", file=sys.stderr, flush=True)
        samples_s[name].append(_timed(commands[name])[0])
    print(file=sys.stderr)
    rows = tuple(
        Row(
            command=name,
            median_s=median_of(samples),
            warmup_s=warmup[name][0],
            samples_s=tuple(samples),
        )
        for name, samples in samples_s.items()
    )
    ratios = tuple(
        ratio_of(name, against, samples_s) for name, against in RATIOS if name in samples_s
    )
    figures = {row.command: row.median_s.value for row in rows}
    times = {(ratio.command, ratio.against): ratio.times.value for ratio in ratios}
    return StartupReport(
        claim=(
            f"`--help` takes {figures[HELP]:.2f} s, {times[HELP, IMPORT_TYPER]:.1f} times the "
            f"import of typer, and `predict` {figures[PREDICT]:.2f} s, "
            f"{times[PREDICT, IMPORT_RUNTIME]:.2f} times the imports that it cannot do without "
            f"({times[PREDICT, ON_ONE_THREAD]:.2f} of them on one thread), whole process; through "
            f"torch it is {times[TORCH, PREDICT]:.1f} times as long, in a bare script "
            f"{times[SCRIPT, PREDICT]:.1f}"
        ),
        machine=describe_machine(),
        versions=library_versions(),
        load_before=load,
        rounds=rounds,
        seed=seed,
        order=order,
        rows=rows,
        ratios=ratios,
    )


def markdown(report: StartupReport) -> str:
    """The report as a page: claim, machine, versions, n, then the figures."""
    machine = report.machine
    names = ("torch", "onnxruntime", "numpy", "pillow", "typer")
    versions = [f"{name} {report.versions[name]}" for name in names if name in report.versions]
    load = f"{report.load_before[0]:.1f}" if report.load_before else "unknown"
    page = f"""# Start-up: whole processes, from start to end

{report.claim}.

* Machine: {machine.processor}, {machine.usable_threads} usable threads, load {load} before
* System: {machine.system}, {machine.python}
* Versions: {", ".join(versions)}
* n = {report.rounds} interleaved rounds, seed {report.seed}; medians with 99 % intervals

| command | median, ms | interval, ms |
|---|---:|---:|
"""
    for row in report.rows:
        page += f"| {row.command} | {' | '.join(_cells(row.median_s, scale=1e3, digits=0))} |\n"
    page += "\n| command | times | interval | of |\n|---|---:|---:|---|\n"
    for ratio in report.ratios:
        cells = _cells(ratio.times, scale=1, digits=2)
        page += f"| {ratio.command} | {' | '.join(cells)} | {ratio.against} |\n"
    return page


def _cells(interval: Interval, *, scale: float, digits: int) -> list[str]:
    value, low, high = (
        f"{scale * figure:.{digits}f}" for figure in (interval.value, interval.low, interval.high)
    )
    return [value, f"{low} to {high}"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("picture", nargs="?", type=Path, help="by default a drawn seven")
    parser.add_argument("--bundle", type=Path, help="with a TorchScript and an ONNX artifact")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    return parser.parse_args()


def _draw_seven(path: Path) -> Path:
    image = Image.new("L", (280, 280), 0)
    ImageDraw.Draw(image).line([(80, 70), (200, 70), (130, 220)], fill=255, width=26, joint="curve")
    image.save(path)
    return path


def _timed(command: list[str]) -> tuple[float, str]:
    """Seconds from start to end, and what was printed."""
    # What is installed is compiled; a checkout is as it is first run.
    left_out = {"PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    duration = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command[1:4])} failed: {done.stderr.strip()}")
    return duration, done.stdout


if __name__ == "__main__":
    main()
