"""What benchmarks/runtimes.py makes of its measurements; nothing is measured here."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benches import make_report
from factory import make_artifact

pytest.importorskip("runtimes_page", reason="needs the benchmarks of a checkout")

import runtimes_page as pages
from peers.install import run_python

from mnist_edge.bench.report import BenchReport
from mnist_edge.bench.rows import row_of
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.turn import Failure
from mnist_edge.bundle import codec
from mnist_edge.stats import Interval

pytestmark = pytest.mark.edge


@pytest.fixture
def reports() -> dict[str, BenchReport]:
    """Two nets; on the first C takes 0.45 of ONNX Runtime's time, and 0.9 of the only peer's."""
    quick = make_report({"onnx-float32": 2e-5, "c-float32": 9e-6, "peer": 1e-5})
    peer = replace(quick.rows[2], artifact="onnx-float32", runtime="mnn")
    wide = make_report({"onnx-float32": 5e-5, "c-float32": 6e-5})
    return {"quick": replace(quick, rows=(*quick.rows[:2], peer)), "wide": wide}


def test_each_target_is_met_or_missed(reports: dict[str, BenchReport]) -> None:
    found = {
        (target.net, target.against, target.scenario): (target.most, target.word)
        for target in pages.targets(reports)
    }
    assert found == {
        ("quick", "onnx-float32", "one picture"): (0.5, "met"),
        ("quick", "mnn", "one picture"): (0.8, "missed"),
        ("quick", "onnx-float32", "batch"): (0.5, "met"),
        ("quick", "mnn", "batch"): (0.8, "missed"),
        ("wide", "onnx-float32", "one picture"): (1.0, "missed"),
        ("wide", "onnx-float32", "batch"): (1.0, "missed"),
    }


@pytest.mark.parametrize(
    ("low", "value", "high", "word"),
    [
        (0.4, 0.45, 0.5, "met"),
        (0.4, 0.45, 0.6, "met, not surely"),
        (0.4, 0.55, 0.6, "missed, not surely"),
        (0.51, 0.55, 0.6, "missed"),
    ],
)
def test_the_interval_says_whether_it_is_sure(
    low: float, value: float, high: float, word: str
) -> None:
    assert pages._word(Interval(value=value, low=low, high=high), 0.5) == word


def test_a_file_that_is_not_there_has_a_row_and_no_target(
    reports: dict[str, BenchReport],
) -> None:
    artifact = make_artifact("onnx-int8", b"1", "0" * 64)
    failure = Failure(status="absent", reason="no compiler is here")
    row = row_of(artifact, Subject(artifact="c-int8", device="cpu"), failure)
    wide = replace(reports["wide"], rows=(*reports["wide"].rows, row))
    assert "c-int8/cpu: absent, no compiler is here" in pages.page({"wide": wide})
    assert {target.row for target in pages.targets({"wide": wide})} == {"c-float32"}


def test_a_run_without_batches_has_targets_for_one_picture_alone(
    reports: dict[str, BenchReport],
) -> None:
    quick = reports["quick"]
    rows = tuple(
        replace(row, throughput=(), runs=tuple(replace(run, batches=()) for run in row.runs))
        for row in quick.rows
    )
    found = pages.targets({"quick": replace(quick, rows=rows)})
    assert {target.scenario for target in found} == {"one picture"}


def test_the_page_shows_losses_as_such(reports: dict[str, BenchReport]) -> None:
    text = pages.page(reports)
    assert "it surely meets 2 of 6 targets and surely misses 4" in text
    assert "### quick: 1,000,000 multiply-adds" in text
    assert "| wide | c-float32 | onnx-float32 | one picture | 1.20× |" in text


def test_the_readme_has_each_runtime_on_the_nets_with_peers(
    reports: dict[str, BenchReport], tmp_path: Path
) -> None:
    assert pages.read_comparison(tmp_path) is None
    quick = reports["quick"]
    wrong = replace(quick.rows[0], artifact="onnx-int8", validity="INVALID")
    reports["quick"] = replace(quick, rows=(*quick.rows, wrong))
    path = tmp_path / "peers-runtimes-amd-epyc.json"
    path.write_text(codec.dumps(pages.compared(reports)))
    comparison = pages.read_comparison(tmp_path)
    assert comparison is not None
    table = pages.summary_table(comparison)
    assert table.headers == ("runtime", "`quick` µs", "`quick` µs (64)")
    assert [row[:2] for row in table.rows] == [
        ("c-float32", "9.0"),
        ("mnn", "10.0"),
        ("onnx-float32", "20.0"),
        ("onnx-int8", "INVALID"),
    ]


def test_the_json_is_thinned_and_its_verdicts_still_follow_from_it(
    reports: dict[str, BenchReport],
) -> None:
    compared = pages.compared(reports)
    text = codec.join_numbers(codec.dumps(compared))
    assert codec.loads(pages.Comparison, text) == compared
    assert compared.note.startswith("thinned: of each process 24 single runs are kept")
    run = compared.reports["quick"].rows[0].runs[0]
    assert len(run.single.samples_s) <= 24 < run.single.runs == 700
    again = pages.targets(compared.reports)
    for before, after in zip(compared.targets, again, strict=True):
        if before.scenario == "one picture":
            assert after.ratio.value == pytest.approx(before.ratio.value, rel=1e-3)
            assert after.ratio.high == pytest.approx(before.ratio.high, rel=1e-3)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("pass", ""),
        ("raise SystemExit(3)", "-c raise SystemExit(3) failed: exit code 3"),
        ("raise SystemExit('no\\nwheel')", "-c raise SystemExit('no\\nwheel') failed: wheel"),
        ("import time; time.sleep(60)", "-c import time; time.sleep(60) took more than 1 s"),
    ],
)
def test_a_peer_that_fails_gives_its_reason_in_one_line(program: str, reason: str) -> None:
    timeout_s = 1.0 if "sleep" in program else 60.0
    assert run_python(Path(sys.executable), ["-c", program], timeout_s=timeout_s) == reason
