"""What ONNX Runtime is given to load, and what is kept from it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tiny_onnx import DOUBLE, field, number, text, tiny_onnx, weight_matrix

from mnist_edge.contract import Images
from mnist_edge.errors import BadInput, DeviceUnavailable
from mnist_edge.formats.format import Loading
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.onnx.run import OrtBackend

pytestmark = pytest.mark.edge

GOOD = tiny_onnx()
DIGIT: Images = np.full((1, 1, 28, 28), 0.5, np.float32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"\x00" * 64, "not an ONNX file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not an ONNX file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "not an ONNX file"),
        (b"PK\x03\x04" + bytes(60), "not an ONNX file"),
        (np.random.default_rng(0).bytes(5000), "not an ONNX file"),
        (GOOD[:-1], "not an ONNX file"),
        (GOOD[: len(GOOD) // 2], "not an ONNX file"),
        (b"\x18\x00\x00\x00ORTM" + bytes(100), "a part is missing"),
        (tiny_onnx(ir_version=99), "IR version"),
        (tiny_onnx(opset=99), "Opset 99"),
        (tiny_onnx(domain="com.example"), "com.example"),
        (tiny_onnx(input_name="input"), "expected images"),
        (tiny_onnx(output_name="scores"), "expected images"),
        (
            tiny_onnx(np.zeros((3 * 784, 10), np.float32), input_shape=("batch", 3, 28, 28)),
            "['N', 3, 28, 28]",
        ),
        (tiny_onnx(input_shape=(1, 1, 28, 28)), "[1, 1, 28, 28]"),
        (tiny_onnx(weight_matrix()[:, :5].copy()), "['N', 5]"),
        (tiny_onnx(element_type=DOUBLE), "tensor(double)"),
        (tiny_onnx(input_name="i\xff\n"), "expected images"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else value,
)
def test_a_file_that_is_no_model_of_ours_is_refused_in_one_line(
    data: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        OrtBackend(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_broken_weights_are_noticed_in_the_answer(value: float) -> None:
    weight = weight_matrix()
    weight[400, 3] = value
    backend = OrtBackend(tiny_onnx(weight))
    with pytest.raises(BadInput, match="NaN or infinity"):
        backend.run(DIGIT)


@pytest.mark.parametrize(
    "external",
    [
        {"location": "weights.bin"},
        {"location": "../weights.bin"},
        {"location": "/etc/hostname"},
        {"location": "weights.bin", "length": str(10**12)},
        {"location": "weights.bin", "offset": "-1"},
        {"location": "*/_ORT_MEM_ADDR_/*", "offset": "4096", "length": "31360"},
    ],
)
def test_external_data_is_refused_before_any_file_is_opened(
    external: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "weights.bin").write_bytes(weight_matrix().tobytes())
    monkeypatch.chdir(folder)
    with pytest.raises(BadInput, match="in other files"):
        OrtBackend(tiny_onnx(external=external))


def _model(graph: bytes) -> bytes:
    return number(1, 8) + field(7, graph)


_TENSOR = text(8, "hidden") + number(14, 1)
_ATTRIBUTE = text(1, "value") + field(5, _TENSOR)
_SPARSE = field(1, _TENSOR)


@pytest.mark.parametrize(
    "data",
    [
        _model(field(5, _TENSOR)),
        _model(field(5, text(8, "hidden") + field(13, text(1, "location")))),
        _model(field(15, _SPARSE)),
        _model(field(1, field(5, _ATTRIBUTE))),
        _model(field(1, field(5, field(10, _TENSOR)))),
        _model(field(1, field(5, field(22, _SPARSE)))),
        _model(field(1, field(5, field(6, field(5, _TENSOR))))),
        _model(field(1, field(5, field(11, field(1, field(5, _ATTRIBUTE)))))),
        number(1, 8) + field(25, field(7, field(5, _ATTRIBUTE))),
        number(1, 8) + field(25, field(11, _ATTRIBUTE)),
        number(1, 8) + field(20, field(2, field(5, _TENSOR))),
        _model(b"") + field(7, field(5, _TENSOR)),
    ],
)
def test_external_data_is_found_wherever_a_tensor_may_lie(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"in other files|of type 0|is a graph|functions|twice"):
        read_outline(data)


def test_no_mutation_of_a_good_file_escapes_as_another_error() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        spoilt = bytearray(GOOD)
        # The first 120 bytes and the last 80 hold the structure, the rest are weights.
        for place in rng.integers(-80, 120, 3):
            spoilt[place] = rng.integers(256)
        try:
            OrtBackend(bytes(spoilt)).run(DIGIT)
        except BadInput:
            refused += 1
    assert refused > 200


def test_a_device_that_the_wheel_lacks_is_refused_with_the_fix(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(DeviceUnavailable) as caught:
        OrtBackend(GOOD, Loading(device="cuda"))
    assert caught.value.fix == "choose --device cpu"  # no package makes a GPU
    monkeypatch.setattr("shutil.which", lambda name: name)
    with pytest.raises(DeviceUnavailable) as caught:
        OrtBackend(GOOD, Loading(device="cuda"))
    assert "pip uninstall onnxruntime && pip install onnxruntime-gpu" in caught.value.fix
    assert capfd.readouterr() == ("", "")  # ORT itself would print to stdout
    with pytest.raises(DeviceUnavailable, match="mps"):
        OrtBackend(GOOD, Loading(device="mps"))


def test_a_session_that_fell_back_to_the_cpu_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = onnxruntime.InferenceSession

    def cannot_start_cuda(
        data: bytes, options: onnxruntime.SessionOptions, *, providers: object, enable_fallback: int
    ) -> onnxruntime.InferenceSession:
        if enable_fallback:
            print("*************** EP Error ***************")
        return real(data, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", cannot_start_cuda)
    with pytest.raises(DeviceUnavailable, match="fell back"):
        OrtBackend(GOOD, Loading(device="cuda"))
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_cannot_start_is_told_from_a_file_that_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = onnxruntime.InferenceSession

    def cannot_start_cuda(
        data: bytes,
        options: onnxruntime.SessionOptions,
        *,
        providers: list[tuple[str, object]],
        enable_fallback: int,
    ) -> onnxruntime.InferenceSession:
        if providers[0][0] == "CUDAExecutionProvider":
            raise RuntimeError("CUDA failure 100: no CUDA-capable device")
        return real(data, options, providers=providers, enable_fallback=enable_fallback)

    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(onnxruntime, "InferenceSession", cannot_start_cuda)
    with pytest.raises(DeviceUnavailable, match="no CUDA-capable device"):
        OrtBackend(GOOD, Loading(device="cuda"))
    with pytest.raises(BadInput, match="Opset 99"):
        OrtBackend(tiny_onnx(opset=99), Loading(device="cuda"))
    assert capfd.readouterr() == ("", "")


def test_threads_and_optimization_reach_the_session_and_none_waits_busily(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[onnxruntime.SessionOptions] = []
    real = onnxruntime.InferenceSession

    def spy(
        data: bytes,
        options: onnxruntime.SessionOptions,
        *,
        providers: list[object],
        enable_fallback: int,
    ) -> onnxruntime.InferenceSession:
        assert not enable_fallback
        seen.append(options)
        return real(data, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    OrtBackend(GOOD)
    OrtBackend(GOOD, Loading(threads=2, optimization="none"))
    spinning = "session.intra_op.allow_spinning"
    assert [options.intra_op_num_threads for options in seen] == [1, 2]
    assert [options.inter_op_num_threads for options in seen] == [1, 1]
    assert [options.get_session_config_entry(spinning) for options in seen] == ["0", "0"]
    assert [options.graph_optimization_level.name for options in seen] == [
        "ORT_ENABLE_ALL",
        "ORT_DISABLE_ALL",
    ]


@pytest.mark.parametrize("chosen", [None, "0"])
def test_telemetry_is_off_unless_the_user_has_chosen(chosen: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    if chosen is not None:
        environment["ORT_DISABLE_TELEMETRY"] = chosen
    program = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import mnist_edge.formats.onnx.run"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (chosen or "1")


def test_the_answer_for_one_picture_is_not_overwritten_by_the_next() -> None:
    backend = OrtBackend(GOOD)
    first = backend.run(DIGIT)
    kept = first.copy()
    assert not np.array_equal(backend.run(DIGIT * np.float32(0.5)), kept)
    assert np.array_equal(first, kept)


def test_one_picture_alone_is_answered_as_in_a_batch() -> None:
    backend = OrtBackend(GOOD)
    digits = np.random.default_rng(0).random((5, 1, 28, 28), np.float32)
    alone = np.concatenate([backend.run(digits[i : i + 1]) for i in range(5)])
    assert np.allclose(alone, backend.run(digits), atol=1e-4)


def test_threads_of_the_caller_get_each_their_own_answer() -> None:
    backend = OrtBackend(GOOD)
    digits = np.random.default_rng(0).random((64, 1, 28, 28), np.float32)
    expected = [backend.run(digits[i : i + 1]) for i in range(64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: backend.run(digits[i : i + 1]), [*range(64)] * 20))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected * 20, strict=True))
