"""From a trained model to the bytes of one artifact. One file a format.

The bytes depend on the model, the options and the versions of the libraries alone: no date, path,
host or process leaves a trace in them, so an artifact can be made again and compared.
"""

from __future__ import annotations

import copy

from torch import nn

from mnist_edge.bundle import CHECKPOINT, Manifest
from mnist_edge.errors import UsageError
from mnist_edge.exporters.onnx import serialize_onnx, trace_onnx
from mnist_edge.exporters.quantize import quantize_linear_layers, quantize_matrix_products
from mnist_edge.exporters.torchscript import export_torchscript
from mnist_edge.recipes import Format, Precision
from mnist_edge.signature import CLASSES, IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME


def export_artifact(
    model: nn.Module,
    *,
    format_: Format,
    precision: Precision,
    opset: int,
    metadata: dict[str, str],
) -> bytes:
    """The file of one artifact.

    Args:
        model: in the form that is deployed, see `models.deployable`. It is not changed.
        format_: a key of `recipes.MATRIX`.
        precision: of the weights; inputs and outputs are float32.
        opset: of ONNX formats; without meaning for others.
        metadata: kept inside the file, see `artifact_metadata`.

    Raises:
        UsageError: the pair is not in the matrix, the opset cannot be written, or quantization
            finds nothing to quantize.
    """
    model = copy.deepcopy(model).cpu().eval()
    match format_, precision:
        case "torchscript", "float32":
            return export_torchscript(model, metadata)
        case "torchscript", "int8-dynamic":
            return export_torchscript(quantize_linear_layers(model), metadata)
        case "onnx", "float32":
            return serialize_onnx(trace_onnx(model, opset), metadata)
        case "onnx", "int8-dynamic":
            return serialize_onnx(quantize_matrix_products(trace_onnx(model, opset)), metadata)
        case _:
            raise UsageError(
                f"{format_} cannot hold {precision}",
                fix="see the matrix in mnist-edge export --help",
            )


def artifact_metadata(manifest: Manifest) -> dict[str, str]:
    """What every artifact of a bundle says of itself."""
    return {
        "producer": "mnist-edge",
        "recipe": manifest.recipe.name,
        "architecture": manifest.recipe.architecture,
        "input": f"{INPUT_NAME}: float32 (N, {', '.join(map(str, IMAGE_SHAPE))}), "
        "white digit on black, 0 to 1",
        "output": f"{OUTPUT_NAME}: float32 (N, {len(CLASSES)}), unnormalised class scores",
        "classes": ",".join(CLASSES),
        "data": f"{manifest.data.name} sha256:{manifest.data.sha256}",
        "checkpoint": f"sha256:{manifest.artifact(CHECKPOINT).sha256}",
        "test_accuracy": f"{manifest.training.test_accuracy:.4f}",
    }
