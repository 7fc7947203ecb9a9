"""What each layer of Keras becomes in ONNX. Pictures lie with their channels first in between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Config, Draft, Layering, Value, Weights, pair, refuse, weight
from mnist_edge.foreign.keras_activations import ACTIVATIONS, activated
from mnist_edge.foreign.keras_rows import along, recur, recur_both_ways

SKIPPED = frozenset(
    {
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout"),
        *("GaussianNoise", "ActivityRegularization", "RandomFlip", "RandomRotation"),
        *("RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness", "Identity"),
        *("RandomHeight", "RandomWidth", "RandomShear", "RandomErasing", "RandomElasticTransform"),
        *("RandomSharpness", "RandomGaussianBlur", "RandomInvert", "RandomPerspective"),
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
    _check_layout(name, source)
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


def _pool(kind: str) -> Layering:
    def write(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
        source = reads[0]
        _check_layout(name, source)
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
        _check_layout(name, source)
        result = draft.op(kind, draft.first(source))
        if config.get("keepdims"):
            return Value(result, (1, 1, source.shape[2]), first=True)
        return Value(draft.op("Flatten", result), (source.shape[2],))

    return write


def _flatten(draft: Draft, _: str, __: Config, ___: Weights, reads: Sequence[Value]) -> Value:
    return draft.shaped(reads[0], (math.prod(reads[0].shape),))


def _reshape(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    target = [int(size) for size in config["target_shape"]]
    size = math.prod(reads[0].shape)
    if -1 in target:
        target[target.index(-1)] = size // max(1, -math.prod(target))
    if math.prod(target) != size:
        raise refuse(name, "Reshape", f"to {target}, of {size} numbers")
    return draft.shaped(reads[0], tuple(target))


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
    _check_layout(name, source)
    padding = config.get("padding", 1)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    (top, bottom), (left, right) = pair(rows), pair(columns)
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    height, width, depth = source.shape
    shape = (height + top + bottom, width + left + right, depth)
    return Value(draft.op("Pad", draft.first(source), pads), shape, first=True)


def _crop(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    source = reads[0]
    _check_layout(name, source)
    cropping = config.get("cropping", 0)
    rows, columns = (cropping, cropping) if isinstance(cropping, int) else cropping
    (top, bottom), (left, right) = pair(rows), pair(columns)
    height, width, depth = source.shape
    starts, ends = np.array([top, left]), np.array([height - bottom, width - right])
    result = draft.op("Slice", draft.first(source), starts, ends, np.array([2, 3]))
    return Value(result, (height - top - bottom, width - left - right, depth), first=True)


def _resize(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    source = reads[0]
    _check_layout(name, source)
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
    if _axis(config) not in (-1, len(source.shape)) or len(source.shape) > 3:
        raise refuse(name, "BatchNormalization", f"of {source.shape} along axis {_axis(config)}")
    learned, number = _learned(config, weights, source.shape[-1])
    mean = weight(weights, "moving_mean", number)
    variance = weight(weights, "moving_variance", number + 1)
    if len(source.shape) == 2:
        inputs = draft.op("Transpose", draft.last(source), perm=[0, 2, 1])
    else:
        inputs = draft.first(source) if len(source.shape) == 3 else source.name
    epsilon = float(config.get("epsilon", 1e-3))
    result = draft.op("BatchNormalization", inputs, *learned, mean, variance, epsilon=epsilon)
    if len(source.shape) == 2:
        result = draft.op("Transpose", result, perm=[0, 2, 1])
    return Value(result, source.shape, len(source.shape) == 3)


def _layer_norm(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    if _axis(config) not in (-1, len(reads[0].shape)):
        raise refuse(name, "LayerNormalization", f"along axis {_axis(config)}")
    learned, _ = _learned(config, weights, reads[0].shape[-1])
    epsilon = float(config.get("epsilon", 1e-3))
    source = draft.last(reads[0])
    result = draft.op("LayerNormalization", source, *learned, axis=-1, epsilon=epsilon)
    return Value(result, reads[0].shape)


def _axis(config: Config) -> int:
    axis = config.get("axis", -1)
    return int(axis[0] if isinstance(axis, list) and len(axis) == 1 else axis)


def _learned(
    config: Config, weights: Weights, channels: int
) -> tuple[list[NDArray[np.generic]], int]:
    """The gain and the shift of a normalisation, and how many of both it keeps."""
    kept = 0
    found: list[NDArray[np.generic]] = []
    for name, option, neutral in (("gamma", "scale", 1), ("beta", "center", 0)):
        there = bool(config.get(option, True))
        plain = np.full(channels, neutral, np.float32)
        found.append(weight(weights, name, kept) if there else plain)
        kept += there
    return found, kept


def _upsample(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
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


def _merge(kind: str, *, mean: bool = False) -> Layering:
    """What takes the numbers of several results together; a result of no size is a constant."""

    def write(draft: Draft, name: str, _: Config, __: Weights, reads: Sequence[Value]) -> Value:
        sizes = [value for value in reads if value.shape]
        shape = np.broadcast_shapes(*(value.shape for value in sizes))
        if len({len(value.shape) for value in sizes}) != 1:
            raise refuse(name, kind, "of different shapes")
        first = all(value.first and value.shape == shape for value in sizes)
        names = [v.name if first or not v.shape else draft.last(v) for v in reads]
        result = names[0]
        for other in names[1:]:
            result = draft.op(kind, result, other)
        if mean:
            result = draft.op("Div", result, np.array(len(names), np.float32))
        return Value(result, shape, first)

    return write


def _function(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    """A function of TensorFlow that was called on a result of Keras 2."""
    called = str(config.get("function", ""))
    kind = {
        "__operators__.add": "Add",
        "math.add": "Add",
        "math.subtract": "Subtract",
        "math.multiply": "Multiply",
        "math.truediv": "Divide",
        "math.divide": "Divide",
    }.get(called)
    if kind is None:
        raise refuse(name, f"call of {called!r:.60}")
    return LAYERS[kind](draft, name, config, weights, reads)


def _each_row(
    draft: Draft, name: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    """TimeDistributed: a layer for each row by itself."""
    kind, options = config["layer"]["class_name"], config["layer"]["config"]
    source = reads[0]
    if kind == "Flatten":
        return draft.shaped(source, (source.shape[0], math.prod(source.shape[1:])))
    if kind in SKIPPED:
        return source
    if kind != "Dense":
        raise refuse(name, "TimeDistributed", f"of a {kind!r:.40}, which is not known here")
    own = {path.rpartition("/")[2]: array for path, array in weights.items()}
    return _dense(draft, name, options, own, reads)


def _concatenate(
    draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]
) -> Value:
    shape = reads[0].shape
    axis = int(config.get("axis", -1)) % (len(shape) + 1)
    if len({len(value.shape) for value in reads}) > 1 or not axis:
        raise refuse(name, "Concatenate", f"along axis {axis}")
    sizes = list(shape)
    sizes[axis - 1] = sum(value.shape[axis - 1] for value in reads)
    if axis == len(shape) == 3:
        result = draft.op("Concat", *(draft.first(value) for value in reads), axis=1)
        return Value(result, tuple(sizes), first=True)
    return Value(draft.op("Concat", *(draft.last(v) for v in reads), axis=axis), tuple(sizes))


def write_layer(
    draft: Draft, kind: str, config: Config, weights: Weights, reads: Sequence[Value]
) -> Value:
    """What a layer gives. Raises BadInput where it is not known."""
    name = str(config["name"])
    write = LAYERS.get(kind)
    if write is None:
        raise refuse(name, kind)
    if len(reads[0].shape) != 3 or not _stand_first(kind, config):
        return write(draft, name, config, weights, reads)
    turned = []
    for value in reads:
        depth, height, width = value.shape
        turned.append(Value(draft.last(value), (height, width, depth), first=True))
    plain = {**config, "data_format": "channels_last", "axis": -1}
    result = write(draft, name, plain, weights, turned)
    if len(result.shape) != 3:
        return result
    height, width, depth = result.shape
    return Value(draft.first(result), (depth, height, width))


def _stand_first(kind: str, config: Config) -> bool:
    """Whether a layer takes pictures with their channels first."""
    if kind == "BatchNormalization":
        return _axis(config) in (1, -3)
    return config.get("data_format") == "channels_first"


_POOLS = {
    "AveragePooling": _pool("AveragePool"),
    "GlobalAveragePooling": _pool_all("GlobalAveragePool"),
    "GlobalMaxPooling": _pool_all("GlobalMaxPool"),
    "MaxPooling": _pool("MaxPool"),
}

LAYERS: dict[str, Layering] = {
    **ACTIVATIONS,
    **{f"{name}1D": along(layer) for name, layer in _POOLS.items()},
    **{f"{name}2D": layer for name, layer in _POOLS.items()},
    **{kind: recur(kind) for kind in ("GRU", "LSTM", "SimpleRNN")},
    "Add": _merge("Add"),
    "Average": _merge("Add", mean=True),
    "BatchNormalization": _batch_norm,
    "Bidirectional": recur_both_ways,
    "Concatenate": _concatenate,
    "Conv1D": along(_conv),
    "Conv2D": _conv,
    "Convolution2D": _conv,
    "Cropping1D": along(_crop),
    "Cropping2D": _crop,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Divide": _merge("Div"),
    "Flatten": _flatten,
    "LayerNormalization": _layer_norm,
    "Maximum": _merge("Max"),
    "Minimum": _merge("Min"),
    "Multiply": _merge("Mul"),
    "Normalization": _normalize,
    "Permute": _permute,
    "Rescaling": _rescale,
    "Reshape": _reshape,
    "Resizing": _resize,
    "SeparableConv1D": along(_separable),
    "SeparableConv2D": _separable,
    "Subtract": _merge("Sub"),
    "TFOpLambda": _function,
    "TimeDistributed": _each_row,
    "TrueDivide": _merge("Div"),
    "UpSampling1D": along(_upsample),
    "UpSampling2D": _upsample,
    "ZeroPadding1D": along(_zero_padding),
    "ZeroPadding2D": _zero_padding,
}
