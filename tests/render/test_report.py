from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from benches import SHORT, FakeWorker, steady
from factory import make_bundle, make_reference
from PIL import Image

from mnist_edge import cli
from mnist_edge.bench.session import bench
from mnist_edge.bench.turn import Failure
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.manifest import CHECKPOINT, Artifact
from mnist_edge.contract import Images, Logits
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import BundleError
from mnist_edge.plots.tradeoff import RecipePoint
from mnist_edge.recipes.terms import Device
from mnist_edge.recipes.train import Claim
from mnist_edge.render.report import findings, report
from mnist_edge.render.table import Table

HISTORY = (
    Epoch(
        epoch=1,
        train_loss=0.5,
        train_accuracy=0.8,
        test_loss=0.2,
        test_accuracy=0.9,
        learning_rate=0.01,
        duration_s=1.0,
    ),
)
POINT = RecipePoint(
    name="tiny",
    parameters=1234,
    accuracy_mean=0.99,
    accuracy_sd=0.001,
    n=5,
    latency_s=3e-5,
    claim_accuracy=0.98,
)


class ReadsFirstPixel:
    """A backend that names the digit in the first pixel, the surer the brighter the second is."""

    name, version = "fake", "1"
    device: Device = "cpu"

    def run(self, images: Images) -> Logits:
        first, second = np.rint(images[:, 0, 0, :2].T * 255).astype(int)
        logits = np.zeros((len(images), 10), np.float32)
        logits[np.arange(len(images)), first] = second + 1
        return logits

    def close(self) -> None:
        """Nothing to free."""


def signed(labels: list[int], *, named: list[int], surety: list[int]) -> DataSet:
    """Test digits that `ReadsFirstPixel` names as `named`."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = named, surety
    truth = np.array(labels, np.int64)
    return DataSet(
        name="mnist", train_images=images, train_labels=truth, test_images=images, test_labels=truth
    )


DIGITS = list(range(10)) * 2
RIGHT = signed(DIGITS, named=DIGITS, surety=[9] * 20)
REFERENCE = replace(make_reference(20), images=RIGHT.test_images, labels=RIGHT.test_labels)
# Digits 3, 5 and 14 are named wrongly; 5 most surely, 14 least.
WRONG = signed(
    DIGITS,
    named=[8 if i in (3, 5, 14) else digit for i, digit in enumerate(DIGITS)],
    surety=[{3: 5, 5: 9, 14: 1}.get(i, 9) for i in range(20)],
)


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every artifact is run by `ReadsFirstPixel`; the names of those that were opened."""
    names: list[str] = []

    @contextmanager
    def open_fake(_: Bundle, artifact: Artifact) -> Iterator[ReadsFirstPixel]:
        names.append(artifact.name)
        yield ReadsFirstPixel()

    monkeypatch.setattr(findings, "open_backend", open_fake)
    monkeypatch.setattr("mnist_edge.plots.style.DPI", 40)  # coarse pictures are drawn faster
    return names


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    extras = {"history.json": codec.dumps(HISTORY).encode()}
    return make_bundle(tmp_path / "bundle", reference=REFERENCE, extras=extras)


