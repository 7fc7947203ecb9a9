"""From a folder of drawn letters to answers that are letters, through the command line."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from hands import letter, write_folder

from mnist_edge import cli
from mnist_edge.bundle.folder import Bundle, open_bundle

LETTERS = tuple(string.ascii_lowercase)
SMALL = ("--recipe", "sprint", "--widths", "8", "--widths", "16", "--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `letters`, a folder a class, and `model`, the bundle that was made of them."""
    folder = tmp_path_factory.mktemp("letters")
    write_folder(folder / "letters", LETTERS, letter, range(8))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["train", "--data", "letters", "--bundle", "model", "-q", *SMALL]) == 0
        formats = ("--format", "onnx", "--format", "ort", "--format", "torchscript")
        precisions = ("--precision", "float32", "--precision", "int8", "--no-verdict")
        assert cli.main(["export", "--bundle", "model", "-q", *formats, *precisions]) == 0
    return folder


@pytest.fixture
def bundle(place: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.chdir(place)
    return open_bundle(place / "model")


def test_the_bundle_names_its_classes(bundle: Bundle) -> None:
    record = bundle.manifest.data
    assert (record.name, record.classes, record.preprocessing) == ("folder", LETTERS, "letter")
    recipe = bundle.manifest.recipe
    assert recipe is not None
    assert recipe.outputs == 26


def test_every_artifact_is_verified_on_the_folder_again(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(bundle.manifest.artifacts) == 6
    assert cli.main(["verify", "--bundle", "model", "--data-dir", "letters", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["status"] for row in rows} == {"equivalent"}
    assert {row["source"] for row in rows} == {"reference", "test set"}


@pytest.mark.parametrize("artifact", ["onnx-float32", "onnx-int8"])
def test_letters_that_it_never_saw_are_read(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], artifact: str
) -> None:
    unseen = write_folder(bundle.path.parent / "unseen", LETTERS, letter, [99])
    words = ("predict", str(unseen), "--bundle", "model", "--artifact", artifact, "--json")
    assert cli.main([*words]) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    right = sum(answer["label"] == Path(answer["picture"]).parent.name for answer in answers)
    assert len(answers) == 26
    assert right >= 22
    assert {answer["digit"] for answer in answers} == {None}
    assert {answer["status"] for answer in answers} == {"label"}


def test_a_file_outside_its_bundle_knows_its_classes(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(bundle.read(bundle.artifact("onnx-float32")))
    letter("g", 3).save(tmp_path / "g.png")
    told = []
    for model in (str(alone), "model"):
        assert cli.main(["predict", "--model", model, str(tmp_path / "g.png"), "--csv"]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    header, line = told[0].splitlines()
    assert header.endswith(",label")
    assert line.rpartition(",")[2] in LETTERS
    assert cli.main(["doctor", str(alone)]) == 0
    assert "a,b,c,d" in capsys.readouterr().out


def test_its_page_and_its_card_speak_of_classes(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    words = ("report", "--bundle", "model", "--data-dir", "letters", "--out", str(page))
    assert cli.main([*words]) == 0
    assert "pictures classified correctly" in capsys.readouterr().err
    assert "a,b,c,d,e" in page.read_text()
    card = bundle.path.joinpath("README.md").read_text()
    assert "26 classes" in card
    assert "digit" not in card
    assert "  - mnist\n" not in card


def test_other_data_than_its_own_is_refused(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, ("a", "b"), letter, range(4))
    assert cli.main(["verify", "--bundle", "model", "--data-dir", str(tmp_path)]) == 2
    assert "other classes" in capsys.readouterr().err


def test_what_is_drawn_for_digits_is_refused_for_letters(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    words = ("train", "--data", "letters", "--bundle", "none", "--strokes", "100")
    assert cli.main([*words]) == 2
    assert "--strokes draws for digits" in capsys.readouterr().err
    assert not Path("none", "manifest.json").exists()
