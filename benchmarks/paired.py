"""Which differences in accuracy between recipes are real.

    python benchmarks/paired.py

Another seed gives other weights, another test set other digits; a difference is real only if it
would survive both. So both are drawn anew, each by itself, 10,000 times (A. B. Owen, "The
pigeonhole bootstrap", Annals of Applied Statistics 1, 2007): the test digits for all recipes at
once, which pairs them, and the seeds of each recipe. What the two add to the difference is summed,
which counts the chance of one seed at one digit twice and so errs on the side of a too wide
interval (A. C. Cameron, J. B. Gelbach, D. L. Miller, "Robust inference with multiway clustering",
Journal of Business & Economic Statistics 29, 2011, would subtract it once). A difference is real
if its 99 % interval leaves out zero. Beside it stands McNemar's exact test over the digits that
most seeds of a recipe name wrongly, which takes the seeds as given.

Few seeds say little about how much seeds differ, so their spread is corrected for its bias and
given the tails of Student's distribution, as `stats.ratio_of_medians` does for processes. For a
single seed it is assumed to be that of chance, the square root of its errors: ten seeds of `sprint`
differ by 6.9 where that is 9.7, five of `quick` by 4.3 where it is 7.4. And half a digit is added
either way, as in `stats.paired_change`: a handful of digits on one side alone is no proof.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from runs import RESULTS, latest, read_runs

from mnist_edge.bundle import codec
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.data.mnist import MNIST_FILES, TEST_LABELS
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.render.published import recipe_digest
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.stats import CONFIDENCE, Interval, mcnemar

REPORT = RESULTS / "paired.json"

(DIGITS,) = MNIST_FILES[TEST_LABELS].shape
DRAWS = 10_000

_Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The test digits that each seed of a recipe names wrongly, one tuple a seed."""

    recipe: str
    wrong: tuple[tuple[int, ...], ...]

    @property
    def errors(self) -> float:
        """Their mean number."""
        return sum(map(len, self.wrong)) / len(self.wrong)

    @property
    def mostly_wrong(self) -> set[int]:
        """The digits that more than half of the seeds name wrongly."""
        digits, counts = np.unique(np.concatenate(self.wrong), return_counts=True)
        return set(digits[counts > len(self.wrong) / 2].tolist())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The accuracy of one recipe less that of another.

    Attributes:
        points: in percentage points, with the limits of its 99 % interval.
        lost, gained: digits that only the second recipe, or only the first one, names rightly in
            most of its seeds.
        p_value: of these two, by McNemar's exact test.
    """

    first: str
    second: str
    points: Interval
    lost: int
    gained: int
    p_value: float

    @property
    def real(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.points.low > 0 or self.points.high < 0

    @property
    def word(self) -> str:
        """The verdict."""
        return "real" if self.real else "cannot be told apart"


@dataclass(frozen=True, kw_only=True)
class PairedReport:
    """All pairs, the better recipe first.

    Attributes:
        seeds: number of them, by recipe, the best recipe first.
        accuracy: mean over the seeds, 0 to 1, likewise.
        missing: runs without a per-digit record, by recipe; also of recipes that have none at all.
    """

    digits: int
    draws: int
    seed: int
    seeds: dict[str, int]
    accuracy: dict[str, float]
    differences: tuple[Difference, ...]
    missing: dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    options = parser.parse_args()
    found = compare_all(*recorded(), seed=options.seed)
    atomic_write(REPORT, codec.dumps(found).encode())
    atomic_write(REPORT.with_suffix(".md"), page(found).encode())
    print(page(found))


def recorded() -> tuple[list[Record], dict[str, int]]:
    """What accuracy.jsonl has of the catalogue's recipes, and how many runs lack the digits."""
    runs = latest(read_runs())
    records, missing = [], {}
    for recipe in RECIPES.values():
        digest = recipe_digest(recipe)
        mine = [run.wrong for run in runs if run.digest == digest]
        wrong = tuple(digits for digits in mine if digits is not None)
        if wrong:
            records.append(Record(recipe=recipe.name, wrong=wrong))
        if not wrong or len(wrong) < len(mine):
            missing[recipe.name] = len(mine) - len(wrong)
    return records, missing


def compare_all(
    records: Sequence[Record],
    missing: Mapping[str, int] | None = None,
    *,
    digits: int = DIGITS,
    draws: int = DRAWS,
    seed: int = 0,
) -> PairedReport:
    """Every recipe against every other one, over the same draws of test digits."""
    ranked = sorted(records, key=lambda record: record.errors)
    generator = np.random.default_rng(seed)
    # A digit that nobody names wrongly changes nothing, so the others are drawn together.
    hard = sorted({digit for record in ranked for wrong in record.wrong for digit in wrong})
    shares = [1 / digits] * len(hard) + [1 - len(hard) / digits]
    times = generator.multinomial(digits, shares, size=draws)[:, :-1].astype(np.float64)
    drawn = {
        record.recipe: _drawn_errors(_table(record, hard), times, generator) for record in ranked
    }
    return PairedReport(
        digits=digits,
        draws=draws,
        seed=seed,
        seeds={record.recipe: len(record.wrong) for record in ranked},
        accuracy={record.recipe: 1 - record.errors / digits for record in ranked},
        differences=tuple(
            _difference(first, second, drawn, digits, generator)
            for first, second in combinations(ranked, 2)
        ),
        missing=dict(missing or {}),
    )


