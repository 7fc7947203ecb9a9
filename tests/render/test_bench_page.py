from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from benches import make_report

from mnist_edge.bench.compare import compare_reports
from mnist_edge.bench.report import BenchReport
from mnist_edge.bench.session import with_verdicts
from mnist_edge.render.bench import bench_markdown, bench_table
from mnist_edge.render.bench.figures import bench_figures
from mnist_edge.render.bench.tables import comparison, relation, roofline
from mnist_edge.render.table import terminal
from mnist_edge.stats import Interval

pytestmark = pytest.mark.edge


@pytest.fixture
def report() -> BenchReport:
    made = make_report(
        {
            "checkpoint-float32": 2e-4,
            "onnx-float32": 3.14159e-5,
            "onnx-int8-dynamic": 9e-5,
            "torchscript-float32": 2.1e-4,
        }
    )
    absent = replace(
        made.rows[0], device="cuda", status="absent", reason="no GPU is here", runs=(), doubts=()
    )
    other = replace(absent, artifact="onnx-float32")
    return replace(made, rows=(*made.rows, absent, other))


def test_the_table_ranks_and_relates_to_the_fastest(report: BenchReport) -> None:
    rows = bench_table(report).rows
    assert [row[0] for row in rows] == [
        *("onnx-float32/cpu", "onnx-int8-dynamic/cpu"),
        *("checkpoint-float32/cpu", "torchscript-float32/cpu"),
    ]
    assert rows[0][3] == "1.00×"
    assert float(rows[1][3].rstrip("×")) == pytest.approx(2.9, abs=0.1)
    assert rows[0][1].startswith("31.")
    assert rows[0][7] == "360"  # milliseconds to the first answer


def test_each_row_has_its_sentence(report: BenchReport) -> None:
    notes = bench_table(report).notes
    assert notes[0].startswith("onnx-float32/cpu is the fastest: 31.")
    assert "times as fast as checkpoint-float32/cpu; its first answer takes 360 ms" in notes[0]
    assert notes[1].startswith("onnx-int8-dynamic/cpu takes 2.")
    assert notes[1].endswith("not recommended, unless bytes count most")
    assert "torchscript-float32/cpu takes 6." in notes[3]


def test_equal_rows_are_marked_as_such() -> None:
    table = bench_table(make_report({"onnx-float32": 1e-4, "onnx-int8-dynamic": 1.001e-4}))
    assert sum(row[3].startswith("≈") for row in table.rows) == 1
    assert any("is indistinguishable from it within ±" in note for note in table.notes)
    assert ", indistinguishable from onnx-" in table.notes[0]


def test_each_row_relates_to_the_fastest_with_an_interval(report: BenchReport) -> None:
    told = [relation(row, report) for row in report.ranked]
    assert told[0] == ("1.00×", "–")
    assert re.fullmatch(r"2\.\d\d× 2\.\d\d–\d\.\d\d", " ".join(told[1]))


def test_what_was_left_out_stands_in_table_page_and_claim(report: BenchReport) -> None:
    reason = "no time was left for it within 11 s; measure without --quick"
    last = replace(report.rows[-1], device="cpu", status="left out", reason=reason)
    short = with_verdicts(replace(report, rows=(*report.rows[:1], *report.rows[2:-2], last)))
    table = bench_table(short)
    (row,) = (row for row in table.rows if "left out" in row)
    assert row[0] == "onnx-float32/cpu"
    assert f"onnx-float32/cpu: left out, {reason}" in table.notes
    assert "is the fastest of the 3 that were measured" in table.notes[0]
    assert f"left out, {reason}" in bench_markdown(short)


def test_the_microseconds_come_with_the_range_that_was_seen(report: BenchReport) -> None:
    table = bench_table(report)
    assert table.headers[2] == "range seen"
    low, high = map(float, table.rows[0][2].split("–"))
    assert 31 < low < high < 32
    assert " in nine of ten turns)" in table.notes[0]


def test_a_report_of_before_shows_its_interval() -> None:
    old = make_report({"onnx-float32": 3e-5, "c-float32": 1e-5}, turns=False)
    table = bench_table(old)
    assert table.headers[2] == "99 % interval"
    assert "processes a row, interleaved" in " ".join(table.notes)
    assert table.rows[0][5] == "–"  # nobody kept first runs


