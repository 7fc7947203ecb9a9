"""`mnist-edge bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from mnist_edge.cli import options
from mnist_edge.cli.steps import measure_artifacts
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.errors import UsageError
from mnist_edge.recipes.bench import BENCH_RECIPES, SELF_TEST_RECIPE, BenchRecipe
from mnist_edge.recipes.classes import noun
from mnist_edge.recipes.fields import Setting
from mnist_edge.recipes.terms import Runtime, unknown_name

if TYPE_CHECKING:
    from mnist_edge.bench.report import BenchReport
    from mnist_edge.bundle.folder import Bundle

EPILOG = """[bold]Examples[/bold]
mnist-edge bench                          # every artifact, in two minutes
mnist-edge bench --quick                  # a first impression, in 15 seconds
mnist-edge bench --artifact onnx-float32 --artifact checkpoint-float32
mnist-edge bench --device all --threads 2 # CPU and GPU
mnist-edge bench --sweep-threads 2 --compile
mnist-edge bench --compare old.json --fail-if-slower 5%
mnist-edge bench --from pi.json --compare laptop.json --across-machines
mnist-edge bench --self-test              # can it be believed?"""

_COMPARE_PANEL = "Compare"
_TIMES = {"processes", "duration_s", "min_runs", "warmup_s", "warmup_runs"}

_BenchDevice: TypeAlias = Literal["cpu", "cuda", "all"]
_DeviceOption: TypeAlias = Annotated[
    _BenchDevice,
    options.option(
        "device", _BenchDevice, Setting("Where to run them.", group=options.MACHINE_PANEL)
    ),
]
_Backends: TypeAlias = Annotated[
    list[str] | None,
    options.value(
        "--backend",
        "NAME",
        f"Which runtime runs onnx artifacts: {', '.join(get_args(Runtime))}; may be repeated.",
        options.MACHINE_PANEL,
        default="the usual one of each artifact",
    ),
]
_Quick: TypeAlias = Annotated[
    bool, options.flag("--quick", "A first impression of every artifact, in 15 seconds.")
]
_Thorough: TypeAlias = Annotated[
    bool, options.flag("--thorough", "More restarts and longer turns, on one thread and on all.")
]
_Compile: TypeAlias = Annotated[
    bool, options.flag("--compile", "Add torch.compile of the checkpoint.", options.MACHINE_PANEL)
]
_SelfTest: TypeAlias = Annotated[
    bool,
    options.flag(
        "--self-test", "Measure one artifact against itself, and against planted slowdowns."
    ),
]
_Compare: TypeAlias = Annotated[
    Path | None, options.value("--compare", "OLD.json", "Compare with this report.", _COMPARE_PANEL)
]
_From: TypeAlias = Annotated[
    Path | None,
    options.value("--from", "NEW.json", "Take this report instead of measuring.", _COMPARE_PANEL),
]
_FailIfSlower: TypeAlias = Annotated[
    str | None,
    options.value(
        "--fail-if-slower",
        "PERCENT",
        "Exit with 1 if a row is surely slower than in the old report, and by more than this.",
        _COMPARE_PANEL,
        default="never",
    ),
]
_AcrossMachines: TypeAlias = Annotated[
    bool,
    options.flag(
        "--across-machines",
        "Compare even if the reports come from different machines.",
        _COMPARE_PANEL,
    ),
]


