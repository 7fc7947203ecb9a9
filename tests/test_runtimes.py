"""What benchmarks/runtimes.py makes of its measurements; nothing is measured here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from benches import make_report

from mnist_edge import codec
from mnist_edge.bench import BenchReport
from mnist_edge.bench.rows import failed_row
from mnist_edge.stats import Interval

pytestmark = pytest.mark.edge
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not BENCHMARKS.exists():
        pytest.skip("needs the benchmarks of a checkout")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import runtimes_page

    return runtimes_page


@pytest.fixture
def reports() -> dict[str, BenchReport]:
    """Two nets; on the first C takes 0.45 of ONNX Runtime's time, and 0.9 of the only peer's."""
    quick = make_report({"onnx-float32": 2e-5, "c-float32": 9e-6, "peer": 1e-5})
    peer = replace(quick.rows[2], artifact="onnx-float32", variant="mnn")
    wide = make_report({"onnx-float32": 5e-5, "c-float32": 6e-5})
    return {"quick": replace(quick, rows=(*quick.rows[:2], peer)), "wide": wide}


def test_each_target_is_met_or_missed(pages: ModuleType, reports: dict[str, BenchReport]) -> None:
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
    pages: ModuleType, low: float, value: float, high: float, word: str
) -> None:
    assert pages._word(Interval(value=value, low=low, high=high), 0.5) == word


def test_a_file_that_is_not_there_has_a_row_and_no_target(
    pages: ModuleType, reports: dict[str, BenchReport]
) -> None:
    from factory import make_artifact

    from mnist_edge.bench.measure import Failure
    from mnist_edge.bench.subject import Subject

    artifact = make_artifact("onnx-int8", b"1", "0" * 64)
    failure = Failure(absent=True, reason="no compiler is here")
    row = failed_row(artifact, Subject(artifact="c-int8", device="cpu"), failure)
    wide = replace(reports["wide"], rows=(*reports["wide"].rows, row))
    assert "c-int8/cpu: absent, no compiler is here" in pages.page({"wide": wide})
    assert {target.row for target in pages.targets({"wide": wide})} == {"c-float32"}


def test_the_page_shows_losses_as_such(pages: ModuleType, reports: dict[str, BenchReport]) -> None:
    text = pages.page(reports)
    assert "it meets 2 of 6 targets" in text
    assert "### quick: 1,000,000 multiply-adds" in text
    assert "| wide | c-float32 | onnx-float32 | one picture | 1.20× |" in text


def test_the_json_is_thinned_and_says_so(
    pages: ModuleType, reports: dict[str, BenchReport]
) -> None:
    compared = pages.compared(reports)
    text = codec.join_numbers(codec.dumps(compared))
    assert codec.loads(pages.Comparison, text) == compared
    assert compared.note.startswith("thinned: of each process 24 single runs are kept")
    run = compared.reports["quick"].rows[0].runs[0]
    assert len(run.single.samples_s) <= 24 < run.single.runs == 700
    # What the verdicts rest on is that of all samples.
    (middle, *_) = compared.processes["quick/c-float32/cpu/one picture"]
    full = reports["quick"].rows[1].runs[0].single.samples_s
    assert middle.value == sorted(full)[349]
