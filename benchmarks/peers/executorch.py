"""ExecuTorch with XNNPACK, exported from the checkpoint. Shapes are fixed: one picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.contract import IMAGE_SHAPE, Images, Logits

REQUIREMENTS = ("executorch", "torch", "safetensors")
SETTINGS = "XNNPACK delegate, a batch picture by picture"


def convert(bundle: Path, folder: Path) -> None:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from mnist_edge.models import deployable, load_weights

    opened = open_bundle(bundle)
    weights = opened.read(opened.artifact(CHECKPOINT))
    network = deployable(load_weights(opened.manifest.own_recipe, weights))
    program = torch.export.export(network, (torch.zeros(1, *IMAGE_SHAPE),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    (folder / "model.pte").write_bytes(lowered.to_executorch().buffer)


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    import torch
    from executorch.extension.pybindings import portable_lib

    # Set after loading, the number of threads crashes the process.
    portable_lib._unsafe_reset_threadpool(threads)
    module = portable_lib._load_for_executorch(str(folder / "model.pte"))

    def run(images: Images) -> Logits:
        batch = torch.from_numpy(images)
        answers = [module.forward((batch[i : i + 1],))[0].numpy() for i in range(len(images))]
        return np.concatenate(answers)

    return run
