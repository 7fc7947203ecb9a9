"""Learning from another net: what it is worth, and what is said where it is missing."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from test_train import TINY, weights

from mnist_edge import cli
from mnist_edge.bundle.folder import Bundle, open_bundle, weights_digest
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import TrainingError, UsageError
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import recipe_digest
from mnist_edge.train import teacher
from mnist_edge.train.fit import _distance, fit
from mnist_edge.train.session import train_bundle
from mnist_edge.train.teacher import find_teacher


@pytest.fixture(scope="module")
def master(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose net teaches."""
    recipe = dataclasses.replace(TINY, name="master", seed=1)
    folder = tmp_path_factory.mktemp("teachers") / "master"
    return train_bundle(recipe, digits, folder, device="cpu", threads=1)


@pytest.fixture
def pupil(master: Bundle) -> TrainRecipe:
    return dataclasses.replace(TINY, teacher=master.manifest.artifact(CHECKPOINT).sha256)


def test_a_recipe_without_a_teacher_finds_none(tmp_path: Path) -> None:
    assert find_teacher(TINY, tmp_path) is None


def test_a_teacher_without_weight_is_not_looked_for(pupil: TrainRecipe) -> None:
    assert find_teacher(dataclasses.replace(pupil, teacher_weight=0.0)) is None


def test_the_teacher_gives_its_bundles_answers_and_learns_nothing(
    pupil: TrainRecipe, master: Bundle
) -> None:
    found = find_teacher(pupil, master.path)
    assert found is not None
    assert not any(parameter.requires_grad for parameter in found.parameters())
    reference = master.reference()
    images = torch.from_numpy(reference.images).unsqueeze(1) / 255
    assert torch.allclose(found(images).double(), torch.from_numpy(reference.logits), atol=1e-4)


