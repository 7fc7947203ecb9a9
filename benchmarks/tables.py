"""Turns the results in benchmarks/ into the package's figures.json and the tables of the pages.

python benchmarks/tables.py            rewrites both
python benchmarks/tables.py --check    says whether they are stale, and exits 1 if so
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from attacks import attack_table, read_attack
from cross.report import cuts_table, flags_table, read_report, targets_table
from formats import devices_table, formats_table, read_formats
from paired import Difference, PairedReport
from photos import PhotosReport, of_today, pictures_table
from runs import RESULTS, TrainingRun, latest, read_runs
from runtimes_page import read_comparison, summary_table
from tiers import TIERS, Tier
from training import sprint_table, training_table

from mnist_edge.bundle import codec
from mnist_edge.recipes.catalogue import FURTHER_CLAIMS, RECIPES, TEACHER
from mnist_edge.recipes.train import Claim
from mnist_edge.render.published import FIGURES, Accuracy, Figures, Latency, recipe_digest
from mnist_edge.render.table import NOTHING, Table, markdown
from mnist_edge.render.text import accuracy_text

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))
FOR_PICTURES = ("micro", "small", "large")
NOT_YET = "not measured yet"
LEAST = "simple"
"""The recipe that is there for the others to be better than."""

OWN_WEIGHTS = {"mnist-classifier": 98.78}
"""What the weights that a silent project publishes reach here, imported, in percent."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    wanted = {FIGURES: figures_text()} | page_texts()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if arguments.check:
        for path in stale:
            print(f"{path.name} is stale; run python benchmarks/tables.py", file=sys.stderr)
        raise SystemExit(bool(stale))
    for path in stale:
        path.write_text(wanted[path])
        print(f"wrote {path.name}")


def figures() -> dict[str, Figures]:
    """What was measured of every recipe, by name, in the order of the catalogue."""
    runs = [run for run in read_runs(RESULTS / "accuracy.jsonl") if run.device == "cpu"]
    latencies = codec.loads(dict[str, Latency], (RESULTS / "latency.json").read_text())
    found = {}
    for recipe in RECIPES.values():
        digest = recipe_digest(recipe)
        mine = [run for run in runs if run.digest == digest]
        if mine:
            found[recipe.name] = _summary(recipe.name, mine, latencies.get(digest))
    return found


def _summary(name: str, runs: Sequence[TrainingRun], latency: Latency | None) -> Figures:
    """One recipe's. A repeated seed counts once, but each run of an idle machine tells the time.

    Of several machines the one that ran last tells it.
    """
    accuracies = [run.accuracy for run in latest(runs)]
    alone = [run for run in runs if run.timed_alone]
    told = alone or runs
    timed = [run for run in told if run.processor == told[-1].processor]
    return Figures(
        recipe=name,
        digest=runs[0].digest,
        parameters=runs[0].parameters,
        multiply_adds=runs[0].multiply_adds,
        accuracy=Accuracy(
            mean=statistics.mean(accuracies),
            sd=statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
            low=min(accuracies),
            n=len(accuracies),
        ),
        train_s=statistics.mean(run.seconds for run in timed),
        train_n=len(timed) if alone else 0,
        threads=timed[0].threads,
        processor=timed[0].processor,
        latency=latency,
    )


def figures_text() -> str:
    return codec.dumps(tuple(figures().values()))


def page_texts() -> dict[Path, str]:
    """The pages, each with the generated tables in their places."""
    generated = tables()
    return {page: _with_tables(page.read_text(), generated) for page in PAGES}


def tables() -> dict[str, Table]:
    """Every table that a page may show, by name."""
    found = figures()
    photos = photos_report()
    built = [read_report(path) for path in sorted(RESULTS.glob("c-targets-*.json"))]
    timed = next(report for report in built if report.flags)  # of one machine: times are its own
    elsewhere = next(report for report in built if report.cuts)
    made = {
        "short": short_table(found),
        "recipes": recipes_table(found),
        "costs": costs_table(found, photos),
        "pictures": pictures_table(photos, for_pictures()),
        "differences": differences_table(paired_report()),
        "seeds": seeds_table(found),
        "training": training_table(RESULTS / "training.json"),
        "c-flags": flags_table(timed),
        "c-targets": targets_table(elsewhere),
        "c-cuts": cuts_table(elsewhere),
    }
    if (sprints := RESULTS / "sprint.json").exists():
        made["sprint"] = sprint_table(sprints)
    if comparison := read_comparison(RESULTS):
        made["runtimes"] = summary_table(comparison)
    if formats := read_formats(RESULTS):
        made["formats"] = formats_table(formats)
        made["devices"] = devices_table(formats, "small")
    if attack := read_attack(RESULTS):
        made["attack"] = attack_table(attack)
    return made


