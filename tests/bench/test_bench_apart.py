from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle, make_reference
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge.bench import apart
from mnist_edge.bench.apart import Process, Program, start_apart
from mnist_edge.bench.session import bench
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.turn import Block, Failure, Job, Opened, Turn, Worker
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.contract import to_images
from mnist_edge.recipes.bench import BenchRecipe

pytestmark = pytest.mark.edge

QUICK = BenchRecipe(
    processes=1,
    warmup_s=0,
    warmup_runs=1,
    duration_s=0.01,
    min_runs=40,
    batch_sizes=(1, 7),
    rates=(1000.0,),
    sweep_s=0.01,
    timeout_s=100,
)


@pytest.fixture
def onnx_bundle(tmp_path: Path) -> Bundle:
    """A bundle with an ONNX file that computes the reference: one linear layer."""
    pytest.importorskip("onnxruntime")
    reference = make_reference(5)
    logits = to_images(reference.images).reshape(-1, 784).astype(np.float64) @ weight_matrix()
    exact = dataclasses.replace(reference, logits=logits)
    return make_bundle(tmp_path / "model", {"onnx-float32": tiny_onnx()}, reference=exact)


def _job(folder: Path, **changes: object) -> Job:
    subject = Subject(artifact="onnx-float32", device="cpu")
    job = Job(bundle=str(folder), subject=subject, timeout_s=60.0)
    return dataclasses.replace(job, **changes)  # type: ignore[arg-type]


@pytest.fixture
def started() -> Iterator[Callable[[Job], Worker]]:
    """Starts workers, and ends them after the test."""
    workers: list[Worker] = []

    def start(job: Job) -> Worker:
        workers.append(start_apart(job))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


def test_fresh_processes_measure_an_onnx_file(onnx_bundle: Bundle) -> None:
    report = bench(onnx_bundle, QUICK, artifacts=("onnx-float32",))
    (row,) = report.rows
    assert (row.status, row.reason) == ("ok", "")
    assert row.backend == "onnxruntime"
    assert len(row.samples_s) >= 40
    assert row.max_abs_error < 1e-4
    (run,) = row.runs
    assert min(dataclasses.astuple(run.cold)) > 0
    assert [batch.batch_size for batch in run.batches] == [1, 7]
    assert [rate.rate for rate in row.paced] == [1000.0]
    assert run.peak_resident_bytes > 1e7


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept on one")
def test_a_worker_stays_on_its_core_and_the_parent_does_not(
    onnx_bundle: Bundle, started: Callable[[Job], Worker]
) -> None:
    core = max(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    worker = started(_job(onnx_bundle.path, core=core))
    assert isinstance(worker.open(), Opened)
    assert isinstance(worker, Process)
    assert os.sched_getaffinity(worker.pid) == {core}
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_that_waits_for_its_turn_takes_no_time(
    onnx_bundle: Bundle, started: Callable[[Job], Worker]
) -> None:
    worker = started(_job(onnx_bundle.path))
    assert isinstance(worker.open(), Opened)
    assert isinstance(worker, Process)

    def ticks() -> int:
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    assert isinstance(worker.take(Turn(runs=10)), Block)
    before = ticks()
    time.sleep(0.3)
    assert ticks() - before <= 1


def test_a_worker_imports_only_the_runtime_that_it_measures(onnx_bundle: Bundle) -> None:
    code = (
        "import sys; from mnist_edge.bench import worker; code = worker.work();"
        "print(*{'torch', 'onnx', 'typer', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=codec.line(_job(onnx_bundle.path)) + codec.line(Turn(runs=3)),
        capture_output=True,
        text=True,
        check=True,
    )
    opened, block = done.stdout.splitlines()
    assert codec.loads(Opened, opened).backend == "onnxruntime"
    assert len(codec.loads(Block, block).samples_ns) == 3
    assert done.stderr.strip() == ""


def test_the_parent_imports_no_runtime() -> None:
    code = (
        "import sys, mnist_edge.bench;print(*{'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_device_that_is_not_there_is_absent(
    onnx_bundle: Bundle, started: Callable[[Job], Worker]
) -> None:
    subject = Subject(artifact="onnx-float32", device="mps")
    outcome = started(_job(onnx_bundle.path, subject=subject)).open()
    assert isinstance(outcome, Failure)
    assert outcome.status == "absent"
    assert "mps" in outcome.reason


def test_a_changed_file_is_a_failure(onnx_bundle: Bundle, started: Callable[[Job], Worker]) -> None:
    file = onnx_bundle.path / onnx_bundle.artifact("onnx-float32").file
    file.write_bytes(file.read_bytes()[::-1])
    outcome = started(_job(onnx_bundle.path)).open()
    assert isinstance(outcome, Failure)
    assert outcome.status == "failed"
    assert "not the file that the manifest names" in outcome.reason


def test_the_worker_is_found_from_any_folder_and_imports_nothing_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[[Job], Worker]
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    monkeypatch.chdir(tmp_path)
    outcome = started(_job(tmp_path)).open()
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith("no bundle at")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start a program of one's own in the place of the worker."""
    workers: list[Worker] = []

    def start(code: str, **changes: object) -> Worker:
        (tmp_path / "fake_worker.py").write_text(code)
        command = (sys.executable, "-m", "fake_worker")
        job = _job(tmp_path, **changes)
        workers.append(Process(job, Program(command=command, path=(tmp_path,))))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('out of luck')", "exit code 1: out of luck"),
        ("import sys; sys.exit(2)", "exit code 2: no message"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "signal SIGKILL, as where memory runs out: no message",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="has no signals"),
        ),
    ],
)
def test_a_crash_is_a_failure_that_tells_its_cause(
    program: Callable[..., Worker], code: str, reason: str
) -> None:
    outcome = program(code).open()
    assert outcome == Failure(reason=f"the process ended with {reason}")


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    worker = Process(_job(tmp_path), Program(command=(str(tmp_path / "nothing"),)))
    outcome = worker.open()
    assert isinstance(outcome, Failure)
    assert "no process could be started: No such file" in outcome.reason
    worker.end()


