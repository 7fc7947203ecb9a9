"""What the backends that run on torch share: claiming the device, and `run`."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import nn

from mnist_edge.contract import Images, Logits, check_images, check_logits
from mnist_edge.errors import BadInput, DeviceUnavailable
from mnist_edge.formats.format import Loading
from mnist_edge.recipes.terms import Device


class TorchModuleBackend:
    """A torch module on one device.

    Args:
        name: of the runtime.
        module: in evaluation mode, its weights on `device`.
        how: see `Loading`, and `claim_device`.
    """

    def __init__(self, name: str, module: nn.Module, how: Loading) -> None:
        self.name = name
        self.version = str(torch.__version__)
        self.device = how.device
        self._classes = how.classes
        self._module: nn.Module | None = module

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._module is None:
            raise ValueError("the backend is closed")
        if not len(images):  # torch 2.15 mis-shapes some operators' results for an empty batch
            return np.empty((0, self._classes), np.float32)
        # from_numpy shares the memory. It warns where that is read-only, and refuses a negative
        # stride, which a batch of one may have: to numpy that is contiguous all the same.
        shareable = images.flags.writeable and min(images.strides) > 0
        batch = torch.from_numpy(images if shareable else images.copy())
        try:
            with torch.inference_mode():
                logits = self._module(batch.to(self.device)).cpu()
        except RuntimeError as error:
            raise BadInput(
                f"the {self.name} model cannot run: {torch_reason(error)}",
                fix="use a model that mnist-edge exported, or a smaller batch",
            ) from None
        return check_logits(
            logits.numpy(), len(images), self._classes, source=f"the {self.name} model"
        )

    def time_resident(self, images: Images, runs: int) -> tuple[float, ...]:
        """See `DeviceResident.time_resident`; by the events of CUDA's own clock."""
        assert self._module is not None
        batch = torch.from_numpy(images.copy()).to(self.device)
        events = [
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            for _ in range(2 * runs)
        ]
        with torch.inference_mode():
            self._module(batch)
            for start, end in zip(events[::2], events[1::2], strict=True):
                start.record()
                self._module(batch)
                end.record()
                end.synchronize()
        pairs = zip(events[::2], events[1::2], strict=True)
        return tuple(start.elapsed_time(end) / 1e3 for start, end in pairs)

    def close(self) -> None:
        """See `Backend.close`."""
        self._module = None


def claim_device(device: Device, threads: int) -> None:
    """Set torch's threads, and prove that `device` computes.

    Raises:
        DeviceUnavailable: torch cannot use it here.
    """
    torch.set_num_threads(threads)
    with contextlib.suppress(RuntimeError):  # only the first call of a process may set it
        torch.set_num_interop_threads(1)
    # TF32 keeps 10 bits of the mantissa: errors of 1e-3 where the gate is 1e-4.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if device == "cpu":
        return
    try:
        proof = torch.ones(1, device=device).add(1).cpu()
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for CUDA
        raise DeviceUnavailable(
            f"torch cannot use {device}: {torch_reason(error)}", fix="choose --device cpu"
        ) from None
    assert proof.item() == 2


def torch_reason(error: Exception) -> str:
    """The line of a torch error that says what is wrong; C++ and TorchScript frames surround it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
