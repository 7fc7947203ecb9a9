"""How latency is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from mnist_edge.recipes.fields import Setting, check_fields

# The heading under which `bench --help` lists the fields; those without one are no options.
_RECIPE = "Recipe"


@dataclass(frozen=True, kw_only=True)
class BenchRecipe:
    """How latency is measured."""

    processes: Annotated[
        int, Setting("Fresh processes per artifact and device.", 1, 1000, _RECIPE)
    ] = 3
    # Kept apart, not thrown away; both are held to.
    warmup_s: Annotated[
        float, Setting("Seconds of warm-up per process, reported apart.", 0, 3600, _RECIPE)
    ] = 0.3
    warmup_runs: Annotated[int, Setting("Warm-up runs at least.", 0, 10**9, _RECIPE)] = 50
    duration_s: Annotated[
        float, Setting("Seconds of timed runs per process.", 0.01, 86400, _RECIPE)
    ] = 1.0
    min_runs: Annotated[int, Setting("Timed runs at least.", 1, 10**9, _RECIPE)] = 700
    keep_samples: Annotated[
        int, Setting("Of each process, in the report: every k-th run of more.", 1, 10**9)
    ] = 5_000
    batch_sizes: Annotated[
        tuple[int, ...], Setting("For throughput; may be repeated.", 1, 60_000, _RECIPE)
    ] = (1, 8, 64, 256)
    # Whether or not the last one is done.
    rates: Annotated[
        tuple[float, ...],
        Setting(
            "Pictures per second that arrive in open-loop latency; may be repeated.",
            0.1,
            10**6,
            _RECIPE,
        ),
    ] = (1000.0,)
    sweep_s: Annotated[
        float, Setting("Seconds of runs per batch size, rate and process.", 0, 3600)
    ] = 0.25
    sweep_runs: Annotated[int, Setting("Such runs at least.", 1, 10**9)] = 11
    threads: Annotated[int, Setting("Of each runtime, always set.", 1, 1024)] = 1
    sweep_threads: Annotated[
        tuple[int, ...],
        Setting(
            "A further number of threads, in rows of its own; may be repeated.", 1, 1024, _RECIPE
        ),
    ] = ()
    timeout_s: Annotated[
        float, Setting("Seconds after which a process counts as hung.", 1, 10**6, _RECIPE)
    ] = 300.0
    seed: Annotated[int, Setting("Of the order of the processes.", group=_RECIPE)] = 0

    def __post_init__(self) -> None:
        check_fields(self)


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