def test_an_answer_that_is_none_ends_the_worker(program: Callable[..., Worker]) -> None:
    outcome = program("print('hello', flush=True); input(); input()").open()
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith("its answer is none")


@pytest.mark.parametrize("ignoring", ["", "import signal; signal.signal(signal.SIGTERM, 1); "])
def test_a_process_that_hangs_is_stopped(program: Callable[..., Worker], ignoring: str) -> None:
    worker = program(ignoring + "import time; time.sleep(100)", timeout_s=1.0)
    outcome = worker.open()
    assert outcome == Failure(reason="no answer within 1 s; raise --timeout")
    assert worker.take(Turn()) == outcome


_LOUD = """
import os, sys
from mnist_edge.bench import worker
take = worker.Stopwatch.take
def loud(self, turn):
    os.write(1, b'*** EP Error ***' * {count}); print('hello', flush=True)
    {then}
    return take(self, turn)
worker.Stopwatch.take = loud
sys.exit(worker.work())
"""


@pytest.mark.parametrize("count", [1, 100_000])
def test_what_a_runtime_prints_spoils_nothing_and_holds_nobody_up(
    onnx_bundle: Bundle, program: Callable[..., Worker], count: int
) -> None:
    worker = program(_LOUD.format(count=count, then=""), bundle=str(onnx_bundle.path))
    assert isinstance(worker.open(), Opened)
    for _ in range(3):
        assert isinstance(worker.take(Turn(runs=2)), Block)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("os._exit(7)", "exit code 7: *** EP Error ***hello"),
        ("raise MemoryError", "more memory than there is"),
        ("raise RuntimeError('broken')", "exit code 1: RuntimeError: broken"),
    ],
)
def test_a_worker_that_ends_in_the_middle_of_a_turn_tells_why(
    onnx_bundle: Bundle, program: Callable[..., Worker], then: str, reason: str
) -> None:
    worker = program(_LOUD.format(count=1, then=then), bundle=str(onnx_bundle.path))
    assert isinstance(worker.open(), Opened)
    outcome = worker.take(Turn(runs=2))
    assert isinstance(outcome, Failure)
    assert reason in outcome.reason


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system sets no such limit")
def test_a_worker_that_eats_memory_is_stopped_before_the_machine_is_full(
    onnx_bundle: Bundle, program: Callable[..., Worker]
) -> None:
    then = "eaten = [bytearray(2**24) for _ in range(2**10)]"
    worker = program(
        _LOUD.format(count=1, then=then), bundle=str(onnx_bundle.path), memory_bytes=2**30
    )
    assert isinstance(worker.open(), Opened)
    outcome = worker.take(Turn(runs=2))
    assert outcome == Failure(reason="it wanted more memory than there is; free some")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_ends_with_its_parent(onnx_bundle: Bundle, tmp_path: Path, busy: bool) -> None:
    then = "import time; time.sleep(60)" if busy else ""
    (tmp_path / "fake_worker.py").write_text(_LOUD.format(count=1, then=then))
    (tmp_path / "parent.py").write_text(
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from mnist_edge.bench.apart import Process, Program\n"
        "from mnist_edge.bench.turn import Job, Turn\n"
        "from mnist_edge.bundle import codec\n"
        "command = (sys.executable, '-m', 'fake_worker')\n"
        "job = codec.loads(Job, sys.argv[1])\n"
        "worker = Process(job, Program(command=command, path=(Path(sys.argv[2]),)))\n"
        "worker.open()\n"
        "if sys.argv[3] == 'True':\n"
        "    threading.Thread(target=worker.take, args=(Turn(),), daemon=True).start()\n"
        "print(worker.pid, flush=True)\n"
        "input()\n"
    )
    job = codec.line(_job(onnx_bundle.path))
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), job, str(tmp_path), str(busy)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        worker = Path(f"/proc/{int(parent.stdout.readline())}")
        assert worker.exists()
        time.sleep(0.2)
        parent.kill()
    end_s = time.monotonic() + 30
    while worker.exists() and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not worker.exists()


def test_what_an_ended_worker_has_started_ends_with_it(
    program: Callable[..., Worker], tmp_path: Path
) -> None:
    if not hasattr(os, "killpg"):
        pytest.skip("has no groups of processes")
    worker = program(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n",
        timeout_s=60.0,
    )
    end_s = time.monotonic() + 30
    note = tmp_path / "child"
    while not (note.exists() and note.read_text()) and time.monotonic() < end_s:
        time.sleep(0.05)
    worker.end()
    child = int(note.read_text())
    while _lives(child) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    # One that nobody has waited for is dead all the same.
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_ends_when_there_is_nothing_more_to_do(onnx_bundle: Bundle) -> None:
    done = subprocess.run(
        [sys.executable, "-m", apart._WORKER], input="", capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
