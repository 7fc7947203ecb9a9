"""Which settings of ONNX Runtime are the best for one picture, and which for batches?

    python benchmarks/ort_settings.py [--bundle exports/default]

Every row runs the same ONNX file, with one setting changed from the row "one thread", in turns
with all others, in about two minutes. "our backend" is what `predict` and `bench` run: it
must be within a tenth of the bare call with the same settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

# Read when onnxruntime is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from counter import count_restarts
from peers.worker import loaded
from runs import RESULTS
from thinned import NOTE, thinned

from mnist_edge.bench.apart import Process, Program
from mnist_edge.bench.judge import verdict
from mnist_edge.bench.report import BenchReport, Measurement
from mnist_edge.bench.session import measure_subjects
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.turn import Job, Worker
from mnist_edge.bench.worker import serve
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME, Images, Logits
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.machine import usable_threads
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.render.bench import context, listed
from mnist_edge.render.bench.sentences import doubts
from mnist_edge.render.bench.tables import span
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.render.text import microseconds

HERE = Path(__file__).resolve().parent
BATCH = 64
RECIPE = BenchRecipe(processes=5, batch_sizes=(BATCH,), rates=(), sweep_runs=20)
OURS, BARE = "our backend", "one thread"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a bare session is set; the defaults are those of the row "one thread".

    Attributes:
        level: of graph optimization.
        prepared: the file that is opened: as it is, already optimized, or in .ort format.
        bound: whether input and output are bound once, without a dictionary for each call.
        default: leave everything to ONNX Runtime.
    """

    level: str = "ORT_ENABLE_ALL"
    spinning: bool = False
    arena: bool = True
    pattern: bool = True
    parallel: bool = False
    all_threads: bool = False
    prepared: str = "onnx"
    bound: bool = False
    default: bool = False


SETTINGS = {
    "all defaults": Settings(default=True),
    BARE: Settings(),
    "spinning": Settings(spinning=True),
    "no arena": Settings(arena=False),
    "no memory pattern": Settings(pattern=False),
    "parallel operators": Settings(parallel=True),
    "no optimization": Settings(level="ORT_DISABLE_ALL"),
    "basic optimization": Settings(level="ORT_ENABLE_BASIC"),
    "extended optimization": Settings(level="ORT_ENABLE_EXTENDED"),
    "optimized before": Settings(prepared="optimized"),
    ".ort format": Settings(prepared="ort"),
    "bound once": Settings(bound=True),
    "all threads": Settings(all_threads=True),
    "all threads, spinning": Settings(all_threads=True, spinning=True),
}


def main() -> None:
    options = _options()
    if options.worker:
        sys.exit(_work())
    bundle = open_bundle(options.bundle)
    subjects = [
        Subject(artifact=DEFAULT_ARTIFACT, device="cpu", variant=name) for name in (OURS, *SETTINGS)
    ]
    recipe = replace(RECIPE, processes=options.processes, duration_s=options.duration)
    report = measure_subjects(bundle, recipe, subjects, start=_start, progress=count_restarts)
    print(file=sys.stderr)
    name = report_path(None, bundle="ort", verb="settings", processor=report.machine.processor).name
    path = options.out or RESULTS / name
    written = {"note": NOTE, "report": thinned(report)}
    atomic_write(path, codec.join_numbers(codec.dumps(written)).encode())
    atomic_write(path.with_suffix(".md"), page(report).encode())
    print(page(report))


