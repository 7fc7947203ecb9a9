"""A net of drawn digits is taught an odd hand, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from hands import odd_digit, write_folder

from mnist_edge import cli
from mnist_edge.bundle.card import model_card
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.data.fonts import rendered_data
from mnist_edge.data.mnist import DataSet
from mnist_edge.render.text import lesson_lines

DIGITS = tuple("0123456789")
MOST_COST = 0.5  # three of the 666 digits that judge


@pytest.fixture(scope="module")
def own() -> DataSet:
    return rendered_data(8000, 500, seed=0)


@pytest.fixture(scope="module")
def place(own: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle `old` of drawn digits, `new` that was taught 40 pictures, and 50 others."""
    folder = tmp_path_factory.mktemp("lesson")
    write_folder(folder / "odd", DIGITS, odd_digit, range(4))
    write_folder(folder / "others", DIGITS, odd_digit, range(100, 105))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("mnist_edge.data.obtain.obtain_data", lambda *_, **__: own)
        train = ("train", "--data", "rendered", "--recipe", "sprint", "--widths", "8", "-q")
        assert cli.main([*train, "--widths", "24", "--bundle", "old"]) == 0
        words = ("train", "--from", "old", "--data", "odd", "--bundle", "new", "-q")
        assert cli.main([*words, "--epochs", "2", "--most-cost", str(MOST_COST)]) == 0
        for bundle in ("old", "new"):
            export = ("export", "--format", "onnx", "--no-verdict", "-q", "--bundle", bundle)
            assert cli.main([*export]) == 0
    return folder


@pytest.fixture(autouse=True)
def there(place: Path, own: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("mnist_edge.data.obtain.obtain_data", lambda *_, **__: own)


def right(bundle: str, capsys: pytest.CaptureFixture[str]) -> int:
    """How many of the hand's other digits are read as what they are."""
    capsys.readouterr()
    assert cli.main(["predict", "others", "--bundle", bundle, "--json", "-q"]) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    assert len(answers) == 50
    return sum(answer["label"] == Path(answer["picture"]).parent.name for answer in answers)


def test_forty_pictures_of_an_odd_hand_teach_others_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert right("old", capsys) < 20
    assert right("new", capsys) >= 40


def test_what_it_cost_is_within_what_was_allowed_and_told(own: DataSet) -> None:
    manifest = open_bundle(Path("new")).manifest
    lesson = manifest.training.lesson
    assert lesson is not None
    assert lesson.cost <= MOST_COST
    assert (lesson.train_size, lesson.test_size) == (30, 10)
    assert lesson.right_after > lesson.right_before
    old = open_bundle(Path("old")).manifest
    assert lesson.source_sha256 == old.origin.sha256
    assert lesson.test_accuracy_before == old.training.test_accuracy
    assert manifest.data == old.data
    told = "\n".join(lesson_lines(manifest))
    assert f"gained: {lesson.right_after} of 10" in told
    assert f"{old.training.test_accuracy:.2%} before on the test set of rendered" in told
    assert "30 corrected pictures" in model_card(manifest)
    assert not list(lesson_lines(old))


def test_a_lesson_that_may_cost_nothing_keeps_what_the_net_had() -> None:
    words = ("--from", "old", "--data", "odd", "--bundle", "none", "-q", "--epochs", "1")
    assert cli.main(["train", *words, "--most-cost", "0"]) == 0
    lesson = open_bundle(Path("none")).manifest.training.lesson
    assert lesson is not None
    assert lesson.cost <= 0


BAD = {
    "onto itself": (("--bundle", "old"), "is to be learnt from"),
    "another recipe": (("--recipe", "small"), "its own recipe"),
    "another net": (("--widths", "8"), "--widths is what the net of old was trained with"),
    "no folder": (("--data", "mnist"), "--from takes corrected pictures"),
    "an option of another verb": (("--most-cost", "-1"), "--most-cost"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_lesson_that_cannot_be_is_refused_before_it_begins(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given, message = BAD[case]
    before = Path("old", "manifest.json").read_bytes()
    words = ["train", "--from", "old", "--data", "odd", "--bundle", "refused", *given]
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err
    assert not Path("refused", "manifest.json").exists()
    assert Path("old", "manifest.json").read_bytes() == before


def test_a_folder_of_other_classes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, ("x",), lambda _, seed: odd_digit("3", seed), range(3))
    words = ("train", "--from", "old", "--data", str(tmp_path), "--bundle", "refused")
    assert cli.main([*words]) == 2
    assert "x is no class of this net, which has 0, 1, 2" in capsys.readouterr().err
