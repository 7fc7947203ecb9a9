"""Keras files, built here with h5py as Keras 2 and 3 lay them out."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

h5py = pytest.importorskip("h5py")
pytest.importorskip("onnx")

import onnxruntime

from mnist_edge.errors import BadInput
from mnist_edge.foreign.hdf5 import read_hdf5
from mnist_edge.foreign.keras import read_keras

RNG = np.random.default_rng(0)
PIXELS = RNG.random((3, 28, 28, 1), np.float32)


def weights(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(0, 0.2, shape).astype(np.float32)


CONV = [weights(3, 3, 1, 4), weights(4)]
NORM = [np.abs(weights(4)), weights(4), weights(4), np.abs(weights(4)) + 0.5]
DENSE = [weights(4 * 13 * 13, 10), weights(10)]
INNER: list[dict[str, Any]] = [
    {"class_name": "Conv2D", "config": {"name": "c", "activation": "relu", "kernel_size": [3, 3]}},
    {"class_name": "BatchNormalization", "config": {"name": "n", "axis": [3], "epsilon": 0.001}},
    {"class_name": "MaxPooling2D", "config": {"name": "p", "pool_size": [2, 2]}},
]
LAYERS: list[dict[str, Any]] = [
    {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 28, 28, 1]}},
    {"class_name": "Rescaling", "config": {"name": "r", "scale": 2.0, "offset": -1.0}},
    *INNER,
    {"class_name": "Dropout", "config": {"name": "o"}},
    {"class_name": "Flatten", "config": {"name": "f"}},
    {"class_name": "Dense", "config": {"name": "d", "units": 10, "activation": "softmax"}},
]
NAMES = {
    "c": (("kernel", "bias"), CONV),
    "n": (("gamma", "beta", "moving_mean", "moving_variance"), NORM),
    "d": (("kernel", "bias"), DENSE),
}


def expected() -> NDArray[np.float64]:
    x = 2.0 * PIXELS.astype(np.float64) - 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    x = np.einsum("nyxcij,ijco->nyxo", windows, CONV[0].astype(np.float64)) + CONV[1]
    gain, shift, mean, variance = NORM
    x = (np.maximum(x, 0) - mean) / np.sqrt(variance + 0.001) * gain + shift
    x = x.reshape(3, 13, 2, 13, 2, 4).max(axis=(2, 4)).reshape(3, -1) @ DENSE[0] + DENSE[1]
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(x / x.sum(axis=1, keepdims=True))


def model(layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}


def h5(layers: list[dict[str, Any]], *, inner: str = "", suffix: str = ":0") -> bytes:
    """As Keras 2 writes it (`:0`), or Keras 3; `inner` is a model in the model."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = json.dumps(model(layers))
        for name, (leaves, arrays) in NAMES.items():
            outer = inner if inner and name != "d" else name
            group = file.require_group(f"model_weights/{outer}")
            for leaf, array in zip(leaves, arrays, strict=True):
                group[f"{name}/{leaf}{suffix}"] = array
    return buffer.getvalue()


def archive(layers: list[dict[str, Any]], places: dict[str, list[NDArray[np.float32]]]) -> bytes:
    kept, buffer = io.BytesIO(), io.BytesIO()
    with h5py.File(kept, "w") as file:
        for place, arrays in places.items():
            for number, array in enumerate(arrays):
                file[f"{place}/vars/{number}"] = array
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("config.json", json.dumps(model(layers)))
        file.writestr("metadata.json", json.dumps({"keras_version": "3.4.0"}))
        file.writestr("model.weights.h5", kept.getvalue())
    return buffer.getvalue()


NESTED = [*LAYERS[:2], model(INNER), *LAYERS[5:]]
FILES = {
    "Keras 2": lambda: h5(LAYERS),
    "Keras 3": lambda: h5(LAYERS, suffix=""),
    "a model in a model": lambda: h5(NESTED, inner="s"),
    "an archive": lambda: archive(
        LAYERS,
        {"layers/conv2d": CONV, "layers/batch_normalization": NORM, "layers/dense": DENSE},
    ),
    "an archive of before": lambda: archive(
        LAYERS,
        {
            f"_layer_checkpoint_dependencies/{name}": arrays
            for name, arrays in (("conv2d", CONV), ("batch_normalization", NORM), ("dense", DENSE))
        },
    ),
    "a model in an archive": lambda: archive(
        NESTED,
        {
            "layers/sequential/layers/conv2d": CONV,
            "layers/sequential/layers/batch_normalization": NORM,
            "layers/dense": DENSE,
        },
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_keras_file_gives_what_its_layers_say(name: str) -> None:
    (net,) = read_keras(FILES[name]())
    answers = onnxruntime.InferenceSession(net.graph).run(None, {"picture": PIXELS})[0]
    np.testing.assert_allclose(answers, expected(), atol=1e-6)
    assert net.said == "a Keras model: 28x28x1-conv 4-10"


@pytest.mark.parametrize("kind", ["Lambda", "MyAttention", "ConvLSTM2D", "Masking"])
def test_a_layer_that_is_not_known_is_refused_by_its_name(kind: str) -> None:
    strange = {"class_name": kind, "config": {"name": "odd", "function": "import os"}}
    with pytest.raises(BadInput, match=f"its layer 'odd' is a {kind}, which is not known here"):
        read_keras(h5([*LAYERS[:2], strange, *LAYERS[2:]]))


def test_weights_alone_and_models_of_a_class_of_their_own_are_named() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["dense/dense/kernel:0"] = DENSE[0]
    with pytest.raises(BadInput, match=r"weights alone \(676x10\), and not what its layers do"):
        read_keras(buffer.getvalue())
    with pytest.raises(BadInput, match="of a class of its own, 'Net'"):
        read_keras(h5(LAYERS).replace(b'"Sequential"', b'"Net"       '))


def test_links_that_lead_elsewhere_are_not_followed(tmp_path: Path) -> None:
    for link in (h5py.SoftLink("/"), h5py.ExternalLink("/etc/passwd", "/")):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file["a"] = link
        with pytest.raises(BadInput, match="a is a link that leads elsewhere"):
            read_hdf5(buffer.getvalue())
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(4,))
        file.create_virtual_dataset("a", layout)
    with pytest.raises(BadInput, match="a lies in another file"):
        read_hdf5(buffer.getvalue())


def test_groups_that_hold_themselves_end() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("a")
        group["a"] = group
    with pytest.raises(BadInput, match="without an end"):
        read_hdf5(buffer.getvalue())


def test_a_data_set_that_claims_more_than_a_gib_is_refused() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("a", (1 << 40,), "f4", chunks=(1 << 20,))
    with pytest.raises(BadInput, match="more than a GiB"):
        read_hdf5(buffer.getvalue())


def test_a_file_cut_at_each_tenth_is_refused() -> None:
    for whole in (h5(LAYERS), FILES["an archive"]()):
        for tenth in range(1, 10):
            with pytest.raises(BadInput):
                read_keras(whole[: len(whole) * tenth // 10])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("keras-mlp.h5", "784-128-10"),
        ("keras-mlp-batchnorm.h5", "784-256-128-64-10"),
    ],
)
def test_files_of_others_are_read(mnist_dir: Path, name: str, said: str) -> None:
    path = mnist_dir.parents[1] / "models" / name
    if not path.exists():
        pytest.skip("needs the nets of others beside MNIST_EDGE_DATA")
    (net,) = read_keras(path.read_bytes())
    assert net.said == f"a Keras model: {said}"
