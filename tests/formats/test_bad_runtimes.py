"""Files of LiteRT and ncnn that are not what they should be, through the commands a user types."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the files are made with it")
pytest.importorskip("onnx")

import exported
from PIL import Image

from mnist_edge import cli
from mnist_edge.errors import BadInput
from mnist_edge.formats import FORMATS, load_backend
from mnist_edge.formats.format import Written
from mnist_edge.recipes.terms import Format

RUNNABLE: list[Format] = [name for name in ("litert", "ncnn") if not FORMATS[name].absent()]
NEEDS = "pip install 'mnist-edge[litert,ncnn]'"

pytestmark = pytest.mark.skipif(len(RUNNABLE) < 2, reason=NEEDS)

FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "halved": lambda data: data[: len(data) // 2],
    "cut by one byte": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "zeros behind its mark": lambda data: data[:8] + bytes(len(data) - 8),
    "an ONNX file": lambda data: exported.artifact("onnx", "float32"),
    "a web page": lambda data: b"<!DOCTYPE html><title>404</title>",
}


def files(format_: Format) -> Written:
    return exported.written(format_, "float32")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("format_", ["litert", "ncnn"])
@pytest.mark.parametrize("verb", ["predict", "doctor"])
def test_a_bad_file_is_one_clear_error(
    verb: str, format_: Format, fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written = files(format_)
    path = tmp_path / f"model{FORMATS[format_].suffix}"
    path.write_bytes(FAULTS[fault](written.data))
    for suffix, data in written.companions.items():
        path.with_suffix(suffix).write_bytes(data)
    picture = str(tmp_path / "one.png")
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(picture)
    words = ["predict", picture, "--model", str(path)] if verb == "predict" else ["doctor"]
    code = cli.main(words if verb == "predict" else [*words, str(path)])
    out, err = capfd.readouterr()
    if fault == "an ONNX file":  # which goes by what it is, not by its name
        assert (code, err.count("Error")) == (0, 0), err
        return
    assert code == 2, out + err
    assert out == ""
    assert len([line for line in err.splitlines() if line.strip()]) <= 3
    assert "Traceback" not in err


@pytest.mark.parametrize("format_", ["litert", "ncnn"])
def test_flipped_bits_never_end_the_process(format_: Format) -> None:
    rng, written = random.Random(1), files(format_)
    image = np.zeros((1, 1, 28, 28), np.float32)
    refused = 0
    for _ in range(300):
        data = bytearray(written.data)
        # The structure lies at both ends, the weights between them.
        place = rng.choice([rng.randrange(600), len(data) - 1 - rng.randrange(600)])
        data[place % len(data)] ^= 1 << rng.randrange(8)
        try:
            backend = load_backend(bytes(data), format_, companions=written.companions)
            backend.run(image)
            backend.close()
        except BadInput:
            refused += 1
    assert refused > 30


def test_weights_of_another_net_are_refused() -> None:
    written = files("ncnn")
    for data in (b"", written.companions[".bin"][:-4], written.companions[".bin"] + bytes(4)):
        with pytest.raises(BadInput, match=r"bytes of weights|buffer"):
            load_backend(written.data, "ncnn", companions={".bin": data})


def test_a_missing_companion_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.param").write_bytes(files("ncnn").data)
    assert cli.main(["doctor", str(tmp_path / "model.param")]) == 2
    assert "needs model.bin beside it" in capfd.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("format_", ["litert", "ncnn"])
def test_nothing_of_a_runtime_reaches_the_terminal(
    format_: Format, capfd: pytest.CaptureFixture[str]
) -> None:
    written = files(format_)
    backend = load_backend(written.data, format_, companions=written.companions)
    backend.run(np.zeros((3, 1, 28, 28), np.float32))
    backend.close()
    assert capfd.readouterr() == ("", "")
