"""The form in which a net is trained: the same layers and weights, fewer copies between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def trained_form(model: nn.Sequential) -> nn.Sequential:
    """The same function of the same parameters, to the last bit."""
    return nn.Sequential(*(_Flat() if isinstance(layer, nn.Flatten) else layer for layer in model))


class _Flat(nn.Flatten):
    """A flattening whose gradients lie as its input, channels innermost.

    The ReLU before it takes an eighth of the time then: 4 % of a step of `sprint`, 2 % of `small`.
    """

    def forward(self, values: Tensor) -> Tensor:
        if values.requires_grad:
            values.register_hook(_channels_innermost)  # type: ignore[no-untyped-call]
        return super().forward(values)


def _channels_innermost(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
