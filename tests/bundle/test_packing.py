"""A slim copy of a bundle, and every verb of a device on what it lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from factory import ROOT, make_bundle, names

from mnist_edge import cli
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.packing import pack_bundle
from mnist_edge.errors import DigestMismatch, LeftBehind, UsageError

pytestmark = pytest.mark.edge

SHIPPED = ROOT / "exports" / "default"


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped bundle with onnx-int8 alone, on a machine without MNIST."""
    folder = tmp_path / "device"
    pack_bundle(open_bundle(SHIPPED), ("onnx-int8",), folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNIST_EDGE_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def draw_seven() -> None:
    from PIL import Image

    Image.fromarray(open_bundle(SHIPPED).reference().images[7]).save("seven.png")


def test_a_slim_bundle_holds_the_artifact_and_what_proves_it(packed: Path) -> None:
    assert names(packed) == {"manifest.json", "reference.npz", "onnx-int8.onnx"}
    for name in names(packed):
        assert (packed / name).read_bytes() == (SHIPPED / name).read_bytes()


def test_a_signature_and_a_c_header_come_along(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", {"c-float32": b"int x;"}, extras={"c-float32.h": b"// h"})
    (bundle.path / "manifest.json.sig").write_text("signed")
    _, files = pack_bundle(bundle, ("c-float32",), tmp_path / "slim")
    assert files[0].name == "manifest.json"
    assert names(tmp_path / "slim") == {path.name for path in files}
    assert {"c-float32.c", "c-float32.h", "manifest.json.sig"} <= names(tmp_path / "slim")


@pytest.mark.parametrize("name", ["onnx-int4", "../onnx-int8"])
def test_an_artifact_that_is_not_there_is_not_packed(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="has no artifact"):
        pack_bundle(open_bundle(SHIPPED), (name,), tmp_path / "slim")
    assert not (tmp_path / "slim").exists()


def test_nothing_is_packed_over(tmp_path: Path) -> None:
    (tmp_path / "slim").mkdir()
    (tmp_path / "slim" / "mine").touch()
    with pytest.raises(UsageError, match="not empty"):
        pack_bundle(open_bundle(SHIPPED), ("onnx-int8",), tmp_path / "slim")


def test_a_damaged_or_absent_file_is_not_packed(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "b")
    file = tmp_path / "b" / "onnx-int8.onnx"
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(DigestMismatch):
        pack_bundle(open_bundle(tmp_path / "b"), ("onnx-int8",), tmp_path / "slim")
    file.unlink()
    with pytest.raises(LeftBehind):
        pack_bundle(open_bundle(tmp_path / "b"), ("onnx-int8",), tmp_path / "slim")
    assert not (tmp_path / "slim").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("verify",),
        ("verify", "--artifact", "onnx-int8"),
        ("verify", "--thorough"),
        ("doctor",),
        ("doctor", "--artifact", "onnx-int8"),
        ("bench", "--quick", "--artifact", "onnx-int8", "--duration", "0.05"),
        ("predict", "--artifact", "onnx-int8", "seven.png"),
        ("predict", "seven.png"),
    ],
    ids=" ".join,
)
def test_each_verb_answers_on_a_slim_bundle_and_advises_nothing_that_cannot_be_done(
    packed: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    draw_seven()
    assert cli.main([*words, "--bundle", str(packed)]) == 0
    said = capsys.readouterr()
    for verb in ("train", "export"):
        assert f"mnist-edge {verb}" not in said.out + said.err


def test_what_is_absent_is_named(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "--bundle", str(packed), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    status = {row["artifact"]: (row["status"], row["reason"]) for row in rows}
    assert status["onnx-int8"][0] == "equivalent"
    assert status["onnx-float32"][0] == "not checked"
    assert "onnx-float32.onnx is not here" in status["onnx-float32"][1]


def test_what_was_left_behind_is_told_in_one_line(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", "--bundle", str(packed)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "not here" in line]
    assert line.startswith("not checked: checkpoint.safetensors, onnx-float32.onnx are not here")


@pytest.mark.parametrize("verb", ["verify", "doctor"])
def test_what_is_asked_for_by_name_must_be_here(
    packed: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, "--bundle", str(packed), "--artifact", "onnx-float32"]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert "is not here; copy it from where the bundle was made" in error


def test_the_command_lists_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "slim"
    words = ["pack", "--bundle", str(SHIPPED), "--artifact", "onnx-int8", "--out", str(out)]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert [Path(line.split()[0]).name for line in said.out.splitlines()[1:]] == [
        *("manifest.json", "onnx-int8.onnx", "reference.npz")
    ]
    assert f"mnist-edge predict --bundle {out} PICTURE" in said.err


def test_the_only_artifact_that_is_here_answers_where_none_is_named(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_seven()
    assert cli.main(["predict", "--bundle", str(packed), "--json", "seven.png"]) == 0
    assert json.loads(capsys.readouterr().out)["artifact"] == "onnx-int8"
    assert open_bundle(SHIPPED).default_artifact == "onnx-float32"