class Outline(HTMLParser):
    """What a page holds: its tags, its attributes, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_asks_nobody_for_anything(bundle: Bundle) -> None:
    result = report(bundle, data=WRONG, recipes=[POINT])
    page = Outline(result.html)
    assert len(result.pictures) == 7
    assert page.tags.count("img") == 7
    assert all(src.startswith("data:image/png;base64,") for src in page.attributes["src"])
    assert not {"href", "srcset", "onload", "onclick"} & page.attributes.keys()
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in page.attributes["content"][0]
    assert "url(" not in result.html


def test_every_picture_is_described_and_has_its_size(bundle: Bundle) -> None:
    page = Outline(report(bundle, data=WRONG).html)
    assert all(page.attributes["alt"])
    assert len(page.attributes["alt"]) == len(page.attributes["width"]) == page.tags.count("img")


def test_no_text_becomes_markup(bundle: Bundle) -> None:
    trap = '<b onclick="x">&amp;'
    recipe = replace(bundle.manifest.own_recipe, name=trap, claim=Claim(project=trap))
    manifest = replace(bundle.manifest, recipe=recipe, versions={trap: trap})
    grid = trap, Table(headers=(trap, trap), rows=((trap, trap),), notes=(trap,))
    page = Outline(report(replace(bundle, manifest=manifest), grids=[grid]).html)
    assert "b" not in page.tags
    assert "onclick" not in page.attributes
    assert page.text.count(trap) >= 10


def test_the_same_bundle_gives_the_same_page(bundle: Bundle) -> None:
    assert report(bundle, data=WRONG).html == report(bundle, data=WRONG).html


def test_errors_are_listed_the_surest_first(bundle: Bundle) -> None:
    found = report(bundle, data=WRONG).findings
    assert [digit.index for digit in found.wrong] == [5, 3, 14]
    assert [(digit.label, digit.predicted) for digit in found.wrong] == [(5, 8), (3, 8), (4, 8)]
    assert found.wrong[0].probability > 0.999
    assert found.accuracy == 0.85
    assert found.confusion[5][8] == 1
    assert found.classes[8].precision == pytest.approx(2 / 5)


def test_samples_are_the_first_of_each_class_right_or_wrong(bundle: Bundle) -> None:
    found = report(bundle, data=WRONG).findings
    assert [digit.index for digit in found.samples] == list(range(20))
    assert [digit.index for digit in found.samples if not digit.right] == [3, 5, 14]


def test_a_model_without_errors_is_told_so(bundle: Bundle) -> None:
    result = report(bundle, data=RIGHT)
    assert "wrong" not in result.pictures
    assert "every digit is classified correctly" in result.html


def test_no_more_than_forty_errors_are_drawn(bundle: Bundle) -> None:
    def height(count: int) -> int:
        data = signed([1] * count, named=[7] * count, surety=[9] * count)
        return int.from_bytes(report(bundle, data=data).pictures["wrong"][20:24], "big")

    assert height(100) == height(40) > height(32)


def test_the_page_says_which_digits_were_examined(bundle: Bundle) -> None:
    assert "the test set of mnist (20 digits)" in report(bundle, data=WRONG).html
    with_reference = report(bundle)
    assert "the reference digits of the bundle" in with_reference.html
    assert with_reference.findings.count == 20


def test_reference_digits_are_counted_and_no_accuracy(bundle: Bundle) -> None:
    assert "<dt>accuracy</dt><dd>85.00%</dd>" in report(bundle, data=WRONG).html
    counted = report(bundle)
    assert not counted.findings.test_set
    assert "<dt>accuracy</dt>" not in counted.html
    assert "<dd>0 of 20</dd>" in counted.html
    table = counted.html.partition("<h2>Artifacts</h2>")[2].partition("</table>")[0]
    assert "10 of 10" in table
    assert "97.00% of 200" in table, "of the checkpoint, which was tested as it was made"
    assert "100.00%" not in table


def test_the_default_artifact_is_examined(bundle: Bundle, opened: list[str]) -> None:
    assert "onnx-float32" in report(bundle).html
    assert opened == ["onnx-float32"]


def test_an_artifact_that_differs_is_shown_but_not_examined(
    bundle: Bundle, opened: list[str]
) -> None:
    onnx = bundle.manifest.artifact("onnx-float32")
    parity = replace(onnx.parity, passed=False, reason="off by a mile")
    result = report(bundle.with_artifacts((replace(onnx, parity=parity),)))
    assert opened == [CHECKPOINT]
    assert "differs: off by a mile" in result.html


def test_a_claim_stands_beside_what_was_measured(bundle: Bundle) -> None:
    claim = Claim(project="a project", test_accuracy=99.31)
    recipe = replace(bundle.manifest.own_recipe, claim=claim)
    changed = replace(bundle, manifest=replace(bundle.manifest, recipe=recipe))
    html = report(changed).html
    assert "99.31%" in html
    assert "This training has 97.00% on the test set of rendered" in html


def test_an_imported_net_claims_no_training_of_ours(bundle: Bundle) -> None:
    training = replace(bundle.manifest.training, duration_s=0.0)
    claim = Claim(project="a project", test_accuracy=99.31)
    recipe = replace(bundle.manifest.own_recipe, claim=claim)
    manifest = replace(bundle.manifest, training=training, recipe=recipe)
    html = report(replace(bundle, manifest=manifest), data=WRONG).html
    assert "Imported compact net, trained elsewhere" in html
    origin = html.partition("<h2>Origin</h2>")[2]
    for told in ("epochs", "learning rate", "batch size", "seed", "to train on"):
        assert told not in origin
    for gone in ("trained on", "a project"):
        assert gone not in html
    assert ">widths<" in origin


def test_a_bundle_without_a_history_has_no_curves(tmp_path: Path) -> None:
    result = report(make_bundle(tmp_path / "imported", reference=REFERENCE, extras={}))
    assert "training" not in result.pictures
    assert "<h2>Training</h2>" not in result.html


def test_a_damaged_history_is_one_clear_error(tmp_path: Path) -> None:
    extras = {"history.json": b'[{"epoch": "x"}]'}
    damaged = make_bundle(tmp_path / "bundle", reference=REFERENCE, extras=extras)
    with pytest.raises(BundleError, match=r"history\.json is no history"):
        report(damaged)


def test_progress_ends_with_the_last_digit(bundle: Bundle) -> None:
    calls: list[tuple[int, int]] = []
    report(bundle, progress=lambda done, total, note="": calls.append((done, total)))
    assert calls[-1] == (20, 20)


def write_benchmark(bundle: Bundle, path: Path) -> None:
    """A report on all artifacts of a bundle, none of which could be run."""
    lost = Failure(status="absent", reason="made for a test")
    measured = bench(bundle, SHORT, start=lambda job: FakeWorker(job, steady(1e-5), opened=lost))
    path.write_text(codec.dumps(measured))


@pytest.fixture
def inside(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder beside the bundle, as the current one."""
    monkeypatch.chdir(bundle.path.parent)
    return bundle.path.parent


