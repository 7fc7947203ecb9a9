"""What is measured: one artifact on one device, in one way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.formats import FORMATS
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import Device, Mode


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One row of a benchmark.

    Attributes:
        runtime: what runs the file, where it is not what its format names.
        threads: of the runtime, as set.
        mode: how torch runs the checkpoint; all else is `plain`.
        slowdown: the share of its time that each run is made to take longer; 0 unless the
            benchmark itself is tested.
        variant: what sets the row apart where all of the above are equal, such as a setting.
    """

    artifact: str
    device: Device
    runtime: str = ""
    threads: int = 1
    mode: Mode = "plain"
    slowdown: float = 0.0
    variant: str = ""

    @property
    def label(self) -> str:
        """The name of the row in orders and verdicts."""
        parts = [f"{self.artifact}@{self.runtime}" if self.runtime else self.artifact, self.device]
        if self.mode != "plain":
            parts.append(self.mode)
        if self.threads > 1:
            parts.append(f"{self.threads} threads")
        if self.variant:
            parts.append(self.variant)
        return "/".join(parts)

    @property
    def needs_torch(self) -> bool:
        """Whether its runtime is torch, whose import takes most of its start."""
        format_ = self.artifact.partition("-")[0]
        return not self.runtime and any(
            format_ == name and known.package == "torch" for name, known in FORMATS.items()
        )

    @property
    def full_precision_label(self) -> str:
        """The row of the same format in float32, which may be this one."""
        format_ = self.artifact.partition("-")[0]
        return replace(self, artifact=f"{format_}-float32").label


def choose_subjects(
    artifacts: Sequence[str],
    devices: Sequence[Device],
    recipe: BenchRecipe,
    *,
    compile_: bool = False,
) -> tuple[Subject, ...]:
    """Every artifact on every device with every number of threads, and what torch adds to them."""
    counts = dict.fromkeys((recipe.threads, *recipe.sweep_threads))
    return tuple(
        Subject(artifact=artifact, device=device, threads=threads, mode=mode)
        for threads in counts
        for artifact in artifacts
        for device in devices
        for mode in _modes(artifact, device, compile_=compile_)
        # Threads of the CPU do not make a GPU faster.
        if device == "cpu" or threads == recipe.threads
    )


def _modes(artifact: str, device: Device, *, compile_: bool) -> Iterator[Mode]:
    yield "plain"
    if artifact == CHECKPOINT and compile_:
        yield "compile"
    if artifact == CHECKPOINT and device == "cuda":
        yield "cuda-graph"
