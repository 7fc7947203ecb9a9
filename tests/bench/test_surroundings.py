"""What the system's counters say, and what is made of it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benches import make_report, make_run
from factory import make_artifact

from mnist_edge.bench.disturbance import with_disturbances
from mnist_edge.bench.energy import Counters, Power, find_meter
from mnist_edge.bench.report import Measurement
from mnist_edge.bench.rows import measured_row
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.surroundings import Moment, Watch, available_bytes, cores_alike

pytestmark = pytest.mark.edge


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def stat(*, busy: int, stolen: int, running: int) -> str:
    return f"cpu {busy} 0 0 1000 0 0 0 {stolen} 0 0\nprocs_running {running}\n"


@pytest.mark.parametrize(
    ("group", "file", "before", "after"),
    [
        ("0::/\n", "sys/fs/cgroup/cpu.stat", "throttled_usec 0", "throttled_usec 500000"),
        ("1:cpu:/\n", "sys/fs/cgroup/cpu/cpu.stat", "throttled_time 0", "throttled_time 500000000"),
    ],
)
def test_stolen_and_throttled_time_are_seen(
    tmp_path: Path, group: str, file: str, before: str, after: str
) -> None:
    times = iter([0.0, 0.1, 1.0, 1.1])
    first = stat(busy=0, stolen=0, running=1)
    write(tmp_path, {"proc/stat": first, "proc/self/cgroup": group, file: before})
    watch = Watch(clock=lambda: next(times), root=tmp_path)
    watch.look()  # too soon
    write(tmp_path, {"proc/stat": stat(busy=150, stolen=50, running=4), file: after})
    watch.look()
    watch.look()
    assert watch.moments == [Moment(at_s=1.0, stolen=0.25, throttled=0.5, wanting=3)]


def test_a_system_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    times = iter([0.0, 1.0])
    watch = Watch(clock=lambda: next(times), root=tmp_path)
    watch.look()
    assert watch.moments == [Moment(at_s=1.0, stolen=0.0, throttled=0.0, wanting=0)]
    assert available_bytes(root=tmp_path) == 0


def test_memory_is_the_least_of_what_machine_and_group_have_left(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   4000 kB\n"})
    assert available_bytes(root=tmp_path) == 4_096_000
    group = "sys/fs/cgroup/mine"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/mine\n",
            f"{group}/memory.max": "1000000",
            f"{group}/memory.current": "700000",
            f"{group}/memory.stat": "anon 5\ninactive_file 100000\n",
        },
    )
    assert available_bytes(root=tmp_path) == 400_000


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot be kept on one")
def test_slow_cores_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cores_alike(root=tmp_path) == (0, 1, 2, 3)
    for core, capacity in enumerate((400, 1024, 400, 1000)):
        folder = f"sys/devices/system/cpu/cpu{core}"
        write(tmp_path, {f"{folder}/cpu_capacity": str(capacity)})
    assert cores_alike(root=tmp_path) == (1, 3)


def row(name: str, **turns: object) -> Measurement:
    run = make_run((1e-4,) * 700)
    changed = replace(run.single.turns, **turns)  # type: ignore[arg-type]
    run = replace(run, single=replace(run.single, turns=changed))
    artifact = make_artifact("onnx-float32", b"1", "0" * 64)
    return measured_row(artifact, Subject(artifact=name, device="cpu"), [run] * 5)


SPEEDS = tuple(1e-5 * (1 + 0.5 * (index % 2)) for index in range(35))


def test_what_disturbed_one_row_is_named_beside_it() -> None:
    rows, common = with_disturbances([row("a", interruptions=70), row("b")], (), ())
    assert common == ()
    assert [r.validity for r in rows] == ["SUSPECT", "VALID"]
    assert "took the processor away in 10.0% of its runs" in rows[0].doubts[0]


def test_what_disturbed_all_rows_is_told_once() -> None:
    rows, common = with_disturbances([row("a", loop_s=SPEEDS), row("b", loop_s=SPEEDS)], (), ())
    assert [(r.validity, r.doubts) for r in rows] == [("SUSPECT", ())] * 2
    (told,) = common
    assert "the processor's speed varied by 50.0%" in told


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (Moment(at_s=1, stolen=0.2, throttled=0.0, wanting=0), "took 20.0% of the processors'"),
        (Moment(at_s=1, stolen=0.0, throttled=0.3, wanting=0), "quota held everything back for 30"),
    ],
)
def test_stolen_and_throttled_time_make_every_row_suspect(moment: Moment, told: str) -> None:
    report = make_report({"a": 1e-4}, moments=(moment,))
    assert told in report.doubts[0]
    assert report.rows[0].validity == "SUSPECT"


def test_a_row_that_changes_beside_the_others_is_named() -> None:
    changing = tuple([1e-4] * 17 + [2e-4] * 18)
    names = ("b", "c", "d")
    rows, common = with_disturbances([row("a", medians_s=changing), *map(row, names)], (), ())
    assert "it changed beside the others within 100.0% of its restarts" in rows[0].doubts[0]
    assert [r.validity for r in rows] == ["SUSPECT", "VALID", "VALID", "VALID"]
    assert common == ()


def test_a_machine_that_changes_for_all_rows_makes_none_unsteady() -> None:
    changing = tuple([1e-4] * 17 + [2e-4] * 18)
    rows, _ = with_disturbances([row(name, medians_s=changing) for name in "abcd"], (), ())
    assert [r.validity for r in rows] == ["VALID"] * 4


def test_joules_are_what_the_counters_rose_by_even_over_their_end() -> None:
    shown = iter([[9.0, 1.0], [1.0, 1.5]])
    meter = Counters(name="two", read_joules=lambda: next(shown), range_joules=[10.0, 10.0])
    result, joules = meter.spent(lambda: "done")
    assert (result, joules) == ("done", 2.5)


def test_watts_over_time_are_joules() -> None:
    import time

    meter = Power(name="board", read_watts=lambda: 4.0)
    _, joules = meter.spent(lambda: time.sleep(0.12))
    assert joules == pytest.approx(0.48, rel=0.5)


def test_the_counters_of_a_processor_are_read(tmp_path: Path) -> None:
    zone = "sys/class/powercap/intel-rapl:0"
    write(
        tmp_path,
        {
            f"{zone}/name": "package-0\n",
            f"{zone}/energy_uj": "2000000\n",
            f"{zone}/max_energy_range_uj": "5000000\n",
            "sys/class/powercap/intel-rapl:0:0/name": "core\n",
        },
    )
    meter = find_meter("cpu", root=tmp_path)
    assert not isinstance(meter, str)

    def work() -> None:
        (tmp_path / zone / "energy_uj").write_text("1000000\n")

    assert meter.spent(work)[1] == pytest.approx(4.0)


def test_why_no_energy_is_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_meter("cpu", root=tmp_path) == (
        "no energy counter can be read here (RAPL of a processor, the power chip of a Raspberry "
        "Pi 5)"
    )
    zone = "sys/class/powercap/intel-rapl:0"
    write(tmp_path, {f"{zone}/name": "package-0\n"})
    (tmp_path / zone / "energy_uj").mkdir()  # cannot be read, whoever asks
    assert "only root may read them" in str(find_meter("cpu", root=tmp_path))
    assert "no energy counter of mps" in str(find_meter("mps", root=tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="starts a script")
def test_the_power_chip_of_a_board_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "vcgencmd"
    tool.write_text(
        "#!/bin/sh\n"
        "echo '   VDD_CORE_A current(7)=2.00000000A'\n"
        "echo '   VDD_CORE_V volt(15)=0.80000000V'\n"
        "echo '     EXT5V_V volt(24)=5.10000000V'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    meter = find_meter("cpu", root=tmp_path)
    assert isinstance(meter, Power)
    assert meter.read_watts() == pytest.approx(1.6)
