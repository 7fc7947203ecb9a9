from __future__ import annotations

import getpass
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnist_edge import machine
from mnist_edge.bundle import codec
from mnist_edge.machine import (
    Machine,
    cpu_quota,
    describe_machine,
    library_versions,
    peak_resident_bytes,
    usable_threads,
)

pytestmark = pytest.mark.edge


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_a_description_survives_json() -> None:
    described = describe_machine()
    assert codec.loads(Machine, codec.dumps(described)) == described


def test_a_description_names_neither_host_nor_user() -> None:
    text = codec.dumps(describe_machine())
    for name in (platform.node(), getpass.getuser()):
        if len(name) > 4:  # shorter ones, such as "root", may be part of a word
            assert name not in text


def test_describing_imports_no_runtime() -> None:
    code = (
        "import sys; from mnist_edge.machine import *; describe_machine(); library_versions();"
        "print(*{'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_versions_are_those_of_what_is_installed() -> None:
    assert library_versions()["numpy"] == np.__version__
    assert all(library_versions().values())


def test_threads_are_at_least_one_and_at_most_the_cores() -> None:
    assert 1 <= usable_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cores", "affinity", "quota", "threads"),
    [(8, 8, None, 8), (8, 4, None, 4), (8, 8, 2.9, 2), (8, 8, 0.5, 1), (2, 2, 16.0, 2)],
)
def test_threads_are_the_least_of_cores_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, cores: int, affinity: int, quota: float | None, threads: int
) -> None:
    monkeypatch.setattr(machine, "_cores", lambda: cores)
    monkeypatch.setattr(machine, "_affinity", lambda: affinity)
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert usable_threads() == threads


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "0::/outer/inner",
                "sys/fs/cgroup/outer/cpu.max": "100000 100000",
                "sys/fs/cgroup/outer/inner/cpu.max": "400000 100000",
            },
            1.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
    ids=["no groups", "v2", "v2 unlimited", "v2 outer group", "v1 in a container", "v1 unlimited"],
)
def test_the_quota_is_that_of_the_tightest_control_group(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    assert cpu_quota(_write(tmp_path, files)) == quota


def test_memory_is_the_containers_limit_where_there_is_one(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "1048576"}
    assert machine._memory_bytes(_write(tmp_path, files)) == 1048576


def test_flags_are_only_those_that_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = (
        "processor : 0\nmodel name : Chip 9000\nflags : fpu avx2 rdtscp avx512_vnni hypervisor"
    )
    monkeypatch.setattr(machine, "_ROOT", _write(tmp_path, {"proc/cpuinfo": cpuinfo}))
    described = describe_machine()
    assert described.cpu_flags == ("avx2", "avx512_vnni")
    assert described.virtual
    if sys.platform != "darwin":
        assert described.processor == "Chip 9000"


def test_an_arm_board_is_named_by_its_device_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    files = {
        "proc/cpuinfo": "processor : 0\nFeatures : fp asimd asimddp evtstrm",
        "proc/device-tree/model": "Raspberry Pi 5 Model B\0",
    }
    monkeypatch.setattr(machine, "_ROOT", _write(tmp_path, files))
    described = describe_machine()
    assert described.processor.startswith("Raspberry Pi 5 Model B")
    assert described.cpu_flags == ("asimd", "asimddp")


def test_gpus_are_told_with_their_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ask", lambda *command: "NVIDIA H200, 570.1\nNVIDIA L4, 570.1")
    assert machine._gpus() == ("NVIDIA H200, driver 570.1", "NVIDIA L4, driver 570.1")


@pytest.mark.parametrize("code", ["import sys; sys.exit(1)", "import time; time.sleep(60)"])
def test_a_tool_that_fails_or_hangs_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(machine, "_TOOL_TIMEOUT_S", 0.5)
    assert machine.ask(sys.executable, "-c", code) == ""


def test_a_tool_that_is_not_there_tells_nothing() -> None:
    assert machine.ask("no-such-tool-anywhere") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_this_processes_own_and_not_its_parents() -> None:
    ballast = np.ones(20_000_000)  # 160 MB here, which getrusage would tell of the child
    code = "from mnist_edge.machine import peak_resident_bytes as peak; print(peak())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 << 20 < int(done.stdout) < ballast.nbytes <= peak_resident_bytes()
