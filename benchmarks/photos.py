"""What each recipe makes of real pictures, in float32 and in static int8.

    python benchmarks/photos.py FOLDER

FOLDER holds the bundles that `accuracy.py --keep FOLDER --keep-all` leaves, or others; the figures
of a recipe are means over its seeds. The pictures lie in `photos/` of the data folder, in
`digits/CLASS/*.png` and `symbols/NAME/*.png`: 200 of each digit and 50 of each symbol from the
Basic Handwritten Math Symbols Dataset (https://github.com/wblachowski/bhmsds, MIT), which a couple
of people wrote, and which its authors photographed, cut out and scaled to 28x28. So they tell how
foreign paper and pens do, not how all hands do. Of each folder the first picture and every second
one after it are for tuning, the others for reporting; thresholds are chosen on the first half
alone. Each picture is answered as `mnist-edge predict` answers it: right, rejected or wrong. Rows
of recipes that FOLDER has no bundle of stay in the report. Of the eight symbols three count, as
was set beforehand: a slash or a z is some hand's 1 or 2.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from kept import kept_bundles
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from runs import RESULTS

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.contract import Logits, to_images
from mnist_edge.data.mnist import DATA_VARIABLE, DataSet
from mnist_edge.data.obtain import obtain_data
from mnist_edge.formats import Backend, open_backend
from mnist_edge.formats.running import run_in_batches
from mnist_edge.machine import library_versions
from mnist_edge.metrics import confidence
from mnist_edge.picture import Picture, load_picture
from mnist_edge.predict import Predictor
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import recipe_digest
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.stats import Interval, paired_change

REPORT = RESULTS / "photos.json"
SOURCE = "https://github.com/wblachowski/bhmsds"
ARTIFACTS = (DEFAULT_ARTIFACT, "onnx-int8")
SYMBOLS = ("w", "x", "plus")
TUNING, REPORTING = HALVES = ("tuning", "reporting")
_BLANKS, _BLANK_SEED = 200, 7
_SEEDS = {TUNING: 1007, REPORTING: _BLANK_SEED}
_BATCH_SIZE = 500

# Where the curves are drawn: of the probabilities as they are, and softened as in the recipes.
CURVES: dict[float, tuple[float, ...]] = {
    1.0: (0.0, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8),
    1.5: (0.36, 0.4, 0.44, 0.48, 0.52, 0.56, 0.6, 0.64),
}

# What is asked of the pictures, as shares.
PHOTOS_RIGHT, PHOTOS_WRONG = 0.97, 0.015
SYMBOLS_REJECTED, BLANKS_REJECTED, FALSE_REJECTS = 0.85, 0.99, 0.01


@dataclass(frozen=True, eq=False)
class Pictures:
    """One half of what is shown to every net: pictures by what is on them, ready for it."""

    digits: Mapping[str, Sequence[Picture]]
    symbols: Mapping[str, Sequence[Picture]]
    blanks: Sequence[Picture]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One artifact of one bundle on MNIST's test set.

    Attributes:
        accuracy: of the net's first choice, 0 to 1.
        change: of it against the float32 artifact, in points, with its 99 % interval.
    """

    recipe: str
    digest: str
    seed: int
    artifact: str
    accuracy: float
    change: Interval


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How one artifact of one bundle answers one half of the pictures. Shares, 0 to 1.

    Attributes:
        below, temperature: the confidence threshold, and what divides the logits before it.
        right, rejected, wrong: of the photographed digits; together 1.
        classes: right ones of each class, 0 to 9.
        symbols: rejected ones, by symbol.
        blanks: rejected pictures of blank or noisy paper.
        false_rejects: of MNIST's test digits.
    """

    recipe: str
    digest: str
    seed: int
    artifact: str
    half: str
    below: float
    temperature: float
    right: float
    rejected: float
    wrong: float
    classes: tuple[float, ...]
    symbols: dict[str, float]
    blanks: float
    false_rejects: float


@dataclass(frozen=True, kw_only=True)
class PhotosReport:
    """All rows, and how many pictures there were of each kind in a half.

    Attributes:
        rows: on MNIST.
        answered: at the threshold of each recipe, of both halves.
        curve: at others, of the half for tuning, in float32.
    """

    digits: int
    symbols: int
    blanks: int
    versions: dict[str, str]
    rows: tuple[Row, ...]
    answered: tuple[Answered, ...] = ()
    curve: tuple[Answered, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the bundles")
    parser.add_argument("--photos", type=Path, help=f"by default ${DATA_VARIABLE}/photos")
    options = parser.parse_args()
    folder = options.photos or Path(os.environ.get(DATA_VARIABLE, ""), "photos")
    if not folder.is_dir():
        sys.exit(f"no photos in {folder}; give --photos, or set {DATA_VARIABLE}")
    before = codec.loads(PhotosReport, REPORT.read_text()) if REPORT.exists() else None
    halves = {half: read_pictures(folder, half) for half in HALVES}
    data = obtain_data("mnist", None)
    report = PhotosReport(
        digits=_count(halves[REPORTING].digits),
        symbols=_count(halves[REPORTING].symbols),
        blanks=len(halves[REPORTING].blanks),
        versions={name: library_versions()[name] for name in ("onnxruntime", "pillow")},
        rows=(),
    )
    for bundle in kept_bundles(options.folder, "onnx"):
        print(f"{bundle.path.name}: reading pictures", flush=True)
        found = measure(bundle, data, halves)
        report = replace(
            report,
            rows=report.rows + found.rows,
            answered=report.answered + found.answered,
            curve=report.curve + found.curve,
        )
    if before is not None:
        report = with_rows_of(of_today(before, RECIPES.values()), report)
    atomic_write(REPORT, codec.dumps(report).encode())
    atomic_write(REPORT.with_suffix(".md"), page(report).encode())
    print(page(report))


def of_today(report: PhotosReport, recipes: Iterable[TrainRecipe]) -> PhotosReport:
    """The rows that belong to these recipes as they stand."""
    digests = {recipe_digest(recipe) for recipe in recipes}
    return replace(
        report,
        rows=tuple(row for row in report.rows if row.digest in digests),
        answered=tuple(row for row in report.answered if row.digest in digests),
        curve=tuple(row for row in report.curve if row.digest in digests),
    )


def with_rows_of(before: PhotosReport, now: PhotosReport) -> PhotosReport:
    """`now`, and of an earlier report the rows of what it says nothing of.

    What is on MNIST does not depend on the pictures; answers stand side by side where the pictures
    and the libraries are the same.
    """
    seeds = {(row.recipe, row.seed) for row in now.rows}
    rows = [row for row in before.rows if (row.recipe, row.seed) not in seeds]
    ranked = sorted([*rows, *now.rows], key=lambda row: (row.recipe, row.seed))
    merged = replace(now, rows=tuple(ranked))
    bare, bare_now = (replace(r, rows=(), answered=(), curve=()) for r in (before, now))
    if bare != bare_now:
        return merged
    measured = {row.recipe for row in now.answered}
    return replace(
        merged,
        answered=(*(r for r in before.answered if r.recipe not in measured), *now.answered),
        curve=(*(r for r in before.curve if r.recipe not in measured), *now.curve),
    )


def read_pictures(folder: Path, half: str) -> Pictures:
    """One half of the photographs, and drawn blank and noisy paper."""

    def some(path: Path) -> list[Picture]:
        files = sorted(path.glob("*.png"))[HALVES.index(half) :: 2]
        return [load_picture(file) for file in files]

    return Pictures(
        digits={str(digit): some(folder / "digits" / str(digit)) for digit in DIGITS},
        symbols={symbol: some(folder / "symbols" / symbol) for symbol in SYMBOLS},
        blanks=[load_picture(sheet) for sheet in blank_sheets(_SEEDS[half])],
    )


def blank_sheets(seed: int = _BLANK_SEED) -> list[NDArray[np.uint8]]:
    """Sheets without a digit, of many sizes: even, grained, and three kinds of noise, some blurred.

    Drawn from a seed, so they are the same everywhere.
    """
    random = np.random.default_rng(seed)
    kinds: tuple[Callable[[tuple[int, int]], NDArray[np.float64]], ...] = (
        lambda size: np.full(size, random.integers(0, 256), np.float64),
        lambda size: random.integers(40, 220) + random.normal(0, random.uniform(1, 8), size),
        lambda size: random.integers(0, 256, size, np.uint8).astype(np.float64),
        lambda size: random.normal(128, random.uniform(20, 60), size),
        lambda size: np.where(random.random(size) < random.uniform(0.01, 0.5), 255.0, 0.0),
    )
    sheets = []
    for number in range(_BLANKS):
        height, width = random.integers(28, 400, 2).tolist()
        grey = kinds[number % len(kinds)]((height, width))
        sheets.append(np.clip(grey, 0, 255).astype(np.uint8))
        if number % 4 == 0:
            radius = random.uniform(0.5, 3)
            blurred = Image.fromarray(sheets[-1]).filter(ImageFilter.GaussianBlur(radius))
            sheets.append(np.asarray(blurred))
    return sheets


def measure(bundle: Bundle, data: DataSet, halves: Mapping[str, Pictures]) -> PhotosReport:
    """All rows of one bundle, float32 first."""
    recipe = bundle.manifest.own_recipe
    rows: list[Row] = []
    answered: list[Answered] = []
    curve: list[Answered] = []
    right: list[NDArray[np.bool_]] = []
    for name in ARTIFACTS:
        with open_backend(bundle, bundle.artifact(name)) as backend:
            tested = run_in_batches(backend, to_images(data.test_images), _BATCH_SIZE)
            right.append(tested.argmax(axis=1) == data.test_labels)
            rows.append(_row(recipe, name, right))
            answered += [
                answers_of(backend, recipe, name, half, pictures, tested)
                for half, pictures in halves.items()
            ]
            if name == DEFAULT_ARTIFACT:
                curve = [
                    answers_of(
                        backend,
                        replace(recipe, reject_below=below, reject_temperature=temperature),
                        name,
                        TUNING,
                        halves[TUNING],
                        tested,
                    )
                    for temperature, thresholds in CURVES.items()
                    for below in thresholds
                ]
    return PhotosReport(
        digits=0,
        symbols=0,
        blanks=0,
        versions={},
        rows=tuple(rows),
        answered=tuple(answered),
        curve=tuple(curve),
    )


def _row(recipe: TrainRecipe, artifact: str, right: Sequence[NDArray[np.bool_]]) -> Row:
    """`right` are the answers on MNIST, from float32 to this artifact's own."""
    lost, gained = np.sum(right[0] & ~right[-1]), np.sum(right[-1] & ~right[0])
    change = paired_change(int(lost), int(gained), len(right[0]))
    return Row(
        recipe=recipe.name,
        digest=recipe_digest(recipe),
        seed=recipe.seed,
        artifact=artifact,
        accuracy=float(right[-1].mean()),
        change=Interval(value=100 * change.value, low=100 * change.low, high=100 * change.high),
    )


