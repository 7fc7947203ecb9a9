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
from mnist_edge.data.mnist import data_set
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
    false_rejects=0.0,
    photos=0.9,
    classes=(0.9,) * 10,
    photos_rejected=0.0,
    symbols={"w": 0.5},
    blanks=1.0,
)


def test_only_every_second_picture_is_shown_the_first_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in [f"digits/{digit}" for digit in range(10)] + ["symbols/w", "symbols/x"]:
        (tmp_path / folder).mkdir(parents=True)
        for number in (3, 1, 2, 4):
            path = tmp_path / folder / f"{number:04}.png"
            Image.new("L", (28, 28), 10 * number).save(path)
    seen: list[str] = []
    monkeypatch.setattr(
        photos, "load_picture", lambda source: seen.append(getattr(source, "name", "sheet"))
    )
    read_pictures(tmp_path)
    assert seen[:2] == ["0002.png", "0004.png"]
    assert {name for name in seen if name != "sheet"} == {"0002.png", "0004.png"}
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
    recipe = replace(bundle.manifest.recipe, reject_below=0.9)
    bundle = replace(bundle, manifest=replace(bundle.manifest, recipe=recipe))

    @contextmanager
    def open_fake(_: object, artifact: object) -> Iterator[Brightness]:
        yield Brightness(0.1 if getattr(artifact, "precision", "") == "int8" else 0.0)

    monkeypatch.setattr(photos, "open_backend", open_fake)
    levels = [int(255 * (digit + 0.5) / 10) for digit in range(10)]
    digits = np.stack([np.full((28, 28), level, np.uint8) for level in levels])
    labels = np.arange(10)
    data = data_set(
        "rendered",
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
    plain, int8 = measure(bundle, data, pictures)
    assert (plain.artifact, int8.artifact) == ("onnx-float32", "onnx-int8")
    assert plain.accuracy == plain.photos == 1.0
    assert plain.change.value == 0.0
    # One tenth brighter, int8 names the next digit each time; only the 9 stays what it is.
    assert int8.accuracy == int8.photos == pytest.approx(0.1)
    assert int8.change.value == pytest.approx(-90)
    assert int8.change.high < 0
    assert int8.classes == (*[0.0] * 9, 1.0)
    # What is dark is unsure, and so rejected; what has no ink is rejected however sure.
    assert plain.symbols == {"w": 0.5}
    assert plain.blanks == pytest.approx(2 / 3)
    assert plain.false_rejects == plain.photos_rejected == pytest.approx(0.1)
    report = photos.PhotosReport(
        digits=10, symbols=2, blanks=3, versions={"pillow": "1"}, rows=(plain, int8)
    )
    assert "| `tiny` (1) | int8 | 10.00% | -90.000 | 10.0%* |" in page(report)


def test_rows_of_other_recipes_stay_where_pictures_and_libraries_are_the_same() -> None:
    same = {"digits": 10, "symbols": 2, "blanks": 3, "versions": {"pillow": "1"}}

    def report(*rows: tuple[str, int], **changes: object) -> photos.PhotosReport:
        told = tuple(replace(ROW, recipe=name, seed=seed) for name, seed in rows)
        return photos.PhotosReport(rows=told, **(same | changes))  # type: ignore[arg-type]

    before = report(("a", 0), ("a", 1), ("c", 0))
    now = report(("b", 0), ("a", 0))
    assert photos.with_rows_of(before, now) == report(("a", 0), ("b", 0), ("c", 0))
    newer = replace(now, versions={"pillow": "2"})
    assert photos.with_rows_of(before, newer) == newer


def test_rows_of_a_recipe_that_has_changed_are_let_go() -> None:
    today = replace(ROW, recipe="quick", digest=recipe_digest(RECIPES["quick"]))
    report = photos.PhotosReport(digits=1, symbols=1, blanks=1, versions={}, rows=(ROW, today))
    assert photos.of_today(report, RECIPES.values()).rows == (today,)
