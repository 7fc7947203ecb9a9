"""What `predict` costs, beside the same job in torch.

    python benchmarks/prediction.py [--bundle exports/model] [--files 10000] [--rounds 11]
        [--before FOLDER]

Takes some four minutes on two idle cores. The jobs, each way in turns:
* one picture: whole process from start to end, wall time and peak resident memory;
* a folder of 28x28 PNG files that are digits as MNIST has them, and pass through untouched:
  whole process, files a second, decoding included;
* a folder of small photos, dark ink on unevenly lit paper, which take every step of `picture`;
* one array: `Predictor` on the net's own input, against the bare session of ONNX Runtime.

With --before, the checkout of an earlier version, that one's `predict` does the first three jobs,
too, with the net that came with it. A ratio is the median over the rounds of the two times.

The torch side of the first two is the shortest script that reads pictures with Pillow, scales them
to 28x28 and runs the TorchScript file. It does none of what makes a photo readable.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from abba import Ratio, command_before, median_of, plan, ratio_of
from PIL import Image
from runs import RESULTS

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.contract import INPUT_NAME, RawImages, to_images
from mnist_edge.data.strokes import stroke_digits
from mnist_edge.machine import Machine, describe_machine, library_versions, load_average
from mnist_edge.predict import Predictor
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.stats import Interval, samples_needed

OURS, TORCH = "mnist-edge predict", "bare script, TorchScript"
BEFORE = "mnist-edge predict, the version before"
PREDICTOR, BARE = "Predictor on an array", "bare ONNX Runtime session"

TORCH_SCRIPT = """
import sys, numpy, pathlib, torch
from PIL import Image

def read(path):
    picture = Image.open(path).convert("L").resize((28, 28))
    return numpy.asarray(picture, numpy.float32)[None] / 255

torch.set_num_threads(1)
model = torch.jit.load(sys.argv[1])
source = pathlib.Path(sys.argv[2])
paths = sorted(source.iterdir()) if source.is_dir() else [source]
with torch.inference_mode():
    for start in range(0, len(paths), 256):
        batch = paths[start : start + 256]
        images = torch.from_numpy(numpy.stack([read(path) for path in batch]))
        for path, digit in zip(batch, model(images).argmax(1).tolist()):
            print(path, digit)
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job done one way. `peak_bytes` is 0 where no process of its own was measured."""

    job: str
    way: str
    median_s: Interval
    peak_bytes: int
    samples_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The rows of one job, and how long each other way takes, in times of ours."""

    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PredictionReport:
    """The rows, and what they were measured with.

    Attributes:
        ratios: by job.
    """

    machine: Machine
    versions: dict[str, str]
    load_before: tuple[float, ...]
    files: int
    rounds: int
    rows: tuple[Row, ...]
    ratios: dict[str, tuple[Ratio, ...]] = field(default_factory=dict)


def main() -> None:
    options = _options()
    if options.rounds < samples_needed(0.5):
        sys.exit(f"a median needs {samples_needed(0.5)} rounds; raise --rounds")
    bundle = open_bundle(options.bundle)
    load = load_average() or ()
    with tempfile.TemporaryDirectory() as scratch:
        drawn, _ = stroke_digits(min(options.files, 1000), seed=0)
        digits = _write_pictures(Path(scratch, "digits"), drawn, options.files)
        photos = _write_pictures(Path(scratch, "photos"), _photographed(drawn), options.files)
        script = Path(scratch, "net.pt")
        # Not here: torch in this process would count as memory of those that it starts.
        maker = multiprocessing.get_context("spawn").Process(
            target=_write_torchscript, args=(bundle, script)
        )
        maker.start()
        maker.join()
        ours = [sys.executable, "-m", "mnist_edge", "predict", "--bundle", str(bundle.path)]
        ways = {OURS: ours}
        if options.before:
            ways[BEFORE] = command_before(options.before)
        torch = [sys.executable, "-W", "ignore", "-c", TORCH_SCRIPT, str(script)]
        every = ways | {TORCH: torch}
        sources: dict[str, tuple[Path, dict[str, list[str]]]] = {
            "one picture": (next(photos.iterdir()), every),
            "folder of digits": (digits, every),
            "folder of photos": (photos, ways),  # what they show is all the same to the script
        }
        jobs = {
            job: _processes(job, source, commands, options.rounds)
            for job, (source, commands) in sources.items()
        }
        processes = (row for job in jobs.values() for row in job.rows)
        rows = (*processes, *_arrays(bundle, options.rounds))
    report = PredictionReport(
        machine=describe_machine(),
        versions=library_versions(),
        load_before=load,
        files=options.files,
        rounds=options.rounds,
        rows=rows,
        ratios={job: found.ratios for job, found in jobs.items()},
    )
    stem = report.machine.processor.lower().replace(" ", "-").replace("/", "-")
    path = options.out or RESULTS / f"prediction-{stem}.json"
    atomic_write(path, codec.dumps(report).encode())
    atomic_write(path.with_suffix(".md"), markdown(report).encode())
    print(markdown(report))


