"""What of an artifact goes onto a device, and what it needs there besides."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from benches import make_report

from mnist_edge.errors import MissingDependency
from mnist_edge.formats.c.compiler import build_library, built_bytes, find_compiler
from mnist_edge.machine import installed_bytes
from mnist_edge.render.bench import bench_markdown, bench_table

pytestmark = pytest.mark.edge


def test_of_a_c_file_the_code_and_data_count_and_not_its_source(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        compiler = find_compiler()
    except MissingDependency as error:
        pytest.skip(str(error))
    if shutil.which("size") is None:
        pytest.skip("needs size, of the compiler's own tools")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    small = b"const float a[1] = {1}; int f(void) { return (int)a[0]; }"
    large = b"const float a[50000] = {1}; int f(void) { return (int)a[0]; }"
    sizes = [built_bytes(build_library(source, compiler)) for source in (small, large)]
    assert 0 < sizes[0] < 10_000
    assert 199_000 < sizes[1] - sizes[0] < 210_000


def test_the_table_shows_what_is_deployed_beside_the_file() -> None:
    report = make_report({"c-float32": 1e-5, "onnx-float32": 2e-5})
    rows = [
        replace(row, runs=tuple(replace(run, built_bytes=12_300) for run in row.runs))
        if row.artifact == "c-float32"
        else row
        for row in report.rows
    ]
    table = bench_table(replace(report, rows=tuple(rows)))
    assert table.headers[-2:] == ("kB", "deployed kB")
    cells = {row[0]: row[-2:] for row in table.rows}
    assert cells["c-float32/cpu"][1] == "12.3"
    assert cells["onnx-float32/cpu"][0] == cells["onnx-float32/cpu"][1]
    unknown = {row[0]: row[-1] for row in bench_table(report).rows}
    assert unknown["c-float32/cpu"] == "–"


def test_what_is_installed_beside_a_file_is_weighed_and_said() -> None:
    found = installed_bytes(("numpy", "no-such-package"))
    assert list(found) == ["numpy"]
    assert found["numpy"] > 1_000_000
    report = make_report({"onnx-float32": 2e-5})
    report = replace(
        report,
        rows=tuple(replace(row, backend="onnxruntime") for row in report.rows),
        installed_bytes={"onnxruntime": 78_000_000, "torch": 10**9, "numpy": 45_000_000},
    )
    sentence = "installed beside the file: onnxruntime 78 MB, numpy 45 MB"
    assert any(note.startswith(sentence) for note in bench_table(report).notes)
    assert sentence in bench_markdown(report)
