"""What each layer of Keras becomes in ONNX. Pictures lie with their channels first in between."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Config, Draft, Layering, Value, Weights, refuse, weight
from mnist_edge.foreign.keras_activations import ACTIVATIONS, activated
from mnist_edge.foreign.keras_pictures import (
    border,
    convolve,
    convolve_apart,
    convolve_each,
    crop,
    pool,
    pool_all,
    resize,
    upsample,
)
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
    "AveragePooling": pool("AveragePool"),
    "GlobalAveragePooling": pool_all("GlobalAveragePool"),
    "GlobalMaxPooling": pool_all("GlobalMaxPool"),
    "MaxPooling": pool("MaxPool"),
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
    "Conv1D": along(convolve),
    "Conv2D": convolve,
    "Convolution2D": convolve,
    "Cropping1D": along(crop),
    "Cropping2D": crop,
    "Dense": _dense,
    "DepthwiseConv2D": convolve_each,
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
    "Resizing": resize,
    "SeparableConv1D": along(convolve_apart),
    "SeparableConv2D": convolve_apart,
    "Subtract": _merge("Sub"),
    "TFOpLambda": _function,
    "TimeDistributed": _each_row,
    "TrueDivide": _merge("Div"),
    "UpSampling1D": along(upsample),
    "UpSampling2D": upsample,
    "ZeroPadding1D": along(border),
    "ZeroPadding2D": border,
}
