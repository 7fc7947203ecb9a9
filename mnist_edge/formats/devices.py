"""Which file for which device: what `doctor` advises, and the README with figures."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """What to take to one kind of device.

    Attributes:
        device: in words.
        artifact: the best first choice.
        options: of `export`, that write it.
        proof: where such files gave their answers; what is not said was not tried.
        runtime: that is needed there; empty for none.
        package: of it, where its size was measured.
    """

    device: str
    artifact: str
    options: str
    proof: str
    runtime: str = ""
    package: str = ""


_C = "c-int8", "--format c --precision int8"
_ONNX = "onnx-float32", "--format onnx"

DEVICES = (
    Advice("browser", "web-int8", "--format web", "Chromium, wasmtime; it tests itself"),
    Advice(
        *("phone", "litert-int8", "--format litert --precision int8", "LiteRT on x86-64"),
        *("LiteRT", "ai-edge-litert"),
    ),
    Advice("Raspberry Pi, Arm board", *_C, "qemu: Arm, 32 and 64 bit"),
    Advice("Intel or AMD box", *_C, "x86-64 with and without VNNI"),
    Advice(
        *("NVIDIA box", *_ONNX, "the tests marked gpu, where one is", "ONNX Runtime for GPUs"),
    ),
    Advice("ESP32, Cortex-M", *_C, "qemu: Cortex-M4F; ESP32 not tried"),
    Advice(
        *("the same, with TFLM", "litert-int8-io"),
        *("--format litert --precision int8-io --tflm", "TFLM's reference kernels on x86-64"),
        runtime="TFLM",
    ),
    Advice(
        *("Python server", *_ONNX, "x86-64; measured against all others"),
        *("ONNX Runtime", "onnxruntime"),
    ),
)
