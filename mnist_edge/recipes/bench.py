"""How latency is measured."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_edge.recipes.terms import check_range


@dataclass(frozen=True, kw_only=True)
class BenchRecipe:
    """How latency is measured.

    Attributes:
        processes: fresh processes per artifact and device.
        warmup_s: seconds of warm-up, and `warmup_runs` at least; kept apart, not thrown away.
        duration_s: seconds of timed single-picture runs per process, `min_runs` at least.
        keep_samples: of each process, in the report: every k-th run where there were more.
        batch_sizes: for throughput.
        rates: pictures per second that arrive whether or not the last one is done.
        sweep_s: seconds of runs per batch size, rate and process, `sweep_runs` at least.
        threads: of each runtime, always set.
        sweep_threads: further thread counts; each is a row of its own.
        timeout_s: after which a process counts as hung.
        seed: of the order in which the processes run.
    """

    processes: int = 3
    warmup_s: float = 0.3
    warmup_runs: int = 50
    duration_s: float = 1.0
    min_runs: int = 700
    keep_samples: int = 5_000
    batch_sizes: tuple[int, ...] = (1, 8, 64, 256)
    rates: tuple[float, ...] = (1000.0,)
    sweep_s: float = 0.25
    sweep_runs: int = 11
    threads: int = 1
    sweep_threads: tuple[int, ...] = ()
    timeout_s: float = 300.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("processes", self.processes, 1, 1000)
        check_range("warmup", self.warmup_s, 0.0, 3600.0)
        check_range("warmup-runs", self.warmup_runs, 0, 10**9)
        check_range("duration", self.duration_s, 0.01, 86400.0)
        check_range("min-runs", self.min_runs, 1, 10**9)
        check_range("keep-samples", self.keep_samples, 1, 10**9)
        check_range("sweep", self.sweep_s, 0.0, 3600.0)
        check_range("sweep-runs", self.sweep_runs, 1, 10**9)
        check_range("threads", self.threads, 1, 1024)
        check_range("timeout", self.timeout_s, 1.0, 10**6)
        for batch_size in self.batch_sizes:
            check_range("batch-sizes", batch_size, 1, 60_000)
        for rate in self.rates:
            check_range("rates", rate, 0.1, 10**6)
        for threads in self.sweep_threads:
            check_range("sweep-threads", threads, 1, 1024)


BENCH_RECIPES: dict[str, BenchRecipe] = {
    "quick": BenchRecipe(
        processes=1, warmup_s=0.2, duration_s=0.5, batch_sizes=(1, 64), rates=(), sweep_s=0.1
    ),
    "default": BenchRecipe(),
    # 6,636 samples are what a p99.9 needs.
    "thorough": BenchRecipe(
        processes=5, warmup_s=1.0, duration_s=5.0, min_runs=6_636, keep_samples=10_000
    ),
}
"""`bench --quick`, `bench` and `bench --thorough`."""

# Processes of one artifact differ more than their samples do, so there are many, and each is short.
SELF_TEST_RECIPE = BenchRecipe(
    processes=6, warmup_s=0.1, duration_s=0.25, batch_sizes=(), rates=(), sweep_s=0.0
)
"""`bench --self-test`."""

ADVICE_RECIPE = BenchRecipe(
    warmup_s=0.1, duration_s=0.3, min_runs=200, batch_sizes=(), rates=(), sweep_s=0.0
)
"""What `export` of several precisions ends with: enough for a median and its ratio."""

QUICK_ARTIFACTS = ("checkpoint-float32", "onnx-float32", "onnx-int8-dynamic", "onnx-int8")
"""What `bench --quick` measures, as far as the bundle has it."""
