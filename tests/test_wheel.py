"""The wheel in an environment of its own, with the base dependencies alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np
from factory import ROOT
from PIL import Image

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import MANIFEST
from mnist_edge.data.mnist import DataSet
from mnist_edge.formats.export import export_verified
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.train.session import train_bundle

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

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


@pytest.mark.parametrize("verb", ["export --format torchscript", "train"])
def test_a_verb_that_needs_torch_says_how_to_get_it(
    python: Path, bundle: Bundle, tmp_path: Path, verb: str
) -> None:
    done = subprocess.run(
        [str(python.parent / "mnist-edge"), *verb.split(), "--bundle", str(bundle.path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 2
    *warned, error = done.stderr.splitlines()
    assert "is not installed, but needed to" in error
    assert not warned
    # What is advised can be done, and takes the very wheel, not what an index has of that name.
    found = re.search(r"run pip install '(.*\.whl\[train\])'$", error)
    assert found, done.stderr
    pip = [str(python), "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--force-reinstall", found[1]], check=True)


# --- the shipped bundle, on a device without a network ------------------------------------------

SHIPPED = ROOT / "exports/default"
NO_NETWORK = """
import socket

def refuse(*_):
    raise OSError("there is no network in this test")

socket.socket.connect = socket.socket.connect_ex = refuse
"""


@dataclass(frozen=True)
class Device:
    """A user's machine with the wheel installed and its network off.

    Whatever a command writes lands in `work`, or it shows in `elsewhere`.
    """

    root: Path
    python: Path
    work: Path

    @property
    def package(self) -> Path:
        """Where the wheel was installed."""
        (package,) = self.python.parents[1].glob("**/site-packages/mnist_edge")
        return package

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the installed command offline, in `work`."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MNIST_EDGE", "ORT_", "PYTHON", "XDG_"))
        }
        environment |= {"HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp")}
        if not (prefix := _without_network()):
            environment["PYTHONPATH"] = str(self.root / "offline")
        return subprocess.run(
            [*prefix, self.python.parent / "mnist-edge", *words],
            capture_output=True,
            text=True,
            cwd=self.work,
            env=environment,
            timeout=240,
        )

    def elsewhere(self) -> dict[Path, tuple[int, int]]:
        """Size and time of every file in the home folder, for temporaries, and of the package."""
        files = (
            path
            for folder in (self.root / "home", self.root / "tmp", self.package)
            for path in folder.rglob("*")
        )
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@cache
def _without_network() -> tuple[str, ...]:
    """What to put before a command so that it has no network; empty where nothing may do that."""
    prefix = ("unshare", "--map-root-user", "--net")
    if not shutil.which(prefix[0]):
        return ()
    allowed = subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if allowed else ()


@pytest.fixture
def device(python: Path, tmp_path: Path) -> Device:
    if not (SHIPPED / MANIFEST).is_file():
        pytest.skip("no exports/default: make it with make default BUNDLE=exports/model")
    for name in ("home", "tmp", "work", "offline"):
        (tmp_path / name).mkdir()
    (tmp_path / "offline" / "sitecustomize.py").write_text(NO_NETWORK)
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 13:16] = 255
    Image.fromarray(digit).save(tmp_path / "work" / "1.png")
    return Device(tmp_path, python, tmp_path / "work")


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (("predict", "1.png"), False),
        (("predict", "1.png", "--artifact", "onnx-int8", "--json"), False),
        (("verify",), True),
        (("bench", "--quick"), True),
        (("doctor",), False),
    ],
    ids=["predict", "predict int8", "verify", "bench", "doctor"],
)
def test_the_shipped_bundle_works_offline_and_nothing_is_written_elsewhere(
    device: Device, words: tuple[str, ...], written: bool
) -> None:
    elsewhere, work = device.elsewhere(), set(device.work.rglob("*"))
    done = device.run(*words)
    assert done.returncode == 0, done.stderr
    assert f"bundle: {device.package / 'exports/default'}\n" in done.stderr
    assert "onnx-float32" in done.stdout or words[0] == "predict"
    assert device.elsewhere() == elsewhere
    new = set(device.work.rglob("*")) - work
    assert bool(new) == written
    assert {path.relative_to(device.work).parts[0] for path in new} <= {"benchmarks"}


@pytest.mark.parametrize(
    "words", [("predict", "1.png"), ("verify",), ("bench", "--quick"), ("doctor",)], ids=" ".join
)
def test_a_packed_bundle_answers_offline_and_advises_nothing_that_cannot_be_done(
    device: Device, words: tuple[str, ...]
) -> None:
    packed = device.run("pack", "--artifact", "onnx-int8", "--out", "slim")
    assert packed.returncode == 0, packed.stderr
    done = device.run(*words, "--bundle", "slim")
    assert done.returncode == 0, done.stderr
    for verb in ("train", "export", "import"):
        assert f"mnist-edge {verb}" not in done.stdout + done.stderr


def test_the_shipped_bundle_names_a_digit(device: Device) -> None:
    done = device.run("predict", "1.png", "--quiet")
    assert done.stdout.startswith("1.png: 1  ")


def test_the_shipped_bundle_is_not_written_to(device: Device) -> None:
    before = device.elsewhere()
    done = device.run("export", "--format", "onnx")
    assert done.returncode == 2
    assert "is a bundle that comes with mnist-edge" in done.stderr
    assert device.elsewhere() == before


def test_the_network_is_off_in_these_tests(device: Device) -> None:
    # A verb that reaches for the network would be seen: without that, they would prove nothing.
    script = "import socket; socket.create_connection(('1.1.1.1', 53), timeout=5)"
    environment = {**os.environ, "PYTHONPATH": str(device.root / "offline")}
    command = [*_without_network(), str(device.python), "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert "OSError" in done.stderr


@pytest.mark.skipif(not (SHIPPED / MANIFEST).is_file(), reason="no exports/default to carry")
def test_a_wheel_made_of_the_source_archive_carries_the_shipped_bundles(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    carried = {
        name.removeprefix("mnist_edge/exports/"): archive.read(name)
        for archive in [zipfile.ZipFile(wheel)]
        for name in archive.namelist()
        if name.startswith("mnist_edge/exports/")
    }
    assert carried == {
        f"{folder.name}/{path.name}": path.read_bytes()
        for folder in (SHIPPED, SHIPPED.with_name("large"))
        for path in folder.iterdir()
    }
