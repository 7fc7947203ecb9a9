"""tract reads the ONNX file itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mnist_edge.contract import Images, Logits
from peers import BATCH_SIZES
from peers.fixed import write_fixed

REQUIREMENTS = ("tract", "onnx")
SETTINGS = "fixed shapes, one optimized net per batch size; it has one thread"

convert = write_fixed


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    import tract

    nets = {
        count: tract.onnx().load(folder / f"model-{count}.onnx").into_model().into_runnable()
        for count in BATCH_SIZES
    }

    def run(images: Images) -> Logits:
        logits: Logits = nets[len(images)].run([images])[0].to_numpy()
        return logits

    return run
