"""What the import contracts cannot see: what a command loads, and the tree of errors."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn import draw
from factory import make_bundle

import mnist_edge
from mnist_edge import errors
from mnist_edge.errors import MnistEdgeError

pytestmark = pytest.mark.edge

PACKAGE = Path(mnist_edge.__file__).parent
TRAINING = {"torch", "torchvision", "onnx", "onnxscript", "matplotlib", "safetensors"}
HEAVY = TRAINING | {"numpy", "onnxruntime", "PIL", "rich", "pydantic"}


def loaded_by(*words: str, cwd: Path) -> set[str]:
    """The modules in `sys.modules` after one command."""
    script = (
        "import json, sys\n"
        "from mnist_edge.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded_by("--help", cwd=tmp_path) & HEAVY


@pytest.mark.parametrize("verb", ["run", "train", "export", "verify", "bench", "doctor", "predict"])
def test_the_help_of_a_verb_loads_nothing_heavy(verb: str, tmp_path: Path) -> None:
    assert not loaded_by(verb, "--help", cwd=tmp_path) & HEAVY


def test_the_version_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded_by("--version", cwd=tmp_path) & HEAVY


def test_predict_loads_no_training_package(tmp_path: Path) -> None:
    # The runtime refuses these bytes, but by then all that predict needs is loaded.
    make_bundle(tmp_path / "bundle", {"onnx-float32": b"no graph"})
    loaded = loaded_by("predict", "7.png", "--bundle", "bundle", cwd=tmp_path)
    assert not loaded & (TRAINING | {"rich", "pydantic", "typer", "mnist_edge.cli.train"})
    assert {"numpy", "onnxruntime"} <= loaded


@pytest.mark.skipif(np.__version__ < "2", reason="NumPy itself imported them")
def test_a_prediction_does_not_wait_for_masked_arrays(tmp_path: Path) -> None:
    draw(7).save(tmp_path / "7.png")
    assert "numpy.ma" not in loaded_by("predict", "7.png", cwd=tmp_path)


def test_verify_and_bench_load_no_training_package(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", {"onnx-float32": b"no graph"})
    for verb in ("verify", "bench"):
        words = (verb, "--bundle", "bundle", "--artifact", "onnx-float32", "--quiet")
        assert not loaded_by(*words, cwd=tmp_path) & TRAINING, verb


def descendants(kind: type[MnistEdgeError]) -> Iterator[type[MnistEdgeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def drawn_tree() -> dict[str, str]:
    """Each error named in the docstring of `errors`, with its parent."""
    parents: dict[str, str] = {}
    column: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        words = line.strip(" │├└─").split()
        if not words or not words[0].isidentifier() or not hasattr(errors, words[0]):
            continue
        depth = line.index(words[0])
        column[depth] = words[0]
        above = [known for known in column if known < depth]
        parents[words[0]] = column[max(above)] if above else "Exception"
    return parents


def test_the_tree_of_errors_is_the_one_that_is_drawn() -> None:
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in descendants(MnistEdgeError)}
    assert drawn_tree() == {"MnistEdgeError": "Exception", **real}


def test_only_a_verdict_has_exit_code_1() -> None:
    codes = {kind.__name__: kind.exit_code for kind in descendants(MnistEdgeError)}
    assert codes.pop("NotEquivalent") == 1
    assert set(codes.values()) == {2}


def test_every_error_comes_from_the_tree() -> None:
    # An exception class of its own elsewhere would reach the user as a bug.
    strangers = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith(("Exception", "Error")) for base in node.bases)
        and path.name != "errors.py"
    ]
    assert strangers == ["cli/signals.py: Stopped"]


def test_only_the_mouth_knows_the_terminal() -> None:
    for path in modules():
        found = {name.partition(".")[0] for name in imports(path)}
        if "cli" not in path.parts:
            assert "typer" not in found, path
            assert "rich" not in found or path.parent.name == "render", path
        assert "click" not in found, f"{path}: typer brings its own"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_page_names_every_entry_of_the_package_and_every_layer() -> None:
    page = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    entries = [path for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "exports")]
    assert len(entries) <= 24
    for path in entries:
        name = path.name + "/" * path.is_dir()
        assert f"`{name}`" in page, name
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    listed = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    places = [name.strip("/`").removesuffix(".py") for row in listed for name in row.split(", ")]
    order = [name for layer in layers for name in layer.split(" | ")]
    assert sorted(places) == sorted(order)
    above = {name: number for number, layer in enumerate(layers) for name in layer.split(" | ")}
    assert [above[name] for name in places] == sorted(above[name] for name in places)
