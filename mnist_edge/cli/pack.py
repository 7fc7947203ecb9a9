"""`mnist-edge pack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mnist_edge.cli import options
from mnist_edge.cli.talk import Talk, emit_json, emit_table
from mnist_edge.recipes.classes import noun
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT

EPILOG = """[bold]Examples[/bold]
mnist-edge pack --artifact onnx-int8 --out device   # then copy that folder
mnist-edge verify --bundle device                   # there, without torch"""


def command(
    out: Annotated[Path, options.value("--out", "FOLDER", "Where the slim bundle goes.")],
    bundle: options.BundleOption = None,
    artifacts: options.ArtifactsOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Copy what a device needs of a bundle: one artifact, and what proves it."""
    from mnist_edge.bundle.folder import open_bundle
    from mnist_edge.bundle.packing import pack_bundle
    from mnist_edge.render import text

    talk = Talk(quiet=quiet)
    chosen = open_bundle(bundle)
    if bundle is None:
        talk.say(f"bundle: {chosen.path}")
    names = tuple(artifacts or (DEFAULT_ARTIFACT,))
    packed, files = pack_bundle(chosen, names, out)
    if as_json:
        emit_json(text.bundle_json(packed))
    else:
        emit_table(text.files_table(files))
    words = options.given_bundle(out)
    if len(names) > 1 and DEFAULT_ARTIFACT not in names:
        words += f" --artifact {names[0]}"
    what = noun(packed.manifest.data.classes)
    talk.suggest(f"mnist-edge predict{words} PICTURE", to=f"name a {what}, there or here")