def test_the_energy_or_why_there_is_none_is_told(report: BenchReport) -> None:
    assert "energy of the cpu: no energy counter can be read here" in bench_table(report).notes
    joules = Interval(value=1.5e-3, low=1.4e-3, high=1.6e-3)
    metered = replace(report, rows=(replace(report.rows[0], joules=joules), *report.rows[1:]))
    page = bench_markdown(metered)
    assert "| checkpoint-float32/cpu | 1.5 | 1.4–1.6 |" in page


def test_rows_that_are_absent_for_one_reason_share_a_line(report: BenchReport) -> None:
    lines = [note for note in bench_table(report).notes if "no GPU is here" in note]
    assert lines == ["checkpoint-float32/cuda, onnx-float32/cuda: absent, no GPU is here"]


def test_a_report_without_any_figure_says_so(report: BenchReport) -> None:
    nothing = replace(report, rows=report.rows[-2:], fastest="", baseline="", verdicts=())
    assert bench_table(nothing).notes[0] == "no row can be relied on"
    assert "no row can be relied on" in bench_markdown(nothing)
    assert bench_figures(nothing) == {}


@pytest.mark.parametrize("width", [20, 80])
def test_the_table_fits_a_narrow_terminal(width: int, report: BenchReport) -> None:
    assert max(map(len, terminal(bench_table(report), width=width).splitlines())) <= width


def test_the_page_tells_machine_versions_and_n(report: BenchReport) -> None:
    page = bench_markdown(report, [("Latency", "r-latency.png")])
    assert page.startswith("# Benchmark of model\n\nonnx-float32/cpu is the fastest")
    assert "Machine: Chip 9000" in page
    assert "14,000 single runs, 5 restarts and 175 turns a row" in page
    assert "![Latency](r-latency.png)" in page
    for title in ("Cold start", "Throughput", "Open-loop latency", "Roofline: 1,000,000 multiply"):
        assert f"## {title}" in page


def test_the_roofline_relates_to_the_peak(report: BenchReport) -> None:
    assert "more than 100% is no error" in bench_markdown(report)
    first = roofline(report).rows[0]
    # A million multiply-adds in 31.4 µs; the peak is 100 G/s.
    assert float(first[1]) == pytest.approx(31.8, abs=1)
    assert first[2] in ("31%", "32%", "33%")


def test_two_machines_stand_side_by_side(report: BenchReport) -> None:
    new = make_report({"onnx-float32": 6.28e-5})
    new = replace(new, machine=replace(new.machine, processor="Chip 1"))
    compared = compare_reports(report, new, across_machines=True)
    table = comparison(compared, report, new)
    assert table.headers[1:3] == ("old µs (Chip 9000)", "new µs (Chip 1)")
    assert table.rows[0][0] == "onnx-float32/cpu"
    assert table.rows[0][-1] == "slower: too slow"
    assert "processor: old Chip 9000; new Chip 1" in table.notes


def test_every_figure_is_a_picture(report: BenchReport) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    figures = bench_figures(report)
    assert set(figures) == {"Latency", "Samples over time", "Tradeoffs", "Throughput"}
    for png in figures.values():
        width, height = Image.open(io.BytesIO(png)).size
        assert width == 1800
        assert height >= 600
    assert bench_figures(report) == figures


def test_the_few_reference_digits_tell_no_accuracy(report: BenchReport) -> None:
    few = make_report({"onnx-float32": 3e-5, "onnx-int8-dynamic": 9e-5}, score=None)
    assert {(row.digits, row.source) for row in few.rows} == {(10, "reference")}
    assert not any("accuracy" in note for note in bench_table(few).notes)
    assert "accuracy +0.00 points" in bench_table(report).notes[1]


def test_without_a_test_set_there_is_no_tradeoff_to_draw() -> None:
    pytest.importorskip("matplotlib")
    few = make_report({"onnx-float32": 3e-5, "onnx-int8-dynamic": 9e-5}, score=None)
    assert "Tradeoffs" not in bench_figures(few)
    assert "Latency" in bench_figures(few)