@pytest.mark.usefixtures("inside")
def test_the_command_writes_the_page_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--bundle", "bundle"]) == 0
    assert capsys.readouterr().out == "report.html\n"
    assert Path("report.html").read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.usefixtures("inside")
def test_the_pictures_are_written_where_they_are_asked_for() -> None:
    assert cli.main(["report", "--bundle", "bundle", "--pictures", "drawn", "--quiet"]) == 0
    written = {path.name for path in Path("drawn").iterdir()}
    assert {"confusion.png", "classes.png", "samples.png", "training.png"} <= written
    with Image.open("drawn/confusion.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.usefixtures("inside")
def test_json_is_one_document_with_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--bundle", "bundle", "--json", "--out", "page.html"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == ["page.html"]
    assert len(document["findings"]["confusion"]) == 10


def test_a_benchmark_of_these_artifacts_is_shown(bundle: Bundle, inside: Path) -> None:
    write_benchmark(bundle, inside / "bench.json")
    assert cli.main(["report", "--bundle", "bundle", "--bench", "bench.json"]) == 0
    assert "made for a test" in (inside / "report.html").read_text("utf-8")


def test_a_benchmark_of_other_artifacts_is_left_out_and_said_so(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_benchmark(make_bundle(inside / "other", weights=b"others"), inside / "bench.json")
    assert cli.main(["report", "--bundle", "bundle", "--bench", "bench.json"]) == 0
    assert "left out" in capsys.readouterr().err
    assert "made for a test" not in (inside / "report.html").read_text("utf-8")


@pytest.mark.parametrize("content", [None, "not JSON", "{}"])
@pytest.mark.usefixtures("inside")
def test_a_file_that_is_no_benchmark_is_refused(
    content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("bench.json").write_text(content)
    assert cli.main(["report", "--bundle", "bundle", "--bench", "bench.json"]) == 2
    said = capsys.readouterr().err
    assert "bench.json" in said
    assert "name a report that mnist-edge bench has written" in said
    assert not Path("report.html").exists()
