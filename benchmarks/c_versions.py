"""What the C of this tree takes beside that of another commit, with and without AVX-512 and VNNI.

    python benchmarks/c_versions.py FOLDER --before COMMIT

FOLDER holds bundles with `onnx-float32` and `onnx-int8`, of which the trees of both commits write
C. All builds of a net are timed in one process: every round each answers digits of the bundle's
reference one by one, in a random order that every second round repeats backwards. A ratio is the
median over the rounds of one build's time over another's in the same round, with its 99 %
interval; what another process would give is not in it. The answers in int8 must be the same bits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from cross import build, write_model
from cross.timing import Library, time_builds
from runs import RESULTS

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.contract import to_images
from mnist_edge.machine import Machine, describe_machine, load_average
from mnist_edge.render.table import Table, markdown
from mnist_edge.render.text import kilobytes, microseconds
from mnist_edge.stats import Interval, estimate_quantile

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("x86-64-v3", "x86-64-v4", "native")
# Of a round: so few that other programs seldom come between.
DIGITS = 32
VERSIONS, PRECISIONS = ("before", "now"), ("float32", "int8")

# Run with the tree of a commit: the graph, the name, and where the C file goes.
_WRITE = """
import sys
from pathlib import Path
from mnist_edge.formats.c.write import export_c
graph, name, to = sys.argv[1:]
source = export_c(Path(graph).read_bytes(), name=name, golden=None, quantized="int8" in graph)
Path(to).write_bytes(source)
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One build of one net.

    Attributes:
        target: what -march names.
        built_bytes: code and constants.
        samples_s: for a picture, in each round.
    """

    net: str
    precision: str
    version: str
    target: str
    built_bytes: int
    samples_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found, and where."""

    machine: Machine
    load_before: tuple[float, ...]
    before: str
    rounds: int
    digits: int
    seed: int
    rows: tuple[Row, ...]


def main() -> None:
    options = _options()
    load = load_average() or ()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "before")
        tree.mkdir()
        archive = ["git", "-C", str(ROOT), "archive", options.before, "mnist_edge"]
        packed = subprocess.run(archive, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=packed, check=True)
        rows: list[Row] = []
        for path in sorted(file.parent for file in options.folder.glob("*/manifest.json")):
            print(path.name, file=sys.stderr, flush=True)
            folder = Path(scratch, path.name)
            rows += _measure(open_bundle(path), (tree, ROOT), folder, options.rounds, options.seed)
    machine = describe_machine()
    report = Report(
        machine=machine,
        load_before=load,
        before=options.before,
        rounds=options.rounds,
        digits=DIGITS,
        seed=options.seed,
        rows=tuple(rows),
    )
    name = report_path(None, bundle="c", verb="versions", processor=machine.processor).name
    atomic_write(RESULTS / name, codec.join_numbers(codec.dumps(report)).encode())
    atomic_write((RESULTS / name).with_suffix(".md"), page(report).encode())
    print(page(report))


def _measure(
    bundle: Bundle, trees: Sequence[Path], folder: Path, rounds: int, seed: int
) -> Iterator[Row]:
    """Every build of a net, in turns."""
    images = to_images(bundle.reference().images)[:DIGITS]
    libraries: dict[str, Library] = {}
    built: dict[str, int] = {}
    for (version, tree), precision in product(zip(VERSIONS, trees, strict=True), PRECISIONS):
        home = folder / f"{precision}-{version}"
        source = _written(bundle, f"onnx-{precision}", tree, home)
        header = source.partition(b".h ---- */\n")[2].partition(b"/* ---- end of ")[0]
        model = write_model(source, header, home / "model")
        for target in TARGETS:
            program, name = home / target, f"{precision} {version} {target}"
            command = ("gcc", "-O3", f"-march={target}", "-fPIC")
            size = build(model, command, program, harness="timed.c", link=("-shared",), size="size")
            built[name] = size.code + size.constants
            libraries[name] = Library(program / "program", model.workspace_bytes)
    answers = [library.answer(images)[0] for name, library in libraries.items() if "int8" in name]
    assert all(np.array_equal(one, answers[0]) for one in answers)
    for name, samples_s in time_builds(libraries, images, rounds=rounds, seed=seed).items():
        precision, version, target = name.split()
        yield Row(
            net=bundle.manifest.own_recipe.name,
            precision=precision,
            version=version,
            target=target,
            built_bytes=built[name],
            samples_s=tuple(round(sample_s, 10) for sample_s in samples_s),
        )


def _written(bundle: Bundle, artifact: str, tree: Path, folder: Path) -> bytes:
    """The C file that a tree makes of an ONNX artifact."""
    folder.mkdir(parents=True)
    graph, to = folder / f"{artifact}.onnx", folder / "written.c"
    graph.write_bytes(bundle.read(bundle.artifact(artifact)))
    command = [sys.executable, "-P", "-c", _WRITE, str(graph), "net", str(to)]
    subprocess.run(command, env={"PYTHONPATH": str(tree)}, check=True)
    return to.read_bytes()


def page(report: Report) -> str:
    """Hardware and n, then a table for each target."""
    machine = report.machine
    load = f"{report.load_before[0]:.1f}" if report.load_before else "unknown"
    parts = [
        f"""# The C of today beside that of {report.before:.7}

* Machine: {machine.processor}, load {load} before
* Instruction sets: {" ".join(machine.cpu_flags)}
* n = {report.digits} digits one by one in each of {report.rounds} interleaved rounds, \
seed {report.seed}; gcc -O3 -march as named

Medians of ratios within a round, with their 99 % intervals; `kB` is code and constants.
"""
    ]
    nets = dict.fromkeys(row.net for row in report.rows)
    for target in TARGETS:
        rows = {(r.net, r.precision, r.version): r for r in report.rows if r.target == target}
        cells = tuple(
            _cells(net, *(rows[net, *which] for which in product(PRECISIONS, VERSIONS)))
            for net in nets
        )
        parts.append(f"## -march={target}\n\n{markdown(Table(headers=_HEADERS, rows=cells))}")
    return "\n".join(parts)


_HEADERS = (
    *("net", "float32 µs", "float32 to before", "int8 to before"),
    *("int8 to float32", "of before", "int8 kB", "of before"),
)


def _cells(net: str, float32_before: Row, float32: Row, before: Row, int8: Row) -> tuple[str, ...]:
    return (
        net,
        microseconds(float(np.median(float32.samples_s))),
        _ratio(float32, float32_before),
        _ratio(int8, before),
        _ratio(int8, float32),
        _ratio(before, float32_before),
        kilobytes(int8.built_bytes),
        kilobytes(before.built_bytes),
    )


def _ratio(row: Row, other: Row) -> str:
    pairs = zip(row.samples_s, other.samples_s, strict=True)
    found = estimate_quantile([mine / theirs for mine, theirs in pairs], 0.5)
    assert isinstance(found, Interval)  # of enough rounds
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", required=True, metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=401)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
