"""Weights of 16 bits: half the bytes, and arithmetic in float32 all the same.

Logits of 16 and more would be rounded to 0.008 and worse in half precision, so weights alone
lose bits. A runtime that folds constants, as ONNX Runtime does, widens them once, as it loads.
"""

from __future__ import annotations

import numpy as np
import onnx


def halve_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its float32 constants in float16, each widened by a `Cast`; it is changed."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            name, stored = tensor.name, f"{tensor.name}_half"
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, stored))
            casts.append(
                onnx.helper.make_node(
                    "Cast", [stored], [name], name=f"{name}_widened", to=onnx.TensorProto.FLOAT
                )
            )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
