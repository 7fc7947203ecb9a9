"""`mnist-edge doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mnist_edge.cli import options
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.errors import UsageError, has_torch

if TYPE_CHECKING:
    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.bundle.signing import Trust
    from mnist_edge.doctor import DoctorReport
    from mnist_edge.doctor.single import FileReport

EPILOG = """[bold]Examples[/bold]
mnist-edge doctor               # this machine, and a bundle on it
mnist-edge doctor model.onnx    # this file, and whether it is right
mnist-edge doctor --json        # for a script: 1 if an artifact fails"""


def command(
    file: Annotated[
        Path | None,
        options.argument(
            "[FILE]", "One exported file, instead of the machine and a bundle.", default=False
        ),
    ] = None,
    bundle: options.BundleOption = None,
    artifacts: options.ArtifactsOption = None,
    threads: options.ThreadsOption = 1,
    key: options.KeyOption = None,
    not_before: options.NotBeforeOption = None,
    trust: options.TrustOption = False,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Say what works here, and test a bundle or one file with the answers that it carries."""
    from mnist_edge.bundle.signing import Trust

    talk = Talk(quiet=quiet)
    asked = Trust(key=key, not_before=not_before, code=trust)
    report: DoctorReport | FileReport
    if file is None:
        report = _examine_bundle(
            talk, bundle, tuple(artifacts or ()), asked, threads, as_json=as_json
        )
    else:
        if bundle is not None or artifacts:
            option = "--bundle" if bundle is not None else "--artifact"
            raise UsageError(f"a FILE and {option} exclude each other", fix="give one of them")
        report = _examine_file(file, asked, threads, as_json=as_json)
    return int(not report.passed)


def _examine_bundle(
    talk: Talk,
    path: Path | None,
    artifacts: tuple[str, ...],
    trust: Trust,
    threads: int,
    *,
    as_json: bool,
) -> DoctorReport:
    from mnist_edge.bundle import codec
    from mnist_edge.doctor import examine
    from mnist_edge.render import doctor as diagnosis

    bundle = _bundle(talk, path, trust)
    with talk.progress("doctor") as progress:
        report = examine(bundle, artifacts=artifacts, threads=threads, progress=progress)
    if as_json:
        emit_json(codec.dumps(report))
        return report
    emit_table(diagnosis.machine_table(report))
    emit("")
    emit_table(diagnosis.needs_table(report))
    if bundle is not None:
        emit("")
        emit_table(diagnosis.checks_table(report.checks))
    emit("")
    emit_table(diagnosis.devices_table())
    return report


def _bundle(talk: Talk, path: Path | None, trust: Trust) -> Bundle | None:
    """The bundle that was asked for, else the default one where there is one."""
    from mnist_edge.bundle.folder import default_bundle_path
    from mnist_edge.bundle.manifest import MANIFEST
    from mnist_edge.bundle.signing import open_trusted

    place = path or default_bundle_path()
    if path is None:
        if not (place / MANIFEST).is_file():
            if has_torch():
                talk.suggest("mnist-edge train", to="make a bundle; there is none here to test")
            else:
                talk.say("there is no bundle here to test; give one with --bundle FOLDER")
            return None
        talk.say(f"bundle: {place}")
    bundle = open_trusted(place, trust)
    options.tell_signature(talk, bundle)
    return bundle


def _examine_file(path: Path, trust: Trust, threads: int, *, as_json: bool) -> FileReport:
    from mnist_edge.bundle import codec
    from mnist_edge.doctor.single import examine_file
    from mnist_edge.render import doctor as diagnosis

    report = examine_file(path, trust, threads=threads)
    if as_json:
        emit_json(codec.dumps(report))
        return report
    emit_table(diagnosis.file_table(report))
    emit("")
    emit_table(diagnosis.checks_table((report.check,)))
    return report
