"""What layers of Keras become, held against NumPy; files are built here with h5py."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

h5py = pytest.importorskip("h5py")
pytest.importorskip("onnx")

import onnxruntime

from mnist_edge.errors import BadInput
from mnist_edge.foreign.keras import read_keras

Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]
RNG = np.random.default_rng(0)
ROWS = RNG.random((3, 28, 28), np.float32)


def noise(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(0, 0.3, shape).astype(np.float32)


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def start(*shape: int) -> dict[str, Any]:
    return layer("InputLayer", "in", batch_input_shape=[None, *shape])


def h5(model: dict[str, Any], weights: dict[str, Weights], version: str = "2.15.0") -> bytes:
    """As Keras 2 writes it; weights by the layer and the path within its group."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        file.attrs["keras_version"] = version
        for name, kept in weights.items():
            for path, array in kept.items():
                file[f"model_weights/{name}/{path}:0"] = array
    return buffer.getvalue()


def straight(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


def answers(data: bytes, pictures: NDArray[np.float32], output: int = 0) -> NDArray[np.float32]:
    (net,) = read_keras(data)
    session = onnxruntime.InferenceSession(net.graph)
    return np.asarray(session.run(None, {"picture": pictures})[output])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def long_memory(rows: Array, weights: Weights, gate: Callable[[Array], Array]) -> Array:
    """LSTM: (N, T, F) to (N, T, hidden)."""
    kernel, again, bias = (weights[name].astype(np.float64) for name in NAMES)
    held = cell = np.zeros((len(rows), len(again)))
    found = []
    for row in rows.swapaxes(0, 1):
        i, f, c, o = np.split(row @ kernel + held @ again + bias, 4, axis=1)
        cell = gate(f) * cell + gate(i) * np.tanh(c)
        held = gate(o) * np.tanh(cell)
        found.append(held)
    return np.stack(found, axis=1)


def gated(rows: Array, weights: Weights, *, after: bool) -> Array:
    """GRU: (N, T, F) to (N, T, hidden)."""
    kernel, again, bias = (weights[name].astype(np.float64) for name in NAMES)
    first, second = bias if after else (bias, np.zeros_like(bias))
    held = np.zeros((len(rows), len(again)))
    size, found = len(again), []
    for row in rows.swapaxes(0, 1):
        x, h = row @ kernel + first, held @ again + second
        z, r = sigmoid(x[:, :size] + h[:, :size]), sigmoid((x + h)[:, size : 2 * size])
        last = r * h[:, 2 * size :] if after else (r * held) @ again[:, 2 * size :].astype(float)
        held = z * held + (1 - z) * np.tanh(x[:, 2 * size :] + last)
        found.append(held)
    return np.stack(found, axis=1)


def plain(rows: Array, weights: Weights) -> Array:
    """SimpleRNN: (N, T, F) to (N, T, hidden)."""
    kernel, again, bias = (weights[name].astype(np.float64) for name in NAMES)
    held, found = np.zeros((len(rows), len(again))), []
    for row in rows.swapaxes(0, 1):
        held = np.tanh(row @ kernel + held @ again + bias)
        found.append(held)
    return np.stack(found, axis=1)


NAMES = ("kernel", "recurrent_kernel", "bias")
FOUR, THREE, AFTER, ONE = (
    dict(zip(NAMES, (noise(28, 6 * gates), noise(6, 6 * gates), bias), strict=True))
    for gates, bias in ((4, noise(24)), (3, noise(18)), (3, noise(2, 18)), (1, noise(6)))
)
CONV, POINT, SLOPE = noise(5, 28, 6), noise(6), np.abs(noise(1, 1, 4))
KERNEL = noise(3, 3, 2, 4)


def within(folder: str, weights: Weights) -> Weights:
    return {f"{folder}/{name}": array for name, array in weights.items()}


def along(rows: Array, kernel: NDArray[np.float32], before: int, step: int) -> Array:
    """A convolution along rows that has so many zeros before them, and none behind."""
    padded = np.pad(rows, ((0, 0), (before, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=1)[:, ::step]
    return np.asarray(np.einsum("ntfk,kfo->nto", windows, kernel.astype(np.float64)))


def hard(x: Array) -> Array:
    return np.clip(0.2 * x + 0.5, 0, 1)


TURNED = {name: np.ascontiguousarray(array[..., ::-1]) for name, array in THREE.items()}
WAYS = {**within("b/forward_g", THREE), **within("b/backward_g", TURNED)}
NORM = {
    name: np.abs(noise(size)) if name == "moving_variance" else noise(size)
    for name, size in dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), 4).items()
}
X = ROWS.astype(np.float64)


def both_ways(reads: Array) -> tuple[Array, Array]:
    """A GRU from both ends, each with its row where it was read."""
    backwards = gated(reads[:, ::-1], TURNED, after=False)
    return gated(reads, THREE, after=False), backwards[:, ::-1]


def normal(reads: Array, kept: Weights) -> Array:
    """BatchNormalization of the last axis."""
    gain, shift, mean, variance = (kept[name].astype(np.float64) for name in NORM)
    return np.asarray((reads - mean) / np.sqrt(variance + 1e-3) * gain + shift)


def channels_first() -> Array:
    """A convolution, its normalisation, the largest of 2x2, and Flatten, which turns them."""
    seen = np.lib.stride_tricks.sliding_window_view(X.reshape(3, 2, 14, 28), (3, 3), (2, 3))
    conv = normal(np.einsum("ncyxij,ijco->nyxo", seen, KERNEL.astype(np.float64)), NORM)
    return np.asarray(conv.reshape(3, 6, 2, 13, 2, 4).max(axis=(2, 4)).reshape(3, -1))


def centred() -> Array:
    deviation = np.sqrt(X.var(axis=2, keepdims=True) + 1e-3)
    return np.asarray((X - X.mean(axis=2, keepdims=True)) / deviation * GAIN)


def sloped() -> Array:
    pixels = 2 * X.reshape(3, 14, 14, 4) - 1
    return np.asarray(np.where(pixels > 0, pixels, pixels * SLOPE))


GAIN = noise(28)
FIRST = {"data_format": "channels_first"}
Case = tuple[list[dict[str, Any]], dict[str, Weights], Callable[[], Array]]
CASES: dict[str, Case] = {
    "LSTM": (
        [start(28, 28), layer("LSTM", "l")],
        {"l": within("l/lstm_cell", FOUR)},
        lambda: long_memory(X, FOUR, sigmoid)[:, -1],
    ),
    "LSTM of each row, with a hard gate": (
        [
            start(28, 28),
            layer("LSTM", "l", return_sequences=True, recurrent_activation="hard_sigmoid"),
        ],
        {"l": within("l", FOUR)},
        lambda: long_memory(X, FOUR, hard),
    ),
    "LSTM from the end": (
        [start(28, 28), layer("LSTM", "l", go_backwards=True)],
        {"l": within("l", FOUR)},
        lambda: long_memory(X[:, ::-1], FOUR, sigmoid)[:, -1],
    ),
    "GRU": (
        [start(28, 28), layer("GRU", "g")],
        {"g": within("g", THREE)},
        lambda: gated(X, THREE, after=False)[:, -1],
    ),
    "GRU that resets after": (
        [start(28, 28), layer("GRU", "g", reset_after=True)],
        {"g": within("g/gru_cell", AFTER)},
        lambda: gated(X, AFTER, after=True)[:, -1],
    ),
    "SimpleRNN": (
        [start(28, 28), layer("SimpleRNN", "r")],
        {"r": within("r/simple_rnn_cell", ONE)},
        lambda: plain(X, ONE)[:, -1],
    ),
    "Bidirectional": (
        [start(28, 28), layer("Bidirectional", "b", layer=layer("GRU", "g"))],
        {"b": WAYS},
        lambda: np.concatenate([both_ways(X)[0][:, -1], both_ways(X)[1][:, 0]], axis=1),
    ),
    "Bidirectional, summed in each row": (
        [
            start(28, 28),
            layer(
                "Bidirectional",
                "b",
                layer=layer("GRU", "g", return_sequences=True),
                merge_mode="sum",
            ),
        ],
        {"b": WAYS},
        lambda: np.add(*both_ways(X)),
    ),
    "Conv1D that sees nothing ahead": (
        [start(28, 28), layer("Conv1D", "c", padding="causal", strides=[2])],
        {"c": {"kernel": CONV, "bias": POINT}},
        lambda: along(X, CONV, 4, 2) + POINT,
    ),
    "pooling along rows": (
        [
            start(28, 28),
            layer("ZeroPadding1D", "z", padding=1),
            layer("MaxPooling1D", "p", pool_size=[3], strides=[3]),
            layer("Permute", "t", dims=[2, 1]),
            layer("Reshape", "r", target_shape=[70, 4]),
            layer("BatchNormalization", "n", axis=[2]),
            layer("GlobalAveragePooling1D", "g"),
        ],
        {"n": NORM},
        lambda: normal(
            np.pad(X, ((0, 0), (1, 1), (0, 0)))
            .reshape(3, 10, 3, 28)
            .max(axis=2)
            .swapaxes(1, 2)
            .reshape(3, 70, 4),
            NORM,
        ).mean(axis=1),
    ),
    "a layer for each row": (
        [
            start(28, 28, 1),
            layer("TimeDistributed", "t", layer=layer("Flatten", "f")),
            layer("TimeDistributed", "d", layer=layer("Dense", "e", activation="tanh")),
        ],
        {"d": {"e/kernel": CONV[0], "e/bias": POINT}},
        lambda: np.tanh(X @ CONV[0] + POINT),
    ),
    "channels first": (
        [
            start(28, 28),
            layer("Reshape", "s", target_shape=[2, 14, 28]),
            layer("Conv2D", "c", use_bias=False, **FIRST),
            layer("BatchNormalization", "n", axis=[1]),
            layer("MaxPooling2D", "p", pool_size=[2, 2], **FIRST),
            layer("Flatten", "f", **FIRST),
        ],
        {"c": {"kernel": KERNEL}, "n": NORM},
        channels_first,
    ),
    "slopes that differ": (
        [
            start(28, 28, 1),
            layer("Rescaling", "m", scale=2.0, offset=-1.0),
            layer("Reshape", "s", target_shape=[14, 14, 4]),
            layer("PReLU", "p", shared_axes=[1, 2]),
        ],
        {"p": {"alpha": SLOPE}},
        sloped,
    ),
    "twice as large": (
        [start(28, 28, 1), layer("UpSampling2D", "u", size=[2, 3])],
        {},
        lambda: X[..., None].repeat(2, axis=1).repeat(3, axis=2),
    ),
    "a normalisation without a shift": (
        [start(28, 28), layer("LayerNormalization", "l", axis=[2], center=False)],
        {"l": {"gamma": GAIN}},
        centred,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_gives_what_keras_gives(name: str) -> None:
    layers, weights, expected = CASES[name]
    shape = layers[0]["config"]["batch_input_shape"][1:]
    found = answers(h5(straight(*layers), weights), ROWS.reshape(3, *shape))
    np.testing.assert_allclose(found, expected(), atol=3e-6)


def functional(*layers: dict[str, Any], outputs: list[str]) -> dict[str, Any]:
    """A model whose layers say what they read, the first its input."""
    named = [{**each, "name": each["config"]["name"]} for each in layers]
    ends = [[name, 0, 0] for name in outputs]
    return {"class_name": "Functional", "config": {"layers": named, "output_layers": ends}}


def test_arithmetic_on_results_is_read_as_keras_2_and_3_write_it() -> None:
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["in", 0, 0]}}
    three = {**layer("TrueDivide", "d"), "inbound_nodes": [{"args": [tensor, 255.0], "kwargs": {}}]}
    two = {
        **layer("TFOpLambda", "d", function="math.truediv"),
        "inbound_nodes": [["in", 0, 0, {"y": 255.0, "name": None}]],
    }
    for divide in (two, three):
        less = {
            **layer("TFOpLambda", "l", function="math.subtract"),
            "inbound_nodes": [["_CONSTANT_VALUE", -1, 1.0, {"y": ["d", 0, 0]}]],
        }
        model = functional(start(28, 28), divide, less, outputs=["l"])
        found = answers(h5(model, {}), ROWS)
        np.testing.assert_allclose(found, 1 - ROWS / 255, atol=1e-6)


def test_every_output_of_a_model_is_given() -> None:
    flat = {**layer("Flatten", "f"), "inbound_nodes": [[["in", 0, 0, {}]]]}
    ends = [
        {**layer("Dense", name, use_bias=False), "inbound_nodes": [[["f", 0, 0, {}]]]}
        for name in ("odd", "digit")
    ]
    weights = {"odd": {"kernel": noise(784, 1)}, "digit": {"kernel": noise(784, 10)}}
    data = h5(functional(start(28, 28), flat, *ends, outputs=["odd", "digit"]), weights)
    for place, name in enumerate(weights):
        expected = X.reshape(3, -1) @ weights[name]["kernel"]
        np.testing.assert_allclose(answers(data, ROWS, place), expected, atol=1e-5)


def test_a_function_that_is_not_known_is_refused_by_its_name() -> None:
    odd = {**layer("TFOpLambda", "o", function="image.sobel"), "inbound_nodes": [["in", 0, 0, {}]]}
    with pytest.raises(BadInput, match=r"its layer 'o' is a call of 'image\.sobel'"):
        read_keras(h5(functional(start(28, 28), odd, outputs=["o"]), {}))
