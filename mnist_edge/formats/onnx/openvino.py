"""ONNX files, run by OpenVINO: a second runtime for Intel's processors. Needs no torch."""

from __future__ import annotations

import threading

import numpy as np
import openvino

from mnist_edge.contract import CLASSES, Images, Logits, check_images, check_logits
from mnist_edge.errors import BadInput, DeviceUnavailable
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.quiet import printed
from mnist_edge.recipes.terms import Device

_FIX = "choose --backend onnxruntime"


class OpenVinoBackend:
    """An ONNX file on the CPU.

    Args:
        data: the file.
        device: `cpu`, else DeviceUnavailable.
        threads: of the runtime.

    Raises:
        BadInput: as for `OrtBackend`, which looks at the file first, or OpenVINO refuses it.
    """

    name = "openvino"

    def __init__(self, data: bytes, *, device: Device = "cpu", threads: int = 1) -> None:
        if device != "cpu":
            raise DeviceUnavailable(f"OpenVINO cannot use {device} here", fix="choose --device cpu")
        # Its bounds and its signature are ours to check, whoever runs the file.
        OrtBackend(data).close()
        self.version = str(openvino.__version__).partition("-")[0]
        self.device: Device = device
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Where the processor has bfloat16, it would round to 8 bits.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            with printed():
                core = openvino.Core()
                model = core.compile_model(core.read_model(data), "CPU", settings)
        except Exception as error:  # a RuntimeError, and whatever else its C++ raises
            raise BadInput(f"OpenVINO cannot load the model: {_reason(error)}", fix=_FIX) from None
        self._request: openvino.InferRequest | None = model.create_infer_request()
        self._lock = threading.Lock()

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._request is None:
            raise ValueError("the backend is closed")
        if not len(images):
            return np.empty((0, len(CLASSES)), np.float32)
        try:
            with self._lock:
                logits = self._request.infer([images], share_inputs=True)[0].copy()
        except Exception as error:
            raise BadInput(f"OpenVINO cannot run the model: {_reason(error)}", fix=_FIX) from None
        return check_logits(logits, len(images), source="the ONNX model in OpenVINO")

    def close(self) -> None:
        """See `Backend.close`."""
        self._request = None


def _reason(error: Exception) -> str:
    """The last line of what OpenVINO says, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{(lines or [type(error).__name__])[-1]:.300}"
