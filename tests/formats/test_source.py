"""One graph for all formats: made once, and the bytes are those of making it for each."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the writers need it")
onnx = pytest.importorskip("onnx")

import exported
from factory import make_bundle

from mnist_edge.errors import MissingDependency, UsageError
from mnist_edge.formats import write_artifact
from mnist_edge.formats.c.write import export_c
from mnist_edge.formats.onnx import static, trace
from mnist_edge.formats.onnx.dynamic import quantize_matrix_products
from mnist_edge.formats.onnx.half import halve_initializers
from mnist_edge.formats.onnx.static import quantize_statically
from mnist_edge.formats.onnx.trace import trace_onnx
from mnist_edge.formats.onnx.write import serialize_onnx
from mnist_edge.formats.ort.write import export_ort
from mnist_edge.formats.seal import sealed
from mnist_edge.formats.source import OnnxSource, open_source
from mnist_edge.models import deployable
from mnist_edge.recipes.terms import Format, Precision

FROM_GRAPH = [pair for pair in exported.PAIRS if pair[0] in ("onnx", "ort", "c")]


def made_alone(format_: Format, precision: Precision) -> bytes:
    """An artifact whose graph is traced, and cast, for it alone."""
    graph = trace_onnx(deployable(exported.model()), 18)
    how: dict[str, str] = {}
    match precision:
        case "float16":
            graph = halve_initializers(graph)
        case "int8-dynamic":
            graph = quantize_matrix_products(graph)
        case "int8":
            graph, how = quantize_statically(graph, exported.CALIBRATION)
    label: Format = "ort" if format_ == "ort" else "onnx"
    metadata = exported.source(exported.model()).metadata(label, precision) | how
    data = sealed(serialize_onnx(graph, metadata))
    if format_ == "ort":
        return export_ort(data)
    if format_ == "c":
        quantized = precision == "int8"
        name = "small_int8" if quantized else "small"  # two nets link into one program
        return export_c(data, name=name, golden=None, quantized=quantized)
    return data


@pytest.mark.parametrize(("format_", "precision"), FROM_GRAPH)
def test_a_shared_graph_gives_the_bytes_of_one_made_alone(
    format_: Format, precision: Precision
) -> None:
    assert exported.artifact(format_, precision) == made_alone(format_, precision)


def test_a_graph_is_traced_once_and_quantized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: object) -> object:
            calls.append(function.__name__)
            return function(*values)

        return call

    monkeypatch.setattr(trace, "trace_onnx", counted(trace_onnx))
    monkeypatch.setattr(static, "quantize_statically", counted(quantize_statically))
    source = exported.source(exported.model())
    for format_, precision in FROM_GRAPH:
        write_artifact(source, format_, precision)
    assert calls == ["trace_onnx", "quantize_statically"]


@pytest.mark.parametrize(("format_", "precision"), FROM_GRAPH)
def test_without_torch_the_graph_of_a_file_gives_the_same_bytes(
    format_: Format, precision: Precision
) -> None:
    source = OnnxSource(
        exported.artifact("onnx", "float32"),
        opset=18,
        origin=exported.METADATA,
        calibration=lambda: exported.CALIBRATION,
    )
    assert write_artifact(source, format_, precision).data == exported.artifact(format_, precision)
    with pytest.raises(MissingDependency, match="torch"):
        write_artifact(source, "pt2", "float32")


def test_without_torch_the_artifacts_of_a_bundle_are_the_source(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = {f"onnx-{p}": exported.artifact("onnx", p) for p in ("float32", "int8")}
    bundle = make_bundle(tmp_path / "b", graphs)
    monkeypatch.setattr("mnist_edge.formats.source.find_spec", lambda _: None)
    source = open_source(bundle)
    assert source.onnx("int8") == graphs["onnx-int8"], "the digits to make it from are not there"
    assert source.golden is not None
    assert np.array_equal(source.golden[0], bundle.reference().images[:10])
    with pytest.raises(UsageError, match="--opset 18"):
        open_source(bundle, 20)
    with pytest.raises(MissingDependency, match="torch"):
        open_source(make_bundle(tmp_path / "none", {}))


def test_a_trace_warns_of_no_package_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    absent = "torchvision"
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: find(name, *rest) if name != absent else None,
    )
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", said.append)
    logger = logging.getLogger("torch.onnx")  # which hands nothing on
    logger.addHandler(handler)
    trace_onnx(deployable(exported.model()), 18)
    logger.removeHandler(handler)
    assert [record for record in said if absent in record.getMessage()] == []
