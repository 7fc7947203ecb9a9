"""A torch model in fewer bits: weights of 16, or linear layers of 8."""

from __future__ import annotations

import copy
import typing
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge.formats.source import nothing_to_quantize
from mnist_edge.recipes.terms import Precision


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
            padding = typing.cast("tuple[int, int]", layer.padding)
            if layer.groups > 1:
                groups = layer.groups
                return torch.conv2d(values, weight, bias, layer.stride, padding, 1, groups)
            return torch.conv2d(values, weight, bias, layer.stride, padding)
        return functional.linear(values, weight, bias)


def cast(model: nn.Module, precision: Precision) -> nn.Module:
    """A model in evaluation mode in a precision that torch holds; `model` is not changed.

    Raises:
        UsageError: there is nothing in it to quantize.
    """
    if precision == "int8-dynamic":
        return quantize_linear_layers(model)
    return halve_weights(model) if precision == "float16" else model


def halve_weights(model: nn.Module) -> nn.Module:
    """The model with the weights of its convolutions and linear layers in float16."""
    halved = copy.deepcopy(model)
    for name, layer in model.named_children():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            setattr(halved, name, HalfWeights(layer))
    return halved.eval()


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
