"""Weights of 16 bits: half the bytes, and arithmetic in float32 all the same.

Logits of 16 and more would be rounded to 0.008 and worse in half precision, so weights alone
lose bits. A runtime that folds constants, as ONNX Runtime does, widens them once, as it loads.
"""

from __future__ import annotations

import copy
from typing import cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional


class HalfWeights(nn.Module):
    """A convolution or linear layer that keeps its weights in float16; the given one is copied."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer = copy.deepcopy(layer).half()

    def forward(self, values: Tensor) -> Tensor:
        """As the layer, in the precision of `values`."""
        # A cast that depends on the input is what no exporter can fold back into wide weights.
        weight = self.layer.weight.type_as(values)
        bias = None if self.layer.bias is None else self.layer.bias.type_as(values)
        if isinstance(self.layer, nn.Conv2d):
            layer = self.layer
            padding = cast("tuple[int, int]", layer.padding)
            return torch.conv2d(values, weight, bias, layer.stride, padding)
        return functional.linear(values, weight, bias)


def halve_weights(model: nn.Sequential) -> nn.Sequential:
    """The model with the weights of its convolutions and linear layers in float16."""
    return nn.Sequential(
        *(
            HalfWeights(layer) if isinstance(layer, (nn.Conv2d, nn.Linear)) else layer
            for layer in model
        )
    ).eval()


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
