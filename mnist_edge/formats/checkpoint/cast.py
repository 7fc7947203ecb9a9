"""A torch model in fewer bits: weights of 16, or linear layers of 8."""

from __future__ import annotations

import copy
import warnings
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge.formats.source import nothing_to_quantize


class HalfWeights(nn.Module):
    """A convolution or linear layer that keeps its weights in float16; the given one is copied."""

    # `.pt2` files name the class of a layer. Their bytes must not change with the place of the
    # code, so the name is for good where it was first.
    __module__ = "mnist_edge.exporters.half"

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


def quantize_linear_layers(model: nn.Module) -> nn.Module:
    """The model with every `nn.Linear` in dynamic int8; `model` is not changed.

    Raises:
        UsageError: it has no linear layer.
    """
    if not any(isinstance(module, nn.Linear) for module in model.modules()):
        raise nothing_to_quantize("linear layer")
    with warnings.catch_warnings():
        # torch 2.15 still announces its removal in 2.10; the successor, torchao, is one more
        # dependency and does not go through TorchScript.
        warnings.filterwarnings("ignore", message="torch.ao.quantization is deprecated")
        warnings.filterwarnings("ignore", message="torch.quantize_per_tensor, ")
        quantized: nn.Module = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            model, {nn.Linear}, dtype=torch.qint8
        )
    return quantized
