from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn

from mnist_edge.bundle.history import Epoch
from mnist_edge.data.mnist import DataSet
from mnist_edge.data.strokes import NO_DIGIT, stroke_symbols, training_set
from mnist_edge.errors import DeviceUnavailable, TrainingError
from mnist_edge.metrics import softmax
from mnist_edge.models import Normalize, build_model
from mnist_edge.recipes.terms import Device
from mnist_edge.recipes.train import Augmentation, TrainRecipe
from mnist_edge.train.fit import choose_device, evaluate, fit, learning_rate
from mnist_edge.train.form import trained_form
from mnist_edge.train.state import saved_recipe

TINY = TrainRecipe(
    name="tiny",
    architecture="compact",
    widths=(8, 16),
    epochs=3,
    batch_size=50,
    learning_rate=0.02,
    optimizer="adamw",
    schedule="onecycle",
    average=0.9,
    augmentation=Augmentation(shift_px=1, thickness=0.3, anneal=0.4),
)
DROPOUT = dataclasses.replace(TINY, architecture="dropout", widths=(4, 8, 16))
DRAWN = dataclasses.replace(TINY, strokes=60, symbols=30, temperature=1.5)
SKIPPING = dataclasses.replace(
    TINY, skip_easy=0.6, schedule="constant", augmentation=Augmentation()
)
KEPT = dataclasses.replace(TINY, epochs=5, epochs_per_view=2)


