"""`mnist-edge verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mnist_edge.cli import options, steps
from mnist_edge.cli.reports import report_path, write_verify_page
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.errors import UsageError
from mnist_edge.formats import run_by
from mnist_edge.recipes.fields import Setting
from mnist_edge.recipes.terms import Device

if TYPE_CHECKING:
    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.data.mnist import DataSet

EPILOG = """[bold]Examples[/bold]
mnist-edge verify                           # every artifact of the bundle
mnist-edge verify --artifact onnx-float32   # only this one
mnist-edge verify --thorough                # in every way it may be run
mnist-edge verify --rebuild                 # the same bytes once more?
mnist-edge verify --json > verify.json      # for a script: 1 if one differs"""


def command(
    bundle: options.BundleOption = None,
    artifacts: options.ArtifactsOption = None,
    thorough: Annotated[
        bool,
        options.flag(
            "--thorough",
            "Run each artifact in every way it may be run, and say which may be shipped.",
        ),
    ] = False,
    rebuild: Annotated[
        bool, options.flag("--rebuild", "Only export each artifact again, and compare the bytes.")
    ] = False,
    data_dir: options.DataDirOption = None,
    device: Annotated[
        Device,
        options.option(
            "device", Device, Setting("Where to run them.", group=options.MACHINE_PANEL)
        ),
    ] = "cpu",
    threads: options.ThreadsOption = 1,
    backend: options.BackendOption = None,
    out: options.OutOption = None,
    key: options.KeyOption = None,
    not_before: options.NotBeforeOption = None,
    trust: options.TrustOption = False,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Compare each artifact with the checkpoint: on the reference, and on MNIST's test set."""
    from mnist_edge.bundle.signing import Trust
    from mnist_edge.render import text

    talk = Talk(quiet=quiet)
    chosen = options.chosen_bundle(bundle, talk, Trust(key=key, not_before=not_before, code=trust))
    if rebuild:
        _rebuild(talk, chosen, tuple(artifacts or ()))
        return 0
    data = steps.known_test_set(talk, chosen, data_dir)
    names = tuple(artifacts or ())
    if thorough and backend:
        raise UsageError("--thorough has ways of its own to run files", fix="leave --backend away")
    if backend:
        names = run_by(chosen, backend, names)
    if thorough:
        return _thorough(talk, chosen, data, names, device, out, as_json=as_json)
    report, path = steps.verify_artifacts(
        talk,
        chosen,
        data,
        artifacts=names,
        device=device,
        threads=threads,
        runtime=backend or "",
        out=out,
    )
    if as_json:
        emit_json(text.json_text(report))
    else:
        emit_table(text.verify_table(report))
    talk.say(f"wrote {path}")
    talk.suggest(f"mnist-edge bench{options.given_bundle(bundle)}", to="measure their latency")
    return int(not report.passed)


def _rebuild(talk: Talk, bundle: Bundle, artifacts: tuple[str, ...]) -> None:
    from mnist_edge.formats.export import prove_rebuildable

    with talk.progress("export") as progress:
        names = prove_rebuildable(bundle, artifacts=artifacts, progress=progress)
    talk.say(f"byte for byte the same: {', '.join(names)}")


def _thorough(
    talk: Talk,
    bundle: Bundle,
    data: DataSet | None,
    artifacts: tuple[str, ...],
    device: Device,
    out: Path | None,
    *,
    as_json: bool,
) -> int:
    """Compare artifacts in every way they may be run; write the report, a page and the flips.

    Returns:
        The exit code.
    """
    from mnist_edge.bundle import codec
    from mnist_edge.render.verify import quantization_table, thorough_table
    from mnist_edge.verify.thorough import verify_thoroughly

    with talk.progress("verify") as progress:
        report = verify_thoroughly(
            bundle, data=data, artifacts=artifacts, device=device, progress=progress
        )
    name, processor = report.plain.bundle, report.plain.machine.processor
    path = report_path(out, bundle=name, verb="verify-thorough", processor=processor)
    tested = any(artifact.source == "test set" for artifact in report.artifacts)
    images = data.test_images if data and tested else bundle.reference().images
    paths = write_verify_page(path, report, images)
    if as_json:
        emit_json(codec.dumps(report))
    else:
        if report.quantization:
            emit_table(quantization_table(report.quantization, report.plain.classes))
            emit("")
        emit_table(thorough_table(report))
    talk.say(f"wrote {' and '.join(map(str, paths))}")
    return int(not report.passed)
