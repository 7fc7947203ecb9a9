"""Our ONNX file, run by ONNX Runtime, against other runtimes with the same network and digits.

    python benchmarks/runtimes.py [--bundle exports/default] [--cache FOLDER] [PEER ...]

Each peer is installed into an environment of its own (some are 700 MB; they are kept in the cache
folder for the next time), converts the network once, and is then measured as `mnist-edge bench`
measures our own artifacts: fresh processes, all rows interleaved in one run, real digits, every
answer checked, one thread. Each is set as its documentation advises for one picture at a time. A
peer that does not install, convert or run is a row with the reason. The measuring takes about four
minutes, the installing comes before.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

from peers import BATCH_SIZES

from mnist_edge import codec
from mnist_edge.bench import BenchReport, Measurement, Subject, Verdict, measure_subjects
from mnist_edge.bench.apart import run_apart, run_worker
from mnist_edge.bench.judge import verdict
from mnist_edge.bench.measure import Failure, Job, Run
from mnist_edge.bench_page import context, listed
from mnist_edge.bench_page.sentences import doubts
from mnist_edge.bench_page.tables import megabytes, ranked, span, two_digits
from mnist_edge.bundle import Bundle, open_bundle
from mnist_edge.cli.reports import report_path
from mnist_edge.recipes import DEFAULT_ARTIFACT, BenchRecipe
from mnist_edge.render import NOTHING, Table, markdown, microseconds
from mnist_edge.storage import atomic_write

PEERS = ("openvino", "ncnn", "mnn", "litert", "tract", "executorch", "iree")
HERE = Path(__file__).resolve().parent
RECIPE = BenchRecipe(processes=5, batch_sizes=BATCH_SIZES, rates=())
_OURS = ("checkpoint-float32", "torchscript-float32", DEFAULT_ARTIFACT, "onnx-int8", "c-float32")
_INSTALL_TIMEOUT_S = 900.0
_CONVERT_TIMEOUT_S = 300.0


def main() -> None:
    options = _options()
    bundle = open_bundle(options.bundle)
    failures: dict[str, Failure] = {}
    for peer in options.peers:
        print(f"{peer}: installing and converting", file=sys.stderr, flush=True)
        reason = prepare(peer, bundle, options.cache)
        if reason:
            print(f"{peer}: {reason}", file=sys.stderr)
            failures[peer] = Failure(absent=True, reason=reason)

    def measure(job: Job) -> Run | Failure:
        peer = job.subject.variant
        if not peer:
            return run_apart(job)
        if peer in failures:
            return failures[peer]
        worker = ["-P", "-m", "peers.worker", "measure", peer, str(options.cache / peer)]
        return run_worker(job, [str(_python(peer, options.cache)), *worker], path=(HERE,))

    known = {artifact.name for artifact in bundle.manifest.artifacts}
    subjects = [Subject(artifact=name, device="cpu") for name in _OURS if name in known]
    subjects += [
        Subject(artifact=DEFAULT_ARTIFACT, device="cpu", variant=peer) for peer in options.peers
    ]
    recipe = replace(RECIPE, processes=options.processes, duration_s=options.duration)
    report = measure_subjects(bundle, recipe, subjects, measure=measure, progress=_progress)
    print(file=sys.stderr)
    name = report_path(None, bundle="peers", verb="runtimes", processor=report.machine.processor)
    path = options.out or HERE / name.name
    atomic_write(path, codec.dumps(report).encode())
    atomic_write(path.with_suffix(".md"), page(report).encode())
    print(page(report))


def prepare(peer: str, bundle: Bundle, cache: Path) -> str:
    """Install a peer and convert the network for it; the reason if that fails, else nothing."""
    requirements: tuple[str, ...] = importlib.import_module(f"peers.{peer}").REQUIREMENTS
    done = cache / f"{peer}.installed"
    try:
        if not done.exists() or done.read_text() != "\n".join(requirements):
            venv.create(cache / f"{peer}-venv", clear=True, with_pip=True)
            for requirement in ("numpy", *requirements):
                pip = ["-m", "pip", "install", "--quiet", *requirement.split()]
                _run([str(_python(peer, cache)), *pip], timeout_s=_INSTALL_TIMEOUT_S)
            done.write_text("\n".join(requirements))
        folder = cache / peer
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        worker = ["-P", "-m", "peers.worker", "convert", peer]
        paths = [str(bundle.path.resolve()), str(folder)]
        _run([str(_python(peer, cache)), *worker, *paths], timeout_s=_CONVERT_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        return f"{' '.join(error.cmd[2:5])} took more than {error.timeout:g} s"
    except subprocess.CalledProcessError as error:
        lines = [line for line in str(error.stderr).splitlines() if line.strip()]
        return f"{' '.join(error.cmd[2:6])} failed: {lines[-1] if lines else error.returncode:.200}"
    return ""


def page(report: BenchReport) -> str:
    """Claim, hardware, versions and n, then every row, ours in their place."""
    ours = next(row for row in report.rows if row.artifact == DEFAULT_ARTIFACT and not row.variant)
    others = [row for row in ranked(report) if row.usable and row.label != ours.label]
    against = {row.label: verdict(row, ours, report.recipe.seed) for row in others}
    table = Table(
        headers=(
            *("runtime", "version", "p50 µs", "99 % interval", "time", "interval", "p99 µs"),
            *(f"images/s ({BATCH_SIZES[-1]})", "first answer ms", "MB", "error", "settings"),
        ),
        rows=tuple(_cells(row, against.get(row.label)) for row in ranked(report)),
    )
    return (
        f"# Runtimes side by side\n\n{_claim(ours, against, report)}.\n\n{context(report)}\n"
        f"{markdown(table)}\n"
        f"`time` is relative to {ours.label}, with its 99 % interval; ≈ means indistinguishable.\n"
        f"`error` is the largest of any logit against the checkpoint in double precision.\n\n"
        f"{listed(doubts(report))}"
    )


def _claim(ours: Measurement, against: dict[str, Verdict], report: BenchReport) -> str:
    if not ours.usable:
        return f"{ours.label} could not be measured: {'; '.join(ours.doubts)}"
    peers = [row.label for row in report.rows if row.variant and row.label in against]
    words = {
        word: [_name(label) for label in peers if against[label].word == word]
        for word in ("faster", "indistinguishable", "slower")
    }
    told = [f"{', '.join(names)} {_verb(word, names)}" for word, names in words.items() if names]
    return (
        f"One picture, one thread: ONNX Runtime takes {microseconds(ours.p50_s)} µs for "
        f"{ours.artifact}; {'; '.join(told) or 'no other runtime ran'}"
    )


def _verb(word: str, names: list[str]) -> str:
    verb = "are" if len(names) > 1 else "is"
    return f"{verb} {word}" + (" from it" if word == "indistinguishable" else "")


def _name(label: str) -> str:
    return label.rpartition("/")[2]


def _cells(row: Measurement, against: Verdict | None) -> tuple[str, ...]:
    settings = "as mnist-edge sets it"
    if row.variant:
        settings = importlib.import_module(f"peers.{row.variant}").SETTINGS
    time, interval = "1.00×", NOTHING
    if against:
        same = "≈ " if against.word == "indistinguishable" else ""
        time = f"{same}{against.ratio.value:.2f}×"
        interval = span(against.ratio, two_digits)
    rates = {rate.batch_size: f"{rate.images_per_s.value:,.0f}" for rate in row.throughput}
    return (
        row.variant or row.artifact,
        f"{row.backend} {row.version}",
        microseconds(row.p50_s),
        span(row.percentiles_s.get("p50"), microseconds),
        time if row.usable else row.validity,
        interval,
        microseconds(row.p99_s),
        rates.get(BATCH_SIZES[-1], NOTHING),
        f"{row.first_answer_s * 1e3:,.0f}",
        megabytes(row.peak_resident_bytes),
        f"{row.max_abs_error:.0e}",
        settings,
    )


def _run(command: list[str], *, timeout_s: float) -> None:
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE)))},
    )


def _python(peer: str, cache: Path) -> Path:
    folder = "Scripts" if sys.platform == "win32" else "bin"
    return cache / f"{peer}-venv" / folder / "python"


def _progress(done: int, total: int, note: str = "") -> None:
    print(f"\r{done}/{total} processes {note:40.40}", end="", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}; all")
    parser.add_argument("--bundle", type=Path, help="by default the one that every verb takes")
    parser.add_argument("--cache", type=Path, default=home / "mnist-edge" / "peers")
    parser.add_argument("--processes", type=int, default=RECIPE.processes)
    parser.add_argument("--duration", type=float, default=RECIPE.duration_s)
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    options = parser.parse_args()
    options.peers = options.peers or PEERS
    if unknown := set(options.peers) - set(PEERS):
        parser.error(f"unknown peer {unknown.pop()}; choose from {', '.join(PEERS)}")
    options.cache = options.cache.resolve()
    return options


if __name__ == "__main__":
    main()
