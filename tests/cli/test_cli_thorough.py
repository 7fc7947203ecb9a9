"""`verify --thorough` and the verdict of `export`, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge.bundle.folder import Reference
from mnist_edge.cli import main
from mnist_edge.contract import to_images

pytestmark = pytest.mark.edge

Call = Callable[..., int]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> int:
        return main(words)

    return run


def bundle(folder: Path, change: float = 0.0) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    logits = to_images(images).reshape(20, -1).astype(np.float64) @ weight_matrix()
    reference = Reference(images=images, labels=logits.argmax(axis=1), logits=logits)
    files = {"onnx-float32": tiny_onnx(weight_matrix() + np.float32(change))}
    return make_bundle(folder, files, reference=reference).path


def test_a_thorough_verification_writes_a_report_and_a_page(
    tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bundle(tmp_path / "b")
    words = ("--bundle", str(path), "--artifact", "onnx-float32", "--out", "t.json")
    assert call("verify", "--thorough", *words) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].startswith("may be shipped: onnx-float32")
    assert "wrote t.json and t.md" in said.err
    report = json.loads((tmp_path / "t.json").read_text())
    assert len(report["artifacts"][0]["matrix"]["settings"]) == 48
    assert (tmp_path / "t.md").read_text().startswith("# May these files be shipped? Bundle b")


def test_an_artifact_that_may_not_be_shipped_ends_with_1(
    tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bundle(tmp_path / "b", change=0.5)
    words = ("--bundle", str(path), "--artifact", "onnx-float32", "--out", "t.json")
    assert call("verify", "--thorough", *words) == 1
    assert "do not ship: onnx-float32: reference: largest error" in capsys.readouterr().out