def markdown(report: PredictionReport) -> str:
    """The report as a page."""
    machine = report.machine
    names = ("torch", "onnxruntime", "numpy", "pillow")
    versions = [f"{name} {report.versions[name]}" for name in names if name in report.versions]
    load = f"{report.load_before[0]:.1f}" if report.load_before else "unknown"
    page = f"""# Prediction: a picture, a folder, an array

* Machine: {machine.processor}, {machine.usable_threads} usable threads, load {load} before
* Versions: {", ".join(versions)}
* n = {report.rounds} interleaved rounds; medians with 99 % intervals
* A folder holds {report.files:,} PNG files of 28×28 pixels

| job | way | median | interval | a second | peak memory |
|---|---|---:|---:|---:|---:|
"""
    for row in report.rows:
        unit, factor = ("µs", 1e6) if row.job == "array" else ("s", 1)
        times = (row.median_s.value, row.median_s.low, row.median_s.high)
        value, low, high = (f"{factor * time_s:.3g}" for time_s in times)
        count = report.files if row.job.startswith("folder") else 1
        memory = f"{row.peak_bytes / 1e6:.0f} MB" if row.peak_bytes else ""
        page += (
            f"| {row.job} | {row.way} | {value} {unit} | {low} to {high} | "
            f"{count / row.median_s.value:,.0f} | {memory} |\n"
        )
    page += "\n| job | way | times as long as ours | interval |\n|---|---|---:|---:|\n"
    for job, ratios in report.ratios.items():
        for ratio in ratios:
            value, low, high = (
                f"{figure:.2f}" for figure in (ratio.times.value, ratio.times.low, ratio.times.high)
            )
            page += f"| {job} | {ratio.command} | {value} | {low} to {high} |\n"
    return page


def _processes(job: str, source: Path, ways: dict[str, list[str]], rounds: int) -> Job:
    """A job in whole processes, each way in turns, ours among them."""
    commands = {
        way: [*command, *(["--csv"] if way != TORCH else []), str(source)]
        for way, command in ways.items()
    }
    for command in commands.values():
        _timed(command)
    samples: dict[str, list[tuple[float, int]]] = {way: [] for way in commands}
    for way in plan(tuple(commands), rounds, seed=0):
        samples[way].append(_timed(commands[way]))
    times_s = {way: [time_s for time_s, _ in found] for way, found in samples.items()}
    return Job(
        rows=tuple(
            _row(job, way, times_s[way], peak_bytes=max(peak for _, peak in found))
            for way, found in samples.items()
        ),
        ratios=tuple(ratio_of(way, OURS, times_s) for way in commands if way != OURS),
    )


def _arrays(bundle: Bundle, rounds: int) -> tuple[Row, ...]:
    """One digit as an array, in this process: each sample is the mean of many calls."""
    digits, _ = stroke_digits(64, seed=1)
    images = to_images(digits)
    calls: dict[str, Callable[[int], object]] = {}
    with Predictor.load(bundle.path) as predictor:
        import onnxruntime as ort  # not before our backend has switched its telemetry off

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(bundle.read(bundle.artifact(DEFAULT_ARTIFACT)), options)
        calls[PREDICTOR] = lambda i: predictor(images[i % 64])
        calls[BARE] = lambda i: session.run(None, {INPUT_NAME: images[i % 64 : i % 64 + 1]})
        samples: dict[str, list[float]] = {way: [] for way in calls}
        for number in range(1 + rounds):
            for way in sorted(calls, reverse=bool(number % 2)):
                duration_s = _mean_s(calls[way], 2000)
                if number:  # the first round warms up
                    samples[way].append(duration_s)
    return tuple(_row("array", way, found) for way, found in samples.items())


def _mean_s(call: Callable[[int], object], count: int) -> float:
    start = time.perf_counter()
    for index in range(count):
        call(index)
    return (time.perf_counter() - start) / count


def _timed(command: list[str]) -> tuple[float, int]:
    """Seconds from start to end, and the peak resident memory in bytes."""
    # What is installed is compiled; a checkout is as it is first run.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    duration_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command[1:4])} failed: {said.decode()}")
    return duration_s, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _row(job: str, way: str, samples_s: list[float], *, peak_bytes: int = 0) -> Row:
    median = median_of(samples_s)
    return Row(job=job, way=way, median_s=median, peak_bytes=peak_bytes, samples_s=tuple(samples_s))


def _write_torchscript(bundle: Bundle, path: Path) -> None:
    from mnist_edge.formats.torchscript.write import export_torchscript
    from mnist_edge.models import deployable, load_weights

    weights = bundle.read(bundle.artifact(CHECKPOINT))
    model = deployable(load_weights(bundle.manifest.own_recipe, weights))
    path.write_bytes(export_torchscript(model, {}))


def _photographed(digits: RawImages) -> RawImages:
    """Digits (N, 28, 28) as a camera gives them: dark on paper, with grain, lit from a side."""
    random = np.random.default_rng(0)
    left, right = (random.uniform(150, 240, (len(digits), 1, 1)) for _ in range(2))
    light = left + (right - left) * np.linspace(0, 1, digits.shape[2])
    paper = light * (1 - 0.8 * digits / 255) + random.normal(0, 3, digits.shape)
    photos: RawImages = np.clip(paper, 0, 255).astype(np.uint8)
    return photos


def _write_pictures(folder: Path, pictures: RawImages, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        Image.fromarray(pictures[index % len(pictures)]).save(folder / f"{index:05}.png")
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, help="with an ONNX artifact")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
