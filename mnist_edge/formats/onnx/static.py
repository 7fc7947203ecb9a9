"""Static int8: weights and activations in 8 bits, their scales set by calibration digits."""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    create_calibrator,
)
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from mnist_edge.bundle.storage import scratch_folder
from mnist_edge.contract import INPUT_NAME, Images
from mnist_edge.formats.format import Loading
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.metrics import sqnr_db

_STDOUT = threading.Lock()

_OPERATORS = [
    *("Conv", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Concat"),
    *("Relu", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSigmoid", "HardSwish", "Clip"),
    *("Reshape", "Flatten", "Transpose", "Gather", "Pad", "Resize", "SpaceToDepth"),
]


_MOVING = ("Transpose", "Gather", "Pad", "Resize", "SpaceToDepth")


@dataclass(frozen=True)
class _Method:
    kind: CalibrationMethod
    options: dict[str, float]


_METHODS = {
    "minmax": _Method(CalibrationMethod.MinMax, {}),
    # With the 128 bins that ONNX Runtime takes for 128 levels, the search would have a single
    # candidate: the whole range, as minmax. Its time grows with the square of the bins.
    "entropy": _Method(CalibrationMethod.Entropy, {"num_bins": 512}),
    "percentile": _Method(CalibrationMethod.Percentile, {"percentile": 99.999}),
}


class _Digits(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: Images) -> None:
        # In one batch: the histograms of ONNX Runtime cannot take batches of two sizes.
        self._batches: Iterator[dict[str, Images]] = iter([{INPUT_NAME: images}])

    def get_next(self) -> dict[str, Images] | None:
        return next(self._batches, None)


def quantize_statically(
    model: onnx.ModelProto, calibration: Images
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The graph between pairs of `QuantizeLinear` and `DequantizeLinear`, as runtimes fuse them.

    Ranges are found in three ways on three quarters of the digits; the way whose logits are
    nearest to float32's on the last quarter is kept. The weights use 7 bits: in 8, sums of two
    products overflow on x86 processors without VNNI, which then give other answers than those
    with it. That costs 1 to 2 dB.

    Args:
        model: a float32 graph.
        calibration: (N, 1, 28, 28) float32 in [0, 1], training digits, N at least 4.

    Returns:
        The graph, and what its metadata shall say of how it was made.
    """
    # The inferred shapes of today's exporter contradict the quantizer's own inference.
    del model.graph.value_info[:]
    held_back = np.arange(len(calibration)) % 4 == 3
    exact = _logits(model, calibration[held_back])
    candidates, sqnr = {}, {}
    for name, method in _METHODS.items():
        candidates[name] = _quantized(model, _ranges(model, calibration[~held_back], method))
        sqnr[name] = sqnr_db(exact, _logits(candidates[name], calibration[held_back]))
    best = max(sqnr, key=sqnr.__getitem__)  # of equals, the first
    tried = ", ".join(f"{name} {decibels:.1f} dB" for name, decibels in sqnr.items())
    return candidates[best], {
        "calibration": best,
        "calibration_tried": f"{tried}, on {held_back.sum()} held-back training digits",
        "weights": "int8, 7 bits used, one scale per channel",
    }


def _ranges(model: onnx.ModelProto, images: Images, method: _Method) -> TensorsData:
    """The range of each tensor that is to be quantized."""
    # The calibrator prints. stdout is the whole process's: one thread at a time may turn it aside.
    with _STDOUT, scratch_folder() as folder, redirect_stdout(io.StringIO()):
        path = folder / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            _OPERATORS,
            augmented_model_path=str(path.with_name("augmented.onnx")),
            calibrate_method=method.kind,
            extra_options={"symmetric": False, **method.options},
        )
        calibrator.collect_data(_Digits(images))
        return calibrator.compute_data()


def _quantized(model: onnx.ModelProto, ranges: TensorsData) -> onnx.ModelProto:
    quantizer = QDQQuantizer(
        copy.deepcopy(model),
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=_OPERATORS,
        extra_options={},
    )
    for node in model.graph.node:  # it lets a picture pass these as it is
        if node.op_type in _MOVING:
            quantizer.quantize_activation_tensor(node.input[0])
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def _logits(model: onnx.ModelProto, images: Images) -> NDArray[np.float64]:
    with closing(OrtBackend(model.SerializeToString(), Loading(classes=0))) as backend:
        return backend.run(images).astype(np.float64)
