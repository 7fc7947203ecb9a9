"""`export --out`: of any bundle, also the shipped one, and with the base dependencies alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from factory import ROOT, make_bundle, names, read_all

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.errors import MissingDependency, UsageError
from mnist_edge.formats import FORMATS
from mnist_edge.formats.c.compiler import Compiler, find_compiler
from mnist_edge.formats.export import export_verified
from mnist_edge.recipes.export import ExportRecipe

pytestmark = pytest.mark.edge

SHIPPED = ROOT / "exports" / "default"
C = ExportRecipe(formats=("c",), precisions=("float32", "int8"))
INT8 = ExportRecipe(formats=("onnx",), precisions=("int8",))

BASE = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
hidden = lambda name: name.split(".")[0] in ("torch", "onnx", "google", "safetensors", "filelock")
PathFinder.find_spec = lambda name, *rest: None if hidden(name) else find(name, *rest)
from mnist_edge.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def compiler() -> Compiler:
    try:
        return find_compiler()
    except MissingDependency as error:
        pytest.skip(str(error))


def test_the_shipped_net_becomes_two_c_files_that_test_themselves(
    tmp_path: Path, compiler: Compiler
) -> None:
    words = ("export", "--format", "c", "--precision", "float32", "--precision", "int8")
    done = on_the_base_install(tmp_path, *words, "--out", "out", "--no-verdict")
    assert done.returncode == 0, done.stderr
    for name in ("c-float32", "c-int8"):
        source = tmp_path / "out" / f"{name}.c"
        command = [
            *compiler.command,
            "-O1",
            "-DMNIST_EDGE_SELFTEST",
            str(source),
            "-o",
            "test",
            "-lm",
        ]
        subprocess.run(command, check=True, cwd=tmp_path)
        subprocess.run([str(tmp_path / "test")], check=True)


def test_without_torch_the_files_are_those_that_torch_gives(tmp_path: Path) -> None:
    # int8 comes from the artifact of the bundle in both cases; float32 from it, or from torch.
    words = ("export", "--format", "onnx", "--precision", "int8", "--out", "out", "--no-verdict")
    assert on_the_base_install(tmp_path, *words).returncode == 0
    there = (SHIPPED / "onnx-int8.onnx").read_bytes()
    assert (tmp_path / "out" / "onnx-int8.onnx").read_bytes() == there


def test_what_needs_torch_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    done = on_the_base_install(tmp_path, "export", "--format", "torchscript", "--out", "out")
    assert done.returncode == 2
    assert "torch is not installed" in done.stderr
    assert names(tmp_path) == set()


def test_what_needs_onnx_says_so_and_names_its_extra(tmp_path: Path) -> None:
    words = ("export", "--format", "onnx", "--precision", "float16", "--out", "out")
    done = on_the_base_install(tmp_path, *words)
    assert done.returncode == 2
    assert "onnx is not installed" in done.stderr
    assert "[onnx]" in done.stderr
    assert names(tmp_path) == set()


def test_what_cannot_be_made_here_is_named_in_one_line(tmp_path: Path) -> None:
    done = on_the_base_install(tmp_path, "export", "--out", "out", "--quiet")
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: left out: torchscript and pt2, which need torch; run pip")
    written = {artifact.format for artifact in open_bundle(tmp_path / "out").manifest.artifacts}
    defaults = {name for name, known in FORMATS.items() if known.precisions and known.default}
    assert written - {"checkpoint"} == defaults - {"torchscript", "pt2"}


def test_the_bundle_that_is_exported_stays_as_it_is(tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in SHIPPED.iterdir()}
    exported, written = export_verified(open_bundle(SHIPPED), INT8, out=tmp_path / "out")
    assert {path.name: path.read_bytes() for path in SHIPPED.iterdir()} == before
    assert [artifact.name for artifact in written] == ["onnx-int8"]
    assert read_all(exported.path).manifest.artifact("onnx-int8").parity.passed


def test_a_second_export_adds_to_the_first(tmp_path: Path) -> None:
    shipped = open_bundle(SHIPPED)
    export_verified(shipped, INT8, out=tmp_path)
    again = ExportRecipe(formats=("ort",), precisions=("int8",))
    exported, _ = export_verified(shipped, again, out=tmp_path)
    names_ = {artifact.name for artifact in exported.manifest.artifacts}
    assert names_ == {"checkpoint-float32", "onnx-int8", "ort-int8"}


def test_where_no_digits_are_left_the_ranges_come_from_drawn_ones_and_the_file_says_so(
    tmp_path: Path,
) -> None:
    onnx = pytest.importorskip("onnx", reason="quantizing needs it")
    shutil.copytree(SHIPPED, tmp_path / "b")
    (tmp_path / "b" / "onnx-int8.onnx").unlink()
    exported, _ = export_verified(open_bundle(tmp_path / "b"), INT8, out=tmp_path / "out")
    data = exported.read(exported.artifact("onnx-int8"))
    metadata = {p.key: p.value for p in onnx.load_model_from_string(data).metadata_props}
    assert metadata["calibration_digits"].startswith("drawn")


def test_the_shipped_bundle_is_not_written_into(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stays as it is") as caught:
        export_verified(open_bundle(SHIPPED), INT8)
    assert "--out" in caught.value.fix


def test_another_net_or_something_else_is_not_written_over(tmp_path: Path) -> None:
    make_bundle(tmp_path / "other")
    with pytest.raises(UsageError, match="other weights"):
        export_verified(open_bundle(SHIPPED), INT8, out=tmp_path / "other")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        export_verified(open_bundle(SHIPPED), INT8, out=tmp_path / "mine")
    assert names(tmp_path / "mine") == {"letter.txt"}


def on_the_base_install(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the command line, on a machine that has neither torch nor onnx."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MNIST_EDGE_DATA": ""}
    return subprocess.run(
        [sys.executable, "-c", BASE, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