def answers_of(
    backend: Backend,
    recipe: TrainRecipe,
    artifact: str,
    half: str,
    pictures: Pictures,
    tested: Logits,
) -> Answered:
    """How `predict` answers the pictures at the threshold of the recipe.

    Args:
        backend: of the artifact.
        recipe: names the threshold.
        artifact: its name.
        half: which half the pictures are.
        pictures: what is asked.
        tested: logits of MNIST's test digits.
    """
    below, temperature = recipe.reject_below, recipe.reject_temperature
    predictor = Predictor(backend, reject_below=below, reject_temperature=temperature)

    def named(shown: Sequence[Picture]) -> list[int | None]:
        return [prediction.digit for prediction in predictor.predict_pictures(shown)]

    def rejected(shown: Sequence[Picture]) -> float:
        return statistics.mean(digit is None for digit in named(shown))

    read = {digit: named(shown) for digit, shown in pictures.digits.items()}
    classes = tuple(
        statistics.mean(one == int(digit) for one in answers) for digit, answers in read.items()
    )
    none = statistics.mean(one is None for answers in read.values() for one in answers)
    right = statistics.mean(classes)
    return Answered(
        recipe=recipe.name,
        digest=recipe_digest(recipe),
        seed=recipe.seed,
        artifact=artifact,
        half=half,
        below=below,
        temperature=temperature,
        right=right,
        rejected=none,
        wrong=max(0.0, 1 - right - none),
        classes=classes,
        symbols={symbol: rejected(shown) for symbol, shown in pictures.symbols.items()},
        blanks=rejected(pictures.blanks),
        false_rejects=float(np.mean(confidence(tested, temperature) < below)),
    )


