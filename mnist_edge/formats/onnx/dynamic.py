"""8-bit weights of the matrix products of an ONNX graph."""

from __future__ import annotations

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from mnist_edge.bundle.storage import scratch_folder
from mnist_edge.formats.source import nothing_to_quantize


def quantize_matrix_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with every constant matrix of a product in 8 bits, its input quantized as it runs.

    Convolutions are left alone: ONNX Runtime's `ConvInteger` is not optimised, and makes a net
    3.5 to 5 times slower. Unsigned weights: with signed ones, sums of two products overflow on x86
    processors without VNNI, which leaves a net of random weights 18 dB of 42. Unsigned ones give
    the same answers everywhere and take the same time, 4 to 9 dB nearer to float32 than signed
    ones of the 7 bits that cannot overflow, and depend no more on the batch.

    Raises:
        UsageError: the graph has no product with a constant matrix.
    """
    # The inferred shapes of today's exporter contradict the quantizer's own inference, which
    # then fails: https://github.com/microsoft/onnxruntime/issues/25890
    del model.graph.value_info[:]
    add_pre_process_metadata(model)  # else it logs advice to run the very inference again
    with scratch_folder() as folder:
        path = folder / "model.onnx"
        quantize_dynamic(
            model, path, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QUInt8
        )
        quantized = onnx.load(path)
    if not any(node.op_type == "MatMulInteger" for node in quantized.graph.node):
        raise nothing_to_quantize("product with a constant matrix")
    return quantized
