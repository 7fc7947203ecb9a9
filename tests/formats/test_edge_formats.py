"""Phones, boards and browsers from the shipped net, in an environment without torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="what writes them reads the graph with it")

from mnist_edge import cli
from mnist_edge.bundle.folder import SHIPPED_BUNDLES, open_bundle
from mnist_edge.contract import to_images
from mnist_edge.formats import FORMATS, open_backend
from mnist_edge.recipes.terms import Format

pytestmark = pytest.mark.edge

CASES: list[tuple[Format, str]] = [
    (name, precision)
    for name in ("litert", "ncnn", "web")
    for precision in FORMATS[name].precisions
]


@pytest.mark.parametrize(("format_", "precision"), CASES)
def test_the_shipped_net_is_exported_run_and_named(
    format_: Format, precision: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if reason := FORMATS[format_].absent():
        pytest.skip(reason)
    from drawn import draw

    words = ["export", "--format", format_, "--precision", precision, "--out", str(tmp_path / "o")]
    assert cli.main([*words, "--bundle", str(SHIPPED_BUNDLES[-1])]) == 0
    bundle = open_bundle(tmp_path / "o")
    artifact = bundle.artifact(f"{format_}-{precision}")
    images = to_images(bundle.reference().images[:40])
    with open_backend(bundle, artifact) as backend:
        logits = backend.run(images)
        for count in (1, 7):
            np.testing.assert_allclose(backend.run(images[:count]), logits[:count], atol=1e-5)
    assert (logits.argmax(axis=1) == bundle.reference().labels[:40]).mean() > 0.9
    draw(7).save(tmp_path / "7.png")
    capfd.readouterr()
    predict = ["predict", str(tmp_path / "7.png"), "--json", "--artifact", artifact.name]
    assert cli.main([*predict, "--bundle", str(tmp_path / "o")]) == 0
    assert json.loads(capfd.readouterr().out)["answers"][0]["digit"] == 7
