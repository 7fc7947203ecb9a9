"""MNN through its own converter, run by its session interface."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnist_edge.bundle import open_bundle
from mnist_edge.signature import Images, Logits

REQUIREMENTS = ("MNN",)
SETTINGS = "session interface, precision high, the shape set once per batch size"


def convert(bundle: Path, folder: Path) -> None:
    opened = open_bundle(bundle)
    (folder / "model.onnx").write_bytes(opened.read(opened.artifact("onnx-float32")))
    converter = Path(sys.executable).with_name("mnnconvert")
    command = [str(converter), "-f", "ONNX", "--modelFile", "model.onnx"]
    command += ["--MNNModel", "model.mnn", "--bizCode", "mnist"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    import MNN

    net = MNN.Interpreter(str(folder / "model.mnn"))
    session = net.createSession({"numThread": threads, "precision": "high", "backend": "CPU"})
    source = net.getSessionInput(session)
    shape: list[int] = []

    def run(images: Images) -> Logits:
        nonlocal shape
        if shape != list(images.shape):
            shape = list(images.shape)
            net.resizeTensor(source, tuple(shape))
            net.resizeSession(session)
        given = MNN.Tensor(
            images.shape, MNN.Halide_Type_Float, images, MNN.Tensor_DimensionType_Caffe
        )
        source.copyFrom(given)
        net.runSession(session)
        found = net.getSessionOutput(session)
        logits = np.empty((len(images), 10), np.float32)
        target = MNN.Tensor(
            logits.shape, MNN.Halide_Type_Float, logits, MNN.Tensor_DimensionType_Caffe
        )
        found.copyToHostTensor(target)
        return np.array(target.getNumpyData(), np.float32).reshape(logits.shape)

    return run
