"""The wheel in an environment of its own, with the base dependencies alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np
from PIL import Image

from mnist_edge.bundle import Bundle
from mnist_edge.data import DataSet
from mnist_edge.recipes import ExportRecipe, TrainRecipe
from mnist_edge.workflow import export_verified, train_bundle

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[1]
RECIPE = TrainRecipe(
    name="tiny", architecture="compact", widths=(4, 8), epochs=3, batch_size=32, learning_rate=0.01
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("mnist_edge-*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    return python


@pytest.fixture(scope="module")
def bundle(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What a user would copy to the device."""
    folder = tmp_path_factory.mktemp("bundles") / "model"
    trained = train_bundle(RECIPE, digits, folder, device="cpu", threads=1)
    # A net of a few steps is not what int8 is judged by; that it runs is what counts here.
    recipe = ExportRecipe(
        formats=("onnx",), precisions=("float32", "int8-dynamic"), allow_mismatch=True
    )
    return export_verified(trained, recipe)[0]


def said_by(python: Path, *words: str | Path, cwd: Path) -> str:
    command = [python.parent / "mnist-edge", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_environment_has_no_torch(python: Path, tmp_path: Path) -> None:
    script = (
        "from importlib.util import find_spec\n"
        "print([name for name in ('torch', 'onnx', 'matplotlib') if find_spec(name)])"
    )
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_the_installed_command_prints_help_and_version(python: Path, tmp_path: Path) -> None:
    assert "predict" in said_by(python, "--help", cwd=tmp_path)
    assert said_by(python, "--version", cwd=tmp_path).startswith("mnist-edge ")


@pytest.mark.parametrize("artifact", ["onnx-float32", "onnx-int8-dynamic"])
def test_a_picture_is_named_without_torch(
    python: Path, bundle: Bundle, tmp_path: Path, artifact: str
) -> None:
    reference = bundle.reference()
    Image.fromarray(reference.images[0]).save(tmp_path / "digit.png")
    words = ("--bundle", bundle.path, "--artifact", artifact, "--allow-mismatch", "--json")
    document = json.loads(said_by(python, "predict", "digit.png", *words, cwd=tmp_path))
    (answer,) = document["answers"]
    assert answer["status"] == "digit"
    if artifact == "onnx-float32":
        assert answer["digit"] == int(np.argmax(reference.logits[0]))


def test_a_verb_that_needs_torch_says_how_to_get_it(
    python: Path, bundle: Bundle, tmp_path: Path
) -> None:
    done = subprocess.run(
        [str(python.parent / "mnist-edge"), "export", "--bundle", str(bundle.path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "pip install" in done.stderr
    assert done.stderr.count("\n") == 1
