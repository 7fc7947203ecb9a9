"""Pipes and devices where a file is expected: refused or passed over, never waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle
from PIL import Image
from tiny_onnx import tiny_onnx

from mnist_edge import cli
from mnist_edge.bundle.storage import open_file, read_file
from mnist_edge.picture.files import find_pictures

pytestmark = [
    pytest.mark.edge,
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system"),
    # Whoever waits for a pipe waits for ever.
    pytest.mark.timeout(60),
]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody writes to, under a name that a picture might have."""
    os.mkfifo(tmp_path / "scans.png")
    return tmp_path / "scans.png"


@pytest.fixture
def place(tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a bundle and one picture of a one."""
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    Image.fromarray(pixels).save("one.png")
    make_bundle(tmp_path / "bundle", {"onnx-float32": tiny_onnx()})
    return tmp_path


def piped(folder: Path, name: str) -> str:
    """A pipe of that name in a folder, in the place of what was there."""
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    return str(folder / name)


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "a picture": lambda p: ["predict", "scans.png", "--bundle", "bundle"],
    "a device": lambda p: ["predict", "/dev/zero", "--bundle", "bundle"],
    "a model": lambda p: ["predict", "one.png", "--model", piped(p, "model.onnx")],
    "a file to examine": lambda p: ["doctor", piped(p, "model.onnx")],
    "an artifact": lambda p: [
        "predict",
        "one.png",
        "--bundle",
        str(Path(piped(p / "bundle", "onnx-float32.onnx")).parent),
    ],
    "a reference": lambda p: [
        "verify",
        "--bundle",
        str(Path(piped(p / "bundle", "reference.npz")).parent),
    ],
    "a manifest": lambda p: ["verify", "--bundle", str(Path(piped(p, "manifest.json")).parent)],
    "a report to show": lambda p: ["bench", "--from", "scans.png"],
    "a report to compare with": lambda p: ["bench", "--from", "scans.png", "--compare", "x"],
    "a report on the page": lambda p: ["report", "--bundle", "bundle", "--bench", "scans.png"],
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_pipe_or_a_device_in_place_of_a_file_is_one_clear_error(
    place: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(COMMANDS[case](place))
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("mnist-edge: error: ")
    assert err.count("\n") == 1


def test_weights_that_are_a_pipe_are_refused(place: Path) -> None:
    pytest.importorskip("torch")
    from mnist_edge.errors import BadInput
    from mnist_edge.recipes.catalogue import RECIPES
    from mnist_edge.train.importing import import_weights

    with pytest.raises(BadInput, match="a pipe or a device"):
        import_weights(Path("scans.png"), RECIPES["lenet"])


def test_a_pipe_in_a_folder_of_pictures_is_passed_over(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "folder").mkdir()
    (place / "one.png").rename(place / "folder" / "one.png")
    (place / "scans.png").rename(place / "folder" / "scans.png")
    assert find_pictures(["folder"]) == [Path("folder/one.png")]
    assert cli.main(["predict", "folder", "--bundle", "bundle"]) == 0
    assert capsys.readouterr().out.startswith("folder/one.png: ")


def test_data_that_are_a_pipe_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mnist_edge.data.mnist import MNIST_FILES

    for name in MNIST_FILES:
        os.mkfifo(tmp_path / name)
    make_bundle(tmp_path / "bundle", {"onnx-float32": tiny_onnx()})
    monkeypatch.chdir(tmp_path)
    assert cli.main(["verify", "--bundle", "bundle", "--data-dir", str(tmp_path)]) == 2
    assert "no readable MNIST" in capsys.readouterr().err


def test_what_is_no_regular_file_is_refused_by_the_one_reader(tmp_path: Path, pipe: Path) -> None:
    for odd in (pipe, Path("/dev/null"), tmp_path, tmp_path / "absent"):
        for read in (lambda path: read_file(path, most=10), open_file):
            with pytest.raises(OSError, match=r"pipe or a device|directory"):
                read(odd)


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert read_file(tmp_path / "file", most=10) == b"0123456789"
    with pytest.raises(OSError, match="longer than 9 bytes"):
        read_file(tmp_path / "file", most=9)


def test_a_file_without_an_end_is_refused() -> None:
    # Regular, of no size, and yet full: as files that a kernel makes up.
    if Path("/proc/self/maps").exists():
        with pytest.raises(OSError, match="changes while it is read"):
            read_file("/proc/self/maps", most=10)


def test_a_file_that_became_a_pipe_meanwhile_is_not_waited_for(
    tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    regular = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    with pytest.raises(OSError, match="a pipe or a device"):
        open_file(pipe)
