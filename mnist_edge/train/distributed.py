"""Training over several processes, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mnist_edge.recipes.terms import Device


@dataclass(frozen=True, kw_only=True)
class Group:
    """The processes that train one model together. Each takes its share of every batch."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this process is the one that reports and writes."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch of indices."""
        return batch[self.rank :: self.size]

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model with its gradients averaged over the group after each backward pass."""
        return model if self.size == 1 else DistributedDataParallel(model)

    def summed(self, totals: Tensor) -> Tensor:
        """The sum of a tensor over the group."""
        if self.size > 1:
            totals = totals.clone()
            dist.all_reduce(totals)
        return totals

    def wait(self) -> None:
        """Return once every process of the group has come here."""
        if self.size > 1:
            dist.barrier()


ALONE = Group(rank=0, size=1)


def is_launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def process_group(device: Device) -> Iterator[Group]:
    """Join the group that torchrun describes in the environment; alone without it."""
    if not is_launched():
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Group(rank=dist.get_rank(), size=dist.get_world_size())
    finally:
        dist.destroy_process_group()
