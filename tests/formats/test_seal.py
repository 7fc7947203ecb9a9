"""A file that left its bundle is held against the digest that it carries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn import draw
from factory import ROOT
from tiny_onnx import tiny_onnx

from mnist_edge.cli import main
from mnist_edge.errors import BadInput, DigestMismatch
from mnist_edge.formats import FORMATS
from mnist_edge.formats.format import FileFormat
from mnist_edge.formats.onnx.header import with_metadata
from mnist_edge.formats.seal import KEY, OPEN, check_seal, sealed
from mnist_edge.recipes.terms import Format, Precision

pytestmark = pytest.mark.edge

STATED = {"producer": "mnist-edge", "format": "onnx", "precision": "float32"}
ONNX = FORMATS["onnx"]


def own() -> bytes:
    """A small file with a seal."""
    return sealed(with_metadata(tiny_onnx(), STATED | {KEY: OPEN}))


def flipped(data: bytes, bits: Iterator[int]) -> Iterator[bytes]:
    for bit in bits:
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        yield bytes(bad)


def chosen(data: bytes, count: int) -> Iterator[int]:
    """Some bits of a file, and all of its seal."""
    seal = data.index(OPEN[:10].encode())
    yield from range(8 * (seal - 8), 8 * (seal + len(OPEN)))
    yield from random.Random(0).sample(range(8 * len(data)), count)


def assert_every_flip_is_found(format_: FileFormat, good: bytes, count: int) -> None:
    assert check_seal(good)
    assert format_.whole_header(good).metadata[KEY].startswith(OPEN[:10])
    for data in flipped(good, chosen(good, count)):
        with pytest.raises((DigestMismatch, BadInput)):
            format_.whole_header(data)


def test_no_flipped_bit_is_let_through() -> None:
    assert_every_flip_is_found(ONNX, own(), 2_000)


@pytest.mark.parametrize(
    ("format_", "precision"),
    [
        (name, precision)
        for name in ("onnx", "ort", "litert", "web")
        for precision in ("float32", "int8")
        if precision in FORMATS[name].precisions
    ],
)
def test_no_flipped_bit_of_what_export_writes_is_let_through(
    format_: Format, precision: Precision
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    import exported

    from mnist_edge.formats import write_artifact

    written = write_artifact(exported.source(exported.model()), format_, precision)
    assert_every_flip_is_found(FORMATS[format_], written.data, 60)


def test_a_file_of_before_has_none_and_is_read() -> None:
    before = with_metadata(tiny_onnx(), STATED)
    assert not check_seal(before)
    assert sealed(before) == before
    assert ONNX.whole_header(before).metadata == STATED
    for path in (ROOT / "tests" / "compatibility").rglob("*.onnx"):
        assert ONNX.whole_header(path.read_bytes()).metadata["producer"] == "mnist-edge"


def test_two_seals_are_none() -> None:
    with pytest.raises(DigestMismatch):
        check_seal(own() + own())


@pytest.mark.parametrize("verb", ["predict", "doctor"])
def test_the_command_line_refuses_a_changed_file(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    draw(7).save(tmp_path / "7.png")
    words = {
        "predict": ["predict", str(tmp_path / "7.png"), "--model", str(path)],
        "doctor": ["doctor", str(path)],
    }[verb]
    path.write_bytes(own())
    assert main(words) == 0
    bad = bytearray(own())
    bad[len(bad) // 2] ^= 1  # the last bit of a weight, that changes no answer
    path.write_bytes(bad)
    assert main(words) == 2
    assert "damaged: its digest, which it carries, is another; copy it again" in (
        capsys.readouterr().err
    )
