"""`mnist-edge import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnist_edge.cli.options import (
    DataDirOption,
    DataOption,
    JsonOption,
    NewBundleOption,
    QuietOption,
    given_bundle,
)
from mnist_edge.cli.steps import bundle_files, get_data
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.recipes.catalogue import RECIPES, train_recipe

EPILOG = """[bold]Examples[/bold]
mnist-edge import model.pth --recipe lenet        # saved by torch.save
mnist-edge import net.safetensors --recipe wide   # or as safetensors"""


def command(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="A .pth, .pt or .safetensors file.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help=f"Whose architecture it is: {', '.join(RECIPES)}.",
            autocompletion=lambda: list(RECIPES),
        ),
    ],
    bundle: NewBundleOption = None,
    data: DataOption = "auto",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a bundle of weights that you already have; their accuracy is measured."""
    from mnist_edge.bundle.folder import LOCAL_BUNDLE
    from mnist_edge.render import text
    from mnist_edge.train.session import check_start, import_bundle

    talk = Talk(quiet=quiet)
    named = train_recipe(recipe)
    folder = bundle or LOCAL_BUNDLE
    check_start(folder)
    digits = get_data(talk, data, data_dir)
    with talk.signature_kept(folder):
        imported = import_bundle(weights, named, digits, folder, notice=talk.warn)
    if as_json:
        emit_json(text.bundle_json(imported))
    else:
        emit_table(text.files_table(bundle_files(imported)))
        emit(text.training_line(imported.manifest))
    talk.suggest(f"mnist-edge export{given_bundle(bundle)}", to="write its artifacts")
