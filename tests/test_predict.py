"""Prediction around a backend that compares with drawn digits: no runtime and no torch."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import draw, encode
from factory import make_bundle
from PIL import Image
from tiny_onnx import tiny_onnx

from mnist_edge import predict
from mnist_edge.bundle.folder import Bundle, save_bundle
from mnist_edge.bundle.manifest import REJECT_BELOW, REJECT_TEMPERATURE
from mnist_edge.contract import Images, Logits, check_images
from mnist_edge.errors import (
    BadInput,
    BundleError,
    DigestMismatch,
    LeftBehind,
    MnistEdgeError,
    UsageError,
)
from mnist_edge.formats.format import Header
from mnist_edge.formats.onnx import Onnx
from mnist_edge.picture import load_picture
from mnist_edge.picture.files import find_pictures
from mnist_edge.predict import Predictor, predict_files
from mnist_edge.recipes.terms import Device

pytestmark = pytest.mark.edge


@cache
def templates() -> Images:
    return np.concatenate([load_picture(draw(digit)).images for digit in range(10)])


class Comparing:
    """A backend whose logits are the likeness to each drawn digit."""

    name = "comparing"
    version = "1"
    device: Device = "cpu"

    def __init__(self, sharpness: float = 50) -> None:
        self.sharpness = sharpness
        self.batches: list[int] = []
        self.closed = 0

    def run(self, images: Images) -> Logits:
        check_images(images)
        self.batches.append(len(images))
        known, asked = (x.reshape(len(x), -1) for x in (templates(), images))
        known = known / np.linalg.norm(known, axis=1, keepdims=True)
        logits: Logits = (asked @ known.T / 20 * self.sharpness).astype(np.float32)
        return logits

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def backend() -> Comparing:
    return Comparing()


@pytest.fixture
def predictor(backend: Comparing) -> Iterator[Predictor]:
    with Predictor(backend) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """0.png to 9.png."""
    for digit in range(10):
        (tmp_path / f"{digit}.png").write_bytes(encode(draw(digit)))
    return tmp_path


@pytest.mark.parametrize("digit", range(10))
def test_a_drawn_digit_is_named(predictor: Predictor, digit: int) -> None:
    prediction = predictor(draw(digit, pen=9, ink=220, paper=10))
    assert (prediction.status, prediction.digit) == ("digit", digit)


def test_path_bytes_image_and_array_give_the_same(predictor: Predictor, folder: Path) -> None:
    path, image = folder / "3.png", draw(3)
    expected = predictor(image)
    for source in (
        path,
        str(path),
        path.read_bytes(),
        np.asarray(image),
        io.BytesIO(path.read_bytes()),
    ):
        assert predictor(source) == expected


def test_the_input_of_the_net_is_taken_as_it_is(predictor: Predictor, backend: Comparing) -> None:
    images = templates()[7:8]
    for array in (images, images[0]):
        assert predictor(array).digit == 7
    # No picture would pass: upside down in brightness, it would be turned.
    assert predictor(1 - images) != predictor(images)


@pytest.mark.parametrize(
    "array", [np.zeros((1, 28, 28)), np.zeros((2, 1, 28, 28), np.float32)], ids=["float64", "two"]
)
def test_a_wrong_input_of_the_net_is_refused(predictor: Predictor, array: Images) -> None:
    with pytest.raises(BadInput, match="not one input of the net"):
        predictor(array)


def test_probabilities_add_up_and_top_is_ranked(predictor: Predictor) -> None:
    prediction = predictor(draw(3))
    assert sum(prediction.probabilities) == pytest.approx(1)
    top = prediction.top(3)
    assert len(top) == 3
    assert top[0] == (prediction.digit, prediction.probability)
    assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)


def test_an_unsure_answer_carries_a_note() -> None:
    unsure = Predictor(Comparing(sharpness=1))(draw(3))
    second = unsure.top(2)[1][0]
    assert unsure.notes == ("low confidence", f"its shape lies between 3 and {second}")
    assert Predictor(Comparing(sharpness=500))(draw(3)).notes == ()


def test_what_is_unlike_every_digit_is_rejected_with_the_reason() -> None:
    unsure = Predictor(Comparing(sharpness=1))(draw(3))
    rejecting = Predictor(Comparing(sharpness=1), reject_below=unsure.probability + 0.01)
    prediction = rejecting(draw(3))
    assert (prediction.status, prediction.digit, prediction.probability) == ("no digit", None, 0)
    why = f"not like a digit: the nearest, 3, has {unsure.probability:.0%}"
    assert prediction.notes == (why, unsure.notes[-1])
    assert prediction.probabilities == unsure.probabilities
    kept = Predictor(Comparing(sharpness=1), reject_below=unsure.probability)
    assert kept(draw(3)) == unsure


def test_a_blank_picture_never_reaches_the_net(predictor: Predictor, backend: Comparing) -> None:
    prediction = predictor(Image.new("L", (90, 90), 255))
    assert (prediction.status, prediction.digit, prediction.top()) == ("no digit", None, ())
    assert prediction.notes == ("no digit found",)
    assert backend.batches == []


def page() -> Image.Image:
    sheet = Image.new("L", (800, 280), 255)
    for place, digit in enumerate((4, 0, 7)):
        sheet.paste(draw(digit, size=(260, 280)), (place * 265, 0))
    return sheet


def test_more_than_one_digit_is_noted(predictor: Predictor) -> None:
    assert "3 digits found, the largest read" in predictor(page()).notes


def test_many_reads_from_left_to_right(predictor: Predictor) -> None:
    (result,) = predict_files(predictor, [page()], many=True)
    assert [reading.prediction.digit for reading in result.readings] == [4, 0, 7]


def test_many_on_a_blank_page_says_that_there_is_no_digit(predictor: Predictor) -> None:
    (result,) = predict_files(predictor, [Image.new("L", (90, 90), 255)], many=True)
    assert [reading.prediction.status for reading in result.readings] == ["no digit"]


def test_results_keep_their_order_over_batches(predictor: Predictor, folder: Path) -> None:
    paths = [folder / f"{digit}.png" for digit in (9, 1, 5, 0, 3, 3, 7)]
    results = list(predict_files(predictor, paths, batch_size=3))
    assert [result.source for result in results] == paths
    assert [r.prediction.digit for result in results for r in result.readings] == [
        9, 1, 5, 0, 3, 3, 7,
    ]  # fmt: skip


def test_files_are_classified_in_batches(
    predictor: Predictor, backend: Comparing, folder: Path
) -> None:
    list(predict_files(predictor, sorted(folder.iterdir()), batch_size=4))
    assert backend.batches == [4, 4, 2]


def test_results_stream_before_the_last_file_is_read(predictor: Predictor, folder: Path) -> None:
    paths = [folder / "1.png", folder / "2.png"]
    results = predict_files(predictor, paths, batch_size=1)
    next(results)
    paths[1].unlink()
    assert next(results).error is not None


def test_a_bad_file_is_reported_and_the_rest_is_done(predictor: Predictor, folder: Path) -> None:
    (folder / "2.png").write_text("no picture")
    results = list(predict_files(predictor, sorted(folder.iterdir())))
    assert [bool(result.error) for result in results] == [i == 2 for i in range(10)]
    assert isinstance(results[2].error, BadInput)
    assert results[2].readings == ()
    assert results[3].readings[0].prediction.digit == 3


def test_progress_ends_at_the_number_of_sources(predictor: Predictor, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    sources = sorted(folder.iterdir())
    list(
        predict_files(
            predictor,
            sources,
            batch_size=4,
            progress=lambda done, total, _="": told.append((done, total)),
        )
    )
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_an_artifact_that_depends_on_batch_mates_runs_one_by_one(folder: Path) -> None:
    backend = Comparing()
    results = list(
        predict_files(Predictor(backend, batch_invariant=False), sorted(folder.iterdir()))
    )
    assert backend.batches == [1] * 10
    assert [result.readings[0].prediction.digit for result in results] == list(range(10))


@pytest.mark.parametrize("batch_invariant", [True, False])
def test_no_images_give_no_predictions(batch_invariant: bool) -> None:
    empty = np.zeros((0, 1, 28, 28), np.float32)
    assert Predictor(Comparing(), batch_invariant=batch_invariant).predict_images(empty) == []


def test_threads_may_share_a_predictor(predictor: Predictor) -> None:
    drawings = [draw(digit) for digit in range(10)] * 4
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(predictor, drawings))
    assert [answer.digit for answer in answers] == list(range(10)) * 4


def test_leaving_the_context_closes_the_backend(backend: Comparing) -> None:
    with Predictor(backend):
        assert backend.closed == 0
    assert backend.closed == 1


def test_a_folder_gives_its_pictures_sorted_and_a_file_itself(tmp_path: Path) -> None:
    for name in ("b/10.png", "b/2.PNG", "b/notes.txt", "b/.hidden.png", "b/.git/x.png", "a.dat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_pictures([tmp_path / "b", tmp_path / "a.dat"])
    assert found == [tmp_path / "b/10.png", tmp_path / "b/2.PNG", tmp_path / "a.dat"]


def test_a_pattern_is_expanded_where_the_shell_did_not(folder: Path) -> None:
    assert find_pictures([folder / "[2-4].png"]) == [folder / f"{i}.png" for i in (2, 3, 4)]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "[7].png").touch()
    (tmp_path / "7.png").touch()
    assert find_pictures([tmp_path / "[7].png"]) == [tmp_path / "[7].png"]


def test_what_is_not_there_is_kept_for_its_error(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "empty").mkdir()
    asked = [tmp_path / "none.png", tmp_path / "*.png", tmp_path / "empty"]
    assert find_pictures(asked) == asked
    assert all(result.error for result in predict_files(predictor, asked))


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Comparing) -> Bundle:
    """A bundle whose ONNX artifact is loaded as the comparing backend."""
    monkeypatch.setattr(predict, "load_artifact", lambda *_, **__: backend)
    return make_bundle(tmp_path / "bundle")


def with_onnx(bundle: Bundle, *, passed: bool = True, batch_invariant: bool = True) -> None:
    artifact = bundle.artifact("onnx-float32")
    parity = replace(artifact.parity, passed=passed, reason="" if passed else "9 flips")
    artifact = replace(artifact, parity=parity, batch_invariant=batch_invariant)
    save_bundle(bundle.with_artifacts((artifact,)), {})


def test_a_bundle_loads_its_onnx_artifact(bundle: Bundle) -> None:
    with Predictor.load(bundle.path) as predictor:
        assert predictor(draw(5)).digit == 5


def test_the_manifest_says_whether_batches_may_be_used(bundle: Bundle, backend: Comparing) -> None:
    with_onnx(bundle, batch_invariant=False)
    Predictor.load(bundle.path).predict_images(templates())
    assert backend.batches == [1] * 10


def test_the_recipe_says_what_is_rejected(bundle: Bundle) -> None:
    recipe = replace(bundle.manifest.own_recipe, reject_below=1.0)
    save_bundle(replace(bundle, manifest=replace(bundle.manifest, recipe=recipe)), {})
    assert Predictor.load(bundle.path)(draw(5)).status == "no digit"


def ours(stated: dict[str, str]) -> Header:
    """What a file that we wrote says of itself."""
    return Header(metadata={"producer": "mnist-edge", **stated})


def test_a_model_file_of_others_is_named_and_not_run(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(
        tiny_onnx(producer="pytorch")
    )  # renamed to ours or not: its pixels may be any
    with pytest.raises(BadInput, match="an ONNX model, and none that mnist-edge wrote") as caught:
        Predictor.load(model)
    assert caught.value.fix == f"make a bundle of it: mnist-edge import {model}"
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(BadInput, match="a Keras model or another HDF5 file") as caught:
        Predictor.load(tmp_path / "net.h5")
    assert "mnist-edge import" in caught.value.fix


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ({}, "digit"),
        ({REJECT_BELOW: "1.0"}, "no digit"),
        ({REJECT_BELOW: "0.5"}, "digit"),
        ({REJECT_BELOW: "0.5", REJECT_TEMPERATURE: "100"}, "no digit"),
    ],
)
def test_an_onnx_file_says_it_without_its_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: dict[str, str], status: str
) -> None:
    monkeypatch.setattr(Onnx, "header", lambda *_: ours(stated))
    monkeypatch.setattr("mnist_edge.formats.onnx.run.OrtBackend", lambda *_, **__: Comparing())
    (tmp_path / "net.onnx").touch()
    assert Predictor.load(tmp_path / "net.onnx")(draw(5)).status == status


def test_an_onnx_file_with_a_nonsensical_threshold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Onnx, "header", lambda *_: ours({REJECT_BELOW: "high"}))
    monkeypatch.setattr("mnist_edge.formats.onnx.run.OrtBackend", lambda *_, **__: Comparing())
    (tmp_path / "net.onnx").touch()
    with pytest.raises(BadInput, match="states reject_below as 'high'"):
        Predictor.load(tmp_path / "net.onnx")


def test_an_artifact_that_differs_from_its_checkpoint_is_refused(bundle: Bundle) -> None:
    with_onnx(bundle, passed=False)
    with pytest.raises(UsageError, match="9 flips"):
        Predictor.load(bundle.path)
    assert Predictor.load(bundle.path, allow_mismatch=True)(draw(5)).digit == 5


def test_an_unknown_artifact_is_named_with_those_there(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="onnx-float32"):
        Predictor.load(bundle.path, artifact="onnx-int4")


def test_a_missing_bundle_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        Predictor.load(tmp_path / "nothing")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "7.png").write_bytes(encode(draw(7)))
    with pytest.raises(BadInput, match=r"7\.png: it is a picture, and none that mnist-edge wrote"):
        Predictor.load(tmp_path / "7.png")
    (tmp_path / "net.onnx").write_bytes(b"no net")
    with pytest.raises(MnistEdgeError):
        Predictor.load(tmp_path / "net.onnx")


def test_the_package_gives_the_predictor_without_importing_torch() -> None:
    code = (
        "import sys, mnist_edge; early = 'numpy' in sys.modules; mnist_edge.Predictor;"
        "print(early, 'torch' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["False", "False", "False"]


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import mnist_edge

    with pytest.raises(AttributeError, match="Nonsense"):
        _ = mnist_edge.Nonsense


def test_loading_from_many_threads_leaves_stdout_alone(tmp_path: Path) -> None:
    from threading import Barrier, Thread

    (tmp_path / "model.onnx").write_bytes(tiny_onnx())
    before, barrier = sys.stdout, Barrier(8)
    found = []

    def load() -> None:
        barrier.wait()
        for _ in range(5):
            Predictor.load(tmp_path / "model.onnx").close()
            found.append(sys.stdout)

    threads = [Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before
    assert all(stream is before for stream in found)


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1])
def test_a_threshold_that_is_no_probability_is_refused(backend: Comparing, value: float) -> None:
    with pytest.raises(UsageError, match="no probability"):
        Predictor(backend, reject_below=value)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_a_temperature_that_is_none_is_refused(backend: Comparing, value: float) -> None:
    with pytest.raises(UsageError, match="reject_temperature"):
        Predictor(backend, reject_below=0.5, reject_temperature=value)


@pytest.mark.parametrize("key", [REJECT_BELOW, REJECT_TEMPERATURE])
@pytest.mark.parametrize("stated", ["nan", "inf", "-1", "200", "x", ""])
def test_a_file_that_states_no_probability_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, stated: str
) -> None:
    monkeypatch.setattr(Onnx, "header", lambda *_: ours({key: stated}))
    (tmp_path / "model.onnx").write_bytes(tiny_onnx())
    with pytest.raises(BadInput, match="states reject_below as"):
        Predictor.load(tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", [DigestMismatch, LeftBehind, UsageError])
def test_a_reader_during_an_export_reads_once_more(
    kind: type[MnistEdgeError], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Bundle.check

    def check(opened: Bundle, **but: Any) -> None:
        if opened.artifact("onnx-float32").opset == 18:  # the export comes between two reads
            changed = replace(opened.artifact("onnx-float32"), opset=19)
            save_bundle(opened.with_artifacts((changed,)), {})
            raise kind("another file, none, or no such artifact", fix="none")
        real(opened, **but)

    monkeypatch.setattr(Bundle, "check", check)
    with Predictor.load(bundle.path) as predictor:
        assert predictor(draw(5)).digit == 5


def test_a_damaged_bundle_is_not_read_again_and_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle.path / "history.json").write_bytes(b"other")
    with pytest.raises(DigestMismatch, match="history"):
        Predictor.load(bundle.path)
