"""ncnn through pnnx, its own converter. A net holds one picture; a batch is a loop over it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.contract import Images, Logits

# pnnx would draw in torch, which the conversion of ONNX does not need.
REQUIREMENTS = ("ncnn", "--no-deps pnnx")
SETTINGS = "converted by pnnx, float16 and bfloat16 off, a batch picture by picture"


def convert(bundle: Path, folder: Path) -> None:
    opened = open_bundle(bundle)
    (folder / "model.onnx").write_bytes(opened.read(opened.artifact("onnx-float32")))
    # The program itself: the script of that name imports torch.
    pnnx = metadata.distribution("pnnx").locate_file("pnnx/pnnx")
    # fp16=0: weights stay float32.
    command = [str(pnnx), "model.onnx", "inputshape=[1,1,28,28]", "fp16=0"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{half}", False)
    net.load_param(str(folder / "model.ncnn.param"))
    net.load_model(str(folder / "model.ncnn.bin"))

    def run(images: Images) -> Logits:
        logits = np.empty((len(images), 10), np.float32)
        for index, image in enumerate(images):
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(image))
            logits[index] = extractor.extract("out0")[1]
        return logits

    return run
