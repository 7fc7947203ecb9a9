"""ONNX Runtime's own format: the same bytes each time, and a list of what it takes to run it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import exported
from onnxruntime.tools.ort_format_model import OrtFormatModelProcessor

from mnist_edge.contract import Images
from mnist_edge.formats import FORMATS
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.ort import write as ort
from mnist_edge.recipes.terms import Precision

DIGITS: Images = np.random.default_rng(0).random((9, 1, 28, 28), dtype=np.float32)
BOTH = FORMATS["ort"].precisions


def metadata_of(data: bytes) -> dict[str, str]:
    with closing(OrtBackend(data)) as backend:
        return backend.metadata()


@pytest.mark.parametrize("precision", BOTH)
def test_many_conversions_give_the_same_bytes(precision: Precision) -> None:
    graph = exported.artifact("onnx", precision)
    written = [ort._convert(graph) for _ in range(12)]
    assert len(set(written)) > 1, "ONNX Runtime is canonical by itself: drop ours"
    assert len({ort._canonical(data) for data in written}) == 1


def test_many_processes_give_the_same_bytes(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(exported.artifact("onnx", "int8"))
    program = (
        "import hashlib, pathlib, sys\n"
        "from mnist_edge.formats.ort import write as ort\n"
        "data = ort._canonical(ort._convert(pathlib.Path(sys.argv[1]).read_bytes()))\n"
        "print(hashlib.sha256(data).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(graph)],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("precision", BOTH)
def test_putting_in_order_changes_no_content(precision: Precision) -> None:
    written = ort._convert(exported.artifact("onnx", precision))
    ordered = ort._canonical(written)
    assert ort._canonical(ordered) == ordered
    assert _resolved(ordered) == _resolved(written)
    assert len(_resolved(ordered)) > 3
    assert metadata_of(ordered) == metadata_of(written)
    with closing(OrtBackend(ordered)) as one, closing(OrtBackend(written)) as other:
        np.testing.assert_array_equal(one.run(DIGITS), other.run(DIGITS))


def _resolved(data: bytes) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """Which arguments share a type, of each operator, read by ONNX Runtime's own classes."""
    from ort_flatbuffers_py import fbs  # importable once the processor is

    resolver = fbs.InferenceSession.InferenceSession.GetRootAs(data, 0).KernelTypeStrResolver()
    content: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for i in range(resolver.OpKernelTypeStrArgsLength()):
        operator = resolver.OpKernelTypeStrArgs(i)
        types = content.setdefault(operator.OpId().decode(), {})
        for j in range(operator.KernelTypeStrArgsLength()):
            entry = operator.KernelTypeStrArgs(j)
            arguments = [entry.Args(k) for k in range(entry.ArgsLength())]
            types[entry.KernelTypeStr().decode()] = [(a.ArgType(), a.Index()) for a in arguments]
    return content


# The tool leaves the file that it reads to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("precision", BOTH)
def test_the_required_operators_are_those_that_the_official_tool_finds(
    precision: Precision, tmp_path: Path
) -> None:
    data = exported.artifact("ort", precision)
    (tmp_path / "model.ort").write_bytes(data)
    required: dict[str, dict[int, set[str]]] = {}
    OrtFormatModelProcessor(str(tmp_path / "model.ort"), required, None).process()
    listed: dict[str, dict[int, set[str]]] = {}
    for line in metadata_of(data)["required_operators"].splitlines():
        domain, opset, names = line.split(";")
        listed.setdefault(domain, {})[int(opset)] = set(names.split(","))
    assert listed == required
    operators = {name for opsets in listed.values() for names in opsets.values() for name in names}
    assert ("QLinearConv" if precision == "int8" else "FusedConv") in operators


@pytest.mark.parametrize("precision", BOTH)
def test_an_ort_file_says_what_the_onnx_file_says_and_its_operators(precision: Precision) -> None:
    graph = metadata_of(exported.artifact("onnx", precision))
    told = metadata_of(exported.artifact("ort", precision))
    del told["required_operators"]
    assert told.pop("seal") != graph.pop("seal"), "each file vouches for its own bytes"
    assert told == graph | {"format": "ort"}


@pytest.mark.parametrize("precision", BOTH)
def test_an_ort_file_is_not_bound_to_this_processor(precision: Precision) -> None:
    # At the highest level, convolutions are laid out for the vectors of the processor.
    required = metadata_of(exported.artifact("ort", precision))["required_operators"]
    assert "nchwc" not in required


def test_exporting_leaves_telemetry_off() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    program = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import mnist_edge.formats.ort.write"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
