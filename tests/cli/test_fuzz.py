"""Thousands of damaged bundles: no crash, no hang, and none of them is accepted."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from factory import ROOT, make_bundle, make_reference, read_all
from PIL import Image
from tiny_onnx import tiny_onnx

from mnist_edge.bundle.golden import pack_golden, unpack_golden
from mnist_edge.bundle.manifest import MANIFEST
from mnist_edge.bundle.storage import unseal
from mnist_edge.errors import BadInput, BundleError
from mnist_edge.formats.onnx.run import OrtBackend

pytestmark = pytest.mark.edge

IN_PROCESS = 2000
BY_COMMAND = 50


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", {"onnx-float32": tiny_onnx()}).path


def damaged(good: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Other bytes than `good`: as disks, networks, editors and attackers leave them."""
    while True:
        bad = bytearray(good)
        start = rng.randrange(len(bad))
        stop = min(len(bad), start + rng.choice((1, 2, 8, 100, 4096)))
        match rng.randrange(8):
            case 0:
                bad[start] ^= 1 << rng.randrange(8)
            case 1:
                del bad[start:]
            case 2:
                del bad[start:stop]
            case 3:
                bad[start:start] = rng.randbytes(stop - start)
            case 4:
                bad[start:stop] = rng.randbytes(stop - start)
            case 5:
                bad[start:stop] = bytes(stop - start)
            case 6:
                bad[start:start] = bad[start:stop]
            case _:
                bad = bytearray(rng.choice(others))
        if bad != good:
            return bytes(bad)


def mutations(bundle: Path, count: int) -> Iterator[str]:
    """Damage one file after the other, and mend it again; yields its name while it is damaged."""
    rng = random.Random(0)
    contents = {path.name: path.read_bytes() for path in sorted(bundle.iterdir())}
    for number in range(count):
        # Each in turn: a manifest is as likely as the largest file.
        name = list(contents)[number % len(contents)]
        others = [content for other, content in contents.items() if other != name]
        (bundle / name).write_bytes(damaged(contents[name], others, rng))
        yield name
        (bundle / name).write_bytes(contents[name])


@pytest.mark.timeout(120)
def test_no_damaged_bundle_is_accepted(bundle: Path) -> None:
    for name in mutations(bundle, IN_PROCESS):
        with pytest.raises(BundleError) as caught:
            read_all(bundle)
        assert name in caught.value.what
    read_all(bundle)


# One process for all: a crash would end it, whichever command it comes from.
_SHELL = """
import sys
from mnist_edge.cli import main
for line in sys.stdin:
    print("code", main(line.split()), file=sys.stderr)
"""

_COMMANDS = (
    "predict one.png --artifact onnx-float32",
    "doctor",
    "verify --artifact onnx-float32 --out report.json",
    "bench --quick --artifact onnx-float32 --out report.json",
)
_READ_BY_PREDICT = {MANIFEST, "onnx-float32.onnx"}


@pytest.mark.timeout(120)
def test_no_command_crashes_hangs_or_works_on_a_damaged_bundle(bundle: Path) -> None:
    folder = bundle.parent
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    Image.fromarray(pixels).save(folder / "one.png")
    damaged_files, lines = [], []
    for number, name in enumerate(mutations(bundle, BY_COMMAND)):
        shutil.copytree(bundle, folder / str(number))
        command = _COMMANDS[number // 5 % 4 if name in _READ_BY_PREDICT else 1 + number % 3]
        damaged_files.append(name)
        lines.append(f"{command} --bundle {number}\n")
    done = subprocess.run(
        [sys.executable, "-c", _SHELL],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input="".join(lines),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    said = done.stderr.splitlines()
    assert said[1::2] == ["code 2"] * BY_COMMAND
    for name, line, error in zip(damaged_files, lines, said[::2], strict=True):
        assert error.startswith("mnist-edge: error: "), line
        assert name in error, line
    assert not (folder / "report.json").exists()


@pytest.mark.timeout(120)
def test_a_model_that_a_hostile_manifest_vouches_for_cannot_crash_the_runtime() -> None:
    good = tiny_onnx()
    rng = random.Random(1)
    image = np.full((1, 1, 28, 28), 0.5, np.float32)
    refused = 0
    for _ in range(500):
        try:
            OrtBackend(damaged(good, [b"", b"<html>"], rng)).run(image)
        except BadInput:
            refused += 1
    assert 250 < refused < 500


def test_golden_vectors_are_read_or_refused_whatever_they_hold() -> None:
    reference = make_reference()
    good = pack_golden(reference.images, reference.logits).encode()
    rng = random.Random(2)
    refused = 0
    for _ in range(500):
        try:
            images, logits = unpack_golden(damaged(good, [b"{}"], rng).decode(errors="replace"))
        except BadInput:
            refused += 1
        else:
            assert images.shape == (len(logits), 28, 28)
            assert np.isfinite(logits).all()
    assert refused > 300


def test_a_manifest_without_its_seal_is_taken_and_with_another_refused(bundle: Path) -> None:
    path = bundle / MANIFEST
    document = json.loads(unseal(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(document), encoding="utf-8")
    read_all(bundle)
    document["sha256"] = "0" * 64
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    with pytest.raises(BundleError, match="its digest is another"):
        read_all(bundle)
