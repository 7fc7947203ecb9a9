"""The gate of int8: at most one step of the output from the ONNX file that it was written from."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from mnist_edge.contract import Images
from mnist_edge.errors import NotEquivalent
from mnist_edge.formats.format import Loading
from mnist_edge.formats.litert.read import read_litert
from mnist_edge.formats.litert.run import LiteRtBackend
from mnist_edge.formats.litert.schema import Graph
from mnist_edge.formats.onnx.run import OrtBackend

# Both round a float32 product of the step and a whole number.
_ROUNDING = 1e-4


def check_agreement(data: bytes, graph: bytes, images: Images) -> None:
    """Raise NotEquivalent where a file of int8 and its graph differ by more than a step."""
    with (
        closing(LiteRtBackend(data, Loading(classes=0))) as written,
        closing(OrtBackend(graph, Loading(classes=0))) as original,
    ):
        error = float(np.abs(written.run(images) - original.run(images)).max())
    step = output_step(read_litert(data).graph)
    if error > step * (1 + _ROUNDING):
        raise NotEquivalent(
            f"litert in int8 is {error / step:.1f} steps from the int8 of ONNX Runtime",
            fix="export --format onnx --precision int8, and report this processor",
        )


def output_step(graph: Graph) -> float:
    """How far two neighbouring logits of an int8 file are apart."""
    last = graph.tensors[graph.output]
    if not last.scale.size:  # floats, made of bytes by the last operator
        (giver,) = (o for o in graph.operations if o.output == graph.output)
        last = graph.tensors[giver.inputs[0]]
    return float(last.scale[0])
