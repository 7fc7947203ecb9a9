"""What the activations of Keras become in ONNX: functions by name, and layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mnist_edge.foreign.draft import Config, Draft, Layering, Value, Weights, refuse, weight


def activated(draft: Draft, name: str, config: Config, value: Value) -> Value:
    """A result, and the activation that a layer names besides."""
    activation = config.get("activation") or "linear"
    options: Config = {}
    if isinstance(activation, dict):
        options = activation.get("config") or {}
        options = options if isinstance(options, dict) else {}
        nested = activation.get("config")
        plain = activation.get("class_name") in ("function", "Function")
        activation = nested if plain and isinstance(nested, str) else activation["class_name"]
    if activation in ACTIVATIONS:  # a layer as an activation
        return ACTIVATIONS[activation](draft, name, options, {}, [value])
    return activate(draft, name, str(activation), value)


def activate(draft: Draft, name: str, activation: str, value: Value) -> Value:
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
            return Value(draft.op(kind, draft.last(value), axis=-1), value.shape)
        case "relu6":
            zero, six = np.array(0, np.float32), np.array(6, np.float32)
            return value._replace(name=draft.op("Clip", x, zero, six))
        case "swish" | "silu":
            return value._replace(name=draft.op("Mul", x, draft.op("Sigmoid", x)))
        case "gelu":
            whole = draft.op("Erf", draft.op("Mul", x, np.array(math.sqrt(0.5), np.float32)))
            half = draft.op("Mul", x, np.array(0.5, np.float32))
            share = draft.op("Add", whole, np.array(1, np.float32))
            return value._replace(name=draft.op("Mul", half, share))
        case "hard_sigmoid":
            rise = 0.2 if draft.version < 3 else 1 / 6
            return value._replace(name=draft.op("HardSigmoid", x, alpha=rise, beta=0.5))
        case "hard_silu" | "hard_swish":
            return value._replace(name=draft.op("HardSwish", x))
        case "leaky_relu":
            return value._replace(name=draft.op("LeakyRelu", x, alpha=0.2))
        case _ if activation in plain:
            return value._replace(name=draft.op(plain[activation], x))
    raise refuse(name, f"layer with the activation {activation!r:.40}")


def _activation(
    draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]
) -> Value:
    return activated(draft, name, config, reads[0])


def _relu(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    value, slope = reads[0], float(config.get("negative_slope") or 0.0)
    if config.get("threshold"):
        raise refuse(name, "ReLU", "with a threshold")
    most = config.get("max_value")
    if slope and most is not None:
        raise refuse(name, "ReLU", "with a slope and a largest value")
    if slope:
        return value._replace(name=draft.op("LeakyRelu", value.name, alpha=slope))
    if most is None:
        return value._replace(name=draft.op("Relu", value.name))
    bounds = (np.array(0, np.float32), np.array(most, np.float32))
    return value._replace(name=draft.op("Clip", value.name, *bounds))


def _leaky(draft: Draft, _: str, config: Config, __: Weights, reads: Sequence[Value]) -> Value:
    given = [config.get(name) for name in ("negative_slope", "alpha")]
    slope = next((float(item) for item in given if item is not None), 0.3)
    return reads[0]._replace(name=draft.op("LeakyRelu", reads[0].name, alpha=slope))


def _elu(draft: Draft, _: str, config: Config, __: Weights, reads: Sequence[Value]) -> Value:
    alpha = float(config.get("alpha", 1.0))
    return reads[0]._replace(name=draft.op("Elu", reads[0].name, alpha=alpha))


def _prelu(draft: Draft, _: str, __: Config, weights: Weights, reads: Sequence[Value]) -> Value:
    slopes = weight(weights, "alpha", 0)
    return Value(draft.op("PRelu", draft.last(reads[0]), slopes), reads[0].shape)


def _softmax(draft: Draft, name: str, config: Config, _: Weights, reads: Sequence[Value]) -> Value:
    if config.get("axis", -1) not in (-1, len(reads[0].shape)):
        raise refuse(name, "Softmax", f"along axis {config['axis']}")
    return activate(draft, name, "softmax", reads[0])


ACTIVATIONS: dict[str, Layering] = {
    "Activation": _activation,
    "ELU": _elu,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "ReLU": _relu,
    "Softmax": _softmax,
}
"""The layers that do nothing else."""
