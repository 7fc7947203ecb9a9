"""What else goes on on this machine while a benchmark runs, read from the system's counters."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnist_edge.machine import control_groups, read_facts, read_text

_ROOT = Path("/")
_EVERY_S = 0.5
_STEAL = 7  # the place of stolen time in a line of /proc/stat
_UNITS_S = {"throttled_usec": 1e-6, "throttled_time": 1e-9}
_ALIKE = 0.9  # some processors boost a few of their cores a little higher
_TIMES = 8  # what follows is contained in the user's time already


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What the counters said of a while.

    Attributes:
        at_s: its end, from the beginning of the benchmark.
        stolen: the share of the processors' time that went to other guests of the host, 0 to 1.
        throttled: the share of the time in which the control group had used up its quota.
        wanting: other programs that wanted a processor at its end.
    """

    at_s: float
    stolen: float
    throttled: float
    wanting: int


class Watch:
    """Looks at the counters every now and then, when it is asked to.

    Args:
        clock: seconds from any fixed point.
        root: the file system that holds `proc` and `sys`.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, root: Path = _ROOT) -> None:
        self._clock, self._root = clock, root
        self._begin_s = self._last_s = clock()
        self._counters = self._read()
        self.moments: list[Moment] = []

    def look(self) -> None:
        """Add a moment, unless the last one is too near."""
        now_s = self._clock()
        lasted_s = now_s - self._last_s
        if lasted_s < _EVERY_S:
            return
        stolen, total, throttled_s, running = self._read()
        old_stolen, old_total, old_throttled_s, _ = self._counters
        self.moments.append(
            Moment(
                at_s=now_s - self._begin_s,
                stolen=(stolen - old_stolen) / max(1, total - old_total),
                throttled=min(1.0, (throttled_s - old_throttled_s) / lasted_s),
                wanting=max(0, running - 1),  # the one that asks is running, too
            )
        )
        self._last_s, self._counters = now_s, (stolen, total, throttled_s, running)

    def _read(self) -> tuple[int, int, float, int]:
        """Ticks stolen and in all, seconds throttled, and programs that run or want to."""
        facts = read_facts(self._root / "proc/stat")
        ticks = [int(tick) for tick in facts.get("cpu", "").split()[:_TIMES]]
        stolen = ticks[_STEAL] if len(ticks) > _STEAL else 0
        return stolen, sum(ticks), self._throttled_s(), int(facts.get("procs_running", "1"))

    def _throttled_s(self) -> float:
        # A group waits, too, where one above it has used up its quota.
        return max(
            (
                int(value) * _UNITS_S[name]
                for controller in ("", "cpu")
                for folder in control_groups(self._root, controller)
                for name, value in read_facts(folder / "cpu.stat").items()
                if name in _UNITS_S
            ),
            default=0.0,
        )


def interruptions() -> int:
    """How often the system has taken the processor from this process so far; 0 where unknown."""
    if sys.platform == "win32":
        return 0
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def cores_alike(*, root: Path = _ROOT) -> tuple[int, ...]:
    """The processors that one may be kept on, of the fastest kind; none where that cannot be done.

    Some boards and laptops have slow ones and fast ones, and a ratio is not the same on both.
    """
    if not hasattr(os, "sched_setaffinity"):  # not on macOS and Windows
        return ()
    allowed = sorted(os.sched_getaffinity(0))
    speeds = {core: _speed(root / f"sys/devices/system/cpu/cpu{core}") for core in allowed}
    return tuple(core for core in allowed if speeds[core] >= _ALIKE * max(speeds.values()))


def _speed(folder: Path) -> int:
    """Of one processor beside the others; 0 where the system makes no difference."""
    for file in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        if (text := read_text(folder / file)).isdigit():
            return int(text)
    return 0


def available_bytes(*, root: Path = _ROOT) -> int:
    """Memory that more processes could take without any being swapped out; 0 where unknown."""
    free = read_facts(root / "proc/meminfo").get("MemAvailable:")
    limits = [int(free.split()[0]) * 1024] if free else []
    for controller, limit, used in (
        ("", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        for folder in control_groups(root, controller):
            most, now = read_text(folder / limit), read_text(folder / used)
            if most.isdigit() and now.isdigit():
                # What files have left in memory counts as used, but would be given back.
                limits.append(max(0, int(most) - int(now) + _cached(folder)))
    return min(limits, default=0)


def _cached(folder: Path) -> int:
    facts = read_facts(folder / "memory.stat")
    return int(facts.get("inactive_file") or facts.get("total_inactive_file") or 0)
