"""The formats: one registry, and what each says of itself before any runtime is loaded."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from factory import make_bundle

from mnist_edge.bundle import codec
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.errors import UsageError
from mnist_edge.formats import FORMATS, export_pairs, exported_formats, find_artifact
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT, Format, Precision

pytestmark = pytest.mark.edge

PAIRS = [(name, precision) for name in FORMATS for precision in FORMATS[name].precisions]
OTHERS = sorted({*itertools.product(exported_formats(), get_args(Precision))} - {*PAIRS})


def test_the_registry_holds_the_names_that_there_may_be() -> None:
    assert tuple(FORMATS) == get_args(Format)
    assert all(name == format_.name for name, format_ in FORMATS.items())


def test_no_two_formats_share_a_suffix() -> None:
    # The graph of a net of others is an ONNX file, which leaves its bundle as one of ours.
    suffixes = [format_.suffix for format_ in FORMATS.values() if format_.name != "source"]
    assert len(set(suffixes)) == len(suffixes)


def test_the_registry_loads_no_runtime() -> None:
    program = (
        "import sys, mnist_edge.formats\n"
        "print({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
def test_a_format_has_a_room_of_its_name_with_what_runs_it(format_: object) -> None:
    room = Path(str(sys.modules[type(format_).__module__].__file__)).parent
    assert room.name in {*FORMATS, "original"} - {"source"}
    assert (room / "run.py").is_file()


def test_a_manifest_with_an_unknown_format_is_refused(tmp_path: Path) -> None:
    known = make_bundle(tmp_path / "b").manifest.artifacts[1]
    text = codec.dumps(known).replace(f'"{known.format}"', '"tflite2"')
    with pytest.raises(ValueError, match="'tflite2' is none of"):
        codec.loads(Artifact, text)


def test_pairs_are_those_of_the_matrix_with_float32_first() -> None:
    recipe = ExportRecipe(formats=("onnx", "torchscript"), precisions=("int8-dynamic", "float32"))
    assert export_pairs(recipe) == (
        ("onnx", "float32"),
        ("torchscript", "float32"),
        ("onnx", "int8-dynamic"),
        ("torchscript", "int8-dynamic"),
    )


def test_a_name_given_twice_is_exported_once() -> None:
    recipe = ExportRecipe(formats=("onnx", "onnx"), precisions=("float32", "float32"))
    assert export_pairs(recipe) == (("onnx", "float32"),)


def test_everything_that_the_matrix_has_can_be_asked_for_at_once() -> None:
    recipe = ExportRecipe(formats=exported_formats(), precisions=get_args(Precision))
    assert sorted(export_pairs(recipe)) == sorted(PAIRS)


@pytest.mark.parametrize(("format_", "precision"), OTHERS)
def test_a_pair_outside_the_matrix_is_refused_by_name(
    format_: Format, precision: Precision
) -> None:
    recipe = ExportRecipe(formats=(format_,), precisions=(precision,))
    with pytest.raises(UsageError, match=f"{format_} cannot hold {precision}"):
        export_pairs(recipe)


@pytest.mark.parametrize(("format_", "precision"), [("checkpoint", "float32"), *PAIRS])
def test_every_artifact_has_a_gate_that_can_fail(format_: Format, precision: Precision) -> None:
    gate = FORMATS[format_].gate(precision)
    assert gate.max_abs_error < math.inf or gate.min_sqnr_db > 0
    assert gate.flips_allowed == (precision != "float32")


def test_the_default_artifact_is_exported_by_default() -> None:
    assert DEFAULT_ARTIFACT in {f"{f}-{p}" for f, p in export_pairs(ExportRecipe())}


@pytest.mark.usefixtures("with_torch")
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("nope", ""),
        ("onnx-int4", ""),
        ("c-float32", "mnist-edge export --bundle {} --format c --precision float32"),
        (
            "onnx-int8-dynamic",
            "mnist-edge export --bundle {} --format onnx --precision int8-dynamic",
        ),
    ],
)
def test_only_an_artifact_that_can_be_exported_is_told_so(
    tmp_path: Path, name: str, way: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_artifact(make_bundle(tmp_path), name)
    expected = "choose one of these"
    assert caught.value.fix == (f"{expected}, or run {way.format(tmp_path)}" if way else expected)