def page(report: PhotosReport) -> str:
    """The tables of all recipes, under what is asked of them."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    recipes = list(dict.fromkeys(row.recipe for row in report.answered))
    return f"""# Real pictures

{report.digits:,} photographed digits and {report.symbols} photographed symbols
({", ".join(SYMBOLS)}) in each half of the [Basic Handwritten Math Symbols Dataset]({SOURCE}), of a
couple of people, and {report.blanks} sheets of blank or noisy paper, as `mnist-edge predict`
answers them ({versions}). Means over the seeds (n). Asked for: at least {PHOTOS_RIGHT:.0%} of the
photos right and at most {PHOTOS_WRONG:.1%} wrong, {SYMBOLS_REJECTED:.0%} of each symbol and
{BLANKS_REJECTED:.0%} of the sheets rejected, at {FALSE_REJECTS:.0%} of MNIST's test digits
rejected; * marks what falls short.

The half for reporting:

{markdown(pictures_table(report, recipes))}
The half for tuning, on which the thresholds were chosen:

{markdown(pictures_table(report, recipes, TUNING))}
## The threshold

An answer is rejected where the largest probability of its logits, divided by a temperature, is
under the threshold. What is no digit is spread over more of them than an ambiguous digit is, and a
temperature of 1.5 counts that more (ODIN, Liang et al. 2018). Of the tuning half, float32:

