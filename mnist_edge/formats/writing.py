"""From a trained model to the bytes of one artifact. One file a format.

The bytes depend on the model, the options and the versions of the libraries alone: no date, path,
host or process leaves a trace in them, so an artifact can be made again and compared.
"""

from __future__ import annotations

from contextlib import closing

import numpy as np
from torch import nn

from mnist_edge.bundle.golden import KEY, unpack_golden
from mnist_edge.contract import CLASSES, IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME, Images, to_images
from mnist_edge.errors import UsageError
from mnist_edge.formats.c.write import Golden, export_c
from mnist_edge.formats.onnx.dynamic import quantize_linear_layers, quantize_matrix_products
from mnist_edge.formats.onnx.half import halve_initializers, halve_weights
from mnist_edge.formats.onnx.run import (
    OrtBackend,  # before onnxruntime: it switches the telemetry off
)
from mnist_edge.formats.onnx.static import quantize_statically
from mnist_edge.formats.onnx.write import serialize_onnx, trace_onnx
from mnist_edge.formats.ort.write import export_ort
from mnist_edge.formats.pt2.write import export_program
from mnist_edge.formats.tolerances import tolerance
from mnist_edge.formats.torchscript.write import export_torchscript
from mnist_edge.models import deployable
from mnist_edge.recipes.terms import Format, Precision

_CONTRACT = {
    "producer": "mnist-edge",
    "input": f"{INPUT_NAME}: float32 (N, {', '.join(map(str, IMAGE_SHAPE))}), "
    "white digit on black, 0 to 1",
    "output": f"{OUTPUT_NAME}: float32 (N, {len(CLASSES)}), unnormalised class scores",
    "classes": ",".join(CLASSES),
}


def export_artifact(
    model: nn.Sequential,
    *,
    format_: Format,
    precision: Precision,
    opset: int,
    calibration: Images,
    metadata: dict[str, str],
) -> bytes:
    """The file of one artifact.

    Args:
        model: as trained; what is exported is `models.deployable(model)`. It is not changed.
        format_: a key of `recipes.MATRIX`.
        precision: of the weights; inputs and outputs are float32.
        opset: of what is made from an ONNX graph; without meaning for others.
        calibration: (N, 1, 28, 28) training digits, N at least 4, that set the ranges of static
            int8; without meaning for others.
        metadata: what the file shall say of its origin, beside its input and output contract.

    Raises:
        UsageError: the pair is not in the matrix, the opset cannot be written, or quantization
            finds nothing to quantize.
    """
    network = deployable(model).cpu()
    metadata = _CONTRACT | {"format": format_, "precision": precision} | metadata
    match format_, precision:
        case "torchscript", "float32":
            return export_torchscript(network, metadata)
        case "torchscript", "int8-dynamic":
            return export_torchscript(quantize_linear_layers(network), metadata)
        case "torchscript", "float16":
            return export_torchscript(halve_weights(network), metadata)
        case "pt2", "float32":
            return export_program(network, metadata)
        case "pt2", "float16":
            return export_program(halve_weights(network), metadata)
        case "onnx", "float32":
            return serialize_onnx(trace_onnx(network, opset), metadata)
        case "onnx", "float16":
            return serialize_onnx(halve_initializers(trace_onnx(network, opset)), metadata)
        case "onnx", "int8":
            quantized, origin = quantize_statically(trace_onnx(network, opset), calibration)
            return serialize_onnx(quantized, metadata | origin)
        case "onnx", "int8-dynamic":
            return serialize_onnx(quantize_matrix_products(trace_onnx(network, opset)), metadata)
        case "ort", "float32":
            return export_ort(trace_onnx(network, opset), metadata)
        case "ort", "int8":
            quantized, origin = quantize_statically(trace_onnx(network, opset), calibration)
            return export_ort(quantized, metadata | origin)
        case "c", "float32":
            # The graph is the artifact of ONNX, byte for byte, whose digest the file names.
            graph = serialize_onnx(trace_onnx(network, opset), metadata | {"format": "onnx"})
            return export_c(graph, name=metadata["recipe"], golden=_golden(metadata))
        case "c", "int8":
            quantized, origin = quantize_statically(trace_onnx(network, opset), calibration)
            graph = serialize_onnx(quantized, metadata | origin | {"format": "onnx"})
            golden = _golden(metadata, graph)
            return export_c(graph, name=metadata["recipe"], golden=golden, quantized=True)
        case _:
            raise UsageError(
                f"{format_} cannot hold {precision}",
                fix="see the matrix in mnist-edge export --help",
            )


def _golden(metadata: dict[str, str], quantized: bytes = b"") -> Golden | None:
    """The digits of a C file's self-test, if the metadata hold any.

    A float32 file is held against the checkpoint. One made from a quantized graph must give the
    very answers of ONNX Runtime.
    """
    if KEY not in metadata:
        return None
    pictures, logits = unpack_golden(metadata[KEY])
    if quantized:
        with closing(OrtBackend(quantized)) as backend:
            logits = backend.run(to_images(pictures)).astype(np.float64)
    return Golden(
        pictures=pictures, logits=logits, tolerance=tolerance("c", "float32").max_abs_error
    )
