"""What `verify` finds, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mnist_edge.bundle.codec import LATER
from mnist_edge.bundle.manifest import Parity
from mnist_edge.machine import Machine
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import Device

Source: TypeAlias = Literal["reference", "test set"]
Status: TypeAlias = Literal["equivalent", "differs", "not checked"]


@dataclass(frozen=True, kw_only=True)
class VerifyRow:
    """One artifact on one set of digits.

    Attributes:
        artifact: `<format>-<precision>`.
        backend: name and version of the runtime; empty where the artifact did not run.
        source: the digits.
        status: `not checked` where this machine cannot run the artifact.
        reason: why it differs or is not checked; else empty.
        parity: the figures; None where there are no logits to compare.
        batch_invariant: see `is_batch_invariant`; None where the artifact did not run.
    """

    artifact: str
    backend: str
    source: Source
    status: Status
    reason: str
    parity: Parity | None
    batch_invariant: bool | None


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        bundle: the name of its folder.
        data: name and digest of the set that the test digits are from; empty without one.
        device: that ran the artifacts.
        threads: of each runtime.
        float32_error: of the checkpoint's own float32 against its float64, over the reference:
            the largest error that no export can be blamed for.
        rows: by artifact, then by source.
        classes: their names, by number.
    """

    schema: Literal[1]
    bundle: str
    data: str
    device: Device
    threads: int
    machine: Machine
    versions: dict[str, str]
    float32_error: float
    rows: tuple[VerifyRow, ...]
    classes: tuple[str, ...] = field(default=DIGITS, metadata=LATER)

    @property
    def passed(self) -> bool:
        """Whether no artifact differs."""
        return all(row.status != "differs" for row in self.rows)
