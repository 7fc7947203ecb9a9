from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mnist_edge.bench import roofline

pytestmark = pytest.mark.edge

COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "_COPY_BYTES", 1 << 20)
    monkeypatch.setattr(roofline, "_REPEATS", 10_000)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
def test_the_peak_is_measured_where_there_is_a_compiler() -> None:
    ceiling = roofline.measure_ceiling(2)
    assert ceiling.threads == 2
    assert ceiling.reason == ""
    assert ceiling.multiply_adds_per_s > 1e6
    assert ceiling.copy_bytes_per_s > 1e6


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
def test_a_machine_whose_compiler_only_cc_names_is_not_without_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert COMPILER is not None
    own = tmp_path / "my-compiler"
    own.symlink_to(COMPILER)
    monkeypatch.setenv("CC", str(own))
    assert roofline.measure_ceiling().multiply_adds_per_s > 1e6


def test_without_a_compiler_the_peak_is_unknown_and_not_guessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ceiling = roofline.measure_ceiling()
    assert ceiling.multiply_adds_per_s == 0
    assert "install gcc" in ceiling.reason
    assert ceiling.copy_bytes_per_s > 0