@options.with_fields(BenchRecipe)
def command(
    bundle: options.BundleOption = None,
    artifacts: options.ArtifactsOption = None,
    quick: _Quick = False,
    thorough: _Thorough = False,
    self_test: _SelfTest = False,
    device: _DeviceOption = "cpu",
    threads: options.ThreadsOption = 1,
    backends: _Backends = None,
    compile_: _Compile = False,
    compare: _Compare = None,
    from_: _From = None,
    fail_if_slower: _FailIfSlower = None,
    across_machines: _AcrossMachines = False,
    out: options.OutOption = None,
    key: options.KeyOption = None,
    not_before: options.NotBeforeOption = None,
    trust: options.TrustOption = False,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> int:
    """Measure latency, throughput and size of each artifact, in turns with all others."""
    from mnist_edge.bench.compare import read_report
    from mnist_edge.bundle.signing import Trust
    from mnist_edge.machine import usable_threads
    from mnist_edge.render import text
    from mnist_edge.render.bench import bench_table

    if quick + thorough + self_test > 1:
        raise UsageError(
            "--quick, --thorough and --self-test exclude each other", fix="give one of them"
        )
    limit = _share(fail_if_slower)
    if compare is None and fail_if_slower is not None:
        raise UsageError("--fail-if-slower has nothing to compare with", fix="add --compare")
    talk = Talk(quiet=quiet)
    asked = Trust(key=key, not_before=not_before, code=trust)
    # Read before minutes of measuring, so that a wrong name is told at once.
    old = read_report(compare) if compare else None
    preset = "quick" if quick else "thorough" if thorough else "default"
    named = SELF_TEST_RECIPE if self_test else BENCH_RECIPES[preset]
    given = options.given_fields(named, fields)
    if not _TIMES.isdisjoint(given):  # whoever says how long is not held to our own time
        given |= {"budget_s": 0.0, "may_leave_out": False}
    recipe = replace(named, **given)
    if thorough and not fields["sweep_threads"]:
        recipe = replace(recipe, sweep_threads=(usable_threads(),))
    if self_test:
        chosen = options.chosen_bundle(bundle, talk, asked)
        return _test_itself(talk, chosen, recipe, artifacts, as_json=as_json)
    what = "digit"
    if from_:
        report = read_report(from_)
    else:
        chosen = options.chosen_bundle(bundle, talk, asked)
        report, paths = measure_artifacts(
            talk,
            chosen,
            recipe,
            devices=("cpu", "cuda") if device == "all" else (device,),
            artifacts=tuple(artifacts or ()),
            compile_=compile_,
            runtimes=_runtimes(backends or ()),
            out=out,
        )
        what = noun(chosen.manifest.data.classes)
        talk.say(f"wrote {paths[0]} and {len(paths) - 1} more beside it")
    if old:
        return _compare(old, report, limit, fail_if_slower is not None, across_machines, as_json)
    if as_json:
        emit_json(text.json_text(report))
    else:
        emit_table(bench_table(report))
    talk.suggest(f"mnist-edge predict{options.given_bundle(bundle)} PICTURE", to=f"name a {what}")
    return 0


def _compare(
    old: BenchReport,
    new: BenchReport,
    limit: float,
    gated: bool,
    across_machines: bool,
    as_json: bool,
) -> int:
    from mnist_edge.bench.compare import compare_reports
    from mnist_edge.bundle import codec
    from mnist_edge.render.bench.tables import comparison

    compared = compare_reports(old, new, limit=limit, across_machines=across_machines)
    if as_json:
        emit_json(codec.dumps(compared))
    else:
        emit_table(comparison(compared, old, new))
    return int(gated and bool(compared.regressions))


def _test_itself(
    talk: Talk,
    bundle: Bundle,
    recipe: BenchRecipe,
    artifacts: list[str] | None,
    *,
    as_json: bool,
) -> int:
    from mnist_edge.bench.selftest import self_test
    from mnist_edge.bundle import codec
    from mnist_edge.render.bench.sentences import self_test_lines

    artifact = artifacts[0] if artifacts else bundle.default_artifact
    with talk.progress("self-test", watched=False) as progress:
        tested = self_test(bundle, artifact, recipe, progress=progress)
    if as_json:
        emit_json(codec.dumps(tested))
    else:
        for line in self_test_lines(tested):
            emit(line)
    return int(not tested.passed)


def _runtimes(asked: Sequence[str]) -> tuple[Runtime, ...]:
    for name in asked:
        if name not in get_args(Runtime):
            raise unknown_name("backend", name, get_args(Runtime))
    return tuple(name for name in get_args(Runtime) if name in asked)


def _share(percent: str | None) -> float:
    """`5%` or `5` as 0.05."""
    if percent is None:
        return 0.0
    try:
        share = float(percent.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 100:
        raise UsageError(
            f"--fail-if-slower {percent!r:.30} is no percentage", fix="give such as 5%"
        )
    return share
