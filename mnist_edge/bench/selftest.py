"""The benchmark, benchmarked: does it see a difference where there is one, and none elsewhere?"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from mnist_edge.bench.apart import start_apart
from mnist_edge.bench.judge import verdict, verdict_apart
from mnist_edge.bench.report import BenchReport, Verdict
from mnist_edge.bench.rounds import Start
from mnist_edge.bench.session import measure_subjects
from mnist_edge.bench.subject import Subject
from mnist_edge.bundle.folder import Bundle
from mnist_edge.errors import BadInput
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.bench import BenchRecipe

PLANTED_SLOWDOWN = 0.2
SLIGHT_SLOWDOWN = 0.05
# One round in this many may be judged wrongly; with verdicts at 99 % one in a hundred is expected.
_ROUNDS_PER_MISS = 20


@dataclass(frozen=True, kw_only=True)
class Round:
    """One benchmark of an artifact, of itself again, and of itself slowed down.

    Attributes:
        again: the verdict on the artifact against itself; to be `indistinguishable`.
        planted: the verdict on the slowed one; to be `slower`.
        slight: the verdict on one that was slowed down a little.
        apart: the same three, had the rows not taken turns: from the samples of each process.
        medians_s: of each row's processes, in the order in which they ran.
    """

    again: Verdict
    planted: Verdict
    slight: Verdict
    apart: tuple[Verdict, ...]
    medians_s: dict[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """What became of all rounds.

    Attributes:
        slowdown, slight_slowdown: the shares by which the slowed rows take longer.
        timer_overhead_s: the largest median duration of nothing, of any process.
        report: of the last round, for the context.
    """

    rounds: tuple[Round, ...]
    slowdown: float
    slight_slowdown: float
    timer_overhead_s: float
    report: BenchReport

    @property
    def quiet(self) -> int:
        """Rounds in which two equal things were called so."""
        return sum(found.again.word == "indistinguishable" for found in self.rounds)

    @property
    def found(self) -> int:
        """Rounds in which the planted slowdown was found."""
        return sum(found.planted.word == "slower" for found in self.rounds)

    @property
    def found_slight(self) -> int:
        """Rounds in which the slight one was found, too, which takes a quiet machine."""
        return sum(found.slight.word == "slower" for found in self.rounds)

    @property
    def noise_floor(self) -> float:
        """The largest share by which two equal things differed."""
        return max(abs(found.again.ratio.value - 1) for found in self.rounds)

    @property
    def passed(self) -> bool:
        """Whether at most one round in twenty was judged wrongly, the slight slowdown aside."""
        allowed = len(self.rounds) // _ROUNDS_PER_MISS
        return min(self.quiet, self.found) >= len(self.rounds) - allowed


def self_test(
    bundle: Bundle,
    artifact: str,
    recipe: BenchRecipe,
    *,
    rounds: int = 1,
    progress: Progress = silent,
    start: Start = start_apart,
) -> SelfTest:
    """Benchmark an artifact against itself and itself slowed down, each round with another seed.

    Raises:
        BadInput: the artifact cannot be measured.
    """
    plain = Subject(artifact=artifact, device="cpu", threads=recipe.threads)
    slowed, slightly = (
        replace(plain, slowdown=share, variant=f"slowed {share:.0%}")
        for share in (PLANTED_SLOWDOWN, SLIGHT_SLOWDOWN)
    )
    subjects = (plain, replace(plain, variant="again"), slowed, slightly)
    reports = []
    for index in range(rounds):
        reports.append(
            measure_subjects(
                bundle,
                replace(recipe, seed=recipe.seed + index),
                subjects,
                progress=_part(progress, index, rounds),
                start=start,
            )
        )
        for row in reports[-1].rows:
            if not row.usable:
                raise BadInput(
                    f"{row.label} cannot be measured: {'; '.join(row.doubts)}",
                    fix="choose another --artifact",
                )
    runs = [run for report in reports for row in report.rows for run in row.runs]
    return SelfTest(
        rounds=tuple(_judge(report, *subjects) for report in reports),
        slowdown=PLANTED_SLOWDOWN,
        slight_slowdown=SLIGHT_SLOWDOWN,
        timer_overhead_s=max(run.timer_overhead_s for run in runs),
        report=reports[-1],
    )


def _judge(report: BenchReport, plain: Subject, *others: Subject) -> Round:
    rows = {row.label: row for row in report.rows}
    first = rows[plain.label]
    seed = report.recipe.seed
    again, planted, slight = (verdict(rows[other.label], first, seed) for other in others)
    return Round(
        again=again,
        planted=planted,
        slight=slight,
        apart=tuple(verdict_apart(rows[other.label], first, seed) for other in others),
        medians_s={
            label: tuple(statistics.median(run.single.samples_s) for run in row.runs)
            for label, row in rows.items()
        },
    )


def _part(progress: Progress, index: int, rounds: int) -> Progress:
    def part(done: int, total: int, note: str = "") -> None:
        progress(index * total + done, rounds * total, note)

    return part
