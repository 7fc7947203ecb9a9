from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benches import PLAIN_MACHINE
from factory import make_artifact, make_bundle

from mnist_edge.bench import BenchReport, bench, plan
from mnist_edge.bench.measure import ColdStart, Failure, Job, Run
from mnist_edge.bench.timing import BatchSamples, PacedSamples, SingleStream
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import CHECKPOINT
from mnist_edge.errors import DeviceUnavailable, UsageError
from mnist_edge.recipes.bench import BENCH_RECIPES, BenchRecipe

pytestmark = pytest.mark.edge


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Three artifacts whose files nothing can run: enough for a fake process."""
    files = {"onnx-float32": b"1", "onnx-int8-dynamic": b"22"}
    return make_bundle(tmp_path / "model", files)


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_edge.bench.session.describe_machine", lambda: PLAIN_MACHINE)
    monkeypatch.setattr("mnist_edge.bench.session.load_average", lambda: (0.1, 0.1, 0.1))


def _run(samples_s: tuple[float, ...], **single: object) -> Run:
    stream = SingleStream(
        warmup_s=(),
        runs=len(samples_s),
        samples_s=samples_s,
        max_abs_error=0.0,
        digits=100,
        flips=0,
    )
    return Run(
        backend="fake",
        version="1",
        device="cpu",
        timer_overhead_s=4e-8,
        cold=ColdStart(startup_s=0.1, import_s=0.2, open_s=0.05, first_run_s=0.01),
        single=dataclasses.replace(stream, **single),  # type: ignore[arg-type]
        peak_resident_bytes=1 << 20,
        batches=(BatchSamples(batch_size=8, samples_s=(0.004,) * 11),),
    )


def _fake(**median_s: float) -> Callable[[Job], Run | Failure]:
    """Processes of given medians, by the first word of the artifact's precision, 2 % apart."""
    generator = np.random.default_rng(0)

    def measure(job: Job) -> Run:
        word = (
            job.subject.artifact.split("-")[1]
            if job.subject.artifact != CHECKPOINT
            else "checkpoint"
        )
        noise = generator.normal(generator.normal(1, 0.02), 0.01, 700)
        return _run(tuple((median_s[word] * noise).tolist()))

    return measure


FAKE = _fake(checkpoint=3e-4, float32=1e-4, int8=1.03e-4)


def test_every_second_pass_runs_backwards() -> None:
    labels = tuple("ABCDEFGH")
    order = plan(labels, processes=4, seed=0)
    first, second, third, fourth = (order[i : i + 8] for i in range(0, 32, 8))
    assert second == first[::-1]
    assert fourth == third[::-1]
    assert sorted(first) == sorted(third) == list(labels)
    assert first not in (labels, third)


def test_the_order_depends_on_the_seed_alone() -> None:
    labels = tuple("ABCDEFGH")
    assert plan(labels, 3, seed=5) == plan(labels, 3, seed=5) != plan(labels, 3, seed=6)


def test_verdicts_compare_with_the_fastest_and_with_the_checkpoint(bundle: Bundle) -> None:
    report = bench(bundle, BenchRecipe(), measure=FAKE)

    assert report.fastest == "onnx-float32/cpu"
    assert report.baseline == "checkpoint-float32/cpu"
    words = {(verdict.row, verdict.against): verdict.word for verdict in report.verdicts}
    assert words == {
        ("checkpoint-float32/cpu", "onnx-float32/cpu"): "slower",
        ("onnx-int8-dynamic/cpu", "onnx-float32/cpu"): "indistinguishable",
        ("onnx-float32/cpu", "checkpoint-float32/cpu"): "faster",
        ("onnx-int8-dynamic/cpu", "checkpoint-float32/cpu"): "faster",
    }
    ratio = report.verdicts[0].ratio
    assert ratio.low < 3 < ratio.high


def test_a_report_survives_json(bundle: Bundle) -> None:
    report = bench(bundle, BenchRecipe(), measure=FAKE)
    assert codec.loads(BenchReport, codec.dumps(report)) == report


def test_a_report_tells_how_it_came_about_but_not_where(bundle: Bundle) -> None:
    report = bench(bundle, BenchRecipe(seed=7), measure=FAKE)
    labels = tuple(f"{artifact.name}/cpu" for artifact in bundle.manifest.artifacts)
    assert report.order == plan(labels, 3, seed=7)
    assert report.finished
    assert report.bundle == "model"
    assert str(bundle.path.parent) not in codec.dumps(report)
    assert [row.sha256 for row in report.rows] == [a.sha256 for a in bundle.manifest.artifacts]


