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
        int,
        Setting("How often each artifact is restarted, in a fresh process.", 1, 1000, _RECIPE),
    ] = 10
    min_processes: Annotated[int, Setting("As many at least, where time is short.", 1, 1000)] = 5
    # A machine on which so many starts alone take longer needs more.
    budget_s: Annotated[float, Setting("Seconds for all of it; 0 for no limit.", 0, 86400)] = 0.0
    may_leave_out: Annotated[
        bool, Setting("Leave out what is not started when most of that time is over.")
    ] = False
    # Kept apart, not thrown away; both are held to.
    warmup_s: Annotated[
        float, Setting("Seconds of warm-up per process, reported apart.", 0, 3600, _RECIPE)
    ] = 0.05
    warmup_runs: Annotated[int, Setting("Warm-up runs at least.", 0, 10**9, _RECIPE)] = 50
    duration_s: Annotated[
        float, Setting("Seconds of turns per artifact and restart.", 0.01, 86400, _RECIPE)
    ] = 0.5
    min_runs: Annotated[
        int, Setting("Timed runs per artifact and restart, at least.", 1, 10**9, _RECIPE)
    ] = 600
    settle_runs: Annotated[
        int, Setting("Runs at the beginning of a turn that are kept apart.", 0, 10**6)
    ] = 10
    block_runs: Annotated[int, Setting("Timed runs of a turn.", 1, 10**6)] = 20
    keep_samples: Annotated[
        int, Setting("Of each process, in the report: every k-th run of more.", 1, 10**9)
    ] = 2_000
    batch_sizes: Annotated[
        tuple[int, ...], Setting("For throughput; may be repeated.", 1, 60_000, _RECIPE)
    ] = (1, 8, 64, 256)
    # Whether or not the last one is done.
    rates: Annotated[
        tuple[float, ...],
        Setting(
            "Pictures a second that arrive, answered or not (open-loop latency); may be repeated.",
            0.1,
            10**6,
            _RECIPE,
        ),
    ] = (1000.0,)
    sweep_s: Annotated[float, Setting("Seconds per rate and restart.", 0, 3600)] = 0.135
    sweep_runs: Annotated[
        int, Setting("Runs per batch size, rate and restart, at least.", 1, 10**9)
    ] = 4
    threads: Annotated[int, Setting("Of each runtime, always set.", 1, 1024)] = 1
    sweep_threads: Annotated[
        tuple[int, ...],
        Setting(
            "A further number of threads, in rows of its own; may be repeated.", 1, 1024, _RECIPE
        ),
    ] = ()
    timeout_s: Annotated[
        float,
        Setting(
            "Seconds without an answer after which a process counts as hung.", 1, 10**6, _RECIPE
        ),
    ] = 300.0
    seed: Annotated[int, Setting("Of the order of the turns.", group=_RECIPE)] = 0

    def __post_init__(self) -> None:
        check_fields(self)


BENCH_RECIPES: dict[str, BenchRecipe] = {
    "quick": BenchRecipe(
        processes=5,
        min_processes=1,
        budget_s=11.0,  # of fifteen: the pictures of the page take the rest
        may_leave_out=True,
        min_runs=400,
        batch_sizes=(1, 64),
        rates=(),
        sweep_runs=2,
    ),
    "default": BenchRecipe(budget_s=110.0),
    # 6,636 samples are what a p99.9 needs.
    "thorough": BenchRecipe(duration_s=2.0, min_runs=2_000, sweep_s=0.7, sweep_runs=20),
}
"""`bench --quick`, `bench` and `bench --thorough`."""

SELF_TEST_RECIPE = BenchRecipe(budget_s=13.0, batch_sizes=(), rates=())
"""`bench --self-test`: as long as `--quick`."""

ADVICE_RECIPE = BenchRecipe(processes=5, duration_s=0.2, min_runs=400, batch_sizes=(), rates=())
"""What `export` of several precisions ends with: enough for a median and its ratio."""