def _with_tables(text: str, generated: dict[str, Table]) -> str:
    for name, table in generated.items():
        before, start, rest = text.partition(f"<!-- table: {name} -->\n")
        if start:
            _, end, after = rest.partition("<!-- end -->")
            text = before + start + markdown(table) + end + after
    return text


def short_table(found: dict[str, Figures]) -> Table:
    """Our recipes in short, as the README has them."""
    rows = []
    for name in our_recipes():
        row = found.get(name)
        if row and row.latency:
            rows.append(
                (
                    f"`{name}`",
                    f"{row.parameters:,}",
                    accuracy_text(row.accuracy),
                    f"{row.latency.size_bytes / 1000:.0f}",
                    f"{row.latency.p50_s * 1e6:.0f}",
                )
            )
    return Table(
        headers=("recipe", "parameters", "test accuracy", "ONNX kB", "µs"), rows=tuple(rows)
    )


def our_recipes() -> list[str]:
    """Names of those that reproduce no other project, but for the least."""
    return [name for name, recipe in RECIPES.items() if recipe.claim is None and name != LEAST]


def for_pictures() -> list[str]:
    """Names of those that were shown more than MNIST: the others are not meant for pictures."""
    return [name for name in our_recipes() if name in FOR_PICTURES]


def recipes_table(found: dict[str, Figures]) -> Table:
    """Our recipes: what they reach, beside what was asked and what others have published."""
    return Table(
        headers=("recipe", "parameters", "test accuracy (mean ± sd, n)", "worst",
                 "floor, target", "reached", "published by others", "training"),
        rows=tuple(
            _row(name, found.get(name), TIERS.get(name),
                 found.get(TEACHER) if RECIPES[name].taught else None)
            for name in (*our_recipes(), *({LEAST} & RECIPES.keys()))
        ),
    )  # fmt: skip


def _row(
    name: str, found: Figures | None, tier: Tier | None, teacher: Figures | None
) -> tuple[str, ...]:
    asked = f"{tier.floor:.2%}, {tier.target:.2%}" if tier else NOTHING
    published = str(tier.published) if tier and tier.published else NOTHING
    if found is None:
        return (f"`{name}`", NOT_YET, NOTHING, NOTHING, asked, NOTHING, published, NOTHING)
    return (
        f"`{name}`",
        f"{found.parameters:,}",
        mean_text(found.accuracy),
        f"{found.accuracy.low:.2%}",
        asked,
        standing(found, tier) if tier else NOTHING,
        published,
        training_text(found, tier, teacher),
    )


def mean_text(accuracy: Accuracy) -> str:
    """A mean to a tenth of a digit in 10,000, as means of several seeds have it."""
    if accuracy.n == 1:
        return accuracy_text(accuracy)
    return f"{accuracy.mean:.3%} ± {100 * accuracy.sd:.3f} (n = {accuracy.n})"


def standing(found: Figures, tier: Tier) -> str:
    """Which of floor and target is met, and by how many points the next is missed."""
    mean = found.accuracy.mean
    # A mean is a share of whole digits: what differs by less than that is rounding.
    over_floor, over_target = (100 * round(mean - line, 9) for line in (tier.floor, tier.target))
    if over_target >= 0:
        words = f"target, by {over_target:.3f}"
    elif over_floor >= 0:
        words = f"floor; target missed by {-over_target:.3f}"
    else:
        words = f"floor missed by {-over_floor:.3f}"
    spare = tier.parameters - found.parameters
    return words if spare >= 0 else f"{words}; {-spare:,} parameters too many"


def training_text(found: Figures, tier: Tier | None, teacher: Figures | None = None) -> str:
    """Mean seconds, of how many idle runs, whether a limit was passed, and the teacher's own."""
    runs = f"n = {found.train_n}" if found.train_n else "beside other programs"
    over = f", over {tier.train_s:.0f}" if tier and found.train_s > tier.train_s else ""
    digits = 1 if found.train_s < 10 else 0
    first = f"; before it `{teacher.recipe}`: {training_text(teacher, None)}" if teacher else ""
    return f"{found.train_s:.{digits}f} s{over} ({runs}){first}"


def costs_table(found: dict[str, Figures], photos: PhotosReport) -> Table:
    """What each recipe's net takes, and what static int8 does to it."""
    return Table(
        headers=("recipe", "multiply-adds", "ONNX kB", "ONNX µs", "ONNX int8 µs", "C µs",
                 "C int8 µs", "int8 changes accuracy by"),
        rows=tuple(_costs(name, found.get(name), photos) for name in RECIPES),
    )  # fmt: skip


