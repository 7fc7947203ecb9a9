"""From lines of trainings to the tables of the pages, with recipes that are made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tables", reason="needs the benchmarks of a checkout")

import tables
from paired import Record, compare_all
from photos import Answered, PhotosReport, Row, pictures_table
from runs import TrainingRun, latest, parse, read_runs
from tiers import Published, Tier

from mnist_edge.bundle import codec
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import Figures, Latency, Timed, recipe_digest
from mnist_edge.render.table import markdown
from mnist_edge.stats import Interval

pytestmark = pytest.mark.edge

SMALL = replace(RECIPES["quick"], name="small", epochs=33)
NANO = replace(SMALL, name="nano", epochs=3)
TIER = Tier(parameters=30_000, floor=0.9958, target=0.9965, train_s=900, int8_loss=0.05)


def make_run(recipe: TrainRecipe = SMALL, *, seed: int = 0, **changes: object) -> TrainingRun:
    first = read_runs()[0]
    fields = {"recipe": recipe.name, "digest": recipe_digest(recipe), "seed": seed} | changes
    return replace(first, **fields)  # type: ignore[arg-type]


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of reports for a catalogue of one seed project's recipe and two of ours."""
    recipes = {"small": SMALL, "lenet": RECIPES["lenet"], "nano": NANO}
    monkeypatch.setattr(tables, "RECIPES", recipes)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    (tmp_path / "latency.json").write_text("{}")
    (tmp_path / "training.json").write_text('{"rows": []}')
    return tmp_path


def write_runs(folder: Path, *runs: TrainingRun) -> None:
    (folder / "accuracy.jsonl").write_text("".join(run.line for run in runs))


def found_of(folder: Path, *runs: TrainingRun) -> Figures:
    write_runs(folder, *runs)
    return tables.figures()["small"]


def test_a_line_reads_back_as_the_run_that_it_was_written_from() -> None:
    run = make_run(wrong=(3, 17, 9_999), jobs=2)
    assert parse(run.line) == run
    assert run.line.count("\n") == 1


def test_a_line_from_before_the_digits_were_kept_is_still_a_run() -> None:
    run = make_run(wrong=None)
    old = run.line.replace(', "jobs": 1, "wrong": null', "")
    assert old != run.line
    assert parse(old) == run


def test_a_repetition_takes_the_place_of_the_first_run() -> None:
    first, other = make_run(accuracy=0.99), make_run(seed=1, accuracy=0.98)
    again = make_run(accuracy=0.995)
    assert latest([first, other, again]) == [again, other]


def test_accuracy_counts_each_seed_once_and_time_each_idle_run(campaign: Path) -> None:
    found = found_of(
        campaign,
        make_run(accuracy=0.99, seconds=100.0),
        make_run(accuracy=0.996, seconds=110.0),
        make_run(seed=1, accuracy=0.998, seconds=500.0, others_running=2),
        make_run(seed=2, accuracy=0.994, seconds=300.0, jobs=2),
    )
    assert found.accuracy.n == 3
    assert found.accuracy.mean == pytest.approx(0.996)
    assert found.accuracy.low == 0.994
    assert (found.train_s, found.train_n) == (105.0, 2)


def test_the_time_is_that_of_the_machine_that_ran_last(campaign: Path) -> None:
    found = found_of(
        campaign,
        make_run(seconds=100.0, processor="old"),
        make_run(seconds=50.0, processor="new"),
        make_run(seed=1, seconds=60.0, processor="new"),
        make_run(seed=2, seconds=999.0, processor="other", jobs=2),
    )
    assert (found.train_s, found.train_n, found.processor) == (55.0, 2, "new")


def test_where_no_run_was_alone_the_time_says_so(campaign: Path) -> None:
    found = found_of(
        campaign, make_run(seconds=300.0, jobs=2), make_run(seed=1, seconds=500.0, jobs=2)
    )
    assert (found.train_s, found.train_n) == (400.0, 0)
    assert tables.training_text(found, TIER) == "400 s (beside other programs)"


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (0.9970, "target, by 0.050"),
        (0.9965, "target, by 0.000"),
        (0.99648, "floor; target missed by 0.002"),
        (0.9958, "floor; target missed by 0.070"),
        (0.9950, "floor missed by 0.080"),
    ],
)
def test_a_miss_is_told_in_points(campaign: Path, mean: float, words: str) -> None:
    found = found_of(campaign, make_run(accuracy=mean, parameters=30_000))
    assert tables.standing(found, TIER) == words


def test_too_many_parameters_and_too_long_a_training_are_told(campaign: Path) -> None:
    found = found_of(campaign, make_run(accuracy=0.997, parameters=30_001, seconds=1000.0))
    assert tables.standing(found, TIER) == "target, by 0.050; 1 parameters too many"
    assert tables.training_text(found, TIER) == "1000 s, over 900 (n = 1)"


def test_the_teachers_time_stands_beside_the_pupils(campaign: Path) -> None:
    found = found_of(campaign, make_run(seconds=100.0))
    teacher = replace(found, recipe="large", train_s=700.4)
    text = tables.training_text(found, TIER, replace(teacher, train_n=0))
    alone = tables.training_text(found, TIER)
    assert text == f"{alone}; before it `large`: 700 s (beside other programs)"