def test_the_shipped_teacher_is_found_by_itself(
    pupil: TrainRecipe, master: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a wheel it lies in the first of two places, in a checkout in the second.
    monkeypatch.setattr(teacher, "SHIPPED_TEACHERS", (tmp_path / "none", master.path))
    assert find_teacher(pupil) is not None


def test_a_teacher_that_is_missing_is_named_with_what_to_do(
    pupil: TrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "SHIPPED_TEACHERS", (tmp_path,))
    with pytest.raises(TrainingError, match=f"tiny learns from is not in .*{pupil.teacher[:12]}"):
        find_teacher(pupil)


def test_another_net_is_not_taken_for_the_teacher(pupil: TrainRecipe, master: Bundle) -> None:
    other = dataclasses.replace(pupil, teacher="0" * 64)
    with pytest.raises(TrainingError) as caught:
        find_teacher(other, master.path)
    assert "--teacher FOLDER" in caught.value.fix


def test_what_is_no_digest_is_refused() -> None:
    with pytest.raises(UsageError, match="no SHA-256"):
        dataclasses.replace(TINY, teacher="exports/large")


def test_a_teacher_makes_another_recipe_of_it(pupil: TrainRecipe) -> None:
    assert recipe_digest(pupil) != recipe_digest(TINY)


def test_a_pupil_comes_nearer_to_its_teacher(
    pupil: TrainRecipe, master: Bundle, digits: DataSet
) -> None:
    found = find_teacher(pupil, master.path)
    assert found is not None
    images = torch.from_numpy(digits.test_images).unsqueeze(1) / 255

    def distance(recipe: TrainRecipe) -> float:
        fitted = fit(recipe, digits, teacher=master.path, evaluate_epochs=False)
        with torch.no_grad():
            answers = found(images)
            least = _distance(answers, answers, pupil)
            return float(_distance(fitted.model(images), answers, pupil) - least)

    alone = dataclasses.replace(pupil, teacher_weight=0.0)
    assert distance(dataclasses.replace(pupil, teacher_weight=1.0)) < 0.8 * distance(alone)


@pytest.mark.parametrize("epochs_per_view", [1, 2])
def test_a_taught_training_resumes_with_the_same_bits(
    pupil: TrainRecipe, master: Bundle, digits: DataSet, epochs_per_view: int
) -> None:
    pupil = dataclasses.replace(pupil, epochs_per_view=epochs_per_view)
    states: list[bytes] = []
    whole = fit(pupil, digits, teacher=master.path, on_state=states.append)
    resumed = fit(pupil, digits, teacher=master.path, state=states[0])
    assert weights(resumed.model) == weights(whole.model)


def test_nothing_is_nearer_to_the_teachers_answers_than_they_are(pupil: TrainRecipe) -> None:
    answers = torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
    logits = answers.clone().requires_grad_()
    _distance(logits, answers, pupil).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_train_takes_a_bundle_as_teacher(
    master: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[TrainRecipe, object]] = []

    def note(recipe: TrainRecipe, *_: object, **options: object) -> Bundle:
        asked.append((recipe, options["teacher"]))
        return master

    monkeypatch.setattr("mnist_edge.train.session.train_bundle", note)
    monkeypatch.setattr("mnist_edge.data.obtain.obtain_data", lambda *_, **__: None)
    words = ["train", "--teacher", str(master.path), "--bundle", str(tmp_path / "pupil")]
    assert cli.main([*words, "--quiet"]) == 0
    (recipe, folder), *_ = asked
    assert recipe.teacher == weights_digest(master.path)
    assert folder == master.path


def test_train_says_that_the_teacher_is_no_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--teacher", str(tmp_path), "--bundle", str(tmp_path / "pupil")]
    assert cli.main(words) == 2
    assert "no bundle at" in capsys.readouterr().err
    assert not (tmp_path / "pupil").exists()


def test_the_taught_bundle_says_who_taught_it(
    pupil: TrainRecipe, master: Bundle, digits: DataSet, tmp_path: Path
) -> None:
    bundle = train_bundle(pupil, digits, tmp_path / "pupil", teacher=master.path, device="cpu")
    assert open_bundle(bundle.path).manifest.own_recipe.teacher == weights_digest(master.path)


def words(*more: object) -> list[str]:
    return ["train", "--data", "rendered", *map(str, more)]


def test_a_teacher_is_not_written_over(master: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in master.path.iterdir()}
    assert cli.main(words("--teacher", master.path, "--bundle", master.path)) == 2
    assert "give the new net another --bundle" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in master.path.iterdir()} == before


def test_a_damaged_teacher_is_refused_before_there_is_any_data(
    master: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mnist_edge.data.obtain.obtain_data", None)
    damaged = tmp_path / "damaged"
    shutil.copytree(master.path, damaged)
    file = damaged / master.manifest.artifact(CHECKPOINT).file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert cli.main(words("--teacher", damaged, "--bundle", tmp_path / "pupil")) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "pupil").exists()


@pytest.mark.parametrize("option", ["--teacher-weight", "--teacher-temperature"])
def test_what_only_a_teacher_needs_is_refused_without_one(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words(option, "0.5", "--bundle", tmp_path / "pupil")) == 2
    assert "quick has no teacher" in capsys.readouterr().err


def test_a_state_of_another_teacher_names_what_to_give_again(
    pupil: TrainRecipe, master: Bundle, digits: DataSet
) -> None:
    states: list[bytes] = []
    fit(pupil, digits, teacher=master.path, on_state=states.append)
    with pytest.raises(TrainingError, match="another teacher") as caught:
        fit(dataclasses.replace(pupil, teacher=""), digits, state=states[0])
    assert "--teacher" in caught.value.fix


def test_the_loss_that_is_told_is_that_of_the_labels(
    pupil: TrainRecipe, master: Bundle, digits: DataSet
) -> None:
    first: list[Epoch] = []
    for recipe in (pupil, dataclasses.replace(pupil, teacher="")):
        once = dataclasses.replace(recipe, epochs=1, learning_rate=1e-9, average=0.0)
        first += fit(once, digits, teacher=master.path).history
    taught, alone = first
    # Weights that hardly move: the same loss, whatever the teacher adds to it.
    assert taught.train_loss == pytest.approx(alone.train_loss, rel=1e-4)
