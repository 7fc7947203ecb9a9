"""What the layers of Keras that take pictures become in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Given, Layering, Value, pair
from mnist_edge.foreign.keras_activations import activated


def convolve(layer: Given) -> Value:
    """Conv2D."""
    kernel = layer.weight("kernel", 0).transpose(3, 2, 0, 1)
    groups = int(layer.config.get("groups", 1))
    value = _convolved(layer, layer.picture, kernel, layer.bias(1), groups)
    return activated(layer, value)


def convolve_each(layer: Given) -> Value:
    """DepthwiseConv2D."""
    kernel = layer.weights.get("depthwise_kernel")
    kernel = layer.weight("kernel", 0) if kernel is None else kernel
    return activated(layer, _by_channel(layer, kernel, layer.bias(1)))


def convolve_apart(layer: Given) -> Value:
    """SeparableConv2D."""
    value = _by_channel(layer, layer.weight("depthwise_kernel", 0), None)
    points = layer.weight("pointwise_kernel", 1).transpose(3, 2, 0, 1)
    value = _convolved(layer._replace(config={}), value, points, layer.bias(2), 1)
    return activated(layer, value)


def _by_channel(
    layer: Given, kernel: NDArray[np.generic], bias: NDArray[np.generic] | None
) -> Value:
    height, width, depth, times = kernel.shape
    turned = kernel.transpose(2, 3, 0, 1).reshape(depth * times, 1, height, width)
    return _convolved(layer, layer.picture, turned, bias, depth)


def _convolved(
    layer: Given,
    source: Value,
    kernel: NDArray[np.generic],
    bias: NDArray[np.generic] | None,
    groups: int,
) -> Value:
    strides = pair(layer.config.get("strides", 1))
    gaps = pair(layer.config.get("dilation_rate", 1))
    sizes = tuple((k - 1) * g + 1 for k, g in zip(kernel.shape[2:], gaps, strict=True))
    pads, (height, width) = _edges(layer, source, sizes, strides)
    inputs = (layer.draft.first(source), kernel, *(() if bias is None else (bias,)))
    options = {"strides": strides, "dilations": gaps, "pads": pads, "group": groups}
    result = layer.op("Conv", *inputs, **options)
    return Value(result, (height, width, len(kernel)), first=True)


def _edges(
    layer: Given, source: Value, kernel: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], tuple[int, int]]:
    """The border around a picture, and how large the result is."""
    padding = str(layer.config.get("padding", "valid"))
    if padding not in ("same", "valid", "causal"):
        raise layer.refuse(f"layer with padding {padding!r:.20}")
    before, after, sizes = [], [], []
    for size, side, step in zip(source.shape[:2], kernel, strides, strict=True):
        count = (size - side) // step + 1 if padding == "valid" else -(-size // step)
        border = 0 if padding == "valid" else max((count - 1) * step + side - size, 0)
        first = side - 1 if padding == "causal" else border // 2
        before.append(first)
        after.append(max(border - first, 0))
        sizes.append(count)
    if min(sizes) < 1:
        raise BadInput(
            f"the kernel of {layer.name!r:.60} is larger than its input", fix="save it again"
        )
    return [*before, *after], (sizes[0], sizes[1])


def pool(kind: str) -> Layering:
    """MaxPooling2D and AveragePooling2D."""

    def write(layer: Given) -> Value:
        source = layer.picture
        size = pair(layer.config.get("pool_size", 2))
        strides = pair(layer.config.get("strides") or size)
        pads, (height, width) = _edges(layer, source, size, strides)
        options = {"kernel_shape": size, "strides": strides, "pads": pads}
        result = layer.op(kind, layer.draft.first(source), **options)
        return Value(result, (height, width, source.shape[2]), first=True)

    return write


def pool_all(kind: str) -> Layering:
    """GlobalMaxPooling2D and GlobalAveragePooling2D."""

    def write(layer: Given) -> Value:
        source = layer.picture
        result = layer.op(kind, layer.draft.first(source))
        if layer.config.get("keepdims"):
            return Value(result, (1, 1, source.shape[2]), first=True)
        return Value(layer.op("Flatten", result), (source.shape[2],))

    return write


def _sides(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many rows and columns on each side: an option that is one number, two, or four."""
    rows, columns = (value, value) if isinstance(value, int) else value
    return pair(rows), pair(columns)


def border(layer: Given) -> Value:
    """ZeroPadding2D."""
    source = layer.picture
    (top, bottom), (left, right) = _sides(layer.config.get("padding", 1))
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    height, width, depth = source.shape
    shape = (height + top + bottom, width + left + right, depth)
    return Value(layer.op("Pad", layer.draft.first(source), pads), shape, first=True)


def crop(layer: Given) -> Value:
    """Cropping2D."""
    source = layer.picture
    (top, bottom), (left, right) = _sides(layer.config.get("cropping", 0))
    height, width, depth = source.shape
    starts, ends = np.array([top, left]), np.array([height - bottom, width - right])
    result = layer.op("Slice", layer.draft.first(source), starts, ends, np.array([2, 3]))
    return Value(result, (height - top - bottom, width - left - right, depth), first=True)


def resize(layer: Given) -> Value:
    """Resizing."""
    source = layer.picture
    if layer.config.get("interpolation", "bilinear") != "bilinear":
        raise layer.refuse("Resizing", "but not a bilinear one")
    sizes = (int(layer.config["height"]), int(layer.config["width"]))
    options = {"mode": "linear", "axes": [2, 3]}
    result = layer.op("Resize", layer.draft.first(source), "", "", np.array(sizes), **options)
    return Value(result, (*sizes, source.shape[2]), first=True)


def upsample(layer: Given) -> Value:
    """UpSampling2D."""
    source = layer.picture
    kind = layer.config.get("interpolation", "nearest")
    options: dict[str, dict[str, Any]] = {
        "nearest": {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        "bilinear": {"mode": "linear"},
    }
    if kind not in options:
        raise layer.refuse("UpSampling2D", f"of the kind {kind!r:.20}")
    times = pair(layer.config.get("size", 2))
    height, width = (side * by for side, by in zip(source.shape, times, strict=False))
    sizes = np.array([height, width])
    result = layer.op(
        "Resize", layer.draft.first(source), "", "", sizes, axes=[2, 3], **options[kind]
    )
    return Value(result, (height, width, source.shape[2]), first=True)
