"""What compiler flags and other processors make of the C artifacts: time, bytes, same answers.

    python benchmarks/c_targets.py FOLDER

FOLDER holds bundles as `accuracy.py --keep FOLDER` leaves them, of which one a recipe is taken; the
C artifacts that they lack are exported into them first.

* Flags: each artifact is built by several compilers with several flags, and all its builds are
  timed in one process: every round each build answers digits of the bundle's reference one by one,
  in a random order that every second round repeats backwards. A ratio is the median over the rounds
  of a build's time over the first build's in the same round, with its 99 % interval over the
  rounds; what another process would give is not in it.
* Targets: each artifact is built for other processors, any warning being an error, and answers the
  reference digits in an emulator where there is one. Emulators tell answers, not times. The shipped
  net, alone and with what reads pictures, is built for those whose compiler is `ziglang`, too.
* Cuts: what reading pictures takes of a Cortex-M4F, by what is left out of it.

Answers are compared with those of the first build here. What cannot be built or run is a row with
the reason. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from cross import (
    BY_ZIG,
    DISTRIBUTED,
    TARGETS,
    Model,
    Size,
    Target,
    Unavailable,
    build,
    call,
    run,
    write_model,
)
from cross.cuts import measure_cuts
from cross.report import Absence, CutRow, FlagRow, TargetRow, TargetsReport, page
from cross.timing import TIMED, Library, time_builds
from kept import kept_bundles
from latency import one_a_recipe
from runs import RESULTS

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import SHIPPED_BUNDLES, open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.contract import Images, Logits, to_images
from mnist_edge.formats import Wish, write_artifact
from mnist_edge.formats.source import onnx_source
from mnist_edge.machine import describe_machine, load_average, usable_threads
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import Precision
from mnist_edge.stats import Interval, estimate_quantile, samples_needed

_FLAGS = (
    "-O3 -march=native",
    "-O3 -march=x86-64-v3",
    "-O3",
    "-O2 -march=native",
    "-Os",
    "-O3 -march=native -std=c99",
    "-O3 -march=native -DMNIST_EDGE_SCALAR",
)
COMMANDS = (*(f"gcc {flags}" for flags in _FLAGS), *(f"clang {flags}" for flags in _FLAGS[:3]))


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A C artifact, the digits that it is to answer, and where; whether it is timed here."""

    recipe: str
    artifact: str
    model: Model
    images: Images
    targets: tuple[Target, ...] = DISTRIBUTED
    is_timed: bool = True


@dataclass(frozen=True, kw_only=True)
class Here:
    """An artifact built for this machine."""

    command: str
    size: Size
    program: Path


@dataclass(frozen=True, kw_only=True)
class There:
    """An artifact built for another target, with its answers: none where it could not be run."""

    row: TargetRow
    logits: Logits
    reason: str


def main() -> None:
    options = _options()
    if options.rounds < samples_needed(0.5):
        sys.exit(f"a median needs {samples_needed(0.5)} rounds; raise --rounds")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shipped = shipped_nets(folder)
        subjects = [*find_subjects(options.folder, folder), *shipped]
        report = measure(subjects, rounds=options.rounds, seed=options.seed)
        _, plain, reading = shipped
        report = replace(report, cuts=cuts_of(reading, plain, folder))
        if options.untimed:
            report = replace(report, flags=())
    name = report_path(None, bundle="c", verb="targets", processor=report.machine.processor)
    path = options.out or RESULTS / name.name
    atomic_write(path, codec.join_numbers(codec.dumps(report)).encode())
    atomic_write(path.with_suffix(".md"), page(report).encode())
    print(page(report))


def find_subjects(folder: Path, scratch: Path) -> Iterator[Subject]:
    """The C artifacts of the bundles in a folder, in the order of the catalogue."""
    bundles = one_a_recipe(kept_bundles(folder, "c")).values()
    for bundle in sorted(
        bundles, key=lambda bundle: [*RECIPES].index(bundle.manifest.own_recipe.name)
    ):
        recipe, files = bundle.manifest.own_recipe.name, bundle.manifest.records
        images = to_images(bundle.reference().images)
        for artifact in bundle.manifest.artifacts:
            if artifact.format == "c":
                (header,) = (record for record in files if record.file == f"{artifact.name}.h")
                model = write_model(
                    bundle.read(artifact),
                    bundle.read(header),
                    scratch / f"{recipe}-{artifact.name}",
                )
                yield Subject(recipe=recipe, artifact=artifact.name, model=model, images=images)


def shipped_nets(scratch: Path) -> tuple[Subject, Subject, Subject]:
    """In float32, in int8, and in int8 with what reads pictures."""
    bundle = open_bundle(SHIPPED_BUNDLES[-1])
    source, images = onnx_source(bundle, 18), to_images(bundle.reference().images)

    def subject(name: str, precision: Precision, targets: tuple[Target, ...]) -> Subject:
        wish = Wish(picture="pictures" in name)
        written = write_artifact(source, "c", precision, wish)
        return Subject(
            recipe=bundle.manifest.own_recipe.name,
            artifact=name,
            model=write_model(written.data, written.companions[".h"], scratch / name),
            images=images,
            targets=targets,
            is_timed=False,
        )

    return (
        subject("c-float32", "float32", BY_ZIG),
        subject("c-int8", "int8", BY_ZIG),
        subject("c-int8 that reads pictures", "int8", TARGETS),
    )


def cuts_of(reading: Subject, plain: Subject, folder: Path) -> tuple[CutRow, ...]:
    """None where they cannot be built here."""
    try:
        return tuple(measure_cuts(reading.model, plain.model, folder / "cuts"))
    except Unavailable as error:
        _tell(f"no cuts: {error}")
        return ()


