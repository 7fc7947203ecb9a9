"""`mnist-edge bench`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias

import typer

from mnist_edge.cli.options import (
    MACHINE_PANEL,
    ArtifactsOption,
    BundleOption,
    JsonOption,
    OutOption,
    QuietOption,
    ThreadsOption,
    chosen_bundle,
    given_bundle,
    given_fields,
)
from mnist_edge.cli.steps import measure_artifacts
from mnist_edge.cli.talk import Talk, emit_json, emit_table
from mnist_edge.errors import UsageError
from mnist_edge.recipes import BENCH_RECIPES

EPILOG = """[bold]Examples[/bold]
mnist-edge bench                          # every artifact, CPU, one thread
mnist-edge bench --quick                  # a first impression, in seconds
mnist-edge bench --artifact onnx-float32 --artifact checkpoint-float32
mnist-edge bench --device all --threads 2 # CPU and GPU"""


def _field(option: str, text: str) -> Any:
    return typer.Option(
        option, help=text, show_default=False, rich_help_panel="Fields of the recipe"
    )


_DeviceOption: TypeAlias = Annotated[
    Literal["cpu", "cuda", "all"],
    typer.Option("--device", help="Where to run them.", rich_help_panel=MACHINE_PANEL),
]
_Quick: TypeAlias = Annotated[
    bool, typer.Option("--quick", help="One short process per artifact: a first impression.")
]
_Thorough: TypeAlias = Annotated[
    bool, typer.Option("--thorough", help="More and longer processes: for figures to publish.")
]
_Processes: TypeAlias = Annotated[
    int | None, _field("--processes", "Fresh processes per artifact and device.")
]
_Duration: TypeAlias = Annotated[
    float | None, _field("--duration", "Seconds of timed runs per process.")
]
_MinRuns: TypeAlias = Annotated[int | None, _field("--min-runs", "Timed runs at least.")]
_Warmup: TypeAlias = Annotated[
    float | None, _field("--warmup", "Seconds of warm-up per process, reported apart.")
]
_WarmupRuns: TypeAlias = Annotated[int | None, _field("--warmup-runs", "Warm-up runs at least.")]
_BatchSizes: TypeAlias = Annotated[
    list[int] | None, _field("--batch-sizes", "For throughput; may be repeated.")
]
_Timeout: TypeAlias = Annotated[
    float | None, _field("--timeout", "Seconds after which a process counts as hung.")
]
_Seed: TypeAlias = Annotated[int | None, _field("--seed", "Of the order of the processes.")]


def command(
    context: typer.Context,
    bundle: BundleOption = None,
    artifacts: ArtifactsOption = None,
    quick: _Quick = False,
    thorough: _Thorough = False,
    processes: _Processes = None,
    duration_s: _Duration = None,
    min_runs: _MinRuns = None,
    warmup_s: _Warmup = None,
    warmup_runs: _WarmupRuns = None,
    batch_sizes: _BatchSizes = None,
    timeout_s: _Timeout = None,
    seed: _Seed = None,
    device: _DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure latency, throughput and size of each artifact, each in processes of its own."""
    from mnist_edge import render

    if quick and thorough:
        raise UsageError("--quick and --thorough exclude each other", fix="give one of them")
    preset = "quick" if quick else "thorough" if thorough else "default"
    named = BENCH_RECIPES[preset]
    recipe = replace(named, **given_fields(named, context.params))
    talk = Talk(quiet=quiet)
    report, path = measure_artifacts(
        talk,
        chosen_bundle(bundle, talk),
        recipe,
        devices=("cpu", "cuda") if device == "all" else (device,),
        artifacts=tuple(artifacts or ()),
        out=out,
    )
    if as_json:
        emit_json(render.json_text(report))
    else:
        emit_table(render.bench_table(report))
    talk.say(f"wrote {path}")
    talk.suggest(f"mnist-edge predict{given_bundle(bundle)} PICTURE", to="name a digit")