def weights(model: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


def test_training_learns(digits: DataSet) -> None:
    fitted = fit(dataclasses.replace(TINY, epochs=8), digits)
    assert fitted.history[-1].test_accuracy > 0.8
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss


def test_the_history_has_a_line_for_each_epoch_and_tells_it(digits: DataSet) -> None:
    told: list[Epoch] = []
    fitted = fit(TINY, digits, on_epoch=told.append)
    assert [line.epoch for line in fitted.history] == [1, 2, 3]
    assert tuple(told) == fitted.history
    assert all(line.duration_s > 0 for line in told)


def test_the_last_line_is_what_the_returned_model_does(digits: DataSet) -> None:
    fitted = fit(TINY, digits)
    logits = evaluate(fitted.model, digits.test_images, "cpu")
    right = np.mean(logits.argmax(1) == digits.test_labels)
    assert fitted.history[-1].test_accuracy == pytest.approx(right)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(digits: DataSet) -> None:
    first, again = fit(DROPOUT, digits), fit(DROPOUT, digits)
    other = fit(dataclasses.replace(DROPOUT, seed=1), digits)
    assert weights(first.model) == weights(again.model)
    assert weights(first.model) != weights(other.model)


@pytest.mark.parametrize("has", [True, False])
def test_products_are_in_bfloat16_where_the_device_has_it(
    digits: DataSet, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    monkeypatch.setattr("mnist_edge.train.views.multiplies_bfloat16", lambda: has)
    said: list[str] = []
    mixed = fit(dataclasses.replace(TINY, mixed_precision="bfloat16"), digits, notice=said.append)
    exact = fit(TINY, digits)
    assert (weights(mixed.model) == weights(exact.model)) is not has
    assert any("no bfloat16 here" in line for line in said) is not has
    assert {value.dtype for value in mixed.model.state_dict().values()} <= {
        torch.float32,
        torch.int64,
    }
    assert mixed.history[-1].train_loss == pytest.approx(exact.history[-1].train_loss, rel=0.05)


def test_the_test_set_does_not_change_the_weights(digits: DataSet) -> None:
    watched = fit(TINY, digits)
    unwatched = fit(TINY, digits, evaluate_epochs=False)
    assert weights(watched.model) == weights(unwatched.model)
    assert unwatched.history[-1].test_accuracy == watched.history[-1].test_accuracy


@pytest.mark.parametrize(
    "recipe",
    [TINY, DROPOUT, DRAWN, SKIPPING, KEPT],
    ids=["batchnorm", "dropout", "drawn", "skipping", "views"],
)
@pytest.mark.parametrize("done", [1, 2])
def test_a_resumed_training_ends_with_the_same_bits(
    digits: DataSet, recipe: TrainRecipe, done: int
) -> None:
    states: list[bytes] = []
    whole = fit(recipe, digits, on_state=states.append)
    resumed = fit(recipe, digits, state=states[done - 1])
    assert weights(resumed.model) == weights(whole.model)
    strip = [dataclasses.replace(line, duration_s=0) for line in whole.history]
    assert [dataclasses.replace(line, duration_s=0) for line in resumed.history] == strip


@pytest.mark.parametrize("recipe", [TINY, DROPOUT], ids=["compact", "dropout"])
def test_the_form_in_which_a_net_is_trained_gives_the_same_gradients(recipe: TrainRecipe) -> None:
    model = build_model(recipe).to(memory_format=torch.channels_last)
    images, gradients = torch.rand(20, 1, 28, 28), []
    for form in (model, trained_form(model)):
        torch.manual_seed(0)
        model.zero_grad()
        form(images).square().sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(map(torch.equal, *gradients))


def test_the_average_is_that_of_torch(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = fit(TINY, digits)
    monkeypatch.setattr(
        "mnist_edge.train.fit.average", lambda run: run.averaged.update_parameters(run.model)
    )
    assert weights(fit(TINY, digits).model) == weights(ours.model)


def test_views_are_kept_for_as_many_epochs_as_asked_and_undistorted_in_the_last(
    digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    distorted: list[int] = []
    seen: list[Tensor] = []

    def mirrored(images: Tensor, *_: object) -> Tensor:
        distorted.append(len(images))
        flipped: Tensor = images.flip(3)
        return flipped

    def look(_run: object, _recipe: object, inputs: Tensor, *_: object) -> Tensor:
        seen.append(inputs.clone())
        return inputs.new_zeros(3)

    monkeypatch.setattr("mnist_edge.train.views.augment", mirrored)
    monkeypatch.setattr("mnist_edge.train.fit._step", look)
    recipe = dataclasses.replace(
        KEPT, epochs=6, augmentation=dataclasses.replace(KEPT.augmentation, anneal=0.34)
    )
    fit(recipe, digits, evaluate_epochs=False)
    assert sum(distorted) == 2 * len(digits.train_labels)  # epochs 1 and 2, 3; then undistorted
    steps = len(seen) // recipe.epochs
    sums = [
        (255 * torch.cat(seen[i : i + steps])).round().sum((0, 1, 2))
        for i in range(0, len(seen), steps)
    ]
    assert all(torch.equal(epoch, sums[0]) for epoch in sums[1:3])
    assert all(torch.equal(epoch, sums[0].flip(0)) for epoch in sums[3:])


def test_drawn_digits_and_signs_join_the_training_set(digits: DataSet) -> None:
    images, labels = training_set(DRAWN, digits)
    known = len(digits.train_labels)
    assert np.array_equal(images[:known], digits.train_images)
    assert len(images) == len(labels) == known + 90
    assert labels[known:].tolist() == [*list(range(10)) * 6, *[NO_DIGIT] * 30]
    assert training_set(TINY, digits)[0] is digits.train_images


def test_training_on_signs_makes_a_net_unsure_of_them(digits: DataSet) -> None:
    longer = dataclasses.replace(TINY, epochs=8)
    taught = fit(dataclasses.replace(longer, symbols=300), digits)
    plain = fit(longer, digits)
    signs = stroke_symbols(100, seed=99)

    def certainty(model: nn.Sequential) -> float:
        return float(softmax(evaluate(model, signs, "cpu")).max(axis=1).mean())

    assert certainty(taught.model) < 0.7 * certainty(plain.model)
    # Signs are neither right nor wrong: the accuracy is that of the digits.
    assert taught.history[-1].train_accuracy > 0.8


def test_the_temperature_divides_the_logits_and_nothing_else(digits: DataSet) -> None:
    cool = fit(TINY, digits)
    warm = fit(dataclasses.replace(TINY, temperature=4.0), digits)
    cool_logits, warm_logits = (
        evaluate(fitted.model, digits.test_images, "cpu") for fitted in (cool, warm)
    )
    assert warm_logits == pytest.approx(cool_logits / 4, abs=1e-5)
    assert warm.history[-1].test_accuracy == cool.history[-1].test_accuracy
    assert warm.history[-1].test_loss != cool.history[-1].test_loss


def test_a_state_tells_its_recipe(digits: DataSet) -> None:
    states: list[bytes] = []
    fit(TINY, digits, on_state=states.append)
    assert saved_recipe(states[0]) == TINY


def test_a_state_of_another_recipe_or_data_set_is_refused(digits: DataSet) -> None:
    states: list[bytes] = []
    fit(TINY, digits, on_state=states.append)
    with pytest.raises(TrainingError, match="of another recipe"):
        fit(dataclasses.replace(TINY, seed=5), digits, state=states[0])
    with pytest.raises(TrainingError, match="of another data set"):
        fit(TINY, dataclasses.replace(digits, test_labels=9 - digits.test_labels), state=states[0])


def test_later_epochs_skip_the_easy_digits(digits: DataSet) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "") -> None:
        told.append((done, total))

    skipping = fit(SKIPPING, digits, progress=progress)
    assert told[-1] == (12 + 2 * 5, 12 + 2 * 5)  # of 600 digits in batches of 50: 240 later
    everything = fit(dataclasses.replace(SKIPPING, skip_easy=0.0), digits)
    assert skipping.history[0].train_accuracy == everything.history[0].train_accuracy
    assert skipping.history[1].train_accuracy < everything.history[1].train_accuracy - 0.05


def test_what_is_no_digit_is_never_easy(digits: DataSet) -> None:
    states: list[bytes] = []
    fit(dataclasses.replace(SKIPPING, symbols=30), digits, on_state=states.append)
    certainty = torch.load(io.BytesIO(states[0]), weights_only=True)["certainty"]
    assert certainty[:600].min() > 0
    assert not certainty[600:].any()


def test_a_state_of_another_number_of_digits_is_refused(digits: DataSet) -> None:
    states: list[bytes] = []
    fit(SKIPPING, digits, on_state=states.append)
    saved = torch.load(io.BytesIO(states[0]), weights_only=True)
    shorter = io.BytesIO()
    torch.save({**saved, "certainty": saved["certainty"][:-1]}, shorter)
    with pytest.raises(TrainingError, match="incomplete"):
        fit(SKIPPING, digits, state=shorter.getvalue())


def test_a_damaged_state_is_refused(digits: DataSet) -> None:
    states: list[bytes] = []
    fit(TINY, digits, on_state=states.append)
    listed = io.BytesIO()
    torch.save([1, 2], listed)
    bare = io.BytesIO()
    torch.save({"recipe": "{}", "data": digits.sha256}, bare)
    for damaged in (b"", states[0][:-1], b"PK" + bytes(50), listed.getvalue(), bare.getvalue()):
        with pytest.raises(TrainingError) as caught:
            fit(TINY, digits, state=damaged)
        assert "--resume" in caught.value.fix


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("pwned",))


def test_code_in_a_state_is_not_run(
    digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"recipe": Malicious(), "data": digits.sha256}, buffer)
    with pytest.raises(TrainingError, match="cannot be read"):
        fit(TINY, digits, state=buffer.getvalue())
    assert not list(tmp_path.iterdir())


def test_divergence_stops_with_the_step_and_the_advice(
    digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Normalize, "forward", lambda _, images: images * float("nan"))
    with pytest.raises(TrainingError, match="the loss is nan at step 10") as caught:
        fit(dataclasses.replace(TINY, std=0.5), digits)
    assert "--learning-rate" in caught.value.fix


def test_a_rest_of_one_digit_does_not_break_batch_normalisation(digits: DataSet) -> None:
    fit(dataclasses.replace(TINY, batch_size=599, epochs=1), digits)


def test_a_batch_may_be_larger_than_the_data_set(digits: DataSet) -> None:
    assert len(fit(dataclasses.replace(TINY, batch_size=60_000), digits).history) == 3


def test_progress_ends_at_its_total(digits: DataSet) -> None:
    seen: list[tuple[int, int]] = []
    fit(TINY, digits, progress=lambda done, total, note="": seen.append((done, total)))
    assert seen[-1] == (36, 36)  # 3 epochs of 600 digits in batches of 50
    assert seen == sorted(seen)


def test_an_absent_device_is_an_error_and_auto_is_none() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda", "mps")
    absent: Device = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(DeviceUnavailable, match=absent):
        choose_device(absent)


def test_onecycle_rises_then_falls_to_zero() -> None:
    recipe = dataclasses.replace(TINY, warmup=0.25, learning_rate=1.0)
    rates = [learning_rate(recipe, step, 101) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[25] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.0)
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)


