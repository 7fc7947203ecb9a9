"""What each layer of Keras becomes in ONNX. Pictures lie with their channels first in between."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Given, Layering, Value
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


def _dense(layer: Given) -> Value:
    source = layer.draft.last(layer.source)
    kernel = layer.weight("kernel", 0)
    shape = layer.source.shape
    if not shape or kernel.shape[0] != shape[-1]:
        raise BadInput(
            f"the weights of {layer.name!r:.60} do not fit its input", fix="save it again"
        )
    result, bias = layer.op("MatMul", source, kernel), layer.bias(1)
    if bias is not None:
        result = layer.op("Add", result, bias)
    value = Value(result, (*shape[:-1], int(kernel.shape[1])))
    return activated(layer, value)


def _flatten(layer: Given) -> Value:
    return layer.draft.shaped(layer.source, (math.prod(layer.source.shape),))


def _reshape(layer: Given) -> Value:
    target = [int(size) for size in layer.config["target_shape"]]
    size = math.prod(layer.source.shape)
    if -1 in target:
        target[target.index(-1)] = size // max(1, -math.prod(target))
    if math.prod(target) != size:
        raise layer.refuse("Reshape", f"to {target}, of {size} numbers")
    return layer.draft.shaped(layer.source, tuple(target))


def _permute(layer: Given) -> Value:
    order = [int(axis) for axis in layer.config["dims"]]
    result = layer.op("Transpose", layer.draft.last(layer.source), perm=[0, *order])
    return Value(result, tuple(layer.source.shape[axis - 1] for axis in order))


def _rescale(layer: Given) -> Value:
    scale, offset = np.float32(layer.config["scale"]), np.float32(layer.config.get("offset", 0.0))
    product = layer.op("Mul", layer.source.name, np.array(scale))
    result = layer.op("Add", product, np.array(offset))
    return layer.source._replace(name=result)


def _normalize(layer: Given) -> Value:
    mean, variance = layer.config.get("mean"), layer.config.get("variance")
    means = np.asarray(layer.weight("mean", 0) if mean is None else mean, np.float32)
    spread = np.asarray(layer.weight("variance", 1) if variance is None else variance)
    deviation = np.maximum(np.sqrt(spread.astype(np.float32)), np.float32(1e-7))
    result = layer.op("Sub", layer.draft.last(layer.source), means.reshape(-1))
    result = layer.op("Div", result, deviation.reshape(-1))
    return Value(result, layer.source.shape)


def _batch_norm(layer: Given) -> Value:
    source = layer.source
    if _axis(layer) not in (-1, len(source.shape)) or len(source.shape) > 3:
        raise layer.refuse("BatchNormalization", f"of {source.shape} along axis {_axis(layer)}")
    learned, number = _learned(layer)
    mean = layer.weight("moving_mean", number)
    variance = layer.weight("moving_variance", number + 1)
    if len(source.shape) == 2:
        inputs = layer.op("Transpose", layer.draft.last(source), perm=[0, 2, 1])
    else:
        inputs = layer.draft.first(source) if len(source.shape) == 3 else source.name
    epsilon = float(layer.config.get("epsilon", 1e-3))
    result = layer.op("BatchNormalization", inputs, *learned, mean, variance, epsilon=epsilon)
    if len(source.shape) == 2:
        result = layer.op("Transpose", result, perm=[0, 2, 1])
    return Value(result, source.shape, len(source.shape) == 3)


def _layer_norm(layer: Given) -> Value:
    if _axis(layer) not in (-1, len(layer.source.shape)):
        raise layer.refuse("LayerNormalization", f"along axis {_axis(layer)}")
    learned, _ = _learned(layer)
    epsilon = float(layer.config.get("epsilon", 1e-3))
    source = layer.draft.last(layer.source)
    result = layer.op("LayerNormalization", source, *learned, axis=-1, epsilon=epsilon)
    return Value(result, layer.source.shape)


def _axis(layer: Given) -> int:
    axis = layer.config.get("axis", -1)
    return int(axis[0] if isinstance(axis, list) and len(axis) == 1 else axis)


def _learned(layer: Given) -> tuple[list[NDArray[np.generic]], int]:
    """The gain and the shift of a normalisation, and how many of both it keeps."""
    kept = 0
    found: list[NDArray[np.generic]] = []
    for name, option, neutral in (("gamma", "scale", 1), ("beta", "center", 0)):
        there = bool(layer.config.get(option, True))
        plain = np.full(layer.source.shape[-1], neutral, np.float32)
        found.append(layer.weight(name, kept) if there else plain)
        kept += there
    return found, kept


def _merge(kind: str, *, mean: bool = False) -> Layering:
    """What takes the numbers of several results together; a result of no size is a constant."""

    def write(layer: Given) -> Value:
        sizes = [value for value in layer.reads if value.shape]
        shape = np.broadcast_shapes(*(value.shape for value in sizes))
        if len({len(value.shape) for value in sizes}) != 1:
            raise layer.refuse(kind, "of different shapes")
        first = all(value.first and value.shape == shape for value in sizes)
        names = [v.name if first or not v.shape else layer.draft.last(v) for v in layer.reads]
        result = names[0]
        for other in names[1:]:
            result = layer.op(kind, result, other)
        if mean:
            result = layer.op("Div", result, np.array(len(names), np.float32))
        return Value(result, shape, first)

    return write


def _function(layer: Given) -> Value:
    """A function of TensorFlow that was called on a result of Keras 2."""
    called = str(layer.config.get("function", ""))
    kind = {
        "__operators__.add": "Add",
        "math.add": "Add",
        "math.subtract": "Subtract",
        "math.multiply": "Multiply",
        "math.truediv": "Divide",
        "math.divide": "Divide",
    }.get(called)
    if kind is None:
        raise layer.refuse(f"call of {called!r:.60}")
    return LAYERS[kind](layer)


def _each_row(layer: Given) -> Value:
    """TimeDistributed: a layer for each row by itself."""
    kind, options = layer.config["layer"]["class_name"], layer.config["layer"]["config"]
    source = layer.source
    if kind == "Flatten":
        return layer.draft.shaped(source, (source.shape[0], math.prod(source.shape[1:])))
    if kind in SKIPPED:
        return source
    if kind != "Dense":
        raise layer.refuse("TimeDistributed", f"of a {kind!r:.40}, which is not known here")
    own = {path.rpartition("/")[2]: array for path, array in layer.weights.items()}
    return _dense(layer._replace(config=options, weights=own))


def _concatenate(layer: Given) -> Value:
    shape = layer.source.shape
    axis = int(layer.config.get("axis", -1)) % (len(shape) + 1)
    if len({len(value.shape) for value in layer.reads}) > 1 or not axis:
        raise layer.refuse("Concatenate", f"along axis {axis}")
    sizes = list(shape)
    sizes[axis - 1] = sum(value.shape[axis - 1] for value in layer.reads)
    if axis == len(shape) == 3:
        result = layer.op("Concat", *(layer.draft.first(value) for value in layer.reads), axis=1)
        return Value(result, tuple(sizes), first=True)
    result = layer.op("Concat", *(layer.draft.last(v) for v in layer.reads), axis=axis)
    return Value(result, tuple(sizes))


def write_layer(kind: str, layer: Given) -> Value:
    """What a layer gives. Raises BadInput where it is not known."""
    write = LAYERS.get(kind)
    if write is None:
        raise layer.refuse(kind)
    if len(layer.source.shape) != 3 or not _stand_first(kind, layer):
        return write(layer)
    turned = []
    for value in layer.reads:
        depth, height, width = value.shape
        turned.append(Value(layer.draft.last(value), (height, width, depth), first=True))
    plain = {**layer.config, "data_format": "channels_last", "axis": -1}
    result = write(layer._replace(config=plain, reads=turned))
    if len(result.shape) != 3:
        return result
    height, width, depth = result.shape
    return Value(layer.draft.first(result), (depth, height, width))


def _stand_first(kind: str, layer: Given) -> bool:
    """Whether a layer takes pictures with their channels first."""
    if kind == "BatchNormalization":
        return _axis(layer) in (1, -3)
    return layer.config.get("data_format") == "channels_first"


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
