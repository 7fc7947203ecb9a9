"""What `c_targets.py` found: the data, the tables of it, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cross import STRICT
from mnist_edge.bundle import codec
from mnist_edge.machine import Machine
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.render.text import kilobytes, microseconds
from mnist_edge.stats import Interval

MICROCONTROLLER = "Cortex-M4F"
_HOSTED = ("64-bit Arm", "WebAssembly")
_SAME = (
    "≈ means that the 99 % interval over the rounds holds 1. All rounds ran in one process: how "
    "much another one would differ is not in it."
)


@dataclass(frozen=True, kw_only=True)
class FlagRow:
    """One artifact, built for this machine.

    Attributes:
        command: the compiler with its flags.
        code_bytes: instructions.
        constants_bytes: weights, nearly all of it.
        stack_bytes: the most that a call needs; 0 where the compiler does not tell.
        times: of the first build's time for a picture.
        max_abs_difference: of any logit from the first build's.
        flips: digits that are named otherwise.
        samples_s: per picture, one for each round.
    """

    recipe: str
    artifact: str
    command: str
    code_bytes: int
    constants_bytes: int
    stack_bytes: int
    p50_s: float
    times: Interval
    max_abs_difference: float
    flips: int
    samples_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """One artifact, built for another processor.

    Attributes:
        flash_bytes: instructions, weights and initial values; of WebAssembly the file.
        ram_bytes: variables and a workspace.
        stack_bytes: the most that a call needs, besides; 0 where the compiler does not tell.
        digits: that it answered in an emulator; 0 where it could not be run.
        max_abs_difference: of any logit from this machine's.
        flips: digits that are named otherwise.
    """

    recipe: str
    artifact: str
    target: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    digits: int = 0
    max_abs_difference: float = 0.0
    flips: int = 0


@dataclass(frozen=True, kw_only=True)
class CutRow:
    """What reading pictures takes of a microcontroller where something is left out of it.

    Attributes:
        cut: what the compiler is told.
        code_bytes: beside the net's.
        memory_bytes: that the caller passes for a grey picture, by its size; the net's included.
    """

    cut: str
    code_bytes: int
    memory_bytes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Absence:
    """What could not be built or run, and why."""

    build: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TargetsReport:
    """All rows, and what they rest on.

    Attributes:
        tools: the first line that each compiler and emulator says of its version.
    """

    machine: Machine
    tools: dict[str, str]
    load_before: tuple[float, ...]
    rounds: int
    digits: int
    seed: int
    flags: tuple[FlagRow, ...]
    targets: tuple[TargetRow, ...]
    absent: tuple[Absence, ...]
    cuts: tuple[CutRow, ...] = ()


def read_report(path: Path) -> TargetsReport:
    """What `c_targets.py` wrote."""
    return codec.loads(TargetsReport, path.read_text())


def times_table(rows: Sequence[FlagRow]) -> Table:
    """Time for a picture relative to the first build, of each recipe; rows of one artifact."""
    return _by_recipe({(row.command, row.recipe): _times(row) for row in rows})


def bytes_table(rows: Sequence[FlagRow]) -> Table:
    """Likewise code and weights in kB."""
    return _by_recipe(
        {(row.command, row.recipe): kilobytes(row.code_bytes + row.constants_bytes) for row in rows}
    )


def _by_recipe(cells: dict[tuple[str, str], str]) -> Table:
    commands = dict.fromkeys(command for command, _ in cells)
    recipes = dict.fromkeys(recipe for _, recipe in cells)
    return Table(
        headers=("build", *(f"`{recipe}`" for recipe in recipes)),
        rows=tuple(
            (f"`{command}`", *(cells.get((command, recipe), NOTHING) for recipe in recipes))
            for command in commands
        ),
    )


def _times(row: FlagRow) -> str:
    """Relative to the first build; of that one itself the duration."""
    if row.times.low == row.times.high:
        return f"{microseconds(row.p50_s)} µs"
    same = "≈ " if row.times.low <= 1 <= row.times.high else ""
    return f"{same}{row.times.value:.2f}"


def flags_table(report: TargetsReport) -> Table:
    """Times of the first compiler's builds, all precisions of a recipe in one cell."""
    compiler = report.flags[0].command.partition(" ")[0]
    cells: dict[tuple[str, str], str] = {}
    for row in report.flags:
        if row.command.startswith(f"{compiler} "):
            key = (row.command, row.recipe)
            cells[key] = " / ".join([*filter(None, [cells.get(key)]), _times(row)])
    return _by_recipe(cells)


