"""The exported files: what they compute, what they say, and what they keep to themselves."""

from __future__ import annotations

import getpass
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import exported
from factory import TESTS
from torch import nn

import mnist_edge
from mnist_edge.contract import Images
from mnist_edge.errors import UsageError
from mnist_edge.formats import FORMATS, load_backend, write_artifact
from mnist_edge.formats.archive import read_entries
from mnist_edge.formats.checkpoint.run import float64_logits
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.onnx.dynamic import quantize_matrix_products
from mnist_edge.formats.onnx.static import quantize_statically
from mnist_edge.formats.torchscript.run import torchscript_warnings_ignored
from mnist_edge.metrics import sqnr_db
from mnist_edge.models import deployable
from mnist_edge.recipes.terms import OPSETS, Format, Precision

PAIRS = exported.PAIRS
DIGITS: Images = np.random.default_rng(0).random((9, 1, 28, 28), dtype=np.float32)


def export(model: nn.Sequential, format_: Format, precision: Precision, opset: int = 18) -> bytes:
    return write_artifact(exported.source(model, opset), format_, precision).data


def graph_of(precision: Precision) -> Any:
    return onnx.load_from_string(exported.artifact("onnx", precision))


# --- what they compute ------------------------------------------------------------------------


@pytest.mark.parametrize(("format_", "precision"), exported.RUNNABLE)
def test_an_artifact_gives_the_answers_of_the_model(format_: Format, precision: Precision) -> None:
    written = exported.written(format_, precision)
    backend = load_backend(written.data, format_, exported.RECIPE, companions=written.companions)
    logits, exact = backend.run(DIGITS), float64_logits(exported.model(), DIGITS)
    if precision == "float32":
        np.testing.assert_allclose(logits, exact, atol=1e-5)
    else:
        assert sqnr_db(exact, logits) > 20
        assert not np.allclose(logits, exact, atol=1e-5), "nothing was quantized"


@pytest.mark.parametrize("format_", ["torchscript", "pt2", "onnx"])
def test_a_model_in_training_mode_is_exported_as_it_predicts(format_: Format) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.9), nn.Flatten(), nn.Linear(1352, 10)
    ).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    logits = load_backend(export(model, format_, "float32"), format_, exported.RECIPE).run(DIGITS)
    np.testing.assert_allclose(logits, float64_logits(model, DIGITS), atol=1e-5)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_what_a_format_cannot_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="torchscript cannot hold int8"):
        export(exported.model(), "torchscript", "int8")


@pytest.mark.parametrize("format_", ["torchscript", "onnx"])
def test_a_model_with_nothing_to_quantize_is_told_so(format_: Format) -> None:
    convolutions = nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())
    with pytest.raises(UsageError, match="finds nothing to quantize") as caught:
        export(convolutions, format_, "int8-dynamic")
    assert "--precision float32" in caught.value.fix
    export(convolutions, format_, "float32")


# --- ONNX -------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", FORMATS["onnx"].precisions)
def test_the_graph_has_our_names_and_a_symbolic_batch(precision: Precision) -> None:
    graph = graph_of(precision).graph
    described = [
        (value.name, [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim])
        for value in (*graph.input, *graph.output)
    ]
    assert described == [("images", ["batch", 1, 28, 28]), ("logits", ["batch", 10])]
    assert {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)} == {
        onnx.TensorProto.FLOAT
    }


@pytest.mark.parametrize("precision", ["int8-dynamic", "int8"])
@pytest.mark.parametrize("opset", OPSETS)
def test_the_opset_is_the_one_asked_for_with_the_oldest_ir(
    opset: int, precision: Precision
) -> None:
    model = onnx.load_from_string(export(exported.model(), "onnx", precision, opset))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert model.ir_version == {18: 8, 19: 9, 20: 9, 21: 10}[opset]


def test_an_opset_that_torch_cannot_write_is_refused() -> None:
    with pytest.raises(UsageError, match="opset 17") as caught:
        export(exported.model(), "onnx", "float32", 17)
    assert "--opset 18 to 21" in caught.value.fix


def test_an_opset_that_torch_raises_silently_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.onnx.export

    def raises_the_opset(*args: Any, opset_version: int, **options: Any) -> Any:
        return real(*args, opset_version=opset_version + 1, **options)

    monkeypatch.setattr(torch.onnx, "export", raises_the_opset)
    with pytest.raises(UsageError, match="cannot write opset 18"):
        export(exported.model(), "onnx", "float32", 18)


