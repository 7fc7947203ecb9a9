"""Typed steps as a torch module: what a net of others leaves by as TorchScript and `.pt2`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge.formats.graph import layers


class StepsModule(nn.Module):
    """A net, step by step; every result is (N, channels, height, width), a row has one pixel.

    Its convolutions and linear layers are torch's own, so that they can be cast as those of our
    nets are; all else that it holds of numbers is a buffer.
    """

    def __init__(self, net: layers.Net) -> None:
        super().__init__()
        self._net = net
        for index, step in enumerate(net.steps):
            match step:
                case layers.Convolution() | layers.Linear():
                    self.add_module(_name(index), _layer(step))
                case layers.Scale():
                    factor, offset = (
                        torch.from_numpy(part.copy()).reshape(-1, 1, 1)
                        for part in (step.factor, step.offset)
                    )
                    self.register_buffer(_name(index), factor)
                    self.register_buffer(f"{_name(index)}_offset", offset)
                case layers.Move():
                    self.register_buffer(_name(index), torch.from_numpy(step.order.copy()))
                case layers.Pool() if step.kind == "average" and not step.counts_border:
                    ones = torch.ones(1, 1, *net.shape(step.source)[1:])
                    counted = functional.avg_pool2d(_padded(ones, step.window), *_sizes(step))
                    self.register_buffer(_name(index), counted)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 1, 28, 28)."""
        results = {layers.PICTURE: images}
        for index, step in enumerate(self._net.steps):
            result = self._run(index, step, results)
            result = functional.relu(result) if layers.is_rectified(step) else result
            if isinstance(step, layers.Convolution) and step.pooled:
                result = functional.max_pool2d(result, 2)
            results[index] = result
        return result.flatten(1)

    def _run(self, index: int, step: layers.Step, results: Mapping[int, Tensor]) -> Tensor:
        values, *others = (results[source] for source in layers.sources(step))
        shape = (-1, *step.shape)
        match step:
            case layers.Convolution():
                values = _padded(values, step.window) if _is_lopsided(step.window) else values
                return self._layer(index, values)
            case layers.Linear():
                return self._layer(index, values.flatten(1)).reshape(shape)
            case layers.Scale():
                return values * self._kept(index) + self._kept(index, "_offset")
            case layers.Pool():
                return self._pool(index, step, values)
            case layers.Add():
                return values + others[0]
            case layers.Concat():
                return torch.cat([values, *others], dim=1)
            case layers.SpaceToDepth(block=block):
                _, height, width = step.shape
                cells = values.reshape(-1, step.shape[0] // block**2, height, block, width, block)
                return cells.permute(0, 3, 5, 1, 2, 4).reshape(shape)
            case layers.Move():
                return values.flatten(1)[:, self._kept(index)].reshape(shape)
            case layers.Border():
                _, height, width = self._net.shape(step.source)
                bottom = step.shape.height - height - step.top
                right = step.shape.width - width - step.left
                edges = (step.left, right, step.top, bottom)
                return functional.pad(values, edges, value=step.fill)
            case layers.Resize():
                return functional.interpolate(values, step.shape[1:], mode="bilinear")
            case layers.Activate():
                return _activated(step, values)

    def _pool(self, index: int, step: layers.Pool, values: Tensor) -> Tensor:
        if step.kind == "max":
            return functional.max_pool2d(_padded(values, step.window, -torch.inf), *_sizes(step))
        result = functional.avg_pool2d(_padded(values, step.window), *_sizes(step))
        return result if step.counts_border else result / self._kept(index)

    def _layer(self, index: int, values: Tensor) -> Tensor:
        given: Tensor = self.get_submodule(_name(index))(values)
        return given

    def _kept(self, index: int, what: str = "") -> Tensor:
        return self.get_buffer(f"{_name(index)}{what}")


def _name(index: int) -> str:
    return f"step{index}"


def _layer(step: layers.Convolution | layers.Linear) -> nn.Module:
    layer: nn.Conv2d | nn.Linear
    if isinstance(step, layers.Linear):
        layer = nn.Linear(*step.weight.shape[::-1])
    else:
        out, inner, *kernel = step.weight.shape
        window = step.window
        layer = nn.Conv2d(
            inner * step.groups,
            out,
            (kernel[0], kernel[1]),
            stride=(window.stride_y, window.stride_x),
            padding=0 if _is_lopsided(window) else (window.top, window.left),
            groups=step.groups,
        )
    weights = {"weight": step.weight, "bias": step.bias}
    layer.load_state_dict({name: torch.from_numpy(part.copy()) for name, part in weights.items()})
    return layer


def _is_lopsided(window: layers.Window) -> bool:
    return (window.top, window.left) != (window.bottom, window.right)


def _padded(values: Tensor, window: layers.Window, fill: float = 0.0) -> Tensor:
    edges = (window.left, window.right, window.top, window.bottom)
    return functional.pad(values, edges, value=fill) if any(edges) else values


def _sizes(step: layers.Pool) -> tuple[tuple[int, int], tuple[int, int]]:
    return step.window[:2], step.window[2:4]


def _activated(step: layers.Activate, values: Tensor) -> Tensor:
    first, second = step.first, step.second
    match step.function:
        case "elu":
            return functional.elu(values, first)
        case "leaky":
            return functional.leaky_relu(values, first)
        case "clip":
            return values.clamp(first, second)
        case "hard-sigmoid":
            return (values * first + second).clamp(0, 1)
        case "hard-swish":
            return functional.hardswish(values)
        case "silu":
            return functional.silu(values)
        case "sigmoid":
            return values.sigmoid()
        case "tanh":
            return values.tanh()
        case "round":
            return values.round()
