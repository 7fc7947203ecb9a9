"""What the layers of Keras that take pictures become in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Config, Draft, Layering, Value, Weights, pair, refuse, weight
from mnist_edge.foreign.keras_activations import activated


def convolve(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    """Conv2D."""
    kernel = weight(weights, "kernel", 0)
    bias = weight(weights, "bias", 1) if config.get("use_bias", True) else None
    groups = int(config.get("groups", 1))
    value = _convolved(draft, name, config, reads[0], kernel.transpose(3, 2, 0, 1), bias, groups)
    return activated(draft, name, config, value)


def convolve_each(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    """DepthwiseConv2D."""
    kernel = weights.get("depthwise_kernel")
    kernel = weight(weights, "kernel", 0) if kernel is None else kernel
    bias = weight(weights, "bias", 1) if config.get("use_bias", True) else None
    value = _by_channel(draft, name, config, reads[0], kernel, bias)
    return activated(draft, name, config, value)


def convolve_apart(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    """SeparableConv2D."""
    value = _by_channel(draft, name, config, reads[0], weight(weights, "depthwise_kernel", 0), None)
    points = weight(weights, "pointwise_kernel", 1).transpose(3, 2, 0, 1)
    bias = weight(weights, "bias", 2) if config.get("use_bias", True) else None
    value = _convolved(draft, name, {}, value, points, bias, 1)
    return activated(draft, name, config, value)


def _by_channel(
    draft: Draft,
    name: str,
    config: Config,
    source: Value,
    kernel: NDArray[np.generic],
    bias: NDArray[np.generic] | None,
) -> Value:
    height, width, depth, times = kernel.shape
    turned = kernel.transpose(2, 3, 0, 1).reshape(depth * times, 1, height, width)
    return _convolved(draft, name, config, source, turned, bias, depth)


def _convolved(
    draft: Draft,
    name: str,
    config: Config,
    source: Value,
    kernel: NDArray[np.generic],
    bias: NDArray[np.generic] | None,
    groups: int,
) -> Value:
    _check_layout(name, source)
    strides = pair(config.get("strides", 1))
    gaps = pair(config.get("dilation_rate", 1))
    sizes = tuple((k - 1) * g + 1 for k, g in zip(kernel.shape[2:], gaps, strict=True))
    pads, (height, width) = _edges(name, config, source, sizes, strides)
    inputs = (draft.first(source), kernel, *(() if bias is None else (bias,)))
    options = {"strides": strides, "dilations": gaps, "pads": pads, "group": groups}
    result = draft.op("Conv", *inputs, **options)
    return Value(result, (height, width, len(kernel)), first=True)


def _edges(
    name: str, config: Config, source: Value, kernel: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], tuple[int, int]]:
    """The border around a picture, and how large the result is."""
    padding = str(config.get("padding", "valid"))
    if padding not in ("same", "valid", "causal"):
        raise refuse(name, f"layer with padding {padding!r:.20}")
    before, after, sizes = [], [], []
    for size, side, step in zip(source.shape[:2], kernel, strides, strict=True):
        count = (size - side) // step + 1 if padding == "valid" else -(-size // step)
        border = 0 if padding == "valid" else max((count - 1) * step + side - size, 0)
        first = side - 1 if padding == "causal" else border // 2
        before.append(first)
        after.append(max(border - first, 0))
        sizes.append(count)
    if min(sizes) < 1:
        raise BadInput(f"the kernel of {name!r:.60} is larger than its input", fix="save it again")
    return [*before, *after], (sizes[0], sizes[1])


def _check_layout(name: str, source: Value) -> None:
    if len(source.shape) != 3:
        raise refuse(name, "layer of pictures", f"but its input has the shape {source.shape}")


def pool(kind: str) -> Layering:
    """MaxPooling2D and AveragePooling2D."""

    def write(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
        source = reads[0]
        _check_layout(name, source)
        size = pair(config.get("pool_size", 2))
        strides = pair(config.get("strides") or size)
        pads, (height, width) = _edges(name, config, source, size, strides)
        options = {"kernel_shape": size, "strides": strides, "pads": pads}
        result = draft.op(kind, draft.first(source), **options)
        return Value(result, (height, width, source.shape[2]), first=True)

    return write


def pool_all(kind: str) -> Layering:
    """GlobalMaxPooling2D and GlobalAveragePooling2D."""

    def write(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
        source = reads[0]
        _check_layout(name, source)
        result = draft.op(kind, draft.first(source))
        if config.get("keepdims"):
            return Value(result, (1, 1, source.shape[2]), first=True)
        return Value(draft.op("Flatten", result), (source.shape[2],))

    return write


def _sides(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many rows and columns on each side: an option that is one number, two, or four."""
    rows, columns = (value, value) if isinstance(value, int) else value
    return pair(rows), pair(columns)


def border(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    """ZeroPadding2D."""
    source = reads[0]
    _check_layout(name, source)
    (top, bottom), (left, right) = _sides(config.get("padding", 1))
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    height, width, depth = source.shape
    shape = (height + top + bottom, width + left + right, depth)
    return Value(draft.op("Pad", draft.first(source), pads), shape, first=True)


def crop(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    """Cropping2D."""
    source = reads[0]
    _check_layout(name, source)
    (top, bottom), (left, right) = _sides(config.get("cropping", 0))
    height, width, depth = source.shape
    starts, ends = np.array([top, left]), np.array([height - bottom, width - right])
    result = draft.op("Slice", draft.first(source), starts, ends, np.array([2, 3]))
    return Value(result, (height - top - bottom, width - left - right, depth), first=True)


def resize(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    """Resizing."""
    source = reads[0]
    _check_layout(name, source)
    if config.get("interpolation", "bilinear") != "bilinear":
        raise refuse(name, "Resizing", "but not a bilinear one")
    sizes = (int(config["height"]), int(config["width"]))
    options = {"mode": "linear", "axes": [2, 3]}
    result = draft.op("Resize", draft.first(source), "", "", np.array(sizes), **options)
    return Value(result, (*sizes, source.shape[2]), first=True)


def upsample(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    """UpSampling2D."""
    source = reads[0]
    _check_layout(name, source)
    kind = config.get("interpolation", "nearest")
    options: dict[str, dict[str, Any]] = {
        "nearest": {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        "bilinear": {"mode": "linear"},
    }
    if kind not in options:
        raise refuse(name, "UpSampling2D", f"of the kind {kind!r:.20}")
    times = pair(config.get("size", 2))
    height, width = (side * by for side, by in zip(source.shape, times, strict=False))
    sizes = np.array([height, width])
    result = draft.op("Resize", draft.first(source), "", "", sizes, axes=[2, 3], **options[kind])
    return Value(result, (height, width, source.shape[2]), first=True)
