from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from benches import PLAIN_MACHINE, SHORT, FakeWorker, make_opened, make_run, steady
from factory import make_artifact, make_bundle

from mnist_edge.bench.report import BenchReport
from mnist_edge.bench.rows import measured_row
from mnist_edge.bench.run import PacedSamples, Run
from mnist_edge.bench.session import bench
from mnist_edge.bench.subject import Subject
from mnist_edge.bench.turn import Failure, Job, Opened
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.errors import DeviceUnavailable, UsageError
from mnist_edge.recipes.bench import BENCH_RECIPES

pytestmark = pytest.mark.edge

RUN_S = {CHECKPOINT: 3e-4, "onnx-float32": 1e-4, "onnx-int8-dynamic": 1.001e-4}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Three artifacts whose files nothing can run: enough for fake workers."""
    files = {"onnx-float32": b"1", "onnx-int8-dynamic": b"22"}
    return make_bundle(tmp_path / "model", files)


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_edge.bench.session.describe_machine", lambda: PLAIN_MACHINE)
    monkeypatch.setattr("mnist_edge.bench.session.load_average", lambda: (0.1, 0.1, 0.1))


class Starter:
    """Starts fake workers and remembers them.

    Args:
        run_s: of each artifact.
        opened: what a worker says at its start, of each artifact.
    """

    def __init__(
        self,
        run_s: dict[str, float] = RUN_S,
        opened: Callable[[Job], Opened | Failure | None] = lambda _: None,
    ) -> None:
        self.workers: list[FakeWorker] = []
        self._run_s, self._opened = run_s, opened

    def __call__(self, job: Job) -> FakeWorker:
        run_s = steady(self._run_s[job.subject.artifact], seed=len(self.workers))
        worker = FakeWorker(job, run_s, opened=self._opened(job))
        self.workers.append(worker)
        return worker


def test_verdicts_compare_with_the_fastest_and_with_the_checkpoint(bundle: Bundle) -> None:
    report = bench(bundle, SHORT, start=Starter())

    assert report.baseline == "checkpoint-float32/cpu"
    words = {(verdict.row, verdict.against): verdict.word for verdict in report.verdicts}
    assert words["checkpoint-float32/cpu", report.fastest] == "slower"
    assert words["onnx-float32/cpu", "checkpoint-float32/cpu"] == "faster"
    assert words["onnx-int8-dynamic/cpu", "onnx-float32/cpu"] == "indistinguishable"
    (ratio,) = (v.ratio for v in report.verdicts if v.row == report.baseline)
    assert ratio.low < 3 < ratio.high
    assert ratio.high / ratio.low < 1.1


def test_a_report_survives_json(bundle: Bundle) -> None:
    report = bench(bundle, SHORT, start=Starter())
    assert codec.loads(BenchReport, codec.dumps(report)) == report


def test_a_report_tells_how_it_came_about_but_not_where(bundle: Bundle) -> None:
    report = bench(bundle, SHORT, start=Starter())
    assert report.finished
    assert report.bundle == "model"
    assert str(bundle.path.parent) not in codec.dumps(report)
    assert [row.sha256 for row in report.rows] == [a.sha256 for a in bundle.manifest.artifacts]
    assert report.energy.keys() == {"cpu"}


def test_a_row_sums_up_its_processes(bundle: Bundle) -> None:
    report = bench(bundle, SHORT, artifacts=("onnx-float32",), start=Starter())
    (row,) = report.rows
    assert row.status == "ok"
    assert row.validity == "VALID"
    assert len(row.runs) == 5
    assert row.p50_s == pytest.approx(1e-4, rel=0.05)
    assert row.after_others_s is not None
    assert row.after_others_s.value == pytest.approx(5e-4, rel=0.05)
    assert row.seen_s is not None
    assert row.seen_s[0] < 1e-4 < row.seen_s[1]
    assert row.first_run_s == 0.01
    assert row.peak_resident_bytes == 1 << 20
    assert [rate.batch_size for rate in row.throughput] == [1, 8]
    # A fake batch of eight takes as long as eight pictures.
    for rate in row.throughput:
        assert rate.images_per_s.value == pytest.approx(1e4, rel=0.02)


def test_pictures_that_depend_on_their_batch_are_rated_one_by_one(bundle: Bundle) -> None:
    artifact = dataclasses.replace(bundle.artifact("onnx-int8-dynamic"), batch_invariant=False)
    starter = Starter(
        opened=lambda job: make_opened(batch_invariant=job.subject.artifact != artifact.name)
    )
    report = bench(bundle.with_artifacts((artifact,)), SHORT, start=starter)
    row = next(row for row in report.rows if row.artifact == artifact.name)
    alone, batch = (rate.images_per_s for rate in row.throughput)
    assert batch == alone
    given = [
        turn for w in starter.workers for turn in w.turns if w.job.subject.artifact == row.artifact
    ]
    assert {turn.batch_size for turn in given} == {1}


def test_the_report_so_far_is_given_after_every_restart(bundle: Bundle) -> None:
    reports: list[BenchReport] = []
    recipe = dataclasses.replace(SHORT, processes=2)
    last = bench(bundle, recipe, start=Starter(), on_row=reports.append)
    assert [sum(len(row.runs) for row in report.rows) for report in reports] == [3, 6, 6]
    assert [report.finished for report in reports] == [False, False, True]
    assert reports[-1] == last


def test_progress_ends_at_its_total(bundle: Bundle) -> None:
    calls: list[tuple[int, int]] = []
    bench(
        bundle,
        SHORT,
        start=Starter(),
        progress=lambda done, total, note="": calls.append((done, total)),
    )
    assert calls[-1] == (15, 15)
    assert calls == sorted(calls)
    assert calls[-2][0] < 15


@pytest.mark.parametrize("status", ["absent", "failed", "left out"])
def test_a_failure_becomes_a_row_with_its_reason(bundle: Bundle, status: str) -> None:
    failure = Failure(status=status, reason="no luck; try again")  # type: ignore[arg-type]
    starter = Starter(opened=lambda j: failure if j.subject.artifact == "onnx-float32" else None)
    report = bench(bundle, SHORT, start=starter)

    row = report.rows[1]
    assert (row.artifact, row.status, row.reason) == ("onnx-float32", status, "no luck; try again")
    assert row.p50_s is None
    tried = [worker.job.subject.artifact for worker in starter.workers]
    assert tried.count("onnx-float32") == 1
    assert report.rows[2].status == "ok"
    assert not any("onnx-float32/cpu" in (v.row, v.against) for v in report.verdicts)
    assert codec.loads(BenchReport, codec.dumps(report)) == report


def test_each_artifact_is_measured_on_each_device(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = dataclasses.replace(PLAIN_MACHINE, gpu=("a GPU",))
    monkeypatch.setattr("mnist_edge.bench.session.describe_machine", lambda: machine)
    starter = Starter()
    names = ("onnx-float32", "onnx-int8-dynamic")
    bench(bundle, SHORT, devices=("cpu", "cuda"), artifacts=names, start=starter)
    assert {(w.job.subject.artifact, w.job.subject.device) for w in starter.workers} == {
        (name, device) for name in names for device in ("cpu", "cuda")
    }


def test_without_a_gpu_no_process_is_started_to_find_out(bundle: Bundle) -> None:
    starter = Starter()
    report = bench(bundle, SHORT, devices=("cpu", "cuda"), start=starter)
    assert {worker.job.subject.device for worker in starter.workers} == {"cpu"}
    absent = [row for row in report.rows if row.device == "cuda"]
    # The checkpoint twice: as a CUDA graph, too.
    assert [row.status for row in absent] == ["absent"] * 4
    assert len({row.reason for row in absent}) == 1


def test_thread_counts_and_modes_are_rows_of_their_own(bundle: Bundle) -> None:
    recipe = dataclasses.replace(SHORT, processes=1, sweep_threads=(2, 1))
    report = bench(bundle, recipe, artifacts=(CHECKPOINT,), compile_=True, start=Starter())
    assert [row.label for row in report.rows] == [
        *("checkpoint-float32/cpu", "checkpoint-float32/cpu/compile"),
        *("checkpoint-float32/cpu/2 threads", "checkpoint-float32/cpu/compile/2 threads"),
    ]


def test_a_further_runtime_stands_in_the_name_of_the_row() -> None:
    subject = Subject(artifact="onnx-float32", runtime="openvino", device="cpu", threads=2)
    assert subject.label == "onnx-float32@openvino/cpu/2 threads"


def test_a_quantized_row_is_compared_with_its_own_float32(bundle: Bundle) -> None:
    slower = Starter({CHECKPOINT: 1e-5, "onnx-float32": 1e-4, "onnx-int8-dynamic": 3e-4})
    report = bench(bundle, SHORT, start=slower)
    words = {(verdict.row, verdict.against): verdict.word for verdict in report.verdicts}
    assert words["onnx-int8-dynamic/cpu", "onnx-float32/cpu"] == "slower"


def test_falling_behind_a_fixed_rate_is_told() -> None:
    artifact = make_artifact("onnx-float32", b"1", "0" * 64)
    subject = Subject(artifact="onnx-float32", device="cpu")
    for backlog_s, kept_up in ((0.0, True), (1.0, False)):
        paced = PacedSamples(rate=1000.0, samples_s=(1e-3,) * 700, backlog_s=backlog_s)
        run = dataclasses.replace(make_run(STEADY), paced=(paced,))
        row = measured_row(artifact, subject, [run])
        assert row.paced[0].kept_up == kept_up
        assert row.paced[0].percentiles_s["p99"].value == 1e-3


def test_an_unknown_artifact_is_named_before_anything_runs(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="onnx-float33"):
        bench(bundle, SHORT, artifacts=("onnx-float33",), start=Starter())


STEADY = (1e-4,) * 700


@pytest.mark.parametrize(
    ("changes", "samples_s", "doubt"),
    [
        ({"fault": "20 of 100 answers changed"}, STEADY, "20 of 100 answers changed"),
        ({}, (1e-4,) * 3, "fewer than 11"),
    ],
)
def test_wrong_answers_and_no_samples_make_a_row_invalid(
    changes: dict[str, object], samples_s: tuple[float, ...], doubt: str
) -> None:
    run = make_run(samples_s)
    single = dataclasses.replace(run.single, **changes)  # type: ignore[arg-type]
    runs: list[Run] = [dataclasses.replace(run, single=single)]
    artifact = make_artifact("onnx-float32", b"1", "0" * 64)
    row = measured_row(artifact, Subject(artifact="onnx-float32", device="cpu"), runs)
    assert row.validity == "INVALID"
    assert doubt in "; ".join(row.doubts)


@pytest.mark.parametrize(
    ("changes", "threads", "load", "doubt"),
    [
        ({"usable_threads": 2}, 3, 0.0, "3 threads where 2 can run"),
        (
            {"usable_threads": 1, "quota": 0.5},
            1,
            0.0,
            "0.5 processors throttles 1 thread;",
        ),
        (
            {"usable_threads": 2, "quota": 2.5},
            3,
            0.0,
            "2.5 processors throttles 3 threads;",
        ),
        ({}, 1, 3.5, "load of 3.5"),
        ({"governor": "powersave"}, 1, 0.0, "powersave"),
    ],
)
def test_all_rows_are_doubted_for_their_machine(
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    threads: int,
    load: float,
    doubt: str,
) -> None:
    machine = dataclasses.replace(PLAIN_MACHINE, **changes)  # type: ignore[arg-type]
    monkeypatch.setattr("mnist_edge.bench.session.describe_machine", lambda: machine)
    monkeypatch.setattr("mnist_edge.bench.session.load_average", lambda: (load, load, load))
    report = bench(bundle, dataclasses.replace(SHORT, threads=threads), start=Starter())
    assert doubt in "; ".join(report.doubts)
    assert [(row.validity, row.doubts) for row in report.rows] == [("SUSPECT", ())] * 3


def test_a_sweep_over_more_threads_than_can_run_is_doubted(bundle: Bundle) -> None:
    report = bench(bundle, dataclasses.replace(SHORT, sweep_threads=(5,)), start=Starter())
    assert report.doubts == ("5 threads where 4 can run; lower --threads",)


def test_a_short_look_is_wide_and_not_suspect(bundle: Bundle) -> None:
    report = bench(bundle, dataclasses.replace(SHORT, processes=1), start=Starter())
    assert report.doubts == ()
    assert [(row.validity, row.doubts) for row in report.rows] == [("VALID", ())] * 3
    assert 0.1 < report.resolution < 0.5


def test_an_artifact_that_failed_parity_is_in_no_verdict(bundle: Bundle) -> None:
    weights = bundle.artifact(CHECKPOINT).sha256
    wrong = make_artifact("onnx-float32", b"1", weights, passed=False)
    report = bench(bundle.with_artifacts((wrong,)), SHORT, start=Starter())
    row = next(row for row in report.rows if row.artifact == "onnx-float32")
    assert row.validity == "INVALID"
    assert "made to fail" in row.doubts[0]
    assert report.fastest == "onnx-int8-dynamic/cpu"


def test_a_gpu_that_is_not_there_is_an_error_where_nothing_else_is_asked_for(
    bundle: Bundle,
) -> None:
    def never(job: Job) -> FakeWorker:
        raise AssertionError(job)

    with pytest.raises(DeviceUnavailable, match="no NVIDIA GPU"):
        bench(bundle, BENCH_RECIPES["quick"], devices=("cuda",), start=never)
