"""Our ONNX and C files of every recipe, against other runtimes with the same networks and digits.

    python benchmarks/runtimes.py FOLDER [--peers-on RECIPE] [--peer PEER] [--cache FOLDER]

FOLDER holds one bundle a recipe by its name, as `accuracy.py --keep FOLDER` leaves them. Each peer
is installed into an environment of its own (some are 700 MB), converts the networks of
`--peers-on`, and then takes turns as a worker with our own artifacts, as `mnist-edge bench` lets
them: all rows of all recipes in one run, real digits, every answer checked, one thread. Each is
set as its documentation advises for one picture at a time. A peer that does not install, convert
or run is a row with the reason, as is an artifact that cannot be exported. Environments, exports
and conversions are kept in the cache for the next time; the measuring takes about seven minutes on
an idle machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from counter import count_restarts
from peers.install import convert, install, network_of, python_of
from prepared import prepare
from runs import RESULTS
from runtimes_page import BATCH, compared, page

from mnist_edge.bench.apart import Process, Program, start_apart
from mnist_edge.bench.report import BenchReport, Measurement
from mnist_edge.bench.roofline import Ceiling, measure_ceiling
from mnist_edge.bench.rounds import Outcomes, measure_in_turns
from mnist_edge.bench.rows import row_of
from mnist_edge.bench.run import Run
from mnist_edge.bench.session import complete_report, empty_report, job_of
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.surroundings import Watch
from mnist_edge.bench.turn import Failure, Job, Worker
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT

PEERS = ("openvino", "ncnn", "mnn", "litert", "tract", "executorch", "iree")
PEERS_ON = ("sprint", "quick")
HERE = Path(__file__).resolve().parent
RECIPE = BenchRecipe(processes=5, duration_s=0.4, batch_sizes=(BATCH,), rates=(), sweep_runs=20)
_OURS = (DEFAULT_ARTIFACT, "onnx-int8", "c-float32", "c-int8")
# What torch needs depends little on the net, so one is enough.
_TORCH, _TORCH_ON = ("checkpoint-float32", "torchscript-float32"), "quick"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row before it is measured.

    Attributes:
        failure: why it need not be tried; None where it can be.
    """

    bundle: Bundle
    subject: Subject
    failure: Failure | None = None


def main() -> None:
    options = _options()
    rows = {
        f"{_recipe(row.bundle)}/{row.subject.label}": row for row in _rows(options.folder, options)
    }
    recipe = replace(RECIPE, processes=options.processes, duration_s=options.duration)
    first = next(iter(rows.values()), None)
    if first is None:
        sys.exit(f"no bundle of a recipe in {options.folder}; accuracy.py --keep leaves them")
    report = replace(empty_report(first.bundle, recipe), ceiling=measure_ceiling())

    def start(job: Job) -> Worker:
        peer = job.subject.runtime
        if not peer:
            return start_apart(job)
        network = network_of(peer, Path(job.bundle), options.cache)
        worker = ("-P", "-m", "peers.worker", "measure", peer, str(network))
        command = (str(python_of(peer, options.cache)), *worker)
        return Process(job, Program(command=command, path=(HERE,)))

    watch = Watch()
    *_, outcomes = measure_in_turns(
        {label: job_of(row.bundle, row.subject, recipe) for label, row in rows.items()},
        recipe,
        failures={label: row.failure for label, row in rows.items() if row.failure},
        start=start,
        progress=count_restarts,
        watch=watch,
    )
    print(file=sys.stderr)
    # The clock may have risen since: the higher peak is nearer to the truth.
    ceiling = max(report.ceiling, measure_ceiling(), key=_peak)
    report = replace(report, ceiling=ceiling, finished=True)
    _write(by_recipe(report, rows, outcomes, watch), options.out)


def _rows(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Install, export and convert what is needed, and give every row of every recipe."""
    broken = {peer: reason for peer in options.peers if (reason := _installed(peer, options.cache))}
    for source in (folder / name for name in RECIPES):
        if not source.is_dir() or (options.nets and source.name not in options.nets):
            continue
        _tell(f"{source.name}: exporting")
        wanted = _OURS + (_TORCH if source.name == _TORCH_ON else ())
        bundle, reasons = prepare(source, options.cache / "bundles", wanted)
        for name in wanted:
            failure = Failure(status="absent", reason=reasons[name]) if name in reasons else None
            yield Row(bundle=bundle, subject=Subject(artifact=name, device="cpu"), failure=failure)
        for peer in options.peers if source.name in options.peers_on else ():
            _tell(f"{source.name}: converting for {peer}")
            reason = broken.get(peer) or convert(peer, bundle, options.cache)
            yield Row(
                bundle=bundle,
                subject=Subject(artifact=DEFAULT_ARTIFACT, device="cpu", runtime=peer),
                failure=Failure(status="absent", reason=reason) if reason else None,
            )


def by_recipe(
    report: BenchReport, rows: dict[str, Row], outcomes: Outcomes, watch: Watch
) -> dict[str, BenchReport]:
    """A report for each recipe, of rows that were measured in turn with those of all others."""
    measured: dict[str, list[Measurement]] = {}
    for label, row in rows.items():
        found = _measured(row, outcomes[label])
        measured.setdefault(_recipe(row.bundle), []).append(found)
    return {
        name: complete_report(replace(report, bundle=name), found, watch)
        for name, found in measured.items()
    }


def _measured(row: Row, outcome: Failure | tuple[Run, ...]) -> Measurement:
    names = {artifact.name for artifact in row.bundle.manifest.artifacts}
    if row.subject.artifact in names:
        return row_of(row.bundle.artifact(row.subject.artifact), row.subject, outcome)
    assert isinstance(outcome, Failure)
    return Measurement(
        **asdict(row.subject),
        sha256="",
        size_bytes=0,
        status="absent",
        reason=outcome.reason,
        doubts=(outcome.reason,),
        percentiles_s={},
    )


def _write(reports: dict[str, BenchReport], out: Path | None) -> None:
    processor = next(iter(reports.values())).machine.processor
    name = report_path(None, bundle="peers", verb="runtimes", processor=processor).name
    path = out or RESULTS / name
    atomic_write(path, codec.join_numbers(codec.dumps(compared(reports))).encode())
    atomic_write(path.with_suffix(".md"), page(reports).encode())
    print(page(reports))


def _installed(peer: str, cache: Path) -> str:
    _tell(f"{peer}: installing")
    return install(peer, cache)


def _recipe(bundle: Bundle) -> str:
    return bundle.manifest.own_recipe.name


def _peak(ceiling: Ceiling) -> float:
    return ceiling.multiply_adds_per_s


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--net", action="append", dest="nets", help="of these recipes alone")
    parser.add_argument("--peer", action="append", choices=PEERS, dest="peers", help="of these")
    parser.add_argument("--no-peers", action="store_const", const=(), dest="peers")
    parser.add_argument(
        "--peers-on", action="append", help=f"recipes; {' and '.join(PEERS_ON)} by default"
    )
    parser.add_argument("--cache", type=Path, default=home / "mnist-edge" / "peers")
    parser.add_argument("--processes", type=int, default=RECIPE.processes)
    parser.add_argument("--duration", type=float, default=RECIPE.duration_s)
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    options = parser.parse_args()
    options.peers = PEERS if options.peers is None else options.peers
    options.peers_on = options.peers_on or PEERS_ON
    options.cache = options.cache.resolve()
    return options


if __name__ == "__main__":
    main()
