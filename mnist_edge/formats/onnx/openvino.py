"""ONNX files, run by OpenVINO: a second runtime for Intel's processors. Needs no torch."""

from __future__ import annotations

import threading

import numpy as np
import openvino

from mnist_edge.contract import IMAGE_SHAPE, Images, Logits, check_images, check_logits
from mnist_edge.errors import BadInput
from mnist_edge.formats.format import USUAL, Loading, claim_cpu
from mnist_edge.formats.onnx.run import MOST_IN_A_BATCH, OrtBackend
from mnist_edge.formats.quiet import printed

_FIX = "choose --backend onnxruntime"


class OpenVinoBackend:
    """An ONNX file on the CPU.

    Raises:
        BadInput: as for `OrtBackend`, which looks at the file first, or OpenVINO refuses it.
    """

    name = "openvino"

    def __init__(self, data: bytes, how: Loading = USUAL) -> None:
        self.device = claim_cpu(how, "OpenVINO")
        # Its bounds and its signature are ours to check, whoever runs the file.
        checked = OrtBackend(data, Loading(classes=how.classes))
        checked.close()
        self._classes, self._numbers = checked.classes, checked.numbers
        self.version = str(openvino.__version__).partition("-")[0]
        settings = {
            "INFERENCE_NUM_THREADS": how.threads,
            "NUM_STREAMS": 1,
            # Where the processor has bfloat16, it would round to 8 bits.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            with printed():
                core = openvino.Core()
                graph = core.read_model(data)
                many = core.compile_model(graph, "CPU", settings)
                # A third of the time for one picture: its shape is known, its tensors stay.
                graph.reshape([1, *IMAGE_SHAPE])
                one = core.compile_model(graph, "CPU", settings)
        except Exception as error:  # a RuntimeError, and whatever else its C++ raises
            raise BadInput(f"OpenVINO cannot load the model: {_reason(error)}", fix=_FIX) from None
        self._many: openvino.InferRequest | None = many.create_infer_request()
        self._one: openvino.InferRequest | None = one.create_infer_request()
        self._lock = threading.Lock()

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._many is None or self._one is None:
            raise ValueError("the backend is closed")
        if not len(images):
            return np.empty((0, self._classes), np.float32)
        if len(images) > 1 and self._numbers(len(images)) > MOST_IN_A_BATCH:
            half = len(images) // 2
            return np.concatenate([self.run(images[:half]), self.run(images[half:])])
        try:
            with self._lock:
                if len(images) == 1:
                    self._one.get_input_tensor().data[...] = images
                    self._one.infer()
                    logits = self._one.get_output_tensor().data.copy()
                else:
                    logits = self._many.infer([images], share_inputs=True)[0].copy()
        except Exception as error:
            raise BadInput(f"OpenVINO cannot run the model: {_reason(error)}", fix=_FIX) from None
        return check_logits(logits, len(images), self._classes, source="the ONNX model in OpenVINO")

    def close(self) -> None:
        """See `Backend.close`."""
        self._many = self._one = None


def _reason(error: Exception) -> str:
    """The last line of what OpenVINO says, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{(lines or [type(error).__name__])[-1]:.300}"