def test_the_step_schedule_falls_tenfold_twice() -> None:
    recipe = dataclasses.replace(TINY, schedule="step", learning_rate=1.0)
    rates = [learning_rate(recipe, step, 101) for step in (0, 49, 50, 74, 75, 100)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_one_step_is_enough_for_every_schedule() -> None:
    for schedule in ("constant", "step", "onecycle"):
        assert learning_rate(dataclasses.replace(TINY, schedule=schedule), 0, 1) >= 0


_TWO_PROCESSES = """
import hashlib, json, pathlib, sys
from mnist_edge.train.distributed import process_group
from mnist_edge.data.fonts import rendered_data
from mnist_edge.train.fit import fit
from test_train import TINY
with process_group("cpu") as group:
    fitted = fit(TINY, rendered_data(600, 200, seed=0), group=group)
    # Batch statistics are each process's own until the next step; the first one's are written.
    learned = [value.detach().numpy().tobytes() for value in fitted.model.parameters()]
    digest = hashlib.sha256(b"".join(learned)).hexdigest()
    line = {"digest": digest, "size": group.size, "accuracy": fitted.history[-1].test_accuracy}
    pathlib.Path(sys.argv[1], f"{group.rank}.json").write_text(json.dumps(line))
"""


@pytest.mark.slow
def test_two_processes_under_torchrun_end_with_one_model(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(_TWO_PROCESSES)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["size"] == 2
    assert first["digest"] == second["digest"]
    assert first["accuracy"] > 0.3
