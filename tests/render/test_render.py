"""Reports as text: the figures, their units, and the same rows in every form."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from benches import PLAIN_MACHINE
from factory import make_artifact, make_bundle

from mnist_edge.bundle import codec
from mnist_edge.bundle.card import model_card
from mnist_edge.bundle.history import Epoch
from mnist_edge.bundle.manifest import Score
from mnist_edge.errors import install_advice, missing_package
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.terms import DataChoice
from mnist_edge.render import text
from mnist_edge.render.published import figures_of
from mnist_edge.render.table import NOTHING, Table, markdown, terminal
from mnist_edge.verify.report import VerifyReport, VerifyRow

pytestmark = pytest.mark.edge

TABLE = Table(
    headers=("artifact", "kB"),
    rows=(("onnx|float32", "1,234.5"), ("c", NOTHING)),
    notes=("a note",),
)


def test_a_column_of_numbers_stands_to_the_right() -> None:
    lines = terminal(TABLE).splitlines()
    assert lines[0].endswith("     kB")
    assert lines[1] == "onnx|float32  1,234.5"
    assert lines[2].endswith(f"  {NOTHING}")


def test_a_table_in_a_file_is_not_folded_and_has_no_colour() -> None:
    long = replace(TABLE, rows=(("x" * 300, "1"),))
    shown = terminal(long)
    assert "x" * 300 in shown
    assert "\x1b" not in shown


WIDE = Table(
    headers=("artifact", "p50 µs", "99 % interval", "size", "what it means for you"),
    rows=(
        ("torchscript-float32", "98.4", "98.3 to 98.5", "0.84×", "long words " * 8 + "end"),
        ("onnx-int8", "1,234.5", "1,234.0 to 1,234.9", NOTHING, "short"),
    ),
    notes=("a note that is long enough to be folded where the terminal is narrow",),
)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
@pytest.mark.parametrize("table", [TABLE, WIDE])
def test_a_table_fits_any_terminal_and_loses_nothing(table: Table, width: int) -> None:
    lines = terminal(table, width=width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for cells in (table.headers[1:], *table.rows, table.notes):
        assert set(" ".join(cells).split()) <= set(words)


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_no_figure_is_folded(width: int) -> None:
    shown = terminal(WIDE, width=width)
    for figure in ("1,234.0 to 1,234.9", "98.3 to 98.5", "torchscript-float32"):
        assert figure in shown


def test_a_table_that_is_a_little_too_wide_is_drawn_in_parts() -> None:
    lines = terminal(WIDE, width=66).splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("artifact", "onnx"))] == [
        *("artifact", "onnx-int8", "artifact", "onnx-int8")
    ]
    assert lines.count("") == 2  # between the parts, and before the note


def test_each_part_names_its_rows_by_as_many_columns_as_it_takes() -> None:
    twice = Table(
        headers=("artifact", "digits", "backend", "flips", "verdict"),
        rows=(("onnx", "reference", "onnxruntime", "0", "same"), ("onnx", "test", "r", "1", "no")),
    )
    lines = terminal(twice, width=36).splitlines()
    assert lines == [
        *("artifact  digits     backend", "onnx      reference  onnxruntime"),
        *("onnx      test       r", ""),
        *("artifact  digits     flips  verdict", "onnx      reference      0  same"),
        "onnx      test           1  no",
    ]


def test_a_table_that_is_far_too_wide_becomes_a_list_of_its_rows() -> None:
    lines = terminal(WIDE, width=40).splitlines()
    assert lines[0] == "torchscript-float32"
    assert lines[1] == "  p50 µs                 98.4"
    assert lines[3] == "  size                   0.84×"
    assert lines[4] == "  what it means for you"
    assert lines[5].startswith("    long words long words")


def test_a_verdict_is_coloured_on_a_terminal_alone() -> None:
    table = Table(headers=("verdict",), rows=(("differs",),))
    assert "\x1b[1;31mdiffers" in terminal(table, width=80, colour=True)


def test_markdown_has_the_rows_of_the_terminal_and_escapes_bars() -> None:
    lines = markdown(TABLE).splitlines()
    assert lines[0] == "| artifact | kB |"
    assert lines[1] == "| --- | ---: |"
    assert lines[2] == "| onnx\\|float32 | 1,234.5 |"
    assert lines[-1] == "a note"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (3.14159e-5, "31.4"), (9.999e-4, "999.9"), (1.5e-3, "1,500"), (2.0, "2,000,000")],
)
def test_latencies_are_microseconds(seconds: float | None, shown: str) -> None:
    assert text.microseconds(seconds) == shown


REPORT = VerifyReport(
    schema=1,
    bundle="model",
    data="",
    device="cpu",
    threads=1,
    machine=PLAIN_MACHINE,
    versions={},
    float32_error=1e-6,
    rows=(),
)


def test_the_verify_table_lists_errors_and_reasons(tmp_path: Path) -> None:
    good = make_artifact("onnx-float32", b"1", "0" * 64).parity
    tested = replace(good, accuracy=0.97, images=10_000)
    bad = replace(good, passed=False, flips=(3, 5), max_abs_error=0.5, reason="2 flips")
    rows = (
        row("onnx-float32", "equivalent", parity=good),
        row("onnx-int8-dynamic", "differs", parity=bad, reason="2 flips", batch_invariant=False),
        row("torchscript-float32", "not checked", reason="torch is not installed"),
        row("onnx-float32", "equivalent", parity=tested, source="test set"),
    )
    report = replace(REPORT, rows=rows)
    table = text.verify_table(report)
    assert table.rows[0][-4:] == ("1.0e-06", "0", "10 of 10", "equivalent")
    assert table.rows[1][-4:] == ("5.0e-01", "2", "10 of 10", "differs")
    assert table.rows[2][-4:] == ("–", "–", "–", "not checked")
    assert table.rows[3][-4:] == ("1.0e-06", "0", "97.00% of 10,000", "equivalent")
    notes = "\n".join(table.notes)
    assert "onnx-int8-dynamic, reference: 2 flips" in notes
    assert "torch is not installed" in notes
    assert "batch mates" in notes
    assert codec.loads(VerifyReport, text.json_text(report)) == report


def test_an_exported_artifact_shows_its_accuracy_or_counts_reference_digits(
    tmp_path: Path,
) -> None:
    bundle = make_bundle(tmp_path / "b", {"onnx-float32": b"1"})
    artifact = bundle.artifact("onnx-float32")
    for score, shown in ((None, "10 of 10"), (Score(0.9963, 10_000), "99.63% of 10,000")):
        bundle = bundle.with_artifacts((replace(artifact, test_score=score),))
        assert text.artifact_table(bundle.path, bundle.manifest.artifacts).rows[1][-2] == shown
        card = model_card(bundle.manifest)
        assert f"| {shown} | equivalent |" in card
        assert "| 97.00% of 200 | equivalent |" in card, "the checkpoint was tested as it was made"
        assert "100.00%" not in card


def row(artifact: str, status: str, **changes: object) -> VerifyRow:
    plain = VerifyRow(
        artifact=artifact,
        backend="onnxruntime 1.31.1",
        source="reference",
        status=status,  # type: ignore[arg-type]
        reason="",
        parity=None,
        batch_invariant=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_an_epoch_shows_loss_and_accuracy_of_both_sets() -> None:
    epoch = Epoch(
        epoch=2,
        train_loss=0.5,
        train_accuracy=0.9,
        test_loss=0.25,
        test_accuracy=0.95,
        learning_rate=0.1,
        duration_s=1.25,
    )
    line = text.epoch_line(epoch, 8)
    assert line.startswith("epoch 2/8")
    assert re.findall(r"[\d.]+%", line) == ["90.00%", "95.00%"]
    assert "0.5000" in line
    assert "0.2500" in line


def lacking(purpose: str) -> str:
    return str(missing_package(ModuleNotFoundError(name="torch"), purpose))


def test_what_needs_torch_is_told_in_one_line() -> None:
    good = make_artifact("onnx-float32", b"1", "0" * 64).parity
    absent = [
        row(f"{format_}-{precision}", "not checked", reason=lacking(f"run {format_} files"))
        for format_ in ("checkpoint", "torchscript", "pt2")
        for precision in ("float32", "float16", "int8-dynamic", "int8")
    ]
    checked = row("onnx-float32", "equivalent", parity=good)
    table = text.verify_table(replace(REPORT, rows=(*absent, checked)))
    assert [cells[0] for cells in table.rows] == ["onnx-float32"]
    (note,) = [note for note in table.notes if "torch" in note]
    assert note == f"not checked: 12 artifacts need torch; {install_advice({'torch'})}"

    unknown = replace(
        checked, source="test set", status="not checked", parity=None, reason=lacking("run it")
    )
    table = text.verify_table(replace(REPORT, rows=(absent[0], checked, unknown)))
    (note,) = [note for note in table.notes if "torch" in note]
    assert note.startswith("not checked: checkpoint-float32 and the test set need torch; ")
    table = text.verify_table(replace(REPORT, rows=(checked, unknown)))
    (note,) = [note for note in table.notes if "torch" in note]
    assert note.startswith("not checked: the test set needs torch; ")


def test_the_plan_of_a_training_tells_its_published_time_scaled_by_epochs() -> None:
    quick = RECIPES["quick"]
    figures = figures_of(quick)
    assert figures is not None
    plan, time = text.plan_lines(replace(quick, epochs=8, seed=3), "mnist")
    assert plan == "train: recipe quick, 8 epochs, data mnist"
    assert time.startswith(f"time: about {figures.train_s / 2:.0f} s, an estimate from 2 threads")
    _, time = text.plan_lines(replace(quick, epochs=10_000), "auto")
    assert time.startswith(f"time: about {figures.train_s * 10_000 / 16 / 3600:.1f} h, an estimate")


@pytest.mark.parametrize(
    ("change", "data"),
    [
        ({"widths": (8, 8)}, "mnist"),
        ({"batch_size": 16}, "mnist"),
        ({"name": "mine"}, "mnist"),
        ({}, "rendered"),
    ],
)
def test_no_time_is_told_of_a_training_like_none_that_was_published(
    change: dict[str, object], data: DataChoice
) -> None:
    asked = replace(RECIPES["quick"], **change)  # type: ignore[arg-type]
    assert text.plan_lines(asked, data)[1] == "time: none was published for such a training"


def test_files_are_listed_with_their_sizes(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "model")
    (tmp_path / "report.json").write_bytes(b"x" * 1500)
    table = text.files_table([tmp_path / "report.json"])
    assert table.rows == ((str(tmp_path / "report.json"), "1.5"),)
    assert "97.00%" in text.training_line(bundle.manifest)


def test_a_training_is_told_with_its_time_and_imported_weights_without(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "model").manifest
    assert text.training_line(manifest).endswith(", rendered, 1.5 s on cpu")
    imported = replace(manifest, training=replace(manifest.training, duration_s=0.0))
    line = text.training_line(imported)
    assert line.endswith(" on rendered: architecture compact, 1,234 parameters, trained elsewhere")
    assert "tiny" not in line


def test_taught_recipes_are_told_apart_in_a_note() -> None:
    alone = RECIPES["quick"]
    taught = replace(alone, name="pupil", teacher="ab" * 32)
    plain = text.recipes_table([(alone, None)])
    told = text.recipes_table([(alone, None), (taught, None)])
    assert plain.notes == ()
    assert [note.partition(":")[0] for note in told.notes] == ["pupil"]
