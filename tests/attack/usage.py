"""What a process takes of memory and processors, as Linux counts it; 0 elsewhere."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def peak_bytes(pid: int | str = "self") -> int:
    """The most that a process has held since it began, or since `forget_peak`."""
    return _status(pid, "VmHWM:")


def held_bytes(pid: int | str = "self") -> int:
    """What it holds now."""
    return _status(pid, "VmRSS:")


def forget_peak() -> None:
    """Let the peak of this process be what it holds now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def processor_s(pid: int) -> float:
    """Seconds of a processor that a process and its children, once they have ended, had."""
    with suppress(OSError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _status(pid: int | str, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) << 10
    return 0
