"""What each layer of Keras becomes in ONNX. Pictures lie with their channels first in between."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Config, Draft, Layering, Value, Weights, pair, refuse, weight
from mnist_edge.foreign.keras_activations import ACTIVATIONS, activated

SKIPPED = frozenset(
    {
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout"),
        *("GaussianNoise", "ActivityRegularization", "RandomFlip", "RandomRotation"),
        *("RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness", "Masking"),
    }
)
"""Layers that do nothing once a net is trained."""


def _dense(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    source = draft.last(reads[0])
    kernel = weight(weights, "kernel", 0)
    shape = reads[0].shape
    if not shape or kernel.shape[0] != shape[-1]:
        raise BadInput(f"the weights of {name!r:.60} do not fit its input", fix="save it again")
    result = draft.op("MatMul", source, kernel)
    if config.get("use_bias", True):
        result = draft.op("Add", result, weight(weights, "bias", 1))
    value = Value(result, (*shape[:-1], int(kernel.shape[1])))
    return activated(draft, name, config, value)


def _conv(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    kernel = weight(weights, "kernel", 0)
    bias = weight(weights, "bias", 1) if config.get("use_bias", True) else None
    groups = int(config.get("groups", 1))
    value = _convolved(draft, name, config, reads[0], kernel.transpose(3, 2, 0, 1), bias, groups)
    return activated(draft, name, config, value)


def _depthwise(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    kernel = weights.get("depthwise_kernel")
    kernel = weight(weights, "kernel", 0) if kernel is None else kernel
    bias = weight(weights, "bias", 1) if config.get("use_bias", True) else None
    value = _by_channel(draft, name, config, reads[0], kernel, bias)
    return activated(draft, name, config, value)


def _separable(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
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
    _check_layout(name, config, source)
    strides = pair(config.get("strides", 1))
    gaps = pair(config.get("dilation_rate", 1))
    sizes = tuple((k - 1) * g + 1 for k, g in zip(kernel.shape[2:], gaps, strict=True))
    pads, (height, width) = _border(name, config, source, sizes, strides)
    inputs = (draft.first(source), kernel, *(() if bias is None else (bias,)))
    options = {"strides": strides, "dilations": gaps, "pads": pads, "group": groups}
    result = draft.op("Conv", *inputs, **options)
    return Value(result, (height, width, len(kernel)), first=True)


def _border(
    name: str, config: Config, source: Value, kernel: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], tuple[int, int]]:
    """The border around a picture, and how large the result is."""
    padding = str(config.get("padding", "valid"))
    if padding not in ("same", "valid"):
        raise refuse(name, f"layer with padding {padding!r:.20}")
    before, after, sizes = [], [], []
    for size, side, step in zip(source.shape[:2], kernel, strides, strict=True):
        count = -(-size // step) if padding == "same" else (size - side) // step + 1
        border = max((count - 1) * step + side - size, 0) if padding == "same" else 0
        before.append(border // 2)
        after.append(border - border // 2)
        sizes.append(count)
    if min(sizes) < 1:
        raise BadInput(f"the kernel of {name!r:.60} is larger than its input", fix="save it again")
    return [*before, *after], (sizes[0], sizes[1])


def _check_layout(name: str, config: Config, source: Value) -> None:
    if config.get("data_format") == "channels_first":
        raise refuse(name, "layer with channels first", "which is not read here")
    if len(source.shape) != 3:
        raise refuse(name, "layer of pictures", f"but its input has the shape {source.shape}")


def _pool(kind: str) -> Layering:
    def write(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
        source = reads[0]
        _check_layout(name, config, source)
        size = pair(config.get("pool_size", 2))
        strides = pair(config.get("strides") or size)
        pads, (height, width) = _border(name, config, source, size, strides)
        options = {"kernel_shape": size, "strides": strides, "pads": pads}
        result = draft.op(kind, draft.first(source), **options)
        return Value(result, (height, width, source.shape[2]), first=True)

    return write


def _pool_all(kind: str) -> Layering:
    def write(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
        source = reads[0]
        _check_layout(name, config, source)
        result = draft.op(kind, draft.first(source))
        if config.get("keepdims"):
            return Value(result, (1, 1, source.shape[2]), first=True)
        return Value(draft.op("Flatten", result), (source.shape[2],))

    return write


def _flatten(draft: Draft, _: str, __: Config, ___: Weights, reads: Sequence[Value]) -> Value:
    size = math.prod(reads[0].shape)
    return Value(draft.op("Reshape", draft.last(reads[0]), np.array([-1, size])), (size,))


def _reshape(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    target = [int(size) for size in config["target_shape"]]
    size = math.prod(reads[0].shape)
    if -1 in target:
        target[target.index(-1)] = size // max(1, -math.prod(target))
    if math.prod(target) != size:
        raise refuse(name, "Reshape", f"to {target}, of {size} numbers")
    result = draft.op("Reshape", draft.last(reads[0]), np.array([-1, *target]))
    return Value(result, tuple(target))


def _permute(draft: Draft, _: str, config: Config, __: Weights, reads: Sequence[Value]) -> Value:
    order = [int(axis) for axis in config["dims"]]
    result = draft.op("Transpose", draft.last(reads[0]), perm=[0, *order])
    return Value(result, tuple(reads[0].shape[axis - 1] for axis in order))


def _rescale(draft: Draft, _: str, config: Config, __: Weights, reads: Sequence[Value]) -> Value:
    scale, offset = np.float32(config["scale"]), np.float32(config.get("offset", 0.0))
    result = draft.op("Add", draft.op("Mul", reads[0].name, np.array(scale)), np.array(offset))
    return reads[0]._replace(name=result)


def _normalize(
    draft: Draft, _: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    mean, variance = config.get("mean"), config.get("variance")
    means = np.asarray(weight(weights, "mean", 0) if mean is None else mean, np.float32)
    spread = np.asarray(weight(weights, "variance", 1) if variance is None else variance)
    deviation = np.maximum(np.sqrt(spread.astype(np.float32)), np.float32(1e-7))
    result = draft.op("Sub", draft.last(reads[0]), means.reshape(-1))
    result = draft.op("Div", result, deviation.reshape(-1))
    return Value(result, reads[0].shape)


def _zero_padding(
    draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]
) -> Value:
    source = reads[0]
    _check_layout(name, config, source)
    padding = config.get("padding", 1)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    (top, bottom), (left, right) = pair(rows), pair(columns)
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    height, width, depth = source.shape
    shape = (height + top + bottom, width + left + right, depth)
    return Value(draft.op("Pad", draft.first(source), pads), shape, first=True)


def _crop(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    source = reads[0]
    _check_layout(name, config, source)
    cropping = config.get("cropping", 0)
    rows, columns = (cropping, cropping) if isinstance(cropping, int) else cropping
    (top, bottom), (left, right) = pair(rows), pair(columns)
    height, width, depth = source.shape
    starts, ends = np.array([top, left]), np.array([height - bottom, width - right])
    result = draft.op("Slice", draft.first(source), starts, ends, np.array([2, 3]))
    return Value(result, (height - top - bottom, width - left - right, depth), first=True)


def _resize(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    source = reads[0]
    _check_layout(name, config, source)
    if config.get("interpolation", "bilinear") != "bilinear":
        raise refuse(name, "Resizing", "but not a bilinear one")
    sizes = (int(config["height"]), int(config["width"]))
    options = {"mode": "linear", "axes": [2, 3]}
    result = draft.op("Resize", draft.first(source), "", "", np.array(sizes), **options)
    return Value(result, (*sizes, source.shape[2]), first=True)


def _batch_norm(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    source = reads[0]
    axis = config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) else axis
    if axis not in (-1, len(source.shape)):
        raise refuse(name, "BatchNormalization", f"along axis {axis}")
    channels = source.shape[-1]
    number = 0
    learned: list[NDArray[np.generic]] = []
    for which, there in (
        ("gamma", config.get("scale", True)),
        ("beta", config.get("center", True)),
    ):
        neutral = np.full(channels, 1 if which == "gamma" else 0, np.float32)
        learned.append(weight(weights, which, number) if there else neutral)
        number += bool(there)
    mean = weight(weights, "moving_mean", number)
    variance = weight(weights, "moving_variance", number + 1)
    if len(source.shape) == 3:
        inputs, first = draft.first(source), True
    elif len(source.shape) == 1:
        inputs, first = source.name, False
    else:
        raise refuse(name, "BatchNormalization", f"of the shape {source.shape}")
    epsilon = float(config.get("epsilon", 1e-3))
    result = draft.op("BatchNormalization", inputs, *learned, mean, variance, epsilon=epsilon)
    return Value(result, source.shape, first)


def _layer_norm(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    axis = config.get("axis", -1)
    if (axis[0] if isinstance(axis, list) else axis) not in (-1, len(reads[0].shape)):
        raise refuse(name, "LayerNormalization", f"along axis {axis}")
    inputs = (weight(weights, "gamma", 0), weight(weights, "beta", 1))
    epsilon = float(config.get("epsilon", 1e-3))
    result = draft.op("LayerNormalization", draft.last(reads[0]), *inputs, axis=-1, epsilon=epsilon)
    return Value(result, reads[0].shape)


def _merge(kind: str) -> Layering:
    def write(draft: Draft, name: str, _: Config, __: Weights, reads: Sequence[Value]) -> Value:
        if len({value.shape for value in reads}) != 1:
            raise refuse(name, kind, "of different shapes")
        first = all(value.first for value in reads)
        names = [value.name if first else draft.last(value) for value in reads]
        result = names[0]
        for other in names[1:]:
            result = draft.op(kind, result, other)
        return Value(result, reads[0].shape, first)

    return write


def _concatenate(
    draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]
) -> Value:
    shape = reads[0].shape
    if config.get("axis", -1) not in (-1, len(shape)):
        raise refuse(name, "Concatenate", "but not along the last axis")
    size = sum(value.shape[-1] for value in reads)
    if len(shape) == 3:
        result = draft.op("Concat", *(draft.first(value) for value in reads), axis=1)
        return Value(result, (*shape[:2], size), first=True)
    return Value(draft.op("Concat", *(v.name for v in reads), axis=-1), (*shape[:-1], size))


LAYERS: dict[str, Layering] = {
    **ACTIVATIONS,
    "Add": _merge("Add"),
    "AveragePooling2D": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _conv,
    "Convolution2D": _conv,
    "Cropping2D": _crop,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _pool_all("GlobalAveragePool"),
    "GlobalMaxPooling2D": _pool_all("GlobalMaxPool"),
    "LayerNormalization": _layer_norm,
    "MaxPooling2D": _pool("MaxPool"),
    "Multiply": _merge("Mul"),
    "Normalization": _normalize,
    "Permute": _permute,
    "Rescaling": _rescale,
    "Reshape": _reshape,
    "Resizing": _resize,
    "SeparableConv2D": _separable,
    "ZeroPadding2D": _zero_padding,
}
