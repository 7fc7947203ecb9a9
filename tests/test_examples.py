"""The examples do what they say."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from factory import ROOT
from PIL import Image

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.cli import main
from mnist_edge.contract import to_images

EXAMPLES = ROOT / "examples"
SHIPPED = ROOT / "exports" / "default"


def drawn(digit: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A digit of the reference of the shipped net."""
    reference = open_bundle(SHIPPED).reference()
    image: np.ndarray[Any, np.dtype[np.uint8]] = reference.images[reference.labels == digit][0]
    return image


def png(digit: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(drawn(digit)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def service() -> ModuleType:
    spec = importlib.util.spec_from_file_location("service", EXAMPLES / "service.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def post(service: ModuleType, *parts: bytes) -> tuple[int, dict[str, Any]]:
    """What the service answers to a body that arrives in parts."""
    sent: list[dict[str, Any]] = []
    messages = iter(
        [{"body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(service.app({"type": "http"}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.edge
@pytest.mark.parametrize("digit", [3, 7])
def test_the_service_names_the_digit_in_a_picture(service: ModuleType, digit: int) -> None:
    body = png(digit)
    status, said = post(service, body[:100], body[100:])
    assert (status, said["digit"]) == (200, digit)
    assert said["probability"] > 0.5


@pytest.mark.edge
def test_the_service_refuses_what_is_no_picture_or_too_long(service: ModuleType) -> None:
    assert post(service, b"no picture")[0] == 400
    assert post(service, *[bytes(service.MOST_BYTES)] * 2)[0] == 413


@pytest.mark.edge
def test_the_service_has_thirty_lines() -> None:
    code = (EXAMPLES / "service.py").read_text().split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 36


@pytest.mark.edge
def test_the_c_plus_plus_program_names_digits(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="exporting needs it")
    if not (shutil.which("gcc") and shutil.which("g++")):
        pytest.skip("needs gcc and g++")
    words = ["export", "--bundle", str(SHIPPED), "--format", "c", "--precision", "int8"]
    assert main([*words, "--out", str(tmp_path / "net"), "--no-verdict", "--quiet"]) == 0
    include = f"-I{tmp_path / 'net'}"
    commands = (
        ["gcc", "-O1", "-c", str(tmp_path / "net" / "c-int8.c"), "-o", "c-int8.o"],
        ["g++", "-O1", "-Wall", "-Wextra", "-Werror", include, str(EXAMPLES / "cpp/main.cpp")],
    )
    subprocess.run(commands[0], cwd=tmp_path, check=True)
    subprocess.run([*commands[1], "c-int8.o"], cwd=tmp_path, check=True)
    for digit in (0, 4, 9):
        picture = to_images(drawn(digit)[np.newaxis]).tobytes()
        done = subprocess.run([tmp_path / "a.out"], input=picture, capture_output=True, check=True)
        assert done.stdout.decode() == f"{digit}\n"


@pytest.mark.slow
def test_the_ray_job_names_the_digits_in_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray Data: make docs installs it")
    (tmp_path / "pictures").mkdir()
    for digit in (1, 5):
        (tmp_path / "pictures" / f"{digit}.png").write_bytes(png(digit))
    run(tmp_path, str(EXAMPLES / "ray_batches.py"), "pictures", "out")
    text = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    found = dict(line.split(",")[:2] for line in text.splitlines() if ".png" in line)
    assert {Path(path).stem: digit for path, digit in found.items()} == {"1": "1", "5": "5"}


@pytest.mark.slow
@pytest.mark.real_data
def test_the_notebook_runs(tmp_path: Path, mnist_dir: Path) -> None:
    pytest.importorskip("torch", reason="trains")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: make docs installs it")
    import nbformat

    text = (EXAMPLES / "train_and_export.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, resources=resources).execute()
    (answers,) = (out["data"]["text/plain"] for out in notebook.cells[-1].outputs)
    pairs = eval(answers)
    assert sum(answer == label for answer, label in pairs) >= 9


def run(folder: Path, *words: str) -> None:
    import os

    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
