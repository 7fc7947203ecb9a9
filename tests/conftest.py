"""Fixtures for every test module. Nothing here may import torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mnist_edge import errors
from mnist_edge.data import mnist as data
from mnist_edge.data.mnist import DATA_VARIABLE, MNIST_FILES, DataSet, IdxFile


@pytest.fixture(autouse=True, scope="session")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made in a test is remembered nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice is for a machine that can train, whatever is installed."""
    monkeypatch.setattr(errors, "find_spec", lambda _: object())


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice is for a device that takes what another machine made."""
    monkeypatch.setattr(errors, "find_spec", lambda _: None)


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder of the four files of MNIST; the test is skipped where there is none."""
    if not os.environ.get(DATA_VARIABLE):
        pytest.skip(f"needs MNIST: set {DATA_VARIABLE} to a folder that holds it")
    folder = data.find_mnist(None)
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def digits() -> DataSet:
    """600 rendered digits to train on and 200 to test on."""
    pytest.importorskip("matplotlib", reason="renders digits with matplotlib's fonts")
    from mnist_edge.data.fonts import rendered_data

    return rendered_data(600, 200, seed=0)


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small raw IDX files of noise, by name, that count as MNIST for one test."""
    rng = np.random.default_rng(0)
    raw = {}
    for name, real in MNIST_FILES.items():
        count = real.shape[0] // 5000
        high = 256 if len(real.shape) == 3 else 10
        pixels = rng.integers(0, high, (count, *real.shape[1:]), np.uint8)
        header = IdxFile(shape=pixels.shape, sha256="").header
        raw[name] = header + pixels.tobytes()
        fake = IdxFile(shape=pixels.shape, sha256=hashlib.sha256(raw[name]).hexdigest())
        monkeypatch.setitem(MNIST_FILES, name, fake)
    return raw


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests could not run for want of data."""
    skipped = terminalreporter.getreports("skipped")
    count = sum(DATA_VARIABLE in str(report.longrepr) for report in skipped)
    terminalreporter.write_line(f"{count} tests skipped for want of data ({DATA_VARIABLE})")
