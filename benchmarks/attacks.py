"""What `make attack` came to, from its report to the table of SECURITY.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mnist_edge.render.table import Table

_COLUMNS = {
    "tried": "tried",
    "refused": "refused",
    "accepted": "accepted",
    "accepted wrongly": "wrong",
    "crashed": "crashed",
    "hung": "hung",
    "code run": "struck",
    "longest (s)": "seconds",
    "memory (MiB)": "grown_mib",
}


def read_attack(results: Path) -> dict[str, Any] | None:
    """The report, if there is one."""
    path = results / "attack.json"
    return json.loads(path.read_text()) if path.exists() else None


def attack_table(report: dict[str, Any]) -> Table:
    """A row for each kind of input."""
    return Table(
        headers=("", *_COLUMNS),
        rows=tuple(
            (row["kind"], *(f"{row[field]:,}" for field in _COLUMNS.values()))
            for row in report["rows"]
        ),
    )