def targets_table(report: TargetsReport) -> Table:
    """One row an artifact: bytes on some targets, and how far the answers of all are from ours."""
    found: dict[tuple[str, str], dict[str, TargetRow]] = {}
    for row in report.targets:
        found.setdefault((row.recipe, row.artifact), {})[row.target] = row
    rows = []
    for (recipe, artifact), mine in found.items():
        flash = {name: kilobytes(row.flash_bytes) for name, row in mine.items()}
        small = mine.get(MICROCONTROLLER)
        compared = [row for row in mine.values() if row.digits]
        rows.append(
            (
                f"`{recipe}`",
                f"`{artifact}`",
                *(flash.get(name, NOTHING) for name in (*_HOSTED, MICROCONTROLLER)),
                kilobytes(small.ram_bytes + small.stack_bytes) if small else NOTHING,
                _difference(compared),
                str(sum(row.flips for row in compared)) if compared else NOTHING,
            )
        )
    return Table(
        headers=("recipe", "artifact", *(f"{name}, kB" for name in _HOSTED),
                 f"{MICROCONTROLLER}: flash kB", "RAM kB", "largest difference", "flips"),
        rows=tuple(rows),
    )  # fmt: skip


def _difference(rows: Sequence[TargetRow]) -> str:
    """The largest of some rows; 0 where they agree to the last bit."""
    if not rows:
        return NOTHING
    worst = max(row.max_abs_difference for row in rows)
    return f"{worst:.0e}" if worst else "0"


def details_table(report: TargetsReport) -> Table:
    """Every artifact on every target."""
    return Table(
        headers=("recipe", "artifact", "target", "flash kB", "RAM kB", "stack kB", "digits",
                 "largest difference", "flips"),
        rows=tuple(
            (
                row.recipe,
                row.artifact,
                row.target,
                kilobytes(row.flash_bytes),
                kilobytes(row.ram_bytes),
                kilobytes(row.stack_bytes) if row.stack_bytes else NOTHING,
                str(row.digits) if row.digits else NOTHING,
                _difference([row] if row.digits else []),
                str(row.flips) if row.digits else NOTHING,
            )
            for row in report.targets
        ),
    )  # fmt: skip


def cuts_table(report: TargetsReport) -> Table:
    """One row for each thing that can be left out of reading pictures."""
    frames = report.cuts[0].memory_bytes if report.cuts else {}
    return Table(
        headers=("left out", "code kB", *(f"{frame}: RAM kB" for frame in frames)),
        rows=tuple(
            (f"`{row.cut}`", *map(kilobytes, (row.code_bytes, *row.memory_bytes.values())))
            for row in report.cuts
        ),
    )


def page(report: TargetsReport) -> str:
    """Claim, hardware, versions and n, then all tables."""
    machine = report.machine
    load = f"{report.load_before[0]:.1f}" if report.load_before else "unknown"
    tools = "\n".join(f"  * {name}: {version}" for name, version in report.tools.items())
    parts = [
        f"""# The C artifacts under other flags and on other processors

{claim(report)}.

* Machine: {machine.processor}, {machine.usable_threads} usable threads, load {load} before
* System: {machine.system}, {machine.python}
* n = {report.digits} digits one by one in each of {report.rounds} interleaved rounds, seed \
{report.seed}
* Tools:
{tools}
"""
    ]
    for artifact in dict.fromkeys(row.artifact for row in report.flags):
        rows = [row for row in report.flags if row.artifact == artifact]
        parts += [
            f"## {artifact}: time for a picture, relative to `{rows[0].command}`\n\n"
            + markdown(times_table(rows)),
            f"{_SAME}\n",
            f"## {artifact}: code and weights, kB\n\n{markdown(bytes_table(rows))}",
        ]
    parts.append(
        f"## Other processors\n\n{markdown(details_table(report))}\n"
        "Flash is code, weights and initial values, of WebAssembly and macOS the file. RAM is "
        "variables and a workspace; the stack, as the compiler states it, comes on top. Answers "
        "are compared with this machine's; without digits it was compiled and linked alone. "
        f"No compiler warned ({' '.join(STRICT)}).\n"
    )
    if report.cuts:
        parts.append(
            "## Reading pictures on a Cortex-M4F\n\n"
            "Code beside the net's, by zig -Os, and the memory that a caller passes for a grey "
            "picture of some sizes, the net's workspace included.\n\n"
            f"{markdown(cuts_table(report))}"
        )
    if report.absent:
        table = Table(
            headers=("not built or not run", "why"),
            rows=tuple((absence.build, absence.reason) for absence in report.absent),
        )
        parts.append(f"## Missing\n\n{markdown(table)}")
    return "\n".join(parts)


def claim(report: TargetsReport) -> str:
    """The outcome in one sentence."""
    ran = [row for row in report.targets if row.digits]
    names = tuple(dict.fromkeys(row.target for row in ran))
    rows: list[FlagRow | TargetRow] = [*report.flags, *ran]
    worst = max((row.max_abs_difference for row in rows), default=0.0)
    flips = sum(row.flips for row in rows)
    here = f"{len({row.command for row in report.flags})} builds here and " if report.flags else ""
    return (
        f"{here}{len(names)} other targets "
        f"({'; '.join(names)}) name {'some digits otherwise' if flips else 'the same digits'}: the "
        f"largest difference of a logit is {worst:.0e}, {flips} answers differ from those of the "
        "first build"
    )
