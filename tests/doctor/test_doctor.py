"""What `doctor` says of a machine, a bundle and a file. The bundles are made byte by byte."""

from __future__ import annotations

import base64
import json
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from factory import ROOT, make_bundle, make_reference
from numpy.typing import NDArray
from tiny_onnx import field, text, tiny_onnx, weight_matrix

from mnist_edge import cli
from mnist_edge.bundle.folder import Bundle, Reference
from mnist_edge.bundle.golden import KEY, pack_golden, unpack_golden
from mnist_edge.contract import RawImages, to_images
from mnist_edge.doctor import NEEDS, examine
from mnist_edge.doctor.single import examine_file
from mnist_edge.errors import BadInput, BundleError, DigestMismatch, MissingDependency, Untrusted

pytestmark = pytest.mark.edge

ONNX = "onnx-float32"


def answers(images: RawImages, weight: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
    """What `tiny_onnx` computes, in double precision."""
    weight = weight_matrix() if weight is None else weight
    return to_images(images).reshape(len(images), -1).astype(np.float64) @ weight


def true_reference() -> Reference:
    noise = make_reference()
    return Reference(images=noise.images, labels=noise.labels, logits=answers(noise.images))


def labelled(model: bytes, metadata: dict[str, str]) -> bytes:
    """An ONNX file with metadata."""
    entries = (text(1, key) + text(2, value) for key, value in metadata.items())
    return model + b"".join(field(14, entry) for entry in entries)


def with_golden(model: bytes, logits: NDArray[np.float64] | None = None, **more: str) -> bytes:
    images = make_reference().images
    golden = pack_golden(images, answers(images) if logits is None else logits)
    return labelled(model, {KEY: golden, "recipe": "tiny", **more})


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge device, whatever is installed here."""
    monkeypatch.delitem(sys.modules, "mnist_edge.formats.checkpoint.run", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.fixture
def bundle(tmp_path: Path, without_torch: None) -> Bundle:
    """Its ONNX artifact gives the answers of the reference; its weights are none."""
    return make_bundle(tmp_path / "bundle", {ONNX: tiny_onnx()}, reference=true_reference())


# --- a machine and a bundle -----------------------------------------------------------------


def test_an_artifact_that_gives_its_answers_passes(bundle: Bundle) -> None:
    check = {check.artifact: check for check in examine(bundle).checks}[ONNX]
    assert (check.status, check.reason) == ("passed", "")
    assert check.backend.startswith("onnxruntime 1.")
    assert check.parity is not None
    assert check.parity.images == 10
    assert 0 < check.parity.max_abs_error < 1e-4


def test_an_artifact_that_gives_other_answers_fails(tmp_path: Path) -> None:
    weight = weight_matrix()
    weight[300, 2] += 0.1
    spoilt = make_bundle(tmp_path, {ONNX: tiny_onnx(weight)}, reference=true_reference())
    report = examine(spoilt)
    assert not report.passed
    assert "largest error" in report.checks[1].reason


@pytest.mark.parametrize("data", [b"no graph", tiny_onnx(np.full((784, 10), np.nan, np.float32))])
def test_an_artifact_that_cannot_run_fails_with_the_reason(tmp_path: Path, data: bytes) -> None:
    check = examine(make_bundle(tmp_path, {ONNX: data})).checks[1]
    assert (check.status, check.parity) == ("failed", None)
    assert "ONNX" in check.reason


def test_what_needs_a_package_that_is_not_there_is_not_checked(bundle: Bundle) -> None:
    report = examine(bundle)
    assert [check.status for check in report.checks] == ["not checked", "passed"]
    assert "torch is not installed" in report.checks[0].reason
    assert report.passed


@pytest.mark.parametrize("file", ["onnx-float32.onnx", "reference.npz", "history.json"])
def test_a_damaged_bundle_is_refused(bundle: Bundle, file: str) -> None:
    (bundle.path / file).write_bytes(b"?" * (bundle.path / file).stat().st_size)
    with pytest.raises(DigestMismatch, match=file):
        examine(bundle)


def test_progress_is_told_by_artifact(bundle: Bundle) -> None:
    told: list[tuple[int, int]] = []
    examine(bundle, progress=lambda done, total, note="": told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_without_a_bundle_the_machine_is_described() -> None:
    report = examine(None)
    assert (report.bundle, report.checks, report.passed) == ("", (), True)
    assert report.machine.usable_threads >= 1
    assert "CPUExecutionProvider" in report.providers


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "mnist_edge.doctor.find_spec",
        lambda name: None if name in ("PIL", "onnx", "h5py") else find_spec(name),
    )
    needs = {need.command: need for need in examine(None).needs}
    assert needs["predict"].missing == ("pillow",)
    assert "pip install -e ." in needs["predict"].fix
    assert "onnx" in needs["train, run"].missing
    assert "pip install -e '.[train]'" in needs["train, run"].fix
    assert "pip install -e '.[keras]'" in needs["import: Keras"].fix
    assert needs["verify, bench, doctor: ONNX"].fix == ""


def test_every_need_is_a_declared_dependency() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())
    base = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    declared = {line.partition(">")[0] for line in base + extras["train"] + extras["keras"]}
    needed = {package for packages in NEEDS.values() for package in packages}
    assert declared - {"typer", "filelock"} == needed  # torch brings that; its floor is ours


# --- one file -------------------------------------------------------------------------------


def save(folder: Path, data: bytes, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_file_is_described_and_passes_far_from_its_bundle(tmp_path: Path) -> None:
    report = examine_file(save(tmp_path, with_golden(tiny_onnx(), precision="float32")))
    assert (report.format, report.precision) == ("onnx", "float32")
    assert (report.opset, report.ir_version) == (18, 8)
    assert report.metadata == {
        "producer": "mnist-edge",
        "recipe": "tiny",
        "precision": "float32",
    }
    assert (report.check.status, report.check.artifact) == ("passed", "model.onnx")
    assert report.check.parity is not None
    assert report.check.parity.images == 10


def test_a_model_file_of_others_is_named_and_not_run(tmp_path: Path) -> None:
    path = save(tmp_path, tiny_onnx(producer="pytorch"))
    with pytest.raises(BadInput, match="an ONNX model, and none that mnist-edge wrote") as caught:
        examine_file(path)
    assert caught.value.fix.endswith(f"mnist-edge import {path}")


def test_a_file_of_other_weights_fails_its_own_golden_vectors(tmp_path: Path) -> None:
    swapped = tiny_onnx(weight_matrix()[::-1].copy())
    report = examine_file(save(tmp_path, with_golden(swapped)))
    assert not report.passed
    assert "answers changed" in report.check.reason


def test_the_gate_is_that_of_the_precision(tmp_path: Path) -> None:
    images = make_reference().images
    near = answers(images) + np.random.default_rng(0).normal(0, 1e-3, (10, 10))
    for precision, passed in (("float32", False), ("float16", True), ("int8", True)):
        data = with_golden(tiny_onnx(), near, precision=precision)
        assert examine_file(save(tmp_path, data)).passed == passed


def test_a_file_without_golden_vectors_is_run_and_not_checked(tmp_path: Path) -> None:
    check = examine_file(save(tmp_path, tiny_onnx())).check
    assert (check.status, check.reason) == ("not checked", "it carries no golden vectors")
    broken = tiny_onnx(np.full((784, 10), np.nan, np.float32))
    with pytest.raises(BadInput, match="NaN"):
        examine_file(save(tmp_path, broken))


def test_a_precision_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="int9"):
        examine_file(save(tmp_path, with_golden(tiny_onnx(), precision="int9")))


def test_torchscript_of_unknown_origin_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/extra/mnist_edge.json", json.dumps({"recipe": "evil"}))
    with pytest.raises(Untrusted, match="runs code, and nothing vouches") as refused:
        examine_file(path)
    assert "--trust" in refused.value.fix


def test_without_onnxruntime_a_file_cannot_be_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "mnist_edge.formats.onnx.run", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match="onnxruntime"):
        examine_file(save(tmp_path, tiny_onnx()))
    assert examine(None).providers == ()


# --- golden vectors -------------------------------------------------------------------------


def test_golden_vectors_come_back_as_they_were() -> None:
    images, logits = make_reference().images, answers(make_reference().images)
    again = unpack_golden(pack_golden(images, logits))
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], logits)
    assert (str(again[0].dtype), str(again[1].dtype)) == ("uint8", "float64")


def tampered(name: str, change: Callable[[str], str]) -> str:
    reference = true_reference()
    parts = json.loads(pack_golden(reference.images, reference.logits))
    return json.dumps({**parts, name: change(parts[name])})


BOMB = base64.b64encode(zlib.compress(bytes(10**7))).decode()


@pytest.mark.parametrize(
    "packed",
    [
        "",
        "[]",
        "{}",
        '{"images": 1, "logits": 2}',
        '{"images": "", "logits": ""}',
        "[" * 100_000,
        tampered("images", lambda _: ""),
        tampered("images", lambda _: "é"),
        tampered("images", lambda packed: packed[:-4]),
        tampered("images", lambda packed: packed[4:]),
        tampered("images", lambda _: BOMB),
        tampered("logits", lambda packed: packed[:-4]),
        tampered("logits", lambda packed: packed[: len(packed) // 2]),
        tampered("logits", lambda packed: "AAAAAAAA+H8=" + packed[12:]),
        tampered("logits", lambda _: "A" * 108_000),
        '{"images": "", "logits": "", "more": ""}',
    ],
)
def test_golden_vectors_that_were_tampered_with_are_refused(packed: str) -> None:
    with pytest.raises(BadInput, match="golden vectors are damaged"):
        unpack_golden(packed)


# --- the command line -----------------------------------------------------------------------


def test_doctor_prints_tables_and_ends_with_0(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", "--bundle", str(bundle.path)]) == 0
    out = capsys.readouterr().out
    for part in ("instruction sets", "predict", "CPUExecutionProvider", ONNX, "passed"):
        assert part in out


def test_a_failing_artifact_gives_code_1_and_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path, {ONNX: tiny_onnx()}, reference=make_reference())
    assert cli.main(["doctor", "--bundle", str(bundle.path), "--json", "--quiet"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["checks"][1]["status"] == "failed"
    assert said.err == ""


@pytest.mark.parametrize(
    ("torch", "advice"),
    [("with_torch", "mnist-edge train"), ("without_torch", "give one with --bundle FOLDER")],
)
def test_without_any_bundle_doctor_says_how_to_get_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    torch: str,
    advice: str,
) -> None:
    request.getfixturevalue(torch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "mnist_edge.bundle.folder.default_bundle_path", lambda: Path("exports/model")
    )
    assert cli.main(["doctor"]) == 0
    assert advice in capsys.readouterr().err


def test_a_bundle_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    assert cli.main(["doctor", "--bundle", str(tmp_path)]) == BundleError.exit_code


@pytest.mark.parametrize(("wrong", "code"), [(False, 0), (True, 1)])
def test_doctor_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: bool, code: int
) -> None:
    model = tiny_onnx(-weight_matrix() if wrong else None)
    path = save(tmp_path, with_golden(model))
    assert cli.main(["doctor", str(path)]) == code
    out = capsys.readouterr().out
    assert ("failed" in out) == wrong
    assert "recipe" in out
    assert cli.main(["doctor", str(path), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["check"]["parity"]["images"] == 10


def test_a_file_and_a_bundle_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "a.onnx", "--bundle", "b"]) == 2
    assert "exclude each other" in capsys.readouterr().err
