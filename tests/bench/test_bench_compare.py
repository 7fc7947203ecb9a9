from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from benches import PLAIN_MACHINE, make_report

from mnist_edge.bench.compare import compare_reports, read_report
from mnist_edge.bundle import codec
from mnist_edge.errors import BadInput, UsageError

pytestmark = pytest.mark.edge


def test_a_sure_slowdown_beyond_the_limit_is_a_regression() -> None:
    old, new = make_report({"a": 1e-4, "b": 1e-4}), make_report({"a": 1.2e-4, "b": 1.001e-4})
    compared = compare_reports(old, new, limit=0.05)
    assert compared.regressions == ("a/cpu",)
    assert [verdict.word for verdict in compared.verdicts] == ["slower", "indistinguishable"]


def test_a_sure_slowdown_within_the_limit_is_none() -> None:
    compared = compare_reports(make_report({"a": 1e-4}), make_report({"a": 1.2e-4}), limit=0.5)
    assert compared.verdicts[0].word == "slower"
    assert compared.regressions == ()


def test_a_large_but_unsure_slowdown_is_none() -> None:
    noisy = make_report({"a": 1.2e-4}, spread=0.3)
    compared = compare_reports(make_report({"a": 1e-4}, spread=0.3), noisy, limit=0.05)
    assert compared.verdicts[0].word == "indistinguishable"
    assert compared.regressions == ()


def test_other_machines_are_refused_unless_asked_for() -> None:
    old, new = make_report({"a": 1e-4}), make_report({"a": 1e-4})
    other = dataclasses.replace(
        new, machine=dataclasses.replace(PLAIN_MACHINE, processor="Chip 10000")
    )
    with pytest.raises(UsageError, match="processor Chip 9000 and Chip 10000"):
        compare_reports(old, other)
    compared = compare_reports(old, other, across_machines=True)
    assert compared.machines == {"processor": ("Chip 9000", "Chip 10000")}


def test_rows_that_only_one_report_has_are_named() -> None:
    old, new = make_report({"a": 1e-4, "b": 1e-4}), make_report({"a": 1e-4, "c": 1e-4})
    assert compare_reports(old, new).missing == ("b/cpu", "c/cpu")
    with pytest.raises(UsageError, match="no usable row in common"):
        compare_reports(make_report({"a": 1e-4}), make_report({"c": 1e-4}))


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = make_report({"a": 1e-4})
    path = tmp_path / "r.json"
    path.write_text(codec.dumps(report), encoding="utf-8")
    assert read_report(path) == report


def test_a_report_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    document = json.loads(codec.dumps(make_report({"a": 1e-4}))) | {"schema": 3, "new": "field"}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(BadInput, match="schema 3, this version knows 2; update mnist-edge"):
        read_report(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{", "not JSON"), ("[]", "not a report of bench"), ('{"schema": 1}', "is missing")],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=complaint):
        read_report(path)


def test_a_report_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*no\.json"):
        read_report(tmp_path / "no.json")


OLD = Path(__file__).parent / "reports" / "schema-1.json"


def test_a_report_of_before_is_read_and_keeps_its_verdicts() -> None:
    old = read_report(OLD)
    assert old.schema == 1
    assert not old.in_turns
    assert len(old.order) == 9
    assert next(row.artifact for row in old.ranked) == old.fastest.removesuffix("/cpu")
    assert {verdict.word for verdict in old.verdicts} > {"slower"}
    assert old.resolution > 0


def test_a_report_of_before_is_compared_with_a_new_one() -> None:
    old = read_report(OLD)
    p50_s = next(row.p50_s for row in old.rows if row.artifact == "onnx-float32")
    assert p50_s
    new = make_report({"onnx-float32": 3 * p50_s, "onnx-int8": 3 * p50_s})
    compared = compare_reports(old, new, across_machines=True, limit=0.5)
    assert {"onnx-float32/cpu"} <= set(compared.regressions)
    assert compared.speed == 0.0  # the old one does not tell


def test_what_two_reports_cost_beside_one_is_told() -> None:
    old, new = make_report({"a": 1e-4, "b": 2e-4}), make_report({"a": 1e-4, "b": 2e-4})
    compared = compare_reports(old, new)
    assert compared.speed == 1.0
    assert 0 < compared.beside < 0.1


def test_rounds_of_two_reports_are_not_taken_for_the_same() -> None:
    # Beside each other the second would be slower in every round.
    old = make_report({"a": 1e-4, "b": 1e-4}, spread=0.1)
    new = make_report({"a": 1.05e-4, "b": 1e-4}, spread=0.1)
    compared = compare_reports(old, new)
    assert compared.verdicts[0].word == "indistinguishable"
    assert compared.verdicts[0].half_width > 0.08
