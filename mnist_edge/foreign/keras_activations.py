"""What the activations of Keras become in ONNX: functions by name, and layers."""

from __future__ import annotations

import math

import numpy as np

from mnist_edge.foreign.draft import Config, Given, Layering, Value


def activated(layer: Given, value: Value) -> Value:
    """A result, and the activation that a layer names besides."""
    activation = layer.config.get("activation") or "linear"
    options: Config = {}
    if isinstance(activation, dict):
        options = activation.get("config") or {}
        options = options if isinstance(options, dict) else {}
        nested = activation.get("config")
        plain = activation.get("class_name") in ("function", "Function")
        activation = nested if plain and isinstance(nested, str) else activation["class_name"]
    if activation in ACTIVATIONS:  # a layer as an activation
        return ACTIVATIONS[activation](layer._replace(config=options, weights={}, reads=[value]))
    return activate(layer, str(activation), value)


def activate(layer: Given, activation: str, value: Value) -> Value:
    """A function of Keras by its name."""
    plain = {
        "relu": "Relu",
        "sigmoid": "Sigmoid",
        "tanh": "Tanh",
        "elu": "Elu",
        "selu": "Selu",
        "softplus": "Softplus",
        "softsign": "Softsign",
        "exponential": "Exp",
        "mish": "Mish",
    }
    x = value.name
    match activation:
        case "linear":
            return value
        case "softmax" | "softmax_v2" | "log_softmax":
            kind = "LogSoftmax" if activation == "log_softmax" else "Softmax"
            return Value(layer.op(kind, layer.draft.last(value), axis=-1), value.shape)
        case "relu6":
            zero, six = np.array(0, np.float32), np.array(6, np.float32)
            return value._replace(name=layer.op("Clip", x, zero, six))
        case "swish" | "silu":
            return value._replace(name=layer.op("Mul", x, layer.op("Sigmoid", x)))
        case "gelu":
            whole = layer.op("Erf", layer.op("Mul", x, np.array(math.sqrt(0.5), np.float32)))
            half = layer.op("Mul", x, np.array(0.5, np.float32))
            share = layer.op("Add", whole, np.array(1, np.float32))
            return value._replace(name=layer.op("Mul", half, share))
        case "hard_sigmoid":
            rise = 0.2 if layer.draft.version < 3 else 1 / 6
            return value._replace(name=layer.op("HardSigmoid", x, alpha=rise, beta=0.5))
        case "hard_silu" | "hard_swish":
            return value._replace(name=layer.op("HardSwish", x))
        case "leaky_relu":
            return value._replace(name=layer.op("LeakyRelu", x, alpha=0.2))
        case _ if activation in plain:
            return value._replace(name=layer.op(plain[activation], x))
    raise layer.refuse(f"layer with the activation {activation!r:.40}")


def _activation(layer: Given) -> Value:
    return activated(layer, layer.source)


def _relu(layer: Given) -> Value:
    value, slope = layer.source, float(layer.config.get("negative_slope") or 0.0)
    if layer.config.get("threshold"):
        raise layer.refuse("ReLU", "with a threshold")
    most = layer.config.get("max_value")
    if slope and most is not None:
        raise layer.refuse("ReLU", "with a slope and a largest value")
    if slope:
        return value._replace(name=layer.op("LeakyRelu", value.name, alpha=slope))
    if most is None:
        return value._replace(name=layer.op("Relu", value.name))
    bounds = (np.array(0, np.float32), np.array(most, np.float32))
    return value._replace(name=layer.op("Clip", value.name, *bounds))


def _leaky(layer: Given) -> Value:
    given = [layer.config.get(name) for name in ("negative_slope", "alpha")]
    slope = next((float(item) for item in given if item is not None), 0.3)
    return layer.source._replace(name=layer.op("LeakyRelu", layer.source.name, alpha=slope))


def _elu(layer: Given) -> Value:
    alpha = float(layer.config.get("alpha", 1.0))
    return layer.source._replace(name=layer.op("Elu", layer.source.name, alpha=alpha))


def _prelu(layer: Given) -> Value:
    slopes = layer.weight("alpha", 0)
    return Value(layer.op("PRelu", layer.draft.last(layer.source), slopes), layer.source.shape)


def _softmax(layer: Given) -> Value:
    if layer.config.get("axis", -1) not in (-1, len(layer.source.shape)):
        raise layer.refuse("Softmax", f"along axis {layer.config['axis']}")
    return activate(layer, "softmax", layer.source)


ACTIVATIONS: dict[str, Layering] = {
    "Activation": _activation,
    "ELU": _elu,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "ReLU": _relu,
    "Softmax": _softmax,
}
"""The layers that do nothing else."""