def measure(subjects: Sequence[Subject], *, rounds: int, seed: int) -> TargetsReport:
    """Of each artifact: build all, run what is for other targets, time what is for this machine."""
    load = load_average() or ()
    flags: list[FlagRow] = []
    targets: list[TargetRow] = []
    absent: list[Absence] = []
    with ThreadPoolExecutor(usable_threads()) as pool:
        for subject in subjects:
            _tell(f"{subject.recipe}: building and timing {subject.artifact}")
            commands = COMMANDS if subject.is_timed else COMMANDS[:1]
            tried = list(pool.map(partial(build_here, subject), commands))
            there = list(pool.map(partial(build_there, subject), subject.targets))
            absent += [found for found in (*tried, *there) if isinstance(found, Absence)]
            here = [found for found in tried if isinstance(found, Here)]
            if not here:
                sys.exit(f"no compiler builds {subject.recipe} here: {absent[0].reason}")
            rows, expected = time_here(subject, here, rounds=rounds, seed=seed)
            flags += rows if subject.is_timed else []
            for found in there:
                if isinstance(found, There):
                    targets.append(_compared(found, expected))
                    if found.reason:
                        absent.append(Absence(build=found.row.target, reason=found.reason))
    return TargetsReport(
        machine=describe_machine(),
        tools=_tools(),
        load_before=load,
        rounds=rounds,
        digits=TIMED,
        seed=seed,
        flags=tuple(flags),
        targets=tuple(targets),
        absent=tuple(dict.fromkeys(absent)),
    )


def build_here(subject: Subject, command: str) -> Here | Absence:
    """A library for this machine, by a compiler with its flags."""
    if "x86-64-v3" in command and "avx2" not in describe_machine().cpu_flags:
        return Absence(build=command, reason="this processor cannot run it")
    folder = subject.model.folder / command.replace(" ", "")
    try:
        size = build(
            *(subject.model, (*command.split(), "-fPIC"), folder),
            harness="timed.c",
            link=("-shared",),
            size="size",
        )
    except Unavailable as error:
        return Absence(build=command, reason=str(error))
    return Here(command=command, size=size, program=folder / "program")


def build_there(subject: Subject, target: Target) -> There | Absence:
    """A program for another target, and what it answers."""
    model, logits, reason = subject.model, np.empty((0, len(DIGITS)), np.float32), ""
    folder = model.folder / target.name
    try:
        size = build(
            *(model, target.compiler, folder),
            harness=target.harness,
            link=target.link,
            size=target.size,
        )
    except Unavailable as error:
        return Absence(build=target.name, reason=str(error))
    try:
        if target.runner:
            logits = run(target, folder, subject.images)
    except Unavailable as error:
        reason = str(error)
    row = TargetRow(
        recipe=subject.recipe,
        artifact=subject.artifact,
        target=target.name,
        flash_bytes=size.code + size.constants + size.initialised,
        ram_bytes=size.initialised + size.zeroed + model.workspace_bytes,
        stack_bytes=size.stack,
    )
    return There(row=row, logits=logits, reason=reason)


def time_here(
    subject: Subject, builds: Sequence[Here], *, rounds: int, seed: int
) -> tuple[list[FlagRow], Logits]:
    """Rows of one artifact's builds, and the answers of the first, which all are compared with."""
    libraries = {
        built.command: Library(built.program, subject.model.workspace_bytes) for built in builds
    }
    answers = {name: library.answer(subject.images)[0] for name, library in libraries.items()}
    samples_s = time_builds(libraries, subject.images, rounds=rounds, seed=seed)
    first_s, logits = next(iter(samples_s.values())), next(iter(answers.values()))
    rows = []
    for built, mine_s, mine in zip(builds, samples_s.values(), answers.values(), strict=True):
        pairs = zip(mine_s, first_s, strict=True)
        rows.append(
            FlagRow(
                recipe=subject.recipe,
                artifact=subject.artifact,
                command=built.command,
                code_bytes=built.size.code,
                constants_bytes=built.size.constants,
                stack_bytes=built.size.stack,
                p50_s=_median(mine_s).value,
                times=_median([mine / first for mine, first in pairs]),
                max_abs_difference=float(np.abs(mine - logits).max()),
                flips=_flips(mine, logits),
                samples_s=tuple(mine_s),
            )
        )
    return rows, logits


def _compared(built: There, expected: Logits) -> TargetRow:
    digits = len(built.logits)
    if not digits:
        return built.row
    return replace(
        built.row,
        digits=digits,
        max_abs_difference=float(np.abs(built.logits - expected).max()),
        flips=_flips(built.logits, expected),
    )


def _flips(candidate: Logits, reference: Logits) -> int:
    return int((candidate.argmax(1) != reference.argmax(1)).sum())


def _median(samples: Sequence[float]) -> Interval:
    median = estimate_quantile(samples, 0.5)
    assert median is not None  # main has seen to it that there are enough
    return median


def _tools() -> dict[str, str]:
    """What each compiler and emulator says of itself first."""
    commands = [command.split()[0] for command in COMMANDS]
    for target in TARGETS:
        commands += [target.compiler[0], *target.runner[:1]]
    found = {}
    for command in dict.fromkeys(commands):
        with contextlib.suppress(Unavailable):
            asked = "version" if command.endswith("zig") else "--version"
            found[command] = call([command, asked], Path.cwd()).splitlines()[0]
    return found


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of bundles")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--untimed", action="store_true", help="no times: the machine is busy")
    parser.add_argument("--out", type=Path, help="of the JSON; the Markdown stands beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
