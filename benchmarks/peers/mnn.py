"""MNN through its own converter, run by its module interface, which its documentation prefers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME, Images, Logits

REQUIREMENTS = ("MNN",)
SETTINGS = "module interface, precision high, small Winograd tiles, an input per batch size"

# The hint that MNN calls WINOGRAD_MEMORY_LEVEL. By default it takes tiles so large that the logits
# are off by 1e-3; with small ones they are off by 6e-6, at the same speed.
_WINOGRAD_TILES, _SMALL = 3, 1


def convert(bundle: Path, folder: Path) -> None:
    # The function itself: the script around it installs a package with pip and sends statistics.
    from _tools import mnnconvert  # type: ignore[import-not-found]

    opened = open_bundle(bundle)
    (folder / "model.onnx").write_bytes(opened.read(opened.artifact("onnx-float32")))
    files = ["--modelFile", str(folder / "model.onnx"), "--MNNModel", str(folder / "model.mnn")]
    mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "mnist"])


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    from MNN import expr, nn

    settings = {"numThread": threads, "precision": "high", "backend": "CPU"}
    runtime = nn.create_runtime_manager((settings,))
    runtime.set_hint(_WINOGRAD_TILES, _SMALL)
    net = nn.load_module_from_file(
        str(folder / "model.mnn"), [INPUT_NAME], [OUTPUT_NAME], runtime_manager=runtime
    )
    inputs: dict[int, Any] = {}

    def run(images: Images) -> Logits:
        if len(images) not in inputs:
            inputs[len(images)] = expr.placeholder(list(images.shape), expr.NCHW, expr.float)
        given = inputs[len(images)]
        given.write(images)
        return np.array(net.forward(given).read())

    return run
