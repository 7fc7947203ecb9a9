"""The one seam of the project: an artifact loaded on a device, with `run(images) -> logits`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import CHECKPOINT, Artifact
from mnist_edge.contract import Images, Logits
from mnist_edge.errors import UsageError, missing_package
from mnist_edge.recipes.terms import Device, Format, Mode
from mnist_edge.recipes.train import TrainRecipe

# Since 1.29 ONNX Runtime phones home and writes into the user's cache folder, unless this is set
# before it is imported: by any module in here. Whoever has set it keeps their choice.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Optimization: TypeAlias = Literal["none", "basic", "extended", "all"]


class Backend(Protocol):
    """One artifact loaded on one device. Loading is construction; there is no unloaded state.

    Attributes:
        name: the runtime, in lower case: `torch`, `torch.export`, `onnxruntime`, `gcc` and so on.
        version: of the runtime.
        device: where it proved to run.
    """

    name: str
    version: str
    device: Device

    def run(self, images: Images) -> Logits:
        """Classify `images` (N, 1, 28, 28) float32 in [0, 1]; N may be 0.

        Returns (N, 10) float32 once the logits are in host memory; never changes `images`.

        Raises:
            BadInput: `images` break the input contract, or the logits are no numbers.
        """

    def close(self) -> None:
        """Free what the runtime holds. Safe to call twice."""


@runtime_checkable
class DeviceResident(Backend, Protocol):
    """A backend whose device may have memory of its own."""

    def time_resident(self, images: Images, runs: int) -> tuple[float, ...]:
        """Seconds of each of `runs` runs on images that already lie on the device.

        The logits stay there, too: what is left out is the way between host and device.
        """


@contextmanager
def open_backend(
    bundle: Bundle,
    artifact: Artifact,
    *,
    device: Device = "cpu",
    threads: int = 1,
    optimization: Optimization = "all",
    mode: Mode = "plain",
) -> Iterator[Backend]:
    """Load an artifact after its digest has been checked, and close it at the end.

    Args:
        bundle: where the artifact lies.
        artifact: one of `bundle.manifest.artifacts`.
        device: the device that must run it; a fall-back to another one is an error.
        threads: compute threads of the runtime.
        optimization: of the graph, for runtimes that have levels.
        mode: how torch runs a checkpoint.

    Raises:
        DigestMismatch: the file is not the one that the manifest names.
        DeviceUnavailable: the device is not there, or the runtime fell back to another.
        MissingDependency: the runtime is not installed.
    """
    backend = load_backend(
        bundle.read(artifact),
        artifact.format,
        bundle.manifest.recipe,
        device=device,
        threads=threads,
        optimization=optimization,
        mode=mode,
    )
    try:
        yield backend
    finally:
        backend.close()


def load_backend(
    data: bytes,
    format_: Format,
    recipe: TrainRecipe,
    *,
    device: Device = "cpu",
    threads: int = 1,
    optimization: Optimization = "all",
    mode: Mode = "plain",
) -> Backend:
    """Load an artifact from its bytes, which the caller has checked or has just made.

    Args:
        data: the whole file.
        format_: of the file.
        recipe: names the architecture, for a checkpoint.
        device: as for `open_backend`, which see for the errors.
        threads: compute threads of the runtime.
        optimization: of the graph, for runtimes that have levels.
        mode: how torch runs a checkpoint.
    """
    # Each runtime is imported only when an artifact of its format is opened: what an edge device
    # needs must never reach torch.
    try:
        match format_:
            case "onnx" | "ort":
                from mnist_edge.formats.onnx.run import OrtBackend

                return OrtBackend(data, device=device, threads=threads, optimization=optimization)
            case "checkpoint":
                from mnist_edge.formats.checkpoint.run import EagerBackend

                return EagerBackend(data, recipe, device=device, threads=threads, mode=mode)
            case "torchscript":
                from mnist_edge.formats.torchscript.run import TorchScriptBackend

                return TorchScriptBackend(data, device=device, threads=threads)
            case "pt2":
                from mnist_edge.formats.pt2.run import ProgramBackend

                return ProgramBackend(data, device=device, threads=threads)
            case "c":
                from mnist_edge.formats.c.run import CBackend

                return CBackend(data, device=device, threads=threads)
            case _:
                raise UsageError(
                    f"no backend runs {format_} files", fix="choose another --artifact"
                )
    except ModuleNotFoundError as error:
        raise missing_package(error, f"run {format_} files") from error


def reference_logits(
    bundle: Bundle,
    images: Images,
    *,
    threads: int = 1,
    on_batch: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float64]:
    """The checkpoint's (N, 10) logits in double precision: what all artifacts are judged by.

    Args:
        bundle: whose checkpoint is run.
        images: (N, 1, 28, 28) float32 in [0, 1].
        threads: of torch.
        on_batch: told how many more images are done.

    Raises:
        MissingDependency: torch is not installed.
    """
    data = bundle.read(bundle.artifact(CHECKPOINT))
    try:
        from mnist_edge.formats.checkpoint.run import checkpoint_logits
    except ModuleNotFoundError as error:
        raise missing_package(error, "run the checkpoint") from error
    return checkpoint_logits(
        data, bundle.manifest.recipe, images, threads=threads, on_batch=on_batch
    )
