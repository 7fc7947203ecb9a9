"""OpenVINO reads the ONNX file itself; its own form only opens faster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.contract import IMAGE_SHAPE, Images, Logits
from peers import BATCH_SIZES

REQUIREMENTS = ("openvino",)
SETTINGS = "fixed shapes, LATENCY hint, one stream, float32, tensors bound once"


def convert(bundle: Path, folder: Path) -> None:
    import openvino

    opened = open_bundle(bundle)
    model = openvino.Core().read_model(opened.read(opened.artifact("onnx-float32")))
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    requests = {}
    for count in BATCH_SIZES:
        model = core.read_model(folder / "model.xml")
        model.reshape([count, *IMAGE_SHAPE])
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        source, target = request.get_input_tensor().data, request.get_output_tensor().data
        requests[count] = (request, source, target)

    def run(images: Images) -> Logits:
        request, source, target = requests[len(images)]
        np.copyto(source, images)
        request.infer()
        return np.array(target)

    return run
