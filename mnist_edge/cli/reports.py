"""Where the reports of `verify` and `bench` are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.bench import BenchReport
    from mnist_edge.verify import VerifyReport


def report_path(out: Path | None, *, bundle: str, verb: str, processor: str) -> Path:
    """Where to write a report: `out`, else named by bundle, verb and processor model.

    Never by host name: reports are published.
    """
    if out is not None:
        return out
    model = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    return Path("benchmarks", f"{bundle}-{verb}-{model or 'unknown'}.json")


def write_report(path: Path, report: BenchReport | VerifyReport) -> None:
    """Write a report as JSON, whole or not at all. Raises StorageError."""
    from mnist_edge import codec
    from mnist_edge.storage import atomic_write

    atomic_write(path, codec.dumps(report).encode())
