"""Whether quantization paid: what was measured of each precision on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, remedy
from mnist_edge.errors import BundleError
from mnist_edge.machine import Machine
from mnist_edge.recipes.terms import Precision
from mnist_edge.stats import Interval

FILE = "verdict.json"

Pace: TypeAlias = Literal["faster", "slower", "indistinguishable", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """One artifact beside the float32 one of its format.

    Attributes:
        artifact, precision, sha256, size_bytes: of the file.
        against: the float32 artifact of the format; itself for that one.
        size_ratio: of the bytes; below 1 it is smaller.
        accuracy: share of the digits that it classifies correctly, 0 to 1.
        accuracy_change: of that share, over the same digits.
        latency_s: the median of single pictures; None where it could not be measured.
        latency_ratio: of the medians; above 1 it is slower. None as there, and for float32.
        pace: what `latency_ratio` proves.
        advice: one sentence; empty for float32.
    """

    artifact: str
    precision: Precision
    sha256: str
    size_bytes: int
    against: str
    size_ratio: float
    accuracy: float
    accuracy_change: Interval
    latency_s: Interval | None
    latency_ratio: Interval | None
    pace: Pace
    advice: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an export of several precisions measured.

    Attributes:
        digits: how many `accuracy` is measured on.
        source: which ones.
        threads: of each runtime.
        doubts: why the latencies may not be believed.
        rows: of each format float32 first, then what was made of it.
    """

    schema: Literal[1]
    machine: Machine
    versions: dict[str, str]
    digits: int
    source: Literal["reference", "test set"]
    threads: int
    doubts: tuple[str, ...]
    rows: tuple[Weighed, ...]


def read_verdict(bundle: Bundle) -> Verdict | None:
    """The verdict that a bundle carries, if its artifacts are still those that it weighed.

    Raises:
        DigestMismatch, BundleError: the file is damaged.
    """
    known = bundle.find_extra("quantization")
    if known is None:
        return None
    try:
        verdict = codec.loads(Verdict, bundle.read(known).decode("utf-8"))
    except ValueError as error:
        raise BundleError(
            f"{bundle.path / FILE} is no verdict of schema 1: {error}",
            fix=remedy(bundle.path, "export --quantize"),
        ) from None
    digests = {artifact.sha256 for artifact in bundle.manifest.artifacts}
    return verdict if all(row.sha256 in digests for row in verdict.rows) else None


def with_verdict(bundle: Bundle, verdict: Verdict) -> tuple[Bundle, dict[str, bytes]]:
    """The bundle with the verdict among its extra files, and the contents to save with it.

    A `verdict.json` that somebody else wrote into the folder stays, and there is none of ours.
    """
    return bundle.with_own_extra("quantization", FILE, codec.dumps(verdict).encode())
