"""The machine that a report comes from, as far as it explains the figures.

No host name, no user name, no address. What a system does not tell is empty, 0 or "unknown".
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "unknown"

# What decides how fast small float32 and int8 kernels run; a CPU has a hundred flags more.
_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("avx_vnni", "amx_int8", "amx_bf16"),
    *("neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)

_LIBRARIES = (
    *("mnist-edge", "numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "typer"),
    *("torch", "torchvision", "onnx", "onnxscript", "safetensors"),
)

_ROOT = Path("/")
_TOOL_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a latency depends on besides the program.

    Attributes:
        processor: the name that the maker gave it.
        architecture: `x86_64`, `aarch64`, ...
        cpu_flags: the instruction sets that matter here, of those it has.
        cores: logical processors that are online.
        affinity: processors that this process may use.
        quota: processors' worth of time that the container may use; None where unlimited.
        usable_threads: the least of the three, at least 1.
        memory_bytes: fitted, or the container's limit; 0 where unknown.
        system: kernel and its version.
        python: implementation and version.
        governor: of the clock frequency, where there is one.
        virtual: whether a hypervisor is seen.
        gpu: name and driver of each NVIDIA GPU.
    """

    processor: str
    architecture: str
    cpu_flags: tuple[str, ...]
    cores: int
    affinity: int
    quota: float | None
    usable_threads: int
    memory_bytes: int
    system: str
    python: str
    governor: str
    virtual: bool
    gpu: tuple[str, ...]


