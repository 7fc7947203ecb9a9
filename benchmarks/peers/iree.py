"""IREE compiles the ONNX file ahead of time for this processor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mnist_edge.contract import Images, Logits
from peers import BATCH_SIZES
from peers.fixed import write_fixed

REQUIREMENTS = ("iree-base-compiler[onnx]", "iree-base-runtime")
SETTINGS = "fixed shapes, compiled for the host processor with O3; local-sync has one thread"

_COMPILE = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    "--iree-opt-level=O3",
)


def convert(bundle: Path, folder: Path) -> None:
    write_fixed(bundle, folder)
    tools = Path(sys.executable).parent
    for count in BATCH_SIZES:
        name = f"model-{count}"
        importing = [str(tools / "iree-import-onnx"), f"{name}.onnx", "-o", f"{name}.mlir"]
        compiling = [str(tools / "iree-compile"), f"{name}.mlir", "-o", f"{name}.vmfb"]
        for command in (importing, [*compiling, *_COMPILE]):
            subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)


def load(folder: Path, threads: int) -> Callable[[Images], Logits]:
    from iree import runtime

    config = runtime.Config("local-sync")
    mains: dict[int, Any] = {}
    for count in BATCH_SIZES:
        context = runtime.SystemContext(config=config)
        file = str(folder / f"model-{count}.vmfb")
        context.add_vm_module(runtime.VmModule.mmap(context.instance, file))
        module = context.modules.module
        names = module.vm_module.function_names
        mains[count] = module[next(n for n in names if "$" not in n and not n.startswith("_"))]

    def run(images: Images) -> Logits:
        return np.asarray(mains[len(images)](images).to_host())

    return run
