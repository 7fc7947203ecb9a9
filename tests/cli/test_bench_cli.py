from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
from benches import PLAIN_MACHINE, make_report
from factory import make_bundle

from mnist_edge import cli
from mnist_edge.bench.session import with_verdicts
from mnist_edge.bundle import codec
from mnist_edge.recipes import bench as recipes
from mnist_edge.recipes.bench import BenchRecipe

pytestmark = [pytest.mark.edge, pytest.mark.usefixtures("with_torch")]


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with an old report and a slower new one in it."""
    monkeypatch.chdir(tmp_path)
    for name, median_s in (("old", 1e-4), ("new", 1.2e-4)):
        report = make_report({"onnx-float32": median_s})
        Path(f"{name}.json").write_text(codec.dumps(report), encoding="utf-8")
    Path("newer.json").write_text('{"schema": 3, "news": true}', encoding="utf-8")


def bench(*words: str) -> int:
    return cli.main(["bench", *words])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 0),
        (("--fail-if-slower", "5%"), 1),
        (("--fail-if-slower", "50"), 0),
        (("--fail-if-slower", "0"), 1),
    ],
)
def test_a_regression_fails_only_where_it_was_asked_for(
    words: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--from", "new.json", "--compare", "old.json", *words) == code
    assert "onnx-float32/cpu" in capsys.readouterr().out


def test_an_improvement_passes() -> None:
    assert bench("--from", "old.json", "--compare", "new.json", "--fail-if-slower", "0%") == 0


def test_a_comparison_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    bench("--from", "new.json", "--compare", "old.json", "--json", "--fail-if-slower", "5%")
    document = json.loads(capsys.readouterr().out)
    assert document["regressions"] == ["onnx-float32/cpu"]


def test_two_machines_are_put_side_by_side_only_if_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = replace(PLAIN_MACHINE, processor="Raspberry Pi 5")
    report = replace(make_report({"onnx-float32": 1e-3}), machine=machine)
    Path("pi.json").write_text(codec.dumps(report), encoding="utf-8")
    words = ("--from", "pi.json", "--compare", "old.json")
    assert bench(*words) == 2
    assert "add --across-machines" in capsys.readouterr().err
    assert bench(*words, "--across-machines") == 0
    assert "Raspberry Pi 5" in capsys.readouterr().out


def test_a_saved_report_is_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--from", "old.json") == 0
    assert "onnx-float32/cpu is the fastest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--fail-if-slower", "5%"), "nothing to compare with"),
        (("--compare", "old.json", "--fail-if-slower", "fast"), "no percentage"),
        (("--compare", "old.json", "--fail-if-slower", "-5%"), "no percentage"),
        (("--compare", "no.json"), "cannot read no.json"),
        (("--quick", "--self-test"), "exclude each other"),
        (("--sweep-threads", "0"), "--sweep-threads"),
        (("--rates", "0"), "--rates"),
        (("--processes", "0"), "--processes is 0, which is outside 1 to 1000; give"),
        (("--processes", "1000000"), "--processes is 1000000"),
        (("--min-runs", "0"), "--min-runs is 0"),
        (("--duration", "0"), "--duration is 0.0"),
        (("--duration", "nan"), "--duration is nan"),
        (("--warmup", "-1"), "--warmup is -1.0"),
        (("--batch-sizes", "0"), "--batch-sizes is 0"),
        (("--timeout", "0"), "--timeout is 0.0"),
        (("--threads", "0"), "--threads is "),
        (("--threads", "100000"), "--threads is "),
        (("--from", "newer.json"), "has schema 3, this version knows 2; update mnist-edge"),
        (("--compare", "newer.json"), "has schema 3, this version knows 2; update mnist-edge"),
        (("--bundle", "nowhere"), "no bundle at nowhere; mnist-edge train --bundle nowhere"),
    ],
)
def test_bad_words_are_refused_before_anything_is_measured(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*words) == 2
    assert complaint in capsys.readouterr().err


def test_an_artifact_that_is_not_there_is_named_with_the_command_that_makes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_bundle(Path("exports/model"), {})
    assert bench("--artifact", "onnx-float32") == 2
    assert "--format onnx --precision float32" in capsys.readouterr().err


def test_an_artifact_that_failed_parity_is_told_and_left_out_of_the_ranking(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = make_report({"onnx-float32": 1e-4, "onnx-int8": 5e-5})
    wrong = replace(
        report.rows[1], validity="INVALID", doubts=("it failed parity (9 flips); export it again",)
    )
    report = with_verdicts(replace(report, rows=(report.rows[0], wrong)))
    Path("wrong.json").write_text(codec.dumps(report), encoding="utf-8")
    assert bench("--from", "wrong.json") == 0
    text = capsys.readouterr().out
    assert "onnx-float32/cpu is the fastest" in text
    assert "onnx-int8/cpu is out of the ranking: it failed parity (9 flips); export it" in text


def test_a_folder_that_cannot_be_written_to_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**_: object) -> tuple[int, str]:
        raise OSError(errno.EROFS, "Read-only file system")

    make_bundle(Path("exports/model"), {"onnx-float32": b"no graph"})
    monkeypatch.setattr("tempfile.mkstemp", refused)
    recipe = BenchRecipe(processes=1, timeout_s=60.0)
    monkeypatch.setitem(recipes.BENCH_RECIPES, "quick", recipe)
    assert bench("--quick", "--artifact", "onnx-float32", "--quiet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Read-only file system; free some space or choose another folder" in line


def test_the_self_test_of_what_cannot_run_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(Path("exports/model"), {"onnx-float32": b"no graph"})
    recipe = BenchRecipe(processes=1, timeout_s=60.0)
    monkeypatch.setattr("mnist_edge.cli.bench.SELF_TEST_RECIPE", recipe)
    assert bench("--self-test") == 2
    assert "onnx-float32/cpu cannot be measured" in capsys.readouterr().err


def test_a_page_lies_beside_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(Path("exports/model"), {"onnx-float32": b"no graph"})
    recipe = BenchRecipe(processes=1, timeout_s=60.0)
    monkeypatch.setitem(recipes.BENCH_RECIPES, "quick", recipe)
    assert bench("--quick", "--artifact", "onnx-float32", "--out", "b.json") == 0
    assert Path("b.md").read_text("utf-8").startswith("# Benchmark of model")
    assert json.loads(Path("b.json").read_text())["ceiling"]["copy_bytes_per_s"] > 0
