"""`mnist-edge verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from mnist_edge.cli.options import (
    MACHINE_PANEL,
    ArtifactsOption,
    BundleOption,
    DataDirOption,
    JsonOption,
    OutOption,
    QuietOption,
    ThreadsOption,
    chosen_bundle,
    given_bundle,
)
from mnist_edge.cli.steps import known_test_set, verify_artifacts
from mnist_edge.cli.talk import Talk, emit_json, emit_table
from mnist_edge.recipes import Device

EPILOG = """[bold]Examples[/bold]
mnist-edge verify                           # every artifact of the bundle
mnist-edge verify --artifact onnx-float32   # only this one
mnist-edge verify --json > verify.json      # for a script: 1 if one differs"""


def command(
    bundle: BundleOption = None,
    artifacts: ArtifactsOption = None,
    data_dir: DataDirOption = None,
    device: Annotated[
        Device,
        typer.Option("--device", help="Where to run them.", rich_help_panel=MACHINE_PANEL),
    ] = "cpu",
    threads: ThreadsOption = 1,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare each artifact with the checkpoint: on the reference, and on MNIST's test set."""
    from mnist_edge import render

    talk = Talk(quiet=quiet)
    chosen = chosen_bundle(bundle, talk)
    report, path = verify_artifacts(
        talk,
        chosen,
        known_test_set(talk, chosen, data_dir),
        artifacts=tuple(artifacts or ()),
        device=device,
        threads=threads,
        out=out,
    )
    if as_json:
        emit_json(render.json_text(report))
    else:
        emit_table(render.verify_table(report))
    talk.say(f"wrote {path}")
    talk.suggest(f"mnist-edge bench{given_bundle(bundle)}", to="measure their latency")
    if not report.passed:
        raise typer.Exit(1)
