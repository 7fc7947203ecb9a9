"""C files in a program of their own: two nets side by side, and a header of another net."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the files are made with it")
pytest.importorskip("onnx")

import exported
from recipe_graphs import digits

from mnist_edge.bundle.manifest import REJECT_BELOW, REJECT_TEMPERATURE
from mnist_edge.contract import Images
from mnist_edge.formats import Written, load_backend, write_artifact
from mnist_edge.predict import Predictor
from mnist_edge.recipes.terms import Precision

CC = shutil.which("cc") or ""
TEMPERATURE = 1.5
pytestmark = pytest.mark.skipif(not CC, reason="needs a C compiler")


@cache
def confidence() -> float:
    """What half of the pictures pass, so that both answers occur."""
    with closing(load_backend(exported.artifact("onnx", "float32"), "onnx")) as backend:
        powers = np.exp(backend.run(digits()).astype(np.float64) / TEMPERATURE)
    return float(np.median(powers.max(axis=1) / powers.sum(axis=1)))


TWO = """
#include <stdio.h>
#include "c-float32.h"
#include "c-int8.h"

int main(void)
{
    static float picture[SMALL_PICTURE], one[SMALL_WORKSPACE], other[SMALL_INT8_WORKSPACE];
    while (fread(picture, sizeof picture, 1, stdin) == 1)
        printf("%d %d %d %d\\n", small_class(picture, one), small_int8_class(picture, other),
               small_predict(picture, one), small_int8_predict(picture, other));
    return SMALL_CONFIDENCE == SMALL_INT8_CONFIDENCE ? 0 : 1;
}
"""


@pytest.fixture(scope="module", autouse=True)
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Built libraries go where the tests end."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def files(precision: Precision) -> Written:
    stated = {REJECT_BELOW: str(confidence()), REJECT_TEMPERATURE: str(TEMPERATURE)}
    origin = exported.METADATA | stated
    return write_artifact(exported.source(exported.model(), origin=origin), "c", precision)


@pytest.fixture(scope="module")
def nets() -> dict[Precision, Written]:
    return {"float32": files("float32"), "int8": files("int8")}


@pytest.fixture
def folder(nets: dict[Precision, Written], tmp_path: Path) -> Path:
    for precision, written in nets.items():
        (tmp_path / f"c-{precision}.c").write_bytes(written.data)
        (tmp_path / f"c-{precision}.h").write_bytes(written.companions[".h"])
    (tmp_path / "main.c").write_text(TWO)
    return tmp_path


def build(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [
        CC,
        "-O1",
        *flags,
        "-Wall",
        "-Wextra",
        "-Werror",
        "main.c",
        "c-float32.c",
        "c-int8.c",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def answers(written: Written, images: Images) -> list[tuple[int, int]]:
    """The class, and what `predict` says: -1 for no digit."""
    with Predictor(
        load_backend(written.data, "c"), reject_below=confidence(), reject_temperature=TEMPERATURE
    ) as predictor:
        given = [prediction.digit for prediction in predictor.predict_images(images)]
    with Predictor(load_backend(written.data, "c")) as predictor:
        classes = [prediction.digit for prediction in predictor.predict_images(images)]
    return [(int(c or 0), -1 if g is None else g) for c, g in zip(classes, given, strict=True)]


def test_two_precisions_link_into_one_program_and_answer_as_predict_does(
    nets: dict[Precision, Written], folder: Path
) -> None:
    done = build(folder)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run(
        [folder / "a.out"], input=digits().tobytes(), capture_output=True, check=True
    )
    rows = [tuple(map(int, line.split())) for line in ran.stdout.decode().splitlines()]
    whole, small = (answers(nets[p], digits()) for p in ("float32", "int8"))
    expected = [(w[0], s[0], w[1], s[1]) for w, s in zip(whole, small, strict=True)]
    assert rows == expected
    assert {row[2] == -1 for row in rows} == {True, False}


def test_a_header_of_another_net_does_not_link(folder: Path) -> None:
    header = (folder / "c-int8.h").read_text()
    start = header.index("_WORKSPACE ") + len("_WORKSPACE ")
    size = header[start:].split()[0]
    (folder / "c-int8.h").write_text(header.replace(size, str(int(size) + 16)))
    done = build(folder)
    assert done.returncode != 0
    assert f"small_int8_class_784_10_{int(size) + 16}" in done.stderr


def test_no_copy_of_a_few_bytes_is_a_call_without_a_library(folder: Path) -> None:
    command = [CC, "-O3", "-ffreestanding", "-S", "-o", "-", str(folder / "c-int8.c")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "memcpy" not in text
