"""What an ONNX graph costs for one picture, from the shapes that ONNX Runtime's profiler sees."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from mnist_edge.bundle.storage import scratch_folder
from mnist_edge.contract import IMAGE_SHAPE, INPUT_NAME


def count_costs(data: bytes) -> tuple[int, int]:
    """Multiply-adds, and bytes that operators read and write, for one picture.

    Fused as far as it does not depend on the processor, so the figures are the same everywhere.

    Args:
        data: an ONNX file that has been run before.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.enable_profiling = True
    # Prepacked weights are missing from the profile.
    options.add_session_config_entry("session.disable_prepacking", "1")
    with scratch_folder() as folder:
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        session.run(None, {INPUT_NAME: np.zeros((1, *IMAGE_SHAPE), np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    operators = [event["args"] for event in events if "input_type_shape" in event.get("args", {})]
    moved = ("parameter_size", "activation_size", "output_size")
    return (
        sum(map(_multiply_adds, operators)),
        sum(int(operator.get(size, 0)) for operator in operators for size in moved),
    )


def _multiply_adds(operator: dict[str, Any]) -> int:
    kind: str = operator["op_name"]
    inputs, outputs = _shapes(operator["input_type_shape"]), _shapes(operator["output_type_shape"])
    if "Conv" in kind:
        # Whatever stands between them (scales, zero points), the weights are the next 4-D input.
        weights = next(shape for shape in inputs[1:] if len(shape) == 4)
        return math.prod(outputs[0]) * math.prod(weights[1:])
    if "MatMul" in kind or "Gemm" in kind:
        return math.prod(outputs[0]) * inputs[0][-1]
    return 0


def _shapes(values: list[dict[str, list[int]]]) -> list[list[int]]:
    return [shape for value in values for shape in value.values()]