def describe_machine() -> Machine:
    """Look at the machine. Imports no runtime; asks `nvidia-smi` for the GPUs."""
    cpu = _cpu_facts(_ROOT)
    flags = _flags(cpu)
    return Machine(
        processor=_processor(cpu),
        architecture=platform.machine().lower() or UNKNOWN,
        cpu_flags=tuple(flag for flag in _FLAGS if flag in flags),
        cores=_cores(),
        affinity=_affinity(),
        quota=cpu_quota(),
        usable_threads=usable_threads(),
        memory_bytes=_memory_bytes(_ROOT),
        system=_system(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        governor=read_text(_ROOT / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        or UNKNOWN,
        virtual="hypervisor" in flags,
        gpu=_gpus(),
    )


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16."""
    return not _flags(_cpu_facts(_ROOT)).isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def library_versions() -> dict[str, str]:
    """Versions of the libraries that are installed, read without importing them."""
    from importlib import metadata  # as slow as reading a picture, which needs this module, too

    versions = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def installed_bytes(packages: Sequence[str]) -> dict[str, int]:
    """What the files of packages take on this disk; those that are not installed are left out.

    A package counts without what it needs in turn.
    """
    from importlib import metadata

    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError, OSError):
            files = metadata.files(name) or ()
            found[name] = sum(Path(file.locate()).stat().st_size for file in files)
    return found


def load_average() -> tuple[float, float, float] | None:
    """Runnable processes over 1, 5 and 15 minutes; None where the system does not count them."""
    try:
        return os.getloadavg()
    except (AttributeError, OSError):
        return None


def gpu_state() -> tuple[str, ...]:
    """Clock and temperature of each NVIDIA GPU, at this moment."""
    query = "--query-gpu=clocks.sm,clocks.mem,temperature.gpu"
    return tuple(
        f"SM {sm} MHz, memory {memory} MHz, {temperature} °C"
        for line in ask("nvidia-smi", query, "--format=csv,noheader,nounits").splitlines()
        for sm, memory, temperature in [[part.strip() for part in line.split(",")]]
    )


def usable_threads() -> int:
    """Threads that can really run at once: the least of cores, affinity and quota, at least 1."""
    quota = cpu_quota()
    limit = min(_cores(), _affinity())
    return max(1, limit if quota is None else min(limit, int(quota)))


def peak_resident_bytes() -> int:
    """The most memory that this process has held so far; 0 where the system does not tell."""
    # Not getrusage: across an exec Linux carries over the peak of the parent process.
    if told := read_facts(_ROOT / "proc/self/status").get("VmHWM:"):
        return int(told.split()[0]) * 1024
    if sys.platform == "win32":
        return 0
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Processors' worth of time that the control group may use; None where unlimited.

    Args:
        root: the file system that holds `proc` and `sys`.
    """
    # A group's limit holds for the groups below it, so every ancestor counts.
    quotas = []
    for folder in control_groups(root, ""):
        limit, _, period = read_text(folder / "cpu.max").partition(" ")
        quotas.append((limit, period))
    for folder in control_groups(root, "cpu"):
        limit = read_text(folder / "cpu.cfs_quota_us")
        quotas.append((limit, read_text(folder / "cpu.cfs_period_us")))
    return min(
        # "max" and "-1" mean unlimited.
        (int(limit) / int(period) for limit, period in quotas if limit.isdigit() and period),
        default=None,
    )


def control_groups(root: Path, controller: str) -> Iterator[Path]:
    """The folder of this process's group and those above it; `""` is version 2."""
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controllers
        place = mount / group.strip("/")
        # Inside a container the path may be the host's, and only its root is mounted.
        yield place
        while place != mount:
            place = place.parent
            yield place


def _system() -> str:
    # What follows the hyphen is whatever the builder of the kernel wrote there.
    release = platform.release().partition("-")[0]
    return f"{platform.system()} {release}".strip() or UNKNOWN


def _cores() -> int:
    return os.cpu_count() or 1


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return _cores()


def _cpu_facts(root: Path) -> dict[str, str]:
    """The first processor's entries in /proc/cpuinfo, keys in lower case."""
    facts: dict[str, str] = {}
    for line in read_text(root / "proc/cpuinfo").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            facts.setdefault(key.strip().lower(), value.strip())
    return facts


def _flags(cpu: dict[str, str]) -> set[str]:
    return set(cpu.get("flags", cpu.get("features", "")).split())


def _processor(cpu: dict[str, str]) -> str:
    if sys.platform == "darwin":
        return ask("sysctl", "-n", "machdep.cpu.brand_string") or UNKNOWN
    # An ARM board names itself under "model" or in its device tree, not under "model name".
    board = read_text(_ROOT / "proc/device-tree/model").rstrip("\0")
    if "model name" in cpu:
        return cpu["model name"]
    return board or platform.processor() or UNKNOWN


def _memory_bytes(root: Path) -> int:
    limits = [
        int(text)
        for controller, file in (("", "memory.max"), ("memory", "memory.limit_in_bytes"))
        for folder in control_groups(root, controller)
        if (text := read_text(folder / file)).isdigit()
    ]
    with contextlib.suppress(AttributeError, OSError, ValueError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=0)


def _gpus() -> tuple[str, ...]:
    answer = ask("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    return tuple(
        ", driver ".join(part.strip() for part in line.split(",")) for line in answer.splitlines()
    )


def ask(*command: str) -> str:
    """What a tool prints; empty where it is not there, fails or hangs."""
    import subprocess  # slow to import, as is ctypes where NumPy is not there

    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=_TOOL_TIMEOUT_S,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def read_text(path: Path) -> str:
    """A small file of the system; empty where it is not there or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_facts(path: Path) -> dict[str, str]:
    """What each line of a small file of the system says, by its first word."""
    lines = (line.split(maxsplit=1) for line in read_text(path).splitlines())
    return {name: "".join(rest) for name, *rest in filter(None, lines)}


def keep_memory() -> None:
    """Let glibc keep large freed blocks instead of handing them back at every step.

    An epoch takes 0.6 to 0.7 of the time. It holds for the whole process and cannot be taken
    back, so it is for who owns the process, as the command line does, to call it. Elsewhere than
    on Linux nothing is changed.
    """
    if sys.platform != "linux":
        return
    mmap_threshold, trim_threshold, one_gib = -3, -1, 1 << 30  # names and limits of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(mmap_threshold, one_gib)
        mallopt(trim_threshold, one_gib)


@contextlib.contextmanager
def process_as_it_was() -> Iterator[None]:
    """Give the caller's process its settings back, where what runs in here changes them.

    These are torch's threads and random numbers, and what libraries add to the environment. Where
    torch is first imported in here, it ends with all threads that this process may use. The random
    numbers of a GPU are not kept.
    """
    before = sys.modules.get("torch")
    threads = before.get_num_threads() if before else usable_threads()
    random_numbers = before.get_rng_state() if before else None
    variables = set(os.environ)
    try:
        yield
    finally:
        for added in set(os.environ) - variables - {"ORT_DISABLE_TELEMETRY"}:
            del os.environ[added]
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)
            if random_numbers is not None:
                torch.set_rng_state(random_numbers)