@pytest.mark.parametrize("tracer", ["torch.onnx.export", "torch.jit.trace"])
def test_a_model_is_traced_with_more_than_one_image(
    tracer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With one, a tracer may take the batch for a constant, or for something to broadcast.
    seen: list[int] = []
    module, _, name = tracer.rpartition(".")
    real = getattr(sys.modules[module], name)

    def spy(model: nn.Module, example: Any, **options: Any) -> Any:
        seen.append(len(example[0] if isinstance(example, tuple) else example))
        return real(model, example, **options)

    monkeypatch.setattr(tracer, spy)
    export(exported.model(), "onnx" if "onnx" in tracer else "torchscript", "float32")
    assert seen[0] > 1


@pytest.mark.parametrize("precision", FORMATS["onnx"].precisions)
def test_the_weights_are_in_the_file_and_nothing_lies_beside_it(
    precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    data = export(exported.model(), "onnx", precision)
    assert read_outline(data).operators  # and so it needs no other file
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]


@pytest.mark.parametrize("precision", FORMATS["onnx"].precisions)
def test_the_graph_passes_the_full_checker_and_is_labelled_as_ours(precision: Precision) -> None:
    model = graph_of(precision)
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version) == ("mnist-edge", "")
    assert (model.graph.name, model.doc_string) == ("mnist_edge", "")


def test_only_matrix_products_are_quantized_dynamically() -> None:
    operators = [node.op_type for node in graph_of("int8-dynamic").graph.node]
    assert "MatMulInteger" in operators
    assert "Conv" in operators
    assert "ConvInteger" not in operators


def test_a_graph_with_inferred_shapes_is_quantized() -> None:
    # microsoft/onnxruntime#25890: the quantizer trips over the shapes that torch writes.
    graph = graph_of("float32")
    shapes = [
        onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, ["batch", 3])
        for node in graph.graph.node
        if node.op_type != "Gemm"
    ]
    del graph.graph.value_info[:]
    graph.graph.value_info.extend(shapes)
    quantized = quantize_matrix_products(graph)
    assert "MatMulInteger" in {node.op_type for node in quantized.graph.node}


def test_static_int8_leaves_no_layer_in_float32() -> None:
    graph = graph_of("int8").graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MaxPool")]
    assert layers
    for node in layers:
        assert {made_by[name] for name in node.input} == {"DequantizeLinear"}, node.op_type


def test_static_int8_has_a_scale_per_channel_and_weights_of_seven_bits() -> None:
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in graph_of("int8").graph.initializer}
    weights = {name: value for name, value in tensors.items() if name.endswith(".weight_quantized")}
    assert len(weights) == sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in exported.model())
    for name, value in weights.items():
        assert value.dtype == np.int8
        # In 8 bits, sums of two products overflow on processors without VNNI.
        assert np.abs(value.astype(int)).max() <= 64
        channels = value.shape[0]
        assert tensors[name.replace("_quantized", "_scale")].shape == (channels,)


def test_of_three_ways_to_calibrate_the_best_is_kept_and_named() -> None:
    told = {entry.key: entry.value for entry in graph_of("int8").metadata_props}
    tried = {
        name: float(decibels)
        for name, decibels in re.findall(r"(\w+) (-?[\d.]+) dB", told["calibration_tried"])
    }
    assert set(tried) == {"minmax", "entropy", "percentile"}
    assert len(set(tried.values())) > 1, "entropy searches nothing"
    assert tried[told["calibration"]] == max(tried.values())
    assert told["calibration_tried"].endswith("on 22 held-back training digits")


def test_the_calibration_digits_set_the_ranges() -> None:
    dark = quantize_statically(graph_of("float32"), exported.CALIBRATION / np.float32(2))[0]
    assert sqnr_db(
        float64_logits(exported.model(), DIGITS),
        load_backend(dark.SerializeToString(), "onnx", exported.RECIPE).run(DIGITS),
    ) < sqnr_db(
        float64_logits(exported.model(), DIGITS),
        load_backend(exported.artifact("onnx", "int8"), "onnx", exported.RECIPE).run(DIGITS),
    )


@pytest.mark.parametrize("format_", ["torchscript", "pt2", "onnx"])  # which keep torch's order
def test_float16_halves_the_weights_and_computes_in_float32(format_: Format) -> None:
    half = exported.artifact(format_, "float16")
    rounded = deployable(exported.model())
    for parameter in rounded.parameters():
        assert parameter.half().numpy().tobytes() in half
        assert parameter.numpy().tobytes() not in half
        parameter.copy_(parameter.half().float())
    logits = load_backend(half, format_, exported.RECIPE).run(DIGITS)
    np.testing.assert_allclose(logits, float64_logits(rounded, DIGITS), atol=1e-5)


def test_an_onnx_file_tells_its_contract_and_origin_in_a_fixed_order() -> None:
    entries = [(entry.key, entry.value) for entry in graph_of("float32").metadata_props]
    assert entries == sorted(entries)
    told = dict(entries)
    assert told["classes"] == "0,1,2,3,4,5,6,7,8,9"
    assert told["input"].startswith("images: float32 (N, 1, 28, 28)")
    assert told["output"].startswith("logits: float32 (N, 10)")
    assert exported.METADATA.items() <= told.items()


