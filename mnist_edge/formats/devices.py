"""Which file for which device: what `doctor` advises, and the README with figures."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """What to take to one kind of device.

    Attributes:
        device: in words.
        artifact: the best first choice.
        options: of `export`, that write it.
        runtime: that is needed there; empty for none.
        package: of it, where its size was measured.
        proof: where such files gave their answers; what is not said was not tried.
    """

    device: str
    artifact: str
    options: str
    runtime: str
    package: str
    proof: str


DEVICES = (
    Advice(
        "browser",
        "web-int8",
        "--format web",
        "",
        "",
        "Chromium, wasmtime; it tests itself",
    ),
    Advice(
        "phone",
        "litert-int8",
        "--format litert --precision int8",
        "LiteRT",
        "ai-edge-litert",
        "LiteRT on x86-64",
    ),
    Advice(
        "Raspberry Pi, Arm board",
        "c-int8",
        "--format c --precision int8",
        "",
        "",
        "qemu: Arm, 32 and 64 bit",
    ),
    Advice(
        "Intel or AMD box",
        "c-int8",
        "--format c --precision int8",
        "",
        "",
        "x86-64 with and without VNNI",
    ),
    Advice(
        "NVIDIA box",
        "onnx-float32",
        "--format onnx",
        "ONNX Runtime for GPUs",
        "",
        "the tests marked gpu, where one is",
    ),
    Advice(
        "ESP32, Cortex-M",
        "c-int8",
        "--format c --precision int8",
        "",
        "",
        "qemu: Cortex-M4F; ESP32 not tried",
    ),
    Advice(
        "the same, with TFLM",
        "litert-int8-io",
        "--format litert --precision int8-io --tflm",
        "TFLM",
        "",
        "TFLM's reference kernels on x86-64",
    ),
    Advice(
        "Python server",
        "onnx-float32",
        "--format onnx",
        "ONNX Runtime",
        "onnxruntime",
        "x86-64; measured against all others",
    ),
)
