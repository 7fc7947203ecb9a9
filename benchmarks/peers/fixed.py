"""The ONNX file with a fixed batch size, for the runtimes that are at their best so. Needs onnx."""

from __future__ import annotations

from pathlib import Path

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.contract import BATCH_NAME
from peers import BATCH_SIZES


def write_fixed(bundle: Path, folder: Path) -> None:
    """Write `model-N.onnx` for each batch size N."""
    import onnx

    opened = open_bundle(bundle)
    for count in BATCH_SIZES:
        model = onnx.load_from_string(opened.read(opened.artifact("onnx-float32")))
        for value in (*model.graph.input, *model.graph.output):
            for size in value.type.tensor_type.shape.dim:
                if size.dim_param == BATCH_NAME:
                    size.dim_value = count
        # The shapes in between are those of any batch size, and would contradict.
        model.graph.ClearField("value_info")
        onnx.save(model, folder / f"model-{count}.onnx")