def test_nothing_but_our_labels_is_left_at_any_depth() -> None:
    def notes(message: Any) -> list[str]:
        found = []
        for field, value in message.ListFields():
            if field.name in ("metadata_props", "doc_string"):
                found.append(f"{message.DESCRIPTOR.name}.{field.name}")
            elif field.message_type is not None:
                for item in value if hasattr(value, "__len__") else [value]:
                    found += notes(item)
        return found

    for precision in FORMATS["onnx"].precisions:
        assert notes(graph_of(precision)) == ["ModelProto.metadata_props"]


# --- TorchScript ------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", FORMATS["torchscript"].precisions)
def test_a_torchscript_archive_is_stored_aligned_and_without_date(precision: Precision) -> None:
    data = exported.artifact("torchscript", precision)
    entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    names = [entry.filename for entry in entries]
    assert all(name.startswith("archive/") for name in names)
    assert not [name for name in names if "debug_pkl" in name or "serialization_id" in name]
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    for entry in entries:
        header = data[entry.header_offset :]
        extra_bytes = int.from_bytes(header[28:30], "little")
        start = entry.header_offset + 30 + len(entry.filename) + extra_bytes
        assert start % 64 == 0
        assert data[start : start + entry.file_size] == zipfile.ZipFile(io.BytesIO(data)).read(
            entry
        )


@pytest.mark.parametrize("precision", FORMATS["pt2"].precisions)
def test_a_pt2_file_holds_no_example_and_tells_its_origin(precision: Precision) -> None:
    entries = read_entries(exported.artifact("pt2", precision))
    assert entries["data/sample_inputs/model.pt"] == b""
    assert b"stack_trace" not in entries["models/model.json"]
    assert ".data/serialization_id" not in entries
    assert exported.METADATA.items() <= json.loads(entries["extra/mnist_edge.json"]).items()


def test_a_torchscript_file_tells_its_contract_and_origin() -> None:
    files = {"mnist_edge.json": ""}
    with torchscript_warnings_ignored():
        torch.jit.load(io.BytesIO(exported.artifact("torchscript", "float32")), _extra_files=files)
    told = json.loads(files["mnist_edge.json"])
    assert told["classes"] == "0,1,2,3,4,5,6,7,8,9"
    assert exported.METADATA.items() <= told.items()


def test_a_torchscript_file_asks_a_gpu_for_full_precision() -> None:
    # The trace writes cuDNN's settings into each convolution; the last is allow_tf32.
    with zipfile.ZipFile(io.BytesIO(exported.artifact("torchscript", "float32"))) as archive:
        code = next(archive.read(n) for n in archive.namelist() if n.endswith("container.py"))
    convolutions = [line for line in code.decode().splitlines() if "_convolution(" in line]
    assert convolutions
    assert all(line.rstrip(")").endswith("True, False") for line in convolutions)


# --- the same bytes, and nothing private --------------------------------------------------------


@pytest.mark.parametrize(("format_", "precision"), PAIRS)
def test_no_place_and_no_person_is_named(format_: Format, precision: Precision) -> None:
    data = exported.artifact(format_, precision).lower()
    package = Path(mnist_edge.__file__).parent
    secrets = [str(place) for place in (package.parent, Path.home(), Path.cwd(), sys.prefix)]
    secrets += [tempfile.gettempdir(), "site-packages", "models.py", "exported.py", "torch_mangle"]
    secrets += [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4]
    for secret in secrets:
        assert len(secret) <= 1 or secret.lower().encode() not in data, secret


@pytest.mark.parametrize(("format_", "precision"), PAIRS)
def test_the_same_bytes_come_again_whatever_the_process_did_before(
    format_: Format, precision: Precision
) -> None:
    first = exported.artifact(format_, precision)
    before = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = not before
        origin = dict(reversed(exported.METADATA.items()))
        source = exported.source(exported.model(), origin=origin)
        again = write_artifact(source, format_, precision).data
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert again == first


def test_the_same_bytes_come_from_another_process_folder_and_hash_seed(tmp_path: Path) -> None:
    shutil.copytree(Path(mnist_edge.__file__).parent, tmp_path / "mnist_edge")
    for module in ("exported.py", "factory.py"):
        shutil.copy(TESTS / module, tmp_path)
    program = (
        "import hashlib, exported\n"
        f"for pair in {PAIRS!r}:\n"
        "    print(hashlib.sha256(exported.artifact(*pair)).hexdigest())"
    )
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHASHSEED": "12345",
        "OMP_NUM_THREADS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [
        hashlib.sha256(exported.artifact(*pair)).hexdigest() for pair in PAIRS
    ]


def test_exporting_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    for format_, precision in PAIRS:
        export(exported.model(), format_, precision)
    assert capfd.readouterr() == ("", "")
