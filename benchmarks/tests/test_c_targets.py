"""The C file on other processors, and the arithmetic of the benchmark that builds it for them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cross", reason="needs the benchmarks of a checkout")
pytest.importorskip("torch", reason="the writers need it")

import c_targets
import cross
from cross import TARGETS, Model, Target, Unavailable
from cross.report import Absence, claim, page, targets_table
from exported import METADATA, artifact, own_source

from mnist_edge.contract import Images
from mnist_edge.formats import Wish, write_artifact
from mnist_edge.formats.c.run import CBackend
from mnist_edge.formats.c.write import header_of
from mnist_edge.recipes.terms import Precision

WARNINGS = ("-std=c99", "-pedantic", "-ffp-contract=fast")  # besides those that are errors anyway

SIZES = """\
model.o  :
section              size   addr
.text                1516      0
.text.startup           4      0
.data                  12      0
.bss                    8      0
.rodata.cst16          32      0
.rodata            115648      0
.eh_frame              96      0
.comment               39      0
.ARM.attributes        52      0
Total              117407


"""

# GCC's, and Clang's, which names no column.
STACK = (
    "/a b/model.c:856:13:conv1\t14152\tstatic\n"
    "/a b/model.c:9593:13:conv2\t47560\tstatic\n"
    "/a b/model.c:10790:6:quick_logits\t128\tstatic\n"
    "/a b/model.c:10809:quick_class\t40\tdynamic,bounded\n"
)


def write_model(precision: Precision, folder: Path) -> Model:
    """In int8 with what reads pictures."""
    wish = Wish(picture=precision == "int8")
    source = write_artifact(own_source(), "c", precision, wish).data
    return cross.write_model(source, header_of(source), folder / "model")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return write_model("float32", tmp_path)


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(2).random((9, 1, 28, 28), dtype=np.float32)


def test_sections_of_one_kind_are_added_up_and_unwinding_left_out() -> None:
    found = cross.section_sizes(SIZES)
    assert found == {".text": 1520, ".rodata": 115680, ".data": 12, ".bss": 8}


def test_the_stack_is_that_of_the_deepest_step_and_its_callers() -> None:
    assert cross.deepest_stack(STACK, "quick") == 47560 + 128 + 40
    assert cross.deepest_stack("", "quick") == 0


def test_a_model_brings_its_names_and_the_bytes_of_its_workspace(model: Model) -> None:
    assert model.name == METADATA["recipe"]
    assert f"-DLOGITS={model.name}_logits" in model.flags
    header = (model.folder / "model.h").read_text()
    assert f"_WORKSPACE {model.workspace_bytes // 4}\n" in header


def test_a_tool_that_is_absent_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="not installed: apt-get install gcc-arm-none-eabi"):
        cross.call(["arm-none-eabi-gcc"], tmp_path)


def test_every_tool_of_a_target_has_a_package() -> None:
    tools = {tool for t in TARGETS for tool in (t.compiler[0], *t.runner[:1], t.size) if tool}
    tools |= {command.split()[0] for command in c_targets.COMMANDS}
    assert tools - {"python-zig"} == set(cross.PACKAGES)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("int8", 0.0)])
@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_another_processor_gives_the_same_answers_without_a_warning(
    target: Target,
    precision: Precision,
    tolerance: float,
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools = [target.compiler[0], *(["wasm-ld"] if target.name == "WebAssembly" else [])]
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"needs {missing[0]}")
    folder = tmp_path / "built"
    compiler = (*target.compiler, "-O1", *WARNINGS)
    size = cross.build(
        *(write_model(precision, tmp_path), compiler, folder),
        harness=target.harness,
        link=target.link,
        size=target.size,
    )
    assert size.code > 0
    if not target.runner:
        return
    if target.size:
        assert size.constants > 1000
        assert size.initialised == size.zeroed == 0  # nothing is kept between calls
    if shutil.which(target.runner[0]) is None or shutil.which("cc") is None:
        pytest.skip(f"built; needs {target.runner[0]} and cc to be run")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = CBackend(artifact("c", precision)).run(images)
    answers = cross.run(target, folder, images)
    np.testing.assert_allclose(answers, expected, atol=tolerance, rtol=0)


def test_a_program_that_answers_too_little_is_no_answer(tmp_path: Path, images: Images) -> None:
    copy = "import sys, numpy; numpy.fromfile('pictures', numpy.float32)[:30].tofile('logits')"
    target = Target(name="short", compiler=("cc",), runner=("python3", "-c", copy))
    with pytest.raises(Unavailable, match="python3 answered only 3 digits"):
        cross.run(target, tmp_path, images)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_report_holds_what_was_built_and_why_the_rest_was_not(
    model: Model, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Target(name="Cortex-M4F", compiler=("no-such-gcc",), runner=("no-such-emulator",))
    monkeypatch.setattr(cross, "PACKAGES", dict.fromkeys(absent.compiler + absent.runner, "none"))
    monkeypatch.setattr(c_targets, "COMMANDS", ("cc -O1", "cc -O0", "cc -fno-such-flag"))
    here = Target(name="here", compiler=("cc", "-O1"), link=(), runner=("sh", "-c", './"$0"'))
    subject = c_targets.Subject(
        recipe="tiny", artifact="c-float32", model=model, images=images, targets=(absent, here)
    )
    report = c_targets.measure([subject], rounds=11, seed=0)
    first, second = report.flags
    assert (first.command, second.command) == ("cc -O1", "cc -O0")
    assert (first.times.low, first.times.high, first.max_abs_difference) == (1, 1, 0)
    assert len(second.samples_s) == 11
    assert second.max_abs_difference < 1e-5
    (row,) = report.targets
    assert (row.target, row.digits, row.max_abs_difference) == ("here", len(images), 0)
    assert row.ram_bytes == model.workspace_bytes
    assert [absence.build for absence in report.absent] == ["cc -fno-such-flag", absent.name]
    missing = Absence(
        build=absent.name,
        reason="no-such-gcc is not installed: apt-get install none",
    )
    assert missing in report.absent
    assert missing.reason in page(report)
    assert targets_table(report).rows[0][:2] == ("`tiny`", "`c-float32`")
    assert "2 builds here and 1 other targets (here) name the same digits" in claim(report)
    wrong = replace(report, targets=(replace(row, flips=1),))
    assert "name some digits otherwise" in claim(wrong)
    assert "1 answers differ" in claim(wrong)
