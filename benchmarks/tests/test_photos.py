"""What is shown to the nets, and what is said of their answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle
from PIL import Image

pytest.importorskip("photos", reason="needs the benchmarks of a checkout")

import photos
from photos import Pictures, blank_sheets, measure, page, read_pictures

from mnist_edge.contract import Images, Logits
from mnist_edge.data.mnist import DataSet
from mnist_edge.picture import Picture
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.render.published import recipe_digest
from mnist_edge.stats import Interval

pytestmark = pytest.mark.edge


class Brightness:
    """Names a picture after its brightness, in tenths, and the less surely the darker it is."""

    name, version, device = "fake", "0", "cpu"

    def __init__(self, shift: float) -> None:
        self._shift = shift

    def run(self, images: Images) -> Logits:
        level = images.mean(axis=(1, 2, 3))[:, None] + self._shift
        distance = np.abs(10 * level - 0.5 - np.arange(10))
        logits: Logits = (-20 * level * distance).astype(np.float32)
        return logits

    def close(self) -> None:
        pass


def picture(level: int, *, blank: bool = False) -> Picture:
    pixels = np.full((28, 28), level, np.uint8)
    return Picture(pixels=pixels, steps=(), blank=blank, boxes=())


ROW = photos.Row(
    recipe="a",
    digest="0" * 16,
    seed=0,
    artifact="onnx-float32",
    accuracy=0.99,
    change=Interval(value=0.0, low=0.0, high=0.0),
)

ANSWERED = photos.Answered(
    recipe="a",
    digest="0" * 16,
    seed=0,
    artifact="onnx-float32",
    half="reporting",
    below=0.5,
    temperature=1.5,
    right=0.969,
    rejected=0.02,
    wrong=0.011,
    classes=(0.969,) * 10,
    symbols={"w": 0.84, "x": 1.0, "plus": 0.96},
    blanks=0.995,
    false_rejects=0.009,
)


def test_each_half_is_every_second_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in [f"digits/{digit}" for digit in range(10)] + ["symbols/w", "symbols/x"]:
        (tmp_path / folder).mkdir(parents=True)
        for number in (3, 1, 2, 4):
            path = tmp_path / folder / f"{number:04}.png"
            Image.new("L", (28, 28), 10 * number).save(path)
    seen: list[str] = []
    monkeypatch.setattr(
        photos, "load_picture", lambda source: seen.append(getattr(source, "name", "sheet"))
    )
    for half, names in (
        ("tuning", ["0001.png", "0003.png"]),
        ("reporting", ["0002.png", "0004.png"]),
    ):
        seen.clear()
        read_pictures(tmp_path, half)
        assert seen[:2] == names
        assert {name for name in seen if name != "sheet"} == set(names)
        assert len(seen) == 2 * 12 + len(blank_sheets())


def test_the_sheets_are_the_same_each_time_and_of_many_kinds() -> None:
    first, again = blank_sheets(), blank_sheets()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(first) == 250
    assert sum(sheet.std() == 0 for sheet in first) >= 40
    assert sum(sheet.std() > 30 for sheet in first) >= 40


def test_each_figure_is_of_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = {"onnx-float32": b"float32", "onnx-int8": b"int8"}
    bundle = make_bundle(tmp_path / "bundle", artifacts=artifacts)
    recipe = replace(bundle.manifest.own_recipe, reject_below=0.9)
    bundle = replace(bundle, manifest=replace(bundle.manifest, recipe=recipe))

    @contextmanager
    def open_fake(_: object, artifact: object) -> Iterator[Brightness]:
        yield Brightness(0.1 if getattr(artifact, "precision", "") == "int8" else 0.0)

    monkeypatch.setattr(photos, "open_backend", open_fake)
    levels = [int(255 * (digit + 0.5) / 10) for digit in range(10)]
    digits = np.stack([np.full((28, 28), level, np.uint8) for level in levels])
    labels = np.arange(10)
    data = DataSet(
        name="rendered",
        train_images=digits,
        train_labels=labels,
        test_images=digits,
        test_labels=labels,
    )
    pictures = Pictures(
        digits={str(digit): [picture(levels[digit])] for digit in range(10)},
        symbols={"w": [picture(0), picture(levels[9])]},
        blanks=[picture(levels[9], blank=True), picture(levels[9]), picture(0)],
    )
    found = measure(bundle, data, {"tuning": pictures, "reporting": pictures})
    plain, int8 = found.rows
    assert (plain.artifact, int8.artifact) == ("onnx-float32", "onnx-int8")
    assert plain.accuracy == 1.0
    assert plain.change.value == 0.0
    # One tenth brighter, int8 names the next digit each time; only the 9 stays what it is.
    assert int8.accuracy == pytest.approx(0.1)
    assert int8.change.value == pytest.approx(-90)
    assert int8.change.high < 0
    halves = {(row.artifact, row.half): row for row in found.answered}
    assert len(halves) == len(found.answered) == 4
    # What is dark is unsure, and so rejected; what has no ink is rejected however sure.
    told = halves["onnx-float32", "reporting"]
    assert (told.right, told.rejected, told.wrong) == pytest.approx((0.9, 0.1, 0.0))
    assert told.symbols == {"w": 0.5}
    assert told.blanks == pytest.approx(2 / 3)
    assert told.false_rejects == pytest.approx(0.1)
    wrong = halves["onnx-int8", "reporting"]
    assert wrong.classes == (*[0.0] * 9, 1.0)
    assert wrong.right + wrong.rejected + wrong.wrong == pytest.approx(1)
    # Without a threshold all is answered, and it is the same half.
    free = next(row for row in found.curve if row.below == 0)
    assert (free.half, free.right, free.rejected) == ("tuning", 1.0, 0.0)


def test_the_page_shows_answers_and_marks_what_falls_short() -> None:
    report = photos.PhotosReport(
        digits=10, symbols=2, blanks=3, versions={"pillow": "1"}, rows=(ROW,),
        answered=(ANSWERED, replace(ANSWERED, half="tuning", right=0.98)),
        curve=(replace(ANSWERED, half="tuning"),),
    )  # fmt: skip
    text = page(report)
    cells = "2.0% | 1.1% | 84%*, 100%, 96% | 99.5% | 0.90% |"
    assert f"| `a` (1) | float32 | 96.9%* | {cells}" in text
    assert f"| `a` (1) | float32 | 98.0% | {cells}" in text
    assert f"| `a` | 1.5 | 0.50 | 96.9%* | {cells}" in text


def test_rows_of_others_stay_where_pictures_and_libraries_are_the_same() -> None:
    def report(name: str, seed: int, version: str = "1") -> photos.PhotosReport:
        return photos.PhotosReport(
            digits=10, symbols=2, blanks=3, versions={"pillow": version},
            rows=(replace(ROW, recipe=name, seed=seed),),
            answered=(replace(ANSWERED, recipe=name, seed=seed),),
        )  # fmt: skip

    merged = photos.with_rows_of(report("a", 1), report("b", 0))
    assert [(row.recipe, row.seed) for row in merged.rows] == [("a", 1), ("b", 0)]
    assert [row.recipe for row in merged.answered] == ["a", "b"]
    # MNIST is the same whatever reads pictures; answers are not.
    newer = photos.with_rows_of(report("a", 1), report("b", 0, "2"))
    assert [(row.recipe, row.seed) for row in newer.rows] == [("a", 1), ("b", 0)]
    assert [row.recipe for row in newer.answered] == ["b"]
    again = photos.with_rows_of(report("a", 1), report("a", 1))
    assert len(again.rows) == len(again.answered) == 1


def test_rows_of_a_recipe_that_has_changed_are_let_go() -> None:
    today = replace(ROW, recipe="quick", digest=recipe_digest(RECIPES["quick"]))
    report = photos.PhotosReport(digits=1, symbols=1, blanks=1, versions={}, rows=(ROW, today))
    assert photos.of_today(report, RECIPES.values()).rows == (today,)
