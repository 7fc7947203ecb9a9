"""A net of others, run by ONNX Runtime operator by operator. Needs no torch."""

from __future__ import annotations

from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import Device


class OriginalBackend(OrtBackend):
    """The graph without any optimisation: what its maker's framework computes in float32."""

    def __init__(
        self, data: bytes, *, device: Device = "cpu", threads: int = 1, classes: int = len(DIGITS)
    ) -> None:
        super().__init__(data, device=device, threads=threads, optimization="none", classes=classes)
