"""What each recipe makes of real pictures, in float32 and in static int8.

    python benchmarks/photos.py FOLDER

FOLDER holds the bundles that `accuracy.py --keep FOLDER --keep-all` leaves; the figures of a
recipe are means over its seeds. The pictures lie in `photos/` of the data folder, in
`digits/CLASS/*.png` and `symbols/NAME/*.png`: 200 of each digit and 50 of each symbol from the
Basic Handwritten Math Symbols Dataset (https://github.com/wblachowski/bhmsds, MIT), which a couple
of people wrote, and which its authors photographed, cut out and scaled to 28x28. So they tell how
foreign paper and pens do, not how all hands do. Only every second picture of a folder is shown
here, the first left out: the other half is for tuning. Rows of recipes that FOLDER has no bundle
of stay in the report. Each goes through the preprocessing of
`mnist-edge predict`, and is rejected as there: where there is no ink, or where the largest
probability is under the recipe's threshold. Of the eight symbols three count, as was set
beforehand: a slash or a z is some hand's 1 or 2.
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
from mnist_edge.contract import CLASSES, RawImages, to_images
from mnist_edge.data.mnist import DATA_VARIABLE, DataSet, load_mnist
from mnist_edge.formats import Backend, open_backend
from mnist_edge.formats.running import run_in_batches
from mnist_edge.machine import library_versions
from mnist_edge.metrics import softmax
from mnist_edge.picture import Picture, load_picture
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import recipe_digest
from mnist_edge.render.text import NOTHING, Table, markdown
from mnist_edge.stats import Interval, paired_change

REPORT = RESULTS / "photos.json"
SOURCE = "https://github.com/wblachowski/bhmsds"
ARTIFACTS = (DEFAULT_ARTIFACT, "onnx-int8")
SYMBOLS = ("w", "x", "plus")
_BLANKS, _BLANK_SEED = 200, 7
_BATCH_SIZE = 500

# What is asked of the pictures, as shares.
PHOTOS_RIGHT, SYMBOLS_REJECTED, BLANKS_REJECTED, FALSE_REJECTS = 0.97, 0.80, 0.99, 0.01


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is shown to every net: pictures by what is on them, ready for it."""

    digits: Mapping[str, Sequence[Picture]]
    symbols: Mapping[str, Sequence[Picture]]
    blanks: Sequence[Picture]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One artifact of one bundle. All but the change are shares, 0 to 1.

    Attributes:
        accuracy: on MNIST's test set.
        change: of it against the float32 artifact, in points, with its 99 % interval.
        false_rejects: of the same digits.
        photos: photographed digits named rightly, the mean over the classes.
        classes: the same of each class, 0 to 9.
        photos_rejected: of the photographed digits, whatever they were named.
        symbols: rejected ones, by symbol.
        blanks: rejected pictures of blank or noisy paper.
    """

    recipe: str
    digest: str
    seed: int
    artifact: str
    accuracy: float
    change: Interval
    false_rejects: float
    photos: float
    classes: tuple[float, ...]
    photos_rejected: float
    symbols: dict[str, float]
    blanks: float


@dataclass(frozen=True, kw_only=True)
class PhotosReport:
    """All rows, and how many pictures there were of each kind."""

    digits: int
    symbols: int
    blanks: int
    versions: dict[str, str]
    rows: tuple[Row, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the bundles")
    parser.add_argument("--photos", type=Path, help=f"by default ${DATA_VARIABLE}/photos")
    options = parser.parse_args()
    folder = options.photos or Path(os.environ.get(DATA_VARIABLE, ""), "photos")
    if not folder.is_dir():
        sys.exit(f"no photos in {folder}; give --photos, or set {DATA_VARIABLE}")
    before = codec.loads(PhotosReport, REPORT.read_text()) if REPORT.exists() else None
    pictures = read_pictures(folder)
    data = load_mnist(None)
    rows: list[Row] = []
    for bundle in kept_bundles(options.folder, "onnx"):
        print(f"{bundle.path.name}: reading pictures", flush=True)
        rows += measure(bundle, data, pictures)
    report = PhotosReport(
        digits=_count(pictures.digits),
        symbols=_count(pictures.symbols),
        blanks=len(pictures.blanks),
        versions={name: library_versions()[name] for name in ("onnxruntime", "pillow")},
        rows=tuple(rows),
    )
    if before is not None:
        report = with_rows_of(of_today(before, RECIPES.values()), report)
    atomic_write(REPORT, codec.dumps(report).encode())
    atomic_write(REPORT.with_suffix(".md"), page(report).encode())
    print(page(report))


def of_today(report: PhotosReport, recipes: Iterable[TrainRecipe]) -> PhotosReport:
    """The rows that belong to these recipes as they stand."""
    digests = {recipe_digest(recipe) for recipe in recipes}
    return replace(report, rows=tuple(row for row in report.rows if row.digest in digests))


def with_rows_of(before: PhotosReport, now: PhotosReport) -> PhotosReport:
    """`now`, and of an earlier report the rows of recipes that it says nothing of.

    Answers do not depend on the machine as times do, so rows of two runs stand side by side where
    the pictures and the libraries are the same.
    """
    if replace(before, rows=()) != replace(now, rows=()):
        return now
    measured = {row.recipe for row in now.rows}
    kept = tuple(row for row in before.rows if row.recipe not in measured)
    return replace(now, rows=tuple(sorted(kept + now.rows, key=lambda r: (r.recipe, r.seed))))


def read_pictures(folder: Path) -> Pictures:
    """The half of the photographs that is for reporting, and drawn blank and noisy paper."""

    def half(path: Path) -> list[Picture]:
        return [load_picture(file) for file in sorted(path.glob("*.png"))[1::2]]

    return Pictures(
        digits={str(digit): half(folder / "digits" / str(digit)) for digit in CLASSES},
        symbols={symbol: half(folder / "symbols" / symbol) for symbol in SYMBOLS},
        blanks=[load_picture(sheet) for sheet in blank_sheets()],
    )


def blank_sheets() -> list[NDArray[np.uint8]]:
    """Sheets without a digit, of many sizes: even, grained, and three kinds of noise, some blurred.

    Drawn from a fixed seed, so they are the same everywhere.
    """
    random = np.random.default_rng(_BLANK_SEED)
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


def measure(bundle: Bundle, data: DataSet, pictures: Pictures) -> list[Row]:
    """The rows of one bundle, float32 first."""
    rows = []
    right: list[NDArray[np.bool_]] = []
    for name in ARTIFACTS:
        with open_backend(bundle, bundle.artifact(name)) as backend:
            tested = _probabilities(backend, data.test_images)
            right.append(tested.argmax(axis=1) == data.test_labels)
            rows.append(_row(bundle.manifest.recipe, name, backend, tested, right, pictures))
    return rows


def _row(
    recipe: TrainRecipe,
    artifact: str,
    backend: Backend,
    tested: NDArray[np.float64],
    right: Sequence[NDArray[np.bool_]],
    pictures: Pictures,
) -> Row:
    """What one artifact made of all; `right` are the answers on MNIST, from float32 to its own."""

    def answers(shown: Sequence[Picture]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The digit of each picture, and whether it is rejected."""
        found = _probabilities(backend, np.stack([picture.pixels for picture in shown]))
        blank = np.array([picture.blank for picture in shown])
        return found.argmax(axis=1), blank | (found.max(axis=1) < recipe.reject_below)

    read = {digit: answers(shown) for digit, shown in pictures.digits.items()}
    classes = tuple(float(np.mean(named == int(digit))) for digit, (named, _) in read.items())
    lost, gained = np.sum(right[0] & ~right[-1]), np.sum(right[-1] & ~right[0])
    change = paired_change(int(lost), int(gained), len(tested))
    return Row(
        recipe=recipe.name,
        digest=recipe_digest(recipe),
        seed=recipe.seed,
        artifact=artifact,
        accuracy=float(right[-1].mean()),
        change=Interval(value=100 * change.value, low=100 * change.low, high=100 * change.high),
        false_rejects=float(np.mean(tested.max(axis=1) < recipe.reject_below)),
        photos=statistics.mean(classes),
        classes=classes,
        photos_rejected=statistics.mean(float(rejected.mean()) for _, rejected in read.values()),
        symbols={
            symbol: float(answers(shown)[1].mean()) for symbol, shown in pictures.symbols.items()
        },
        blanks=float(answers(pictures.blanks)[1].mean()),
    )