def test_a_recipe_without_runs_is_not_measured_yet_in_any_table(campaign: Path) -> None:
    write_runs(campaign, make_run(accuracy=0.997))
    text = {
        "recipes": tables.recipes_table(tables.figures()),
        "costs": tables.costs_table(tables.figures(), tables.photos_report()),
        "seeds": tables.seeds_table(tables.figures()),
        "differences": tables.differences_table(tables.paired_report()),
        "pictures": pictures_table(tables.photos_report(), tables.for_pictures()),
    }
    assert "| `nano` | not measured yet |" in markdown(text["recipes"])
    assert "99.28%, 99.35%" in markdown(text["recipes"])
    assert "| `nano` | not measured yet |" in markdown(text["costs"])
    assert "| `lenet` | MNIST digits, LeNet-like | 98.76% | not measured yet |" in markdown(
        text["seeds"]
    )
    assert "| not measured yet |" in markdown(text["differences"])
    assert "| `small` | not measured yet |" in markdown(text["pictures"])
    assert "nano" not in markdown(text["pictures"])  # it was shown nothing but MNIST
    assert all(len(table.headers) <= 8 for table in text.values())


def test_the_published_figure_stands_beside_ours(campaign: Path) -> None:
    write_runs(campaign, make_run(NANO, accuracy=0.994))
    row = next(r for r in tables.recipes_table(tables.figures()).rows if r[0] == "`nano`")
    assert "99.10% (1,936 parameters, one run)" in row
    assert "target, by 0.050" in row[5]


def test_a_published_figure_leads_to_its_source() -> None:
    found = Published(accuracy=0.995, parameters=8_000, how="best epoch", source="https://a.b/c")
    assert str(found) == "99.50% ([8,000 parameters](https://a.b/c), best epoch)"


def make_row(artifact: str, change: float, recipe: TrainRecipe = SMALL) -> Row:
    return Row(
        recipe=recipe.name,
        digest=recipe_digest(recipe),
        seed=0,
        artifact=artifact,
        accuracy=0.9960,
        change=Interval(value=change, low=change - 0.05, high=change + 0.05),
    )


def write_photos(folder: Path, *rows: Row) -> None:
    report = PhotosReport(digits=1000, symbols=50, blanks=250, versions={}, rows=rows)
    (folder / "photos.json").write_text(codec.dumps(report))


def test_every_artifact_of_the_run_has_its_column(campaign: Path) -> None:
    times = {
        name: Timed(p50_s=time, size_bytes=9)
        for name, time in {"onnx-int8": 21e-6, "c-float32": 8e-6, "c-int8": 6.04e-6}.items()
    }
    latency = Latency(p50_s=15e-6, size_bytes=110_000, processor="x", others=times)
    (campaign / "latency.json").write_text(codec.dumps({recipe_digest(SMALL): latency}))
    write_runs(campaign, make_run(accuracy=0.997))
    write_photos(campaign, make_row("onnx-float32", 0.0), make_row("onnx-int8", -0.06))
    table = tables.costs_table(tables.figures(), tables.photos_report())
    row = next(row for row in table.rows if row[0] == "`small`")
    assert row[2:7] == ("110.0", "15.0", "21.0", "8.0", "6.0")
    assert row[7] == "-0.060, -0.11 to -0.01 (n = 1), over -0.05"


def test_pictures_are_those_of_the_half_for_reporting(campaign: Path) -> None:
    told = Answered(
        recipe="small", digest=recipe_digest(SMALL), seed=0, artifact="onnx-float32",
        half="reporting", below=0.5, temperature=1.5, right=0.969, rejected=0.02, wrong=0.011,
        classes=(0.969,) * 10, symbols={"w": 0.9, "x": 0.8, "plus": 1.0}, blanks=0.995,
        false_rejects=0.009,
    )  # fmt: skip
    report = PhotosReport(
        digits=1000, symbols=75, blanks=250, versions={}, rows=(),
        answered=(told, replace(told, half="tuning", right=0.5)),
    )  # fmt: skip
    (campaign / "photos.json").write_text(codec.dumps(report))
    (row,) = pictures_table(tables.photos_report(), ["small"]).rows
    assert row[:5] == ("`small` (1)", "float32", "96.9%*", "2.0%", "1.1%")
    assert row[5:] == ("90%, 80%*, 100%", "99.5%", "0.90%")


def test_pictures_of_a_recipe_that_has_changed_since_are_not_shown(campaign: Path) -> None:
    write_photos(campaign, make_row("onnx-float32", 0.0, replace(SMALL, epochs=99)))
    assert tables.photos_report().rows == ()


def test_differences_name_what_is_better_worse_and_neither() -> None:
    records = [
        Record(recipe=name, wrong=(tuple(range(errors)),) * 5)
        for name, errors in {"good": 50, "like": 52, "bad": 200}.items()
    ]
    table = tables.differences_table(compare_all(records, draws=500))
    assert table.rows == (
        ("`good` (5)", "`bad` +1.50", "`like` +0.02", "–"),
        ("`like` (5)", "`bad` +1.48", "`good` -0.02", "–"),
        ("`bad` (5)", "–", "–", "`good` -1.50, `like` -1.48"),
    )
