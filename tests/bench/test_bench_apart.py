from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle, make_reference

from mnist_edge.bench import apart, bench
from mnist_edge.bench.apart import run_apart
from mnist_edge.bench.measure import Failure, Job, Run
from mnist_edge.bench.subject import Subject
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.contract import to_images
from mnist_edge.recipes.bench import BenchRecipe

pytestmark = pytest.mark.edge

QUICK = BenchRecipe(
    processes=1,
    warmup_s=0,
    warmup_runs=0,
    duration_s=0.01,
    min_runs=30,
    batch_sizes=(1, 7),
    rates=(),
    sweep_s=0,
    timeout_s=100,
)


@pytest.fixture
def onnx_bundle(tmp_path: Path) -> Bundle:
    """A bundle with an ONNX file that computes the reference: one linear layer."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    reference = make_reference(5)
    weights = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32)
    logits = to_images(reference.images).reshape(-1, 784).astype(np.float64) @ weights
    make = onnx.helper
    graph = make.make_graph(
        [
            make.make_node("Flatten", ["images"], ["flat"]),
            make.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "linear",
        [make.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [make.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 10])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = make.make_model(graph, ir_version=8, opset_imports=[make.make_opsetid("", 18)])
    exact = dataclasses.replace(reference, logits=logits)
    return make_bundle(
        tmp_path / "model", {"onnx-float32": model.SerializeToString()}, reference=exact
    )


def _job(bundle: Path, **changes: object) -> Job:
    subject = Subject(artifact="onnx-float32", device="cpu")
    job = Job(bundle=str(bundle), subject=subject, recipe=QUICK, started_ns=0)
    return dataclasses.replace(job, **changes)  # type: ignore[arg-type]


def test_a_fresh_process_measures_an_onnx_file(onnx_bundle: Bundle) -> None:
    report = bench(onnx_bundle, QUICK, artifacts=("onnx-float32",))
    (row,) = report.rows
    assert (row.status, row.reason) == ("ok", "")
    assert row.backend == "onnxruntime"
    assert len(row.samples_s) >= 30
    assert row.max_abs_error < 1e-4
    (run,) = row.runs
    assert min(dataclasses.astuple(run.cold)) > 0
    assert [batch.batch_size for batch in run.batches] == [1, 7]


def test_a_worker_imports_only_the_runtime_that_it_measures(onnx_bundle: Bundle) -> None:
    code = (
        "import sys; from mnist_edge.bench import worker; code = worker.work();"
        "print(*{'torch', 'onnx', 'typer', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=codec.dumps(_job(onnx_bundle.path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert codec.loads(Run, done.stdout).backend == "onnxruntime"
    assert done.stderr.strip() == ""


def test_the_parent_imports_no_runtime() -> None:
    code = (
        "import sys, mnist_edge.bench;print(*{'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_device_that_is_not_there_is_absent(onnx_bundle: Bundle) -> None:
    outcome = run_apart(
        _job(onnx_bundle.path, subject=Subject(artifact="onnx-float32", device="mps"))
    )
    assert isinstance(outcome, Failure)
    assert outcome.absent
    assert "mps" in outcome.reason


def test_a_changed_file_is_a_failure(onnx_bundle: Bundle) -> None:
    file = onnx_bundle.path / onnx_bundle.artifact("onnx-float32").file
    file.write_bytes(file.read_bytes()[::-1])
    outcome = run_apart(_job(onnx_bundle.path))
    assert isinstance(outcome, Failure)
    assert not outcome.absent
    assert "not the file that the manifest names" in outcome.reason


def test_the_worker_is_found_from_any_folder_and_imports_nothing_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    monkeypatch.chdir(tmp_path)
    outcome = run_apart(_job(tmp_path))
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith("no bundle at")


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program of one's own in the place of the worker."""

    def replace_worker(code: str) -> None:
        (tmp_path / "fake_worker.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(apart, "_WORKER", "fake_worker")

    return replace_worker


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('out of luck')", "exit code 1: out of luck"),
        ("import sys; sys.exit(2)", "exit code 2: no message"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "signal SIGKILL: no message",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="has no signals"),
        ),
    ],
)
def test_a_crash_is_a_failure_that_tells_its_cause(
    tmp_path: Path, worker: Callable[[str], None], code: str, reason: str
) -> None:
    worker(code)
    outcome = run_apart(_job(tmp_path))
    assert outcome == Failure(absent=False, reason=f"the process ended with {reason}")


def test_a_process_that_hangs_is_stopped(tmp_path: Path, worker: Callable[[str], None]) -> None:
    worker("import time; time.sleep(100)")
    outcome = run_apart(_job(tmp_path, recipe=dataclasses.replace(QUICK, timeout_s=1.0)))
    assert isinstance(outcome, Failure)
    assert "no answer within 1 s" in outcome.reason


def test_what_a_runtime_prints_does_not_spoil_the_result(
    onnx_bundle: Bundle, worker: Callable[[str], None]
) -> None:
    worker(
        "import os, sys\n"
        "from mnist_edge.bench import worker\n"
        "measure = worker.measure\n"
        "def loud(job, startup_s):\n"
        "    os.write(1, b'*** EP Error ***'); print('hello', flush=True)\n"
        "    return measure(job, startup_s=startup_s)\n"
        "worker.measure = loud\n"
        "sys.exit(worker.work())\n"
    )
    assert isinstance(run_apart(_job(onnx_bundle.path)), Run)
