"""What a picture costs in joules, where the machine counts them.

Everything that the meter covers is counted, what else runs and what idles included: it is the
energy that the device needs, not that of the arithmetic alone.
"""

from __future__ import annotations

import ctypes
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from mnist_edge.machine import ask, read_text
from mnist_edge.recipes.terms import Device

T = TypeVar("T")

_ROOT = Path("/")
_POWER_EVERY_S = 0.05
_UNREADABLE = "the processor's energy counters (RAPL) are there, but only root may read them"
_NO_COUNTER = (
    "no energy counter can be read here (RAPL of a processor, the power chip of a Raspberry Pi 5)"
)


class Meter(Protocol):
    """Something that knows the energy that a piece of work took."""

    @property
    def name(self) -> str:
        """What it covers."""

    def spent(self, work: Callable[[], T]) -> tuple[T, float]:
        """Do the work, and say how many joules went by meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Counters that only rise, but begin again at their range.

    Attributes:
        read_joules: what each of them shows.
        range_joules: of each; 0 where it never begins again.
    """

    name: str
    read_joules: Callable[[], Sequence[float]]
    range_joules: Sequence[float]

    def spent(self, work: Callable[[], T]) -> tuple[T, float]:
        """See `Meter.spent`."""
        before = self.read_joules()
        result = work()
        rises = zip(self.read_joules(), before, self.range_joules, strict=True)
        return result, sum(
            after - first if after >= first else after - first + limit
            for after, first, limit in rises
        )


@dataclass(frozen=True, kw_only=True)
class Power:
    """A meter that shows watts at this moment, read again and again from a thread beside."""

    name: str
    read_watts: Callable[[], float]

    def spent(self, work: Callable[[], T]) -> tuple[T, float]:
        """See `Meter.spent`."""
        done, watts = threading.Event(), [self.read_watts()]

        def watch() -> None:
            while not done.wait(_POWER_EVERY_S):
                watts.append(self.read_watts())

        watcher = threading.Thread(target=watch, daemon=True)
        start_s = time.monotonic()
        watcher.start()
        try:
            result = work()
        finally:
            lasted_s = time.monotonic() - start_s
            done.set()
            watcher.join()
        # The first is from before the work.
        during = watts[1:] or watts
        return result, lasted_s * sum(during) / len(during)


def find_meter(device: Device, *, root: Path = _ROOT) -> Meter | str:
    """What counts the joules of a device, or why nothing does, in one line."""
    if device == "cuda":
        return _gpu()
    if device != "cpu":
        return f"no energy counter of {device} is known"
    rapl = _rapl(root)
    if not isinstance(rapl, str):
        return rapl
    return _pmic() or rapl


def _rapl(root: Path) -> Meter | str:
    """Whole processors, as Linux shows them (Intel's and AMD's alike)."""
    zones = [
        zone
        for zone in sorted(root.glob("sys/class/powercap/intel-rapl:*"))
        if read_text(zone / "name").startswith("package")
    ]
    if not zones:
        return _NO_COUNTER

    def read() -> list[float]:
        return [int((zone / "energy_uj").read_text()) / 1e6 for zone in zones]

    try:
        read()
        ranges = [int(read_text(zone / "max_energy_range_uj") or 0) / 1e6 for zone in zones]
    except (OSError, ValueError):
        return _UNREADABLE
    return Counters(name="the whole processor (RAPL)", read_joules=read, range_joules=ranges)


def _pmic() -> Meter | None:
    """The power chip of a Raspberry Pi 5, which knows the current and the voltage of each rail."""
    if not _pmic_watts():
        return None
    return Power(name="the whole board without USB (power chip)", read_watts=_pmic_watts)


def _pmic_watts() -> float:
    said = ask("vcgencmd", "pmic_read_adc")
    found = {
        (rail, unit): float(value)
        for rail, value, unit in re.findall(r"(\w+)_[AV] \w+\(\d+\)=([\d.]+)([AV])", said)
    }
    return sum(
        amperes * found[rail, "V"]
        for (rail, unit), amperes in found.items()
        if unit == "A" and (rail, "V") in found
    )


def _gpu() -> Meter | str:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return "the GPU's energy cannot be read: libnvidia-ml is not here"
    device, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()

    def read() -> list[float]:
        if library.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(millijoules)):
            raise OSError("the GPU no longer tells its energy")
        return [millijoules.value / 1e3]

    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)):
        return "the GPU's energy cannot be read: NVML does not start"
    try:
        read()
    except OSError:
        return "this GPU does not tell its energy"
    return Counters(name="the first GPU (NVML)", read_joules=read, range_joules=[0.0])
