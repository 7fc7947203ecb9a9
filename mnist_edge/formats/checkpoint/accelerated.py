"""The checkpoint, run by torch in faster ways: compiled, or as a CUDA graph that is replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from mnist_edge.errors import UsageError
from mnist_edge.recipes.terms import Device, Mode

_WARMUP_RUNS = 3


def accelerate(module: nn.Module, mode: Mode, device: Device) -> nn.Module:
    """The module as `mode` runs it: the same function of the same tensors.

    Raises:
        UsageError: the device has no graphs.
    """
    match mode:
        case "plain":
            return module
        case "compile":
            # A graph per batch size: what is measured is the best that it can do for each.
            return cast("nn.Module", torch.compile(module, dynamic=False))
        case "cuda-graph":
            if device != "cuda":
                raise UsageError(f"{device} has no CUDA graphs", fix="choose --device cuda")
            return GraphReplay(module)


@dataclass(frozen=True, kw_only=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    images: Tensor
    logits: Tensor


class GraphReplay(nn.Module):
    """A module whose kernels are recorded once per batch size, then launched all at once.

    Its result is overwritten by the next call.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module
        self._recordings: dict[int, _Recording] = {}

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 28, 28) on the GPU to (N, 10) there."""
        recording = self._recordings.get(len(images))
        if recording is None:
            recording = self._recordings[len(images)] = self._record(images)
        recording.images.copy_(images)
        recording.graph.replay()
        return recording.logits

    def _record(self, images: Tensor) -> _Recording:
        images = images.clone()
        # Libraries allocate in their first runs, which must be over before the recording.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARMUP_RUNS):
                self._module(images)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._module(images)
        return _Recording(graph=graph, images=images, logits=logits)