def _table(record: Record, hard: Sequence[int]) -> _Array:
    """Which of the hard digits (H,) each seed names wrongly: (seeds, H) of 0 and 1."""
    return np.array([np.isin(hard, wrong) for wrong in record.wrong], np.float64)


def _drawn_errors(
    table: _Array, times: _Array, generator: np.random.Generator
) -> tuple[_Array, _Array]:
    """Mean errors over drawn digits, and what drawing other seeds adds: (D,) each."""
    by_digits: _Array = times @ table.mean(axis=0)
    errors = table.sum(axis=1)
    draws, count = len(times), len(errors)
    if count == 1:
        return by_digits, generator.normal(0, math.sqrt(errors[0]), draws)
    chosen = errors[generator.integers(count, size=(draws, count))]
    # Drawing from `count` seeds underestimates their variance by (count - 1) / count.
    by_seeds: _Array = (chosen.mean(axis=1) - errors.mean()) * math.sqrt(count / (count - 1))
    return by_digits, by_seeds


def _difference(
    first: Record,
    second: Record,
    drawn: dict[str, tuple[_Array, _Array]],
    digits: int,
    generator: np.random.Generator,
) -> Difference:
    # One factor for both: the spreads of their seeds are estimated with the freedom of both.
    freedom = len(first.wrong) + len(second.wrong) - 2
    draws = len(drawn[first.recipe][0])
    factor = np.sqrt(freedom / generator.chisquare(freedom, draws)) if freedom else 1.0

    def errors(record: Record) -> _Array:
        by_digits, by_seeds = drawn[record.recipe]
        return by_digits + (by_seeds if len(record.wrong) == 1 else by_seeds * factor)

    half_digits = generator.poisson(0.5, draws) - generator.poisson(0.5, draws)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(errors(second) - errors(first) + half_digits, [tail, 1 - tail])
    in_points = 100 / digits
    lost = len(first.mostly_wrong - second.mostly_wrong)
    gained = len(second.mostly_wrong - first.mostly_wrong)
    return Difference(
        first=first.recipe,
        second=second.recipe,
        points=Interval(
            value=in_points * (second.errors - first.errors),
            low=in_points * float(low),
            high=in_points * float(high),
        ),
        lost=lost,
        gained=gained,
        p_value=mcnemar(lost, gained),
    )


def page(report: PairedReport) -> str:
    """The matrix of all pairs, then each with its interval."""
    lines = "".join(
        f"* `{name}`: no per-digit record of {count or 'any'} run{'s' * (count > 1)}; rerun "
        f"`python benchmarks/accuracy.py {name}`\n"
        for name, count in report.missing.items()
    )
    pairs = len(report.differences)
    return f"""# Which differences between recipes are real

Accuracy of the row's recipe less that of the column's, in points, over {report.digits:,} test
digits. **Bold**: real, the 99 % interval leaves out zero; ≈: cannot be told apart. Seeds and test
digits were both drawn anew {report.draws:,} times (seed {report.seed}); how much seeds differ is
assumed where there is but one (n). Of {pairs} pairs without any difference,
{pairs * (1 - CONFIDENCE):.1f} would be called real by chance.

{markdown(matrix(report))}
{lines}
{markdown(pairs_table(report.differences))}
`p` is McNemar's, over the digits that most seeds of only the second recipe (`lost`), or of only
the first one (`gained`), name rightly.
"""


def matrix(report: PairedReport) -> Table:
    """Half a matrix: each recipe against those that are less accurate."""
    names = list(report.seeds)
    cells = {(found.first, found.second): _cell(found) for found in report.differences}
    return Table(
        headers=("recipe", "accuracy (n)", *names[1:]),
        rows=tuple(
            (
                f"`{name}`",
                f"{report.accuracy[name]:.3%} ({report.seeds[name]})",
                *(cells.get((name, other), "") for other in names[1:]),
            )
            for name in names
        ),
    )


def _cell(found: Difference) -> str:
    text = f"{found.points.value:+.2f}"
    return f"**{text}**" if found.real else f"≈ {text}"


def pairs_table(differences: Sequence[Difference]) -> Table:
    """One line for each pair."""
    return Table(
        headers=("first − second", "points", "99 % interval", "verdict", "lost", "gained", "p"),
        rows=tuple(
            (
                f"`{found.first}` − `{found.second}`",
                f"{found.points.value:+.3f}",
                f"{found.points.low:+.3f} to {found.points.high:+.3f}",
                found.word,
                str(found.lost),
                str(found.gained),
                f"{found.p_value:.1e}" if found.p_value < 0.001 else f"{found.p_value:.3f}",
            )
            for found in differences
        )
        or ((NOTHING,) * 7,),
    )


if __name__ == "__main__":
    main()