def _costs(name: str, found: Figures | None, photos: PhotosReport) -> tuple[str, ...]:
    if found is None:
        return (f"`{name}`", NOT_YET, *[NOTHING] * 6)
    latency = found.latency
    times = {"onnx-float32": latency, **latency.others} if latency else {}
    return (
        f"`{name}`",
        f"{found.multiply_adds / 1e6:.2f} M",
        f"{latency.size_bytes / 1000:.1f}" if latency else NOTHING,
        *(
            f"{times[artifact].p50_s * 1e6:.1f}" if artifact in times else NOTHING
            for artifact in ("onnx-float32", "onnx-int8", "c-float32", "c-int8")
        ),
        int8_text(found.digest, photos, TIERS.get(name)),
    )


def int8_text(digest: str, photos: PhotosReport, tier: Tier | None) -> str:
    """By how many points static int8 changes the accuracy, and whether it may.

    The limits are the means of those of the seeds: errs on the side of too wide an interval, since
    a mean spreads no more than what it is of.
    """
    changes = [
        row.change for row in photos.rows if row.digest == digest and row.artifact == "onnx-int8"
    ]
    if not changes:
        return NOTHING
    value = statistics.mean(change.value for change in changes)
    low = statistics.mean(change.low for change in changes)
    high = statistics.mean(change.high for change in changes)
    text = f"{value:+.3f}, {low:+.2f} to {high:+.2f} (n = {len(changes)})"
    if tier is None:
        return text
    allowed = "within" if value >= -tier.int8_loss else "over"
    return f"{text}, {allowed} -{tier.int8_loss:.2f}"


def photos_report() -> PhotosReport:
    """The rows of photos.json that belong to recipes as they stand; none without the file."""
    path = RESULTS / "photos.json"
    if not path.exists():
        return PhotosReport(digits=0, symbols=0, blanks=0, versions={}, rows=())
    return of_today(codec.loads(PhotosReport, path.read_text()), RECIPES.values())


def paired_report() -> PairedReport | None:
    path = RESULTS / "paired.json"
    return codec.loads(PairedReport, path.read_text()) if path.exists() else None


def differences_table(report: PairedReport | None) -> Table:
    """What each recipe is really better and worse than, and what it cannot be told apart from."""
    headers = ("recipe (n)", "better than", "cannot be told apart from", "worse than")
    if report is None:
        return Table(headers=headers, rows=((NOT_YET, *[NOTHING] * 3),))
    return Table(
        headers=headers,
        rows=tuple(
            (f"`{name}` ({count})", *_sides(name, report.differences))
            for name, count in report.seeds.items()
        ),
    )


def _sides(name: str, differences: Sequence[Difference]) -> tuple[str, ...]:
    better, same, worse = list[str](), list[str](), list[str]()
    for pair in differences:
        if name not in (pair.first, pair.second):
            continue
        leads = name == pair.first
        points = pair.points.value if leads else -pair.points.value
        told = f"`{pair.second if leads else pair.first}` {points:+.2f}"
        if not pair.real:
            same.append(told)
        elif points > 0:
            better.append(told)
        else:
            worse.append(told)
    return tuple(", ".join(side) or NOTHING for side in (better, same, worse))


def seeds_table(measured: dict[str, Figures]) -> Table:
    """What each of the five projects claims, beside what its recipe gave here."""
    rows = []
    reproduced = {name: recipe.claim for name, recipe in RECIPES.items() if recipe.claim}
    further = {name: claim for name, claim in FURTHER_CLAIMS.items() if name in RECIPES}
    for name, claim in (*further.items(), *reproduced.items()):
        found = measured.get(name)
        told = (f"`{name}`", claim.project, claim_text(claim))
        if found is None:
            rows.append((*told, NOT_YET, NOTHING, NOTHING))
            continue
        rows.append(
            (
                *told,
                accuracy_text(found.accuracy),
                verdict(claim, found.accuracy),
                training_text(found, None),
            )
        )
    return Table(
        headers=("recipe", "project", "its claim", "measured here", "verdict", "training"),
        rows=tuple(rows),
    )


def claim_text(claim: Claim) -> str:
    if claim.project in OWN_WEIGHTS:
        return f"“high accuracy”; its own weights: {OWN_WEIGHTS[claim.project]:.2f}%"
    return f"{claim.test_accuracy:.2f}%" if claim.test_accuracy else "“high accuracy”"


def verdict(claim: Claim, accuracy: Accuracy) -> str:
    asked = claim.test_accuracy or OWN_WEIGHTS.get(claim.project, 0.0)
    if not asked:
        return "no figure to reach"
    gap = 100 * accuracy.mean - asked
    # Accuracies are counted in steps of one digit in 10,000.
    return "reached" if gap > -0.005 else f"missed by {-gap:.2f} points"


if __name__ == "__main__":
    main()