{markdown(curve_table(report))}
Tried besides on the same half, with less than that to show for it: the margin between the two
largest logits, the energy (logsumexp), the largest logit, the standard deviation of the logits, the
entropy, the two largest probabilities together, and the mean answer over turned, sheared, thinner
and thicker views of a picture.

Each class of the photos, right, the half for reporting, float32:

{markdown(_classes_table(report))}
## What int8 changes on MNIST

{markdown(mnist_table(report))}"""


def pictures_table(report: PhotosReport, recipes: Sequence[str], half: str = REPORTING) -> Table:
    """One line a recipe and precision; a recipe without rows is not measured yet."""
    rows: list[tuple[str, ...]] = []
    for recipe in recipes:
        found = [
            (f"`{recipe}` ({len(mine)})", artifact.partition("-")[2], *_cells(mine))
            for artifact in ARTIFACTS
            if (mine := _answered(report.answered, recipe, artifact, half))
        ]
        rows += found or [(f"`{recipe}`", "not measured yet", *[NOTHING] * 6)]
    return Table(headers=("recipe (n)", "precision", *_ANSWERS), rows=tuple(rows))


def curve_table(report: PhotosReport) -> Table:
    """One line a recipe, temperature and threshold."""
    points = dict.fromkeys((row.recipe, row.temperature, row.below) for row in report.curve)
    return Table(
        headers=("recipe", "temperature", "threshold", *_ANSWERS),
        rows=tuple(
            (f"`{recipe}`", f"{temperature:g}", f"{below:.2f}", *_cells(
                [r for r in report.curve if (r.recipe, r.temperature, r.below) == point]
            ))
            for point in points
            for recipe, temperature, below in (point,)
        ),
    )  # fmt: skip


def mnist_table(report: PhotosReport) -> Table:
    """Accuracy of each recipe and precision, and what the precision changes."""
    keys = dict.fromkeys((row.recipe, row.artifact) for row in report.rows)
    rows = []
    for recipe, artifact in keys:
        mine = [row for row in report.rows if (row.recipe, row.artifact) == (recipe, artifact)]
        change = statistics.mean(row.change.value for row in mine)
        rows.append(
            (
                f"`{recipe}` ({len(mine)})",
                artifact.partition("-")[2],
                f"{statistics.mean(row.accuracy for row in mine):.2%}",
                NOTHING if artifact == DEFAULT_ARTIFACT else f"{change:+.3f}",
            )
        )
    return Table(headers=("recipe (n)", "precision", "accuracy", "change"), rows=tuple(rows))


_ANSWERS = ("right", "rejected", "wrong", "w, x, + rejected", "blank rejected", "MNIST rejected")


def _answered(rows: Sequence[Answered], recipe: str, artifact: str, half: str) -> list[Answered]:
    return [r for r in rows if (r.recipe, r.artifact, r.half) == (recipe, artifact, half)]


def _cells(rows: Sequence[Answered]) -> tuple[str, ...]:
    def mean(value: Callable[[Answered], float]) -> float:
        return statistics.mean(map(value, rows))

    right, wrong = mean(lambda row: row.right), mean(lambda row: row.wrong)
    blanks, lost = mean(lambda row: row.blanks), mean(lambda row: row.false_rejects)
    symbols = [mean(lambda row, name=name: row.symbols[name]) for name in SYMBOLS]  # type: ignore[misc]
    return (
        f"{right:.1%}{_mark(right >= PHOTOS_RIGHT - 1e-9)}",
        f"{mean(lambda row: row.rejected):.1%}",
        f"{wrong:.1%}{_mark(wrong <= PHOTOS_WRONG + 1e-9)}",
        ", ".join(f"{share:.0%}{_mark(share >= SYMBOLS_REJECTED - 1e-9)}" for share in symbols),
        f"{blanks:.1%}{_mark(blanks >= BLANKS_REJECTED - 1e-9)}",
        f"{lost:.2%}{_mark(lost <= FALSE_REJECTS + 1e-9)}",
    )


def _mark(reached: bool) -> str:
    return "" if reached else "*"


def _classes_table(report: PhotosReport) -> Table:
    plain = [
        row for row in report.answered if (row.artifact, row.half) == (DEFAULT_ARTIFACT, REPORTING)
    ]
    return Table(
        headers=("recipe", "seed", *DIGITS),
        rows=tuple(
            (f"`{row.recipe}`", str(row.seed), *(f"{share:.0%}" for share in row.classes))
            for row in plain
        ),
    )


def _count(kinds: Mapping[str, Sequence[Picture]]) -> int:
    return sum(map(len, kinds.values()))


if __name__ == "__main__":
    main()
