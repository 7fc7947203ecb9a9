"""Keras and other HDF5 files that lead elsewhere, never end, or claim what they do not hold.

Not a test module.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

LAYERS: list[dict[str, Any]] = [
    {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 28, 28, 1]}},
    {"class_name": "Flatten", "config": {"name": "f"}},
    {"class_name": "Dense", "config": {"name": "d", "units": 10, "activation": "softmax"}},
]


def written(fill: Callable[[Any], object]) -> bytes:
    """A file, by what is done to it."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def keras(*more: Mapping[str, object], config: object = None, weight: object = None) -> bytes:
    """A model of one matrix, with further layers before that."""
    layers = [LAYERS[0], *more, *LAYERS[1:]]
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}

    def fill(file: Any) -> None:
        file.attrs["model_config"] = json.dumps(model) if config is None else config
        kernel = np.zeros((784, 10), np.float32) if weight is None else weight
        file["model_weights/d/d/kernel:0"] = kernel
        file["model_weights/d/d/bias:0"] = np.zeros(10, np.float32)

    return written(fill)


def archive(weights: bytes, *, name: str = "model.weights.h5", packed: bool = False) -> bytes:
    """A `.keras` file."""
    buffer = io.BytesIO()
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": LAYERS}}
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as file:
        file.writestr("config.json", json.dumps(model))
        file.writestr("metadata.json", json.dumps({"keras_version": "3.4.0"}))
        file.writestr(name, weights)
    return buffer.getvalue()


def current() -> bytes:
    """A whole `.keras` file."""

    def fill(file: Any) -> None:
        file["layers/dense/vars/0"] = np.zeros((784, 10), np.float32)
        file["layers/dense/vars/1"] = np.zeros(10, np.float32)

    return archive(written(fill))


def _in_itself(file: Any) -> None:
    group = file.create_group("a")
    group["a"] = group


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("one.png", "x", shape=(4,))
    file.create_virtual_dataset("a", layout)


def _deep(file: Any) -> None:
    for _ in range(200):
        file = file.create_group("g")


def _many(file: Any) -> None:
    for number in range(25_000):
        file.create_group(str(number))


def _bomb(file: Any) -> None:
    zeros = np.zeros(1 << 28, np.uint8)
    file.create_dataset("a", data=zeros, chunks=(1 << 24,), compression="gzip")


def _layer(kind: str, **config: object) -> dict[str, object]:
    return {"class_name": kind, "config": {"name": "odd", **config}}


def _links(link: object) -> bytes:
    return written(lambda file: file.__setitem__("a", link))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a soft link to the root": lambda: _links(h5py.SoftLink("/")),
    "a soft link to itself": lambda: _links(h5py.SoftLink("/a")),
    "a link to another file": lambda: _links(h5py.ExternalLink("/etc/passwd", "/")),
    "a link to a device": lambda: _links(h5py.ExternalLink("/dev/zero", "/")),
    "a group in itself": lambda: written(_in_itself),
    "a data set of other files": lambda: written(_virtual),
    "200 groups in each other": lambda: written(_deep),
    "25,000 groups": lambda: written(_many),
    "256 MiB of zeros in 256 kB": lambda: written(_bomb),
    "a claim of 4 TiB": lambda: written(
        lambda file: file.create_dataset("a", (1 << 40,), "f4", chunks=(1 << 20,))
    ),
    "a Lambda": lambda: keras(_layer("Lambda", function="import os; os.mkdir('struck')")),
    "a layer of its own": lambda: keras(_layer("Mine", module="os", registered_name="system")),
    "a border of a million": lambda: keras(_layer("ZeroPadding2D", padding=[1_000_000] * 2)),
    "a picture enlarged a million times": lambda: keras(_layer("UpSampling2D", size=[1 << 20] * 2)),
    "a picture of 2^31 pixels": lambda: keras(
        {"class_name": "InputLayer", "config": {"name": "j", "batch_shape": [None, 1 << 31, 1, 1]}}
    ),
    "a billion outputs": lambda: keras(_layer("Dense", units=10**9)),
    "a configuration that is a list": lambda: keras(config="[]"),
    "a configuration nested 20,000 deep": lambda: keras(config="[" * 20_000),
    "NaN for weights": lambda: keras(weight=np.full((784, 10), np.nan, np.float32)),
    "texts for weights": lambda: keras(weight=np.full((784, 10), b"x" * 8)),
    "weights of another shape": lambda: keras(weight=np.zeros((10, 784), np.float32)),
    "no weights": lambda: written(lambda file: file.create_group("model_weights")),
    "an archive of a bomb": lambda: archive(bytes(1 << 28), packed=True),
    "an archive of no HDF5": lambda: archive(b"PK" * 1000),
    "an archive with a path": lambda: archive(b"x", name="../../struck"),
    "the head alone": lambda: written(lambda _: None)[:96],
}
"""Makers by name."""