def test_a_row_sums_up_its_processes(bundle: Bundle) -> None:
    report = bench(bundle, BenchRecipe(), artifacts=("onnx-float32",), measure=FAKE)
    (row,) = report.rows
    assert row.status == "ok"
    assert row.validity == "VALID"
    assert len(row.runs) == 3
    assert len(row.samples_s) == 2100
    assert row.p50_s == pytest.approx(1e-4, rel=0.05)
    assert list(row.percentiles_s) == ["p50", "p90", "p99"]  # p99.9 wants 6,636 samples
    assert row.load_s == pytest.approx(0.25)
    assert row.first_run_s == 0.01
    assert row.peak_resident_bytes == 1 << 20
    assert row.throughput[0].batch_size == 8
    assert row.throughput[0].images_per_s.value == 2000


def test_the_report_so_far_is_given_after_every_process(bundle: Bundle) -> None:
    reports: list[BenchReport] = []
    last = bench(bundle, BenchRecipe(processes=2), measure=FAKE, on_row=reports.append)
    assert [sum(len(row.runs) for row in report.rows) for report in reports] == [1, 2, 3, 4, 5, 6]
    assert [report.finished for report in reports] == [False] * 5 + [True]
    assert reports[-1] == last


def test_progress_ends_at_its_total(bundle: Bundle) -> None:
    calls: list[tuple[int, int]] = []
    recipe = BenchRecipe(processes=2)
    bench(
        bundle,
        recipe,
        measure=FAKE,
        progress=lambda done, total, note="": calls.append((done, total)),
    )
    assert calls == [(done, 6) for done in range(7)]


@pytest.mark.parametrize(("absent", "status"), [(True, "absent"), (False, "failed")])
def test_a_failure_becomes_a_row_with_its_reason(bundle: Bundle, absent: bool, status: str) -> None:
    attempts: list[str] = []

    def measure(job: Job) -> Run | Failure:
        attempts.append(job.subject.artifact)
        if job.subject.artifact == "onnx-float32":
            return Failure(absent=absent, reason="no luck; try again")
        return FAKE(job)

    report = bench(bundle, BenchRecipe(), measure=measure)

    row = report.rows[1]
    assert (row.artifact, row.status, row.reason) == ("onnx-float32", status, "no luck; try again")
    assert row.p50_s is None
    assert attempts.count("onnx-float32") == 1
    assert report.rows[2].status == "ok"
    assert not any("onnx-float32/cpu" in (v.row, v.against) for v in report.verdicts)
    assert codec.loads(BenchReport, codec.dumps(report)) == report


