from __future__ import annotations

import shutil
import subprocess

import pytest

from mnist_edge.bench import roofline

pytestmark = pytest.mark.edge


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "_COPY_BYTES", 1 << 20)
    monkeypatch.setattr(roofline, "_REPEATS", 10_000)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_peak_is_measured_where_there_is_a_compiler() -> None:
    ceiling = roofline.measure_ceiling(2)
    assert ceiling.threads == 2
    assert ceiling.reason == ""
    assert ceiling.multiply_adds_per_s > 1e6
    assert ceiling.copy_bytes_per_s > 1e6


def test_without_a_compiler_the_peak_is_unknown_and_not_guessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ceiling = roofline.measure_ceiling()
    assert ceiling.multiply_adds_per_s == 0
    assert "install gcc" in ceiling.reason
    assert ceiling.copy_bytes_per_s > 0


def test_a_compiler_that_knows_no_native_target_is_asked_in_the_other_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command[-4])
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(shutil, "which", lambda _: "cc")
    monkeypatch.setattr(subprocess, "run", run)
    assert roofline.measure_ceiling().multiply_adds_per_s == 0
    assert asked == ["-march=native", "-mcpu=native"]
