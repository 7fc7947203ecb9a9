from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from faults import FAULT_KINDS, FaultKind, Killed, injected

from mnist_edge.bundle.folder import Bundle, open_bundle, save_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, Score
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.contract import to_images
from mnist_edge.data.mnist import DATA_VARIABLE, DataSet, balanced_sample
from mnist_edge.data.obtain import obtain_data
from mnist_edge.errors import (
    BundleError,
    DataUnavailable,
    NotEquivalent,
    StorageError,
    TrainingError,
    UsageError,
)
from mnist_edge.formats import open_backend
from mnist_edge.formats.export import export_verified, prove_rebuildable
from mnist_edge.formats.onnx import Onnx
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import Format
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train import session as workflow
from mnist_edge.train.fit import fit
from mnist_edge.train.session import check_start

TINY = TrainRecipe(
    name="tiny",
    architecture="compact",
    widths=(8, 16),
    epochs=2,
    batch_size=50,
    learning_rate=0.02,
    optimizer="adamw",
    schedule="onecycle",
)
QUANTIZED = ExportRecipe(precisions=("float32", "int8-dynamic"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def check_whole(folder: Path) -> Bundle:
    bundle = open_bundle(folder)
    for record in bundle.manifest.records:
        bundle.read(record)
    return bundle


@pytest.fixture(scope="module")
def trained(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("trained") / "model"
    return workflow.train_bundle(TINY, digits, folder, threads=1)


@pytest.fixture
def bundle(trained: Bundle, tmp_path: Path) -> Bundle:
    """A bundle that the test may change. That a copy works shows that a bundle can be moved."""
    shutil.copytree(trained.path, tmp_path / "model")
    return open_bundle(tmp_path / "model")


def test_a_trained_bundle_is_whole_and_says_what_it_is(bundle: Bundle, digits: DataSet) -> None:
    manifest = check_whole(bundle.path).manifest
    assert manifest.own_recipe == TINY
    assert (manifest.data.name, manifest.data.sha256) == ("rendered", digits.sha256)
    assert manifest.training.parameters == 4 * 8 * 9 + 8 + 8 * 16 * 9 + 16 + 144 * 10 + 10
    assert {"torch", "numpy"} <= set(manifest.versions)
    names = {record.file for record in manifest.records}
    assert {"checkpoint.safetensors", "reference.npz", "history.json", "training.png"} <= names
    history = json.loads((bundle.path / "history.json").read_text())
    assert [line["epoch"] for line in history] == [1, 2]
    assert history[-1]["test_accuracy"] == manifest.training.test_accuracy


def test_the_reference_holds_the_answers_of_the_checkpoint(bundle: Bundle) -> None:
    reference = bundle.reference()
    with open_backend(bundle, bundle.artifact(CHECKPOINT)) as backend:
        logits = backend.run(to_images(reference.images))
    assert np.abs(logits - reference.logits).max() < 1e-4
    assert reference.logits.dtype == np.float64


def test_nothing_of_the_machine_is_in_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    bundle, _ = export_verified(bundle, QUANTIZED)
    words = [str(tmp_path), str(Path.cwd()), sys.prefix, str(Path.home()) + os.sep]
    # Two letters stand in any compressed array.
    words += [name for name in (platform.node(), getpass.getuser()) if len(name) > 4]
    for name, content in files(bundle.path).items():
        for word in words:
            assert word.encode() not in content, f"{name} names {word}"


def test_the_same_recipe_gives_the_same_files(
    bundle: Bundle, digits: DataSet, tmp_path: Path
) -> None:
    again = workflow.train_bundle(TINY, digits, tmp_path / "again", threads=1)
    export_verified(bundle, QUANTIZED)
    export_verified(again, QUANTIZED)
    first, second = files(bundle.path), files(again.path)
    assert first.keys() == second.keys()
    # The manifest, the history and its curve hold the time that training took.
    timed = {"manifest.json", "history.json"}
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= timed


def test_export_writes_verified_artifacts(bundle: Bundle) -> None:
    exported, written = export_verified(bundle, QUANTIZED)
    names = [
        "torchscript-float32",
        "onnx-float32",
        "torchscript-int8-dynamic",
        "onnx-int8-dynamic",
    ]
    assert [artifact.name for artifact in written] == names
    assert all(artifact.parity.passed for artifact in written)
    assert [a.name for a in written if not a.batch_invariant] == names[2:]  # a scale of the batch
    again = check_whole(bundle.path)
    assert again.manifest == exported.manifest
    assert [a.name for a in again.manifest.artifacts] == [CHECKPOINT, *names]


def test_export_records_the_accuracy_on_the_test_set_that_the_bundle_names(
    bundle: Bundle, digits: DataSet
) -> None:
    _, written = export_verified(bundle, QUANTIZED, data=digits)
    for artifact in check_whole(bundle.path).manifest.artifacts[1:]:
        with open_backend(bundle, artifact) as backend:
            images = to_images(digits.test_images)
            batch_size = 50 if artifact.batch_invariant else 1
            logits = np.concatenate(
                [backend.run(images[i : i + batch_size]) for i in range(0, 200, batch_size)]
            )
        right = int(np.sum(logits.argmax(axis=1) == digits.test_labels))
        assert artifact.test_score == Score(right / 200, 200)
    assert len(written) == 4
    for other in (None, dataclasses.replace(digits, train_labels=9 - digits.train_labels)):
        _, (artifact,) = export_verified(bundle, ExportRecipe(formats=("onnx",)), data=other)
        assert artifact.test_score is None


def test_a_second_export_replaces_the_first(bundle: Bundle) -> None:
    export_verified(bundle, ExportRecipe())
    exported, _ = export_verified(bundle, ExportRecipe(formats=("onnx",), opset=20))
    assert exported.artifact("onnx-float32").opset == 20
    assert [a.name for a in check_whole(bundle.path).manifest.artifacts] == [
        CHECKPOINT,
        "torchscript-float32",
        "onnx-float32",
    ]


def test_training_again_drops_the_artifacts_of_the_old_weights(
    bundle: Bundle, digits: DataSet
) -> None:
    export_verified(bundle, ExportRecipe())
    fresh = workflow.train_bundle(dataclasses.replace(TINY, seed=1), digits, bundle.path, threads=1)
    assert [a.name for a in check_whole(bundle.path).manifest.artifacts] == [CHECKPOINT]
    assert not list(bundle.path.glob("*.onnx"))
    assert fresh.manifest.own_recipe.seed == 1


def test_an_artifact_that_is_not_equivalent_is_not_kept(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Onnx, "tolerance", Tolerance(max_abs_error=-1.0))
    with pytest.raises(NotEquivalent, match="onnx-float32"):
        export_verified(bundle, ExportRecipe(formats=("onnx",)))
    assert [a.name for a in check_whole(bundle.path).manifest.artifacts] == [CHECKPOINT]
    assert not list(bundle.path.glob("*.onnx"))


def test_an_artifact_that_is_not_equivalent_is_kept_marked_on_request(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Onnx, "tolerance", Tolerance(max_abs_error=-1.0))
    allowing = ExportRecipe(formats=("onnx",), allow_mismatch=True)
    _, (written,) = export_verified(bundle, allowing)
    kept = check_whole(bundle.path).artifact("onnx-float32")
    assert kept == written
    assert not kept.parity.passed
    assert kept.parity.reason


def test_a_net_without_linear_layers_is_told_that_nothing_can_be_quantized(
    digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch import nn

    from mnist_edge.models import ARCHITECTURES

    layers = [nn.Conv2d(1, 10, 28), nn.Flatten()]
    monkeypatch.setitem(ARCHITECTURES, "compact", lambda _: list(layers))
    bundle = workflow.train_bundle(TINY, digits, tmp_path / "model", threads=1)
    before = files(bundle.path)
    with pytest.raises(UsageError, match="nothing"):
        export_verified(bundle, QUANTIZED)
    assert files(bundle.path) == before


def test_a_failed_training_leaves_the_bundle_as_it_was(
    bundle: Bundle, digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(bundle.path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        workflow.train_bundle(dataclasses.replace(TINY, seed=1), digits, bundle.path, threads=1)
    assert files(bundle.path) == before


def test_an_output_that_is_a_file_is_refused_before_training(
    digits: DataSet, tmp_path: Path
) -> None:
    (tmp_path / "model").write_text("mine")
    seen: list[int] = []
    with pytest.raises(StorageError):
        workflow.train_bundle(
            TINY,
            digits,
            tmp_path / "model",
            progress=lambda done, total, note="": seen.append(done),
        )
    assert not seen
    assert (tmp_path / "model").read_text() == "mine"


def test_two_trainings_into_one_bundle_do_not_mix(
    bundle: Bundle, digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from mnist_edge.bundle.storage import lock

    monkeypatch.setattr(workflow, "lock", partial(lock, timeout_s=0.05))
    with lock(bundle.path), pytest.raises(BundleError, match="another process"):
        workflow.train_bundle(TINY, digits, bundle.path)


def test_an_interrupted_training_goes_on_where_it_was(digits: DataSet, tmp_path: Path) -> None:
    whole = workflow.train_bundle(TINY, digits, tmp_path / "whole", threads=1)

    class Interrupt(Exception):
        pass

    def stop(_: object) -> None:
        raise Interrupt

    folder = tmp_path / "model"
    with pytest.raises(Interrupt):
        workflow.train_bundle(TINY, digits, folder, threads=1, on_epoch=stop)
    assert workflow.read_state(folder)
    told: list[int] = []
    resumed = workflow.train_bundle(
        TINY, digits, folder, threads=1, resume=True, on_epoch=lambda line: told.append(line.epoch)
    )
    assert told == [2]
    checkpoint = resumed.artifact(CHECKPOINT)
    assert checkpoint.sha256 == whole.artifact(CHECKPOINT).sha256
    assert not (folder / workflow.STATE).exists()


def test_a_training_interrupted_in_its_first_epoch_goes_on_too(
    digits: DataSet, tmp_path: Path
) -> None:
    whole = workflow.train_bundle(TINY, digits, tmp_path / "whole", threads=1)

    class Interrupt(Exception):
        pass

    def stop(done: int, total: int, note: str = "") -> None:
        raise Interrupt(done, total, note)

    folder = tmp_path / "model"
    with pytest.raises(Interrupt):
        workflow.train_bundle(TINY, digits, folder, threads=1, progress=stop)
    said: list[str] = []
    resumed = workflow.train_bundle(
        TINY, digits, folder, threads=1, resume=True, notice=said.append
    )
    assert said == ["resumed: 0 of 2 epochs are done, epoch 1 begins again"]
    assert resumed.artifact(CHECKPOINT).sha256 == whole.artifact(CHECKPOINT).sha256


def test_a_start_takes_nothing_from_an_earlier_interrupted_training(
    digits: DataSet, tmp_path: Path
) -> None:
    states: list[bytes] = []
    fit(TINY, digits, threads=1, on_state=states.append)
    atomic_write(tmp_path / workflow.STATE, states[0])

    def stop(done: int, total: int, note: str = "") -> None:
        raise KeyError(done, total, note)

    with pytest.raises(KeyError):
        workflow.train_bundle(TINY, digits, tmp_path, threads=1, progress=stop)
    assert workflow.read_state(tmp_path) == states[0]


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_fault_at_any_write_of_a_state_leaves_the_last_good_one(
    digits: DataSet, tmp_path: Path, kind: FaultKind
) -> None:
    states: list[bytes] = []
    fit(TINY, digits, threads=1, on_state=states.append)
    path = tmp_path / workflow.STATE
    at = 0
    while True:
        atomic_write(path, states[0])
        with (
            contextlib.suppress(StorageError, KeyboardInterrupt, Killed),
            injected(kind, at) as faults,
        ):
            atomic_write(path, states[1])
        # Whichever of the two is there is whole, and training goes on from it.
        assert workflow.read_state(tmp_path) in states
        if not faults.fired:
            break
        at += 1
    assert at >= 4  # opened, written, flushed to the disk, moved


def test_there_must_be_something_to_resume(digits: DataSet, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no interrupted training") as caught:
        workflow.train_bundle(TINY, digits, tmp_path, resume=True)
    assert "mnist-edge train" in caught.value.fix


_KILLED = """
import dataclasses, sys
from pathlib import Path
from test_workflow import TINY
from mnist_edge.train import session as workflow
from mnist_edge.data.fonts import rendered_data
recipe = dataclasses.replace(TINY, epochs=int(sys.argv[2]))
folder = Path(sys.argv[1])
digits = rendered_data(600, 200, seed=0)
print("ready", flush=True)
resume = (folder / workflow.STATE).exists()
workflow.train_bundle(recipe, digits, folder, threads=1, resume=resume)
print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_at_random_moments_a_training_ends_with_the_same_bits(
    digits: DataSet, tmp_path: Path
) -> None:
    """Kills a few times here; `make attack` does it twenty times."""
    epochs = 6
    recipe = dataclasses.replace(TINY, epochs=epochs)
    whole = workflow.train_bundle(recipe, digits, tmp_path / "whole", threads=1)
    folder = tmp_path / "model"
    command = [sys.executable, "-c", _KILLED, str(folder), str(epochs)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    rng = np.random.default_rng(0)
    for _ in range(3):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0.05, 0.6))
            child.send_signal(signal.SIGKILL)
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    killed = check_whole(folder)
    assert killed.artifact(CHECKPOINT).sha256 == whole.artifact(CHECKPOINT).sha256


def test_a_sample_is_balanced_and_in_order() -> None:
    labels = np.repeat(np.arange(10), 100)
    sample = balanced_sample(labels, 256)
    assert len(sample) == 256
    assert (np.diff(sample) > 0).all()
    counts = np.bincount(labels[sample])
    assert counts.min() == 25
    assert counts.max() == 26


def test_auto_falls_back_to_rendered_digits_with_a_notice(
    monkeypatch: pytest.MonkeyPatch, digits: DataSet
) -> None:
    def no_network(*_: object, **__: object) -> Path:
        raise DataUnavailable("no server answers", fix="try again")

    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr("mnist_edge.data.obtain.find_mnist", lambda _: None)
    monkeypatch.setattr("mnist_edge.data.fetch.fetch_mnist", no_network)
    monkeypatch.setattr("mnist_edge.data.fonts.rendered_data", lambda **_: digits)
    notices: list[str] = []
    assert obtain_data("auto", None, notice=notices.append) is digits
    assert len(notices) == 1
    assert "no server answers" in notices[0]
    with pytest.raises(DataUnavailable, match="no server answers"):
        obtain_data("mnist", None)


def test_a_named_data_folder_without_mnist_is_an_error_even_under_auto(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable):
        obtain_data("auto", tmp_path)


def test_imported_weights_become_a_bundle(bundle: Bundle, digits: DataSet, tmp_path: Path) -> None:
    source = bundle.path / "checkpoint.safetensors"
    imported = workflow.import_bundle(source, TINY, digits, tmp_path / "imported")
    check_whole(imported.path)
    np.testing.assert_array_equal(imported.reference().logits, bundle.reference().logits)
    assert imported.manifest.training.test_accuracy == bundle.manifest.training.test_accuracy


def test_importing_our_own_checkpoint_keeps_its_temperature_and_threshold(
    bundle: Bundle, digits: DataSet, tmp_path: Path
) -> None:
    fitted = dataclasses.replace(TINY, temperature=0.8, reject_below=0.7)
    manifest = dataclasses.replace(bundle.manifest, recipe=fitted)
    save_bundle(dataclasses.replace(bundle, manifest=manifest), {})
    own = bundle.path / "checkpoint.safetensors"
    told: list[str] = []
    kept = workflow.import_bundle(own, TINY, digits, tmp_path / "kept", notice=told.append)
    assert (kept.manifest.own_recipe.temperature, kept.manifest.own_recipe.reject_below) == (
        0.8,
        0.7,
    )
    assert told == []
    elsewhere = shutil.copy(own, tmp_path / "weights.safetensors")
    dropped = workflow.import_bundle(
        Path(elsewhere), fitted, digits, tmp_path / "dropped", notice=told.append
    )
    assert dropped.manifest.own_recipe.reject_below == 0.0
    assert dropped.manifest.training.imported
    assert "confidence threshold" in told[0]


def test_an_export_can_be_made_again_byte_for_byte(bundle: Bundle) -> None:
    recipe = ExportRecipe(formats=("onnx",), precisions=("float32", "int8"), allow_mismatch=True)
    exported, _ = export_verified(bundle, recipe)
    assert prove_rebuildable(exported) == ("onnx-float32", "onnx-int8")
    assert prove_rebuildable(exported, artifacts=("onnx-int8",)) == ("onnx-int8",)


@pytest.mark.parametrize("format_", ["ort", "c"])
def test_what_is_made_from_a_graph_is_made_again_with_its_opset(
    bundle: Bundle, format_: Format
) -> None:
    if format_ == "c" and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    exported, _ = export_verified(bundle, ExportRecipe(formats=(format_,), opset=20))
    assert exported.artifact(f"{format_}-float32").opset == 20
    assert f"{format_}-float32" in prove_rebuildable(exported)


def test_an_artifact_that_was_made_otherwise_is_named(bundle: Bundle) -> None:
    recipe = ExportRecipe(formats=("onnx",), opset=20)
    exported, _ = export_verified(bundle, recipe)
    (made,) = (a for a in exported.manifest.artifacts if a.format == "onnx")
    claimed = exported.with_artifacts((dataclasses.replace(made, opset=18),))
    with pytest.raises(NotEquivalent, match="onnx-float32: made again"):
        prove_rebuildable(claimed)


def test_a_file_where_the_bundle_should_lie_is_told_before_data_is_made(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    with pytest.raises(StorageError, match="is no folder"):
        check_start(tmp_path / "model")
