"""`.tflite` files, run by LiteRT. Needs no torch."""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from mnist_edge.contract import (
    IMAGE_SHAPE,
    Images,
    Logits,
    check_images,
    check_logits,
    check_outputs,
)
from mnist_edge.errors import BadInput
from mnist_edge.formats.format import USUAL, Loading, claim_cpu
from mnist_edge.formats.litert.read import LiteRtFile, read_litert
from mnist_edge.formats.litert.schema import FACTOR, OFFSET, Type
from mnist_edge.formats.quiet import printed

_FIX = "give a LiteRT file as mnist-edge export wrote it"
_PACKAGE = "ai-edge-litert"


class LiteRtBackend:
    """A `.tflite` file on the CPU.

    Raises:
        BadInput: not a file that mnist-edge wrote, or the runtime refuses it.
    """

    name = "litert"

    def __init__(self, data: bytes, how: Loading = USUAL) -> None:
        self.device = claim_cpu(how, "LiteRT")
        self.version = version(_PACKAGE)
        file = read_litert(data)
        outputs = file.graph.tensors[file.graph.output].shape[-1]
        self._classes = check_outputs(outputs, how.classes, source="the LiteRT model")
        self._bytes = (
            _Bytes(file) if file.graph.tensors[file.graph.input].type is Type.INT8 else None
        )
        try:
            with printed():
                interpreter = Interpreter(model_content=data, num_threads=how.threads)
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BadInput(f"LiteRT cannot load the model: {_reason(error)}", fix=_FIX) from None
        self._interpreter: Interpreter | None = interpreter
        self._input = interpreter.get_input_details()[0]["index"]
        self._output = interpreter.get_output_details()[0]["index"]
        self._batch = 1
        self._lock = threading.Lock()

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._interpreter is None:
            raise ValueError("the backend is closed")
        if not len(images):
            return np.empty((0, self._classes), np.float32)
        # One channel: whether it stands first or last, the numbers lie alike.
        pictures = images.reshape(-1, *IMAGE_SHAPE[1:], 1)
        given = self._bytes.pictures(pictures) if self._bytes else pictures
        try:
            with self._lock:
                result = self._classify(self._interpreter, given)
        except (ValueError, RuntimeError) as error:
            raise BadInput(f"the LiteRT model cannot run: {_reason(error)}", fix=_FIX) from None
        logits = self._bytes.logits(result) if self._bytes else result
        return check_logits(logits, len(images), self._classes, source="the LiteRT model")

    def close(self) -> None:
        """See `Backend.close`."""
        self._interpreter = None

    def _classify(self, interpreter: Interpreter, given: NDArray[np.generic]) -> NDArray[Any]:
        if len(given) != self._batch:
            interpreter.resize_tensor_input(self._input, given.shape, strict=True)
            with printed():
                interpreter.allocate_tensors()
            self._batch = len(given)
        interpreter.set_tensor(self._input, given)
        interpreter.invoke()
        result: NDArray[Any] = interpreter.get_tensor(self._output)
        return result


class _Bytes:
    """How a file that takes bytes wants its pictures, and what its answers mean."""

    def __init__(self, file: LiteRtFile) -> None:
        self._picture = file.graph.tensors[file.graph.input]
        self._row = file.graph.tensors[file.graph.output]
        try:
            self._factor, self._offset = (
                np.float32(float(file.metadata[key])) for key in (FACTOR, OFFSET)
            )
        except (KeyError, ValueError):
            raise BadInput(
                "the LiteRT file does not say how its bytes are made", fix=_FIX
            ) from None

    def pictures(self, pictures: Images) -> NDArray[np.int8]:
        """Bytes of intensities from 0 to 1."""
        numbers = (pictures * self._factor + self._offset) / self._picture.scale
        whole: NDArray[np.float32] = np.rint(numbers) + self._picture.zero
        return whole.clip(-128, 127).astype(np.int8)

    def logits(self, row: NDArray[np.int8]) -> Logits:
        """Class scores of bytes."""
        return (row.astype(np.float32) - np.float32(self._row.zero)) * self._row.scale


def _reason(error: Exception) -> str:
    """The first line of what LiteRT says."""
    return f"{(str(error).strip().splitlines() or [type(error).__name__])[0]:.300}"