def page(report: BenchReport) -> str:
    """Claim, machine and n, then every setting against the bare call on one thread."""
    rows = {row.variant: row for row in report.rows}
    bare, ours = rows[BARE], rows[OURS]
    if not (bare.usable and ours.usable):
        return f"# Settings of ONNX Runtime\n\n{listed(doubts(report))}"
    ratio = verdict(ours, bare, report.recipe.seed).ratio
    rates = {row.variant: _rate(row) for row in report.rows}
    best = max(rates, key=lambda name: rates[name])
    claim = (
        f"One picture through our own backend takes {ratio.value:.2f} times "
        f"({span(ratio)}) as long as the bare call; the fastest setting for one "
        f"picture is `{report.ranked[0].variant}`, for batches of {BATCH} `{best}`"
    )
    table = Table(
        headers=("setting", "p50 µs", "99 % interval", "time", "interval", "verdict", "images/s"),
        rows=tuple(_cells(row, bare, report) for row in report.ranked),
    )
    return (
        f"# Settings of ONNX Runtime\n\n{claim}.\n\n{context(report)}\n{markdown(table)}\n"
        f"`time` is relative to `{BARE}`; images/s in batches of {BATCH}. `{OURS}` is what "
        "`predict` and `bench` run: one thread, no spinning, all optimizations, one picture bound "
        "once, and every picture and logit checked. More threads are slower on one picture unless "
        "they spin, and then each takes a whole core while it waits; for batches `--threads` gives "
        "them.\n\n"
        f"{listed(doubts(report))}"
    )


def _cells(row: Measurement, bare: Measurement, report: BenchReport) -> tuple[str, ...]:
    relation = ("1.00", NOTHING, NOTHING)
    if row.label != bare.label and row.usable:
        against = verdict(row, bare, report.recipe.seed)
        relation = (
            f"{against.ratio.value:.2f}",
            span(against.ratio),
            against.word,
        )
    return (
        row.variant,
        microseconds(row.p50_s),
        span(row.percentiles_s.get("p50"), microseconds),
        *relation,
        f"{_rate(row):,.0f}",
    )


def _rate(row: Measurement) -> float:
    return row.throughput[0].images_per_s.value if row.throughput else 0.0


def _start(job: Job) -> Worker:
    command = (sys.executable, "-P", "-m", "ort_settings", "--worker")
    return Process(job, Program(command=command, path=(HERE,)))


def _work() -> int:
    return serve(
        lambda job: loaded(lambda: _load(job), job, name="onnxruntime", distribution="onnxruntime")
    )


def _load(job: Job) -> Callable[[Images], Logits]:
    bundle = open_bundle(Path(job.bundle))
    data = bundle.read(bundle.artifact(job.subject.artifact))
    if job.subject.variant == OURS:
        return OrtBackend(data).run
    settings = SETTINGS[job.subject.variant]
    options = _session_options(settings)
    if settings.prepared != "onnx":
        data = _optimized(data, settings.prepared)
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    if settings.bound:
        return _bound(session)

    def run(images: Images) -> Logits:
        (logits,) = session.run([OUTPUT_NAME], {INPUT_NAME: images})
        found: Logits = logits
        return found

    return run


def _session_options(settings: Settings) -> ort.SessionOptions:
    options = ort.SessionOptions()
    if settings.default:
        return options
    options.intra_op_num_threads = usable_threads() if settings.all_threads else 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, settings.level)
    options.enable_cpu_mem_arena = settings.arena
    options.enable_mem_pattern = settings.pattern
    if settings.parallel:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    spinning = str(int(settings.spinning))
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return options


def _optimized(data: bytes, form: str) -> bytes:
    """The file as ONNX Runtime saves it after optimizing it for this processor."""
    import tempfile

    options = ort.SessionOptions()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.ort" if form == "ort" else "model.onnx")
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4  # it warns that the file is for this processor alone
        ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()


def _bound(session: ort.InferenceSession) -> Callable[[Images], Logits]:
    bindings: dict[int, tuple[ort.IOBinding, Images, Logits]] = {}

    def run(images: Images) -> Logits:
        if len(images) not in bindings:
            given, logits = np.empty_like(images), np.empty((len(images), 10), np.float32)
            binding = session.io_binding()
            binding.bind_ortvalue_input(INPUT_NAME, ort.OrtValue.ortvalue_from_numpy(given))
            place = (OUTPUT_NAME, "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
            binding.bind_output(*place)
            bindings[len(images)] = binding, given, logits
        binding, given, logits = bindings[len(images)]
        np.copyto(given, images)
        session.run_with_iobinding(binding)
        return logits.copy()

    return run


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help="by default the one that every verb takes")
    parser.add_argument("--processes", type=int, default=RECIPE.processes)
    parser.add_argument("--duration", type=float, default=RECIPE.duration_s)
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