def test_each_artifact_is_measured_on_each_device(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    def measure(job: Job) -> Run | Failure:
        jobs.append(job)
        return FAKE(job)

    machine = dataclasses.replace(PLAIN_MACHINE, gpu=("a GPU",))
    monkeypatch.setattr("mnist_edge.bench.session.describe_machine", lambda: machine)
    names = ("onnx-float32", "onnx-int8-dynamic")
    bench(bundle, BenchRecipe(), devices=("cpu", "cuda"), artifacts=names, measure=measure)
    assert {(job.subject.artifact, job.subject.device) for job in jobs} == {
        (name, device) for name in names for device in ("cpu", "cuda")
    }


def test_without_a_gpu_no_process_is_started_to_find_out(bundle: Bundle) -> None:
    jobs: list[Job] = []

    def measure(job: Job) -> Run | Failure:
        jobs.append(job)
        return FAKE(job)

    report = bench(bundle, BenchRecipe(), devices=("cpu", "cuda"), measure=measure)
    assert {job.subject.device for job in jobs} == {"cpu"}
    absent = [row for row in report.rows if row.device == "cuda"]
    # The checkpoint twice: as a CUDA graph, too.
    assert [row.status for row in absent] == ["absent"] * 4
    assert len({row.reason for row in absent}) == 1


def test_thread_counts_and_modes_are_rows_of_their_own(bundle: Bundle) -> None:
    recipe = BenchRecipe(processes=1, sweep_threads=(2, 1))
    report = bench(bundle, recipe, artifacts=(CHECKPOINT,), compile_=True, measure=FAKE)
    assert [row.label for row in report.rows] == [
        *("checkpoint-float32/cpu", "checkpoint-float32/cpu/compile"),
        *("checkpoint-float32/cpu/2 threads", "checkpoint-float32/cpu/compile/2 threads"),
    ]


def test_a_quantized_row_is_compared_with_its_own_float32(bundle: Bundle) -> None:
    slower = _fake(checkpoint=1e-5, float32=1e-4, int8=3e-4)
    report = bench(bundle, BenchRecipe(), measure=slower)
    words = {(verdict.row, verdict.against): verdict.word for verdict in report.verdicts}
    assert words["onnx-int8-dynamic/cpu", "onnx-float32/cpu"] == "slower"


def test_a_report_tells_what_it_cannot_tell_apart(bundle: Bundle) -> None:
    report = bench(bundle, BenchRecipe(), measure=FAKE)
    assert 0.02 < report.resolution < 0.3


def test_falling_behind_a_fixed_rate_is_told(bundle: Bundle) -> None:
    def measure(job: Job) -> Run:
        late = 0.0 if job.subject.artifact == CHECKPOINT else 1.0
        paced = PacedSamples(rate=1000.0, samples_s=(1e-3,) * 700, backlog_s=late)
        return dataclasses.replace(_run(STEADY), paced=(paced,))

    names = (CHECKPOINT, "onnx-float32")
    report = bench(bundle, BenchRecipe(), artifacts=names, measure=measure)
    assert [row.paced[0].kept_up for row in report.rows] == [True, False]
    assert report.rows[0].paced[0].percentiles_s["p99"].value == 1e-3


def test_an_unknown_artifact_is_named_before_anything_runs(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="onnx-float33"):
        bench(bundle, BenchRecipe(), artifacts=("onnx-float33",), measure=FAKE)


STEADY = (1e-4,) * 700


@pytest.mark.parametrize(
    ("runs", "validity", "doubt"),
    [
        ([_run(STEADY)] * 3, "VALID", ""),
        ([_run(STEADY)] * 2 + [_run((1.2e-4,) * 700)], "SUSPECT", "differ by 20%"),
        ([_run(STEADY + (1.09e-4,) * 700)] * 3, "SUSPECT", "not steady in 3 of 3"),
        ([_run((1e-4,) * 100)] * 3, "SUSPECT", "662 samples for p99"),
        ([_run((5e-7,) * 700)] * 3, "SUSPECT", "clock itself takes 8%"),
        ([_run(STEADY, max_abs_error=0.5)] * 3, "INVALID", "off by 5.0e-01, allowed are 1e-04"),
        ([_run(STEADY, flips=20)] * 3, "INVALID", "20 of 100 digits"),
        ([_run((1e-4,) * 3)] * 3, "INVALID", "fewer than 11"),
    ],
)
def test_a_row_is_doubted_for_its_samples(
    bundle: Bundle, runs: list[Run], validity: str, doubt: str
) -> None:
    answers = iter(runs)
    recipe = BenchRecipe(processes=len(runs))
    report = bench(bundle, recipe, artifacts=("onnx-float32",), measure=lambda job: next(answers))
    (row,) = report.rows
    assert row.validity == validity
    assert doubt in "; ".join(row.doubts)
    assert bool(row.doubts) == bool(doubt)
    assert (report.fastest == "") == (validity == "INVALID")


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
    report = bench(bundle, BenchRecipe(threads=threads), measure=FAKE)
    assert doubt in "; ".join(report.doubts)
    assert [(row.validity, row.doubts) for row in report.rows] == [("SUSPECT", ())] * 3


def test_a_sweep_over_more_threads_than_can_run_is_doubted(bundle: Bundle) -> None:
    report = bench(bundle, BenchRecipe(sweep_threads=(5,)), measure=FAKE)
    assert report.doubts == ("5 threads where 4 can run; lower --threads",)


def test_too_few_processes_are_doubted_once_for_all_rows(bundle: Bundle) -> None:
    report = bench(bundle, BenchRecipe(processes=1), measure=FAKE)
    assert len(report.doubts) == 1
    assert "1 of the 3 processes" in report.doubts[0]
    assert [(row.validity, row.doubts) for row in report.rows] == [("SUSPECT", ())] * 3


def test_an_artifact_that_failed_parity_is_in_no_verdict(bundle: Bundle) -> None:
    weights = bundle.artifact(CHECKPOINT).sha256
    wrong = make_artifact("onnx-float32", b"1", weights, passed=False)
    report = bench(bundle.with_artifacts((wrong,)), BenchRecipe(), measure=FAKE)
    row = next(row for row in report.rows if row.artifact == "onnx-float32")
    assert row.validity == "INVALID"
    assert "made to fail" in row.doubts[0]
    assert report.fastest == "onnx-int8-dynamic/cpu"


def test_named_recipes_differ_in_processes() -> None:
    processes = {name: recipe.processes for name, recipe in BENCH_RECIPES.items()}
    assert processes == {"quick": 1, "default": 3, "thorough": 5}


def test_a_gpu_that_is_not_there_is_an_error_where_nothing_else_is_asked_for(
    bundle: Bundle,
) -> None:
    def never(job: Job) -> Run | Failure:
        raise AssertionError(job)

    with pytest.raises(DeviceUnavailable, match="no NVIDIA GPU"):
        bench(bundle, BENCH_RECIPES["quick"], devices=("cuda",), measure=never)
