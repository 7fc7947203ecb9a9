"""`mnist-edge report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mnist_edge.cli import options
from mnist_edge.cli.reports import report_path
from mnist_edge.cli.steps import known_test_set
from mnist_edge.cli.talk import Talk, emit, emit_json
from mnist_edge.recipes.classes import noun

if TYPE_CHECKING:
    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.render.table import Table

EPILOG = """[bold]Examples[/bold]
mnist-edge report                       # report.html, for a browser
mnist-edge report --pictures pictures   # the pictures as files, too
mnist-edge report --json | jq .findings.accuracy"""


def command(
    bundle: options.BundleOption = None,
    data_dir: options.DataDirOption = None,
    bench: Annotated[
        Path | None,
        options.value(
            "--bench",
            "FILE",
            "A report of mnist-edge bench, to be shown on the page.",
            default="that of this bundle and processor in benchmarks/, where there is one",
        ),
    ] = None,
    out: Annotated[
        Path, options.value("--out", "FILE", "Where to write the page.", options.OUTPUT_PANEL)
    ] = Path("report.html"),
    pictures: Annotated[
        Path | None,
        options.value(
            "--pictures", "FOLDER", "Write each picture as a PNG file, too.", options.OUTPUT_PANEL
        ),
    ] = None,
    key: options.KeyOption = None,
    not_before: options.NotBeforeOption = None,
    trust: options.TrustOption = False,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Write one page on a model: curves, confusion matrix, its errors, its artifacts."""
    from mnist_edge.bundle import codec
    from mnist_edge.bundle.signing import Trust
    from mnist_edge.bundle.storage import atomic_write_all
    from mnist_edge.render.report import measured_recipes, report

    talk = Talk(quiet=quiet)
    chosen = options.chosen_bundle(bundle, talk, Trust(key=key, not_before=not_before, code=trust))
    digits = known_test_set(talk, chosen, data_dir)
    grids = _benchmark(chosen, bench, talk)
    with talk.progress("report") as progress:
        of_mnist = chosen.manifest.data.name == "mnist"
        result = report(
            chosen,
            data=digits,
            recipes=measured_recipes() if of_mnist else (),
            grids=grids,
            progress=progress,
        )
    files = {out: result.html.encode()}
    if pictures is not None:
        files |= {pictures / f"{name}.png": png for name, png in result.pictures.items()}
    atomic_write_all(list(files.items()))
    if as_json:
        paths = [str(path) for path in files]
        emit_json(codec.dumps({"files": paths, "findings": result.findings}))
    else:
        for path in files:
            emit(str(path))
    findings = result.findings
    right = findings.count - len(findings.wrong)
    share = f"{findings.accuracy:.2%}" if findings.test_set else f"{right:,}"
    talk.say(
        f"{share} of {findings.count:,} {noun(findings.names)}s classified correctly by "
        f"{findings.artifact}: {findings.source}"
    )


def _benchmark(bundle: Bundle, path: Path | None, talk: Talk) -> tuple[tuple[str, Table], ...]:
    """The table of the benchmark that was named, or of the one that lies where `bench` puts it."""
    from mnist_edge.bench.compare import read_report
    from mnist_edge.machine import describe_machine
    from mnist_edge.render.bench import bench_table

    if path is None:
        processor = describe_machine().processor
        name = bundle.path.resolve().name
        path = report_path(None, bundle=name, verb="bench", processor=processor)
        if not path.is_file():
            return ()
    benchmark = read_report(path)
    digests = {artifact.sha256 for artifact in bundle.manifest.artifacts}
    if any(row.sha256 not in digests for row in benchmark.rows):
        talk.warn(f"{path} measured other artifacts than those of {bundle.path}: left out")
        return ()
    return (("Latency", bench_table(benchmark)),)
