"""What earlier versions wrote is read by every later one.

`0.1/` holds a bundle (recipe nano, drawn digits, two epochs; its onnx-int8 failed its gate and was
kept) and the reports that `bench`, `verify` and `verify --thorough` of version 0.1 wrote of it.
A later version adds a folder of its own and never changes one that is there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mnist_edge import cli
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.errors import BundleError

pytestmark = pytest.mark.edge

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.iterdir() if (path / "bundle").is_dir())


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what a version left, in the current folder."""
    folder = tmp_path / "old"
    shutil.copytree(HERE / request.param, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MNIST_EDGE_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def document(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON document of a command."""
    capsys.readouterr()
    code = cli.main([*words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def test_its_bundle_opens_and_predicts(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = open_bundle(old / "bundle").reference()
    Image.fromarray(reference.images[0]).save("digit.png")
    code, found = document(capsys, "predict", "digit.png", "--bundle", "bundle")
    assert code == 0
    (answer,) = found["answers"]
    assert answer["status"] in {"digit", "no digit"}


def test_its_artifacts_are_verified(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--bundle", "bundle", "--artifact", "onnx-float32", "--artifact", "ort-float32")
    code, found = document(capsys, "verify", *words)
    assert code == 0
    assert {row["status"] for row in found["rows"]} == {"equivalent"}


def test_what_failed_its_gate_still_fails(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = document(capsys, "verify", "--bundle", "bundle", "--artifact", "onnx-int8")
    assert code == 1
    assert cli.main(["predict", "--bundle", "bundle", "--artifact", "onnx-int8", "x.png"]) == 2


def test_its_artifacts_are_examined_and_measured(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", "--bundle", "bundle", "--artifact", "onnx-float32"]) == 0
    words = ("--artifact", "onnx-float32", "--quick", "--duration", "0.05")
    assert cli.main(["bench", "--bundle", "bundle", *words]) == 0


def test_its_benchmark_is_shown_and_compared(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--from", "bench.json"]) == 0
    assert "onnx-float32/cpu" in capsys.readouterr().out
    assert cli.main(["bench", "--from", "bench.json", "--compare", "bench.json"]) == 0


def test_a_manifest_that_git_gave_other_line_ends_is_named_as_such(old: Path) -> None:
    manifest = old / "bundle" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(BundleError, match="line ends of Windows") as caught:
        open_bundle(old / "bundle")
    assert ".gitattributes" in caught.value.fix
