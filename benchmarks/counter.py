"""Where a benchmark stands, in one line that is written over."""

from __future__ import annotations

import sys


def count_restarts(done: int, total: int, note: str = "") -> None:
    """A `Progress` on stderr; stdout is for the report."""
    print(f"\r{done}/{total} restarts of a row {note:50.50}", end="", file=sys.stderr, flush=True)
