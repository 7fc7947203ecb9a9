"""OpenVINO as a second runtime of our ONNX files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mnist_edge import cli
from mnist_edge.bundle.folder import SHIPPED_BUNDLES, open_bundle
from mnist_edge.contract import to_images
from mnist_edge.errors import UsageError
from mnist_edge.formats import FORMATS, Loading, load_backend, open_backend, run_by

pytestmark = pytest.mark.edge

SHIPPED = SHIPPED_BUNDLES[-1]


@pytest.fixture
def picture(tmp_path: Path) -> str:
    from drawn import draw

    draw(7).save(tmp_path / "seven.png")
    return str(tmp_path / "seven.png")


class TestInstalled:
    """Where its package is."""

    @pytest.fixture(autouse=True)
    def _needs_openvino(self) -> None:
        pytest.importorskip("openvino", reason="pip install 'mnist-edge[openvino]'")

    @pytest.mark.parametrize(("precision", "most"), [("float32", 2e-5), ("int8", 0.12)])
    def test_it_answers_as_onnx_runtime_does(self, precision: str, most: float) -> None:
        bundle = open_bundle(SHIPPED)
        artifact = bundle.artifact(f"onnx-{precision}")
        images = to_images(bundle.reference().images)
        with (
            open_backend(bundle, artifact) as usual,
            open_backend(bundle, artifact, Loading(runtime="openvino")) as other,
        ):
            assert (usual.name, other.name) == ("onnxruntime", "openvino")
            expected, given = usual.run(images), other.run(images)
            assert np.abs(given - expected).max() <= most  # of int8 one step is 0.112
            for count in (0, 1, 7, 64):
                np.testing.assert_allclose(other.run(images[:count]), given[:count], atol=1e-5)

    def test_verify_names_it(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        words = ["verify", "--backend", "openvino", "--json", "--out", str(tmp_path / "verify")]
        assert cli.main([*words, "--bundle", str(SHIPPED)]) == 0
        report = json.loads(capfd.readouterr().out)
        rows = [row for row in report["rows"] if row["source"] == "reference"]
        assert {row["artifact"] for row in rows} == {"onnx-float32", "onnx-int8"}
        assert all(row["backend"].startswith("openvino ") for row in rows)
        assert all(row["status"] == "equivalent" for row in rows)

    def test_predict_uses_it_and_prints_nothing_of_its_own(
        self, picture: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        words = ["predict", picture, "--bundle", str(SHIPPED), "--backend", "openvino"]
        for artifact in ("onnx-float32", "onnx-int8"):
            assert cli.main([*words, "--artifact", artifact, "-q"]) == 0
            out, err = capfd.readouterr()
            assert (out.count("\n"), err) == (1, "")
            assert "7" in out

    def test_damaged_files_are_refused(self) -> None:
        from mnist_edge.errors import BadInput

        data = open_bundle(SHIPPED).read(open_bundle(SHIPPED).artifact("onnx-int8"))
        for damaged in (b"", data[: len(data) // 2], bytes(len(data)), b"<html>"):
            with pytest.raises(BadInput):
                load_backend(damaged, "onnx", runtime="openvino")


def test_a_missing_package_is_told_by_the_extra(
    picture: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "mnist_edge.formats.onnx.openvino", raising=False)
    words = ["predict", picture, "--bundle", str(SHIPPED), "--backend", "openvino"]
    assert cli.main(words) == 2
    assert "[openvino]" in capfd.readouterr().err.replace("\n", "")


def test_what_it_does_not_run_is_refused_by_name(capfd: pytest.CaptureFixture[str]) -> None:
    bundle = open_bundle(SHIPPED)
    assert run_by(bundle, "openvino") == ("onnx-float32", "onnx-int8")
    with pytest.raises(UsageError, match="openvino runs onnx files alone"):
        run_by(bundle, "openvino", ["checkpoint-float32"])
    with pytest.raises(UsageError, match="openvino does not run ort files"):
        load_backend(b"", "ort", runtime="openvino")
    assert cli.main(["verify", "--backend", "tensorrt"]) == 2
    assert cli.main(["bench", "--backend", "tensorrt"]) == 2
    assert cli.main(["verify", "--thorough", "--backend", "openvino"]) == 2
    assert "Traceback" not in capfd.readouterr().err


def test_every_runtime_is_known_to_a_format() -> None:
    from typing import get_args

    from mnist_edge.recipes.terms import Runtime

    known = {runtime for format_ in FORMATS.values() for runtime in format_.runtimes}
    assert known == set(get_args(Runtime))