def _probabilities(backend: Backend, images: RawImages) -> NDArray[np.float64]:
    return softmax(run_in_batches(backend, to_images(images), _BATCH_SIZE))


def page(report: PhotosReport) -> str:
    """The table of all recipes, under what is asked of it."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"""# Real pictures

{report.digits:,} photographed digits and {report.symbols} photographed symbols
({", ".join(SYMBOLS)}) of the [Basic Handwritten Math Symbols Dataset]({SOURCE}), of a couple of
people, and {report.blanks} sheets of blank or noisy paper, through the preprocessing of
`mnist-edge predict` ({versions}). Means over the seeds (n). Asked
for: {PHOTOS_RIGHT:.0%} of the photos, and, at {FALSE_REJECTS:.0%} of MNIST's test digits rejected,
{SYMBOLS_REJECTED:.0%} of the symbols and {BLANKS_REJECTED:.0%} of the sheets rejected;
* marks what falls short.

{markdown(pictures_table(report, list(dict.fromkeys(row.recipe for row in report.rows))))}
Each class of the photos, float32:

{markdown(_classes_table(report))}"""


def pictures_table(report: PhotosReport, recipes: Sequence[str]) -> Table:
    """One line a recipe and precision; a recipe without rows is not measured yet."""
    rows: list[tuple[str, ...]] = []
    for recipe in recipes:
        found = [
            _cells(recipe, artifact, mine)
            for artifact in ARTIFACTS
            if (mine := [r for r in report.rows if (r.recipe, r.artifact) == (recipe, artifact)])
        ]
        rows += found or [(f"`{recipe}`", "not measured yet", *[NOTHING] * 6)]
    return Table(
        headers=("recipe (n)", "precision", "test accuracy", "change", "photos right",
                 "symbols rejected", "blank rejected", "false rejects"),
        rows=tuple(rows),
    )  # fmt: skip


def _cells(recipe: str, artifact: str, rows: Sequence[Row]) -> tuple[str, ...]:
    def mean(value: Callable[[Row], float]) -> float:
        return statistics.mean(map(value, rows))

    photos, blanks = mean(lambda row: row.photos), mean(lambda row: row.blanks)
    symbols = mean(lambda row: statistics.mean(row.symbols.values()))
    false_rejects = mean(lambda row: row.false_rejects)
    change = mean(lambda row: row.change.value)
    return (
        f"`{recipe}` ({len(rows)})",
        artifact.partition("-")[2],
        f"{mean(lambda row: row.accuracy):.2%}",
        NOTHING if artifact == DEFAULT_ARTIFACT else f"{change:+.3f}",
        f"{photos:.1%}{_mark(photos >= PHOTOS_RIGHT)}",
        f"{symbols:.0%}{_mark(symbols >= SYMBOLS_REJECTED)}",
        f"{blanks:.1%}{_mark(blanks >= BLANKS_REJECTED)}",
        f"{false_rejects:.2%}{_mark(false_rejects <= FALSE_REJECTS)}",
    )


def _mark(reached: bool) -> str:
    return "" if reached else "*"


def _classes_table(report: PhotosReport) -> Table:
    plain = [row for row in report.rows if row.artifact == DEFAULT_ARTIFACT]
    return Table(
        headers=("recipe", "seed", *CLASSES),
        rows=tuple(
            (f"`{row.recipe}`", str(row.seed), *(f"{share:.0%}" for share in row.classes))
            for row in plain
        ),
    )


def _count(kinds: Mapping[str, Sequence[Picture]]) -> int:
    return sum(map(len, kinds.values()))


if __name__ == "__main__":
    main()
