"""`mnist-edge recipes`."""

from __future__ import annotations

from mnist_edge.cli.options import JsonOption
from mnist_edge.cli.talk import Talk, emit_json, emit_table
from mnist_edge.errors import has_torch

EPILOG = """[bold]Examples[/bold]
mnist-edge recipes                     # all, with what was measured of each
mnist-edge train --recipe batchnorm    # train one of them"""


def command(as_json: JsonOption = False) -> None:
    """List the training recipes, with what was measured of each."""
    from mnist_edge.recipes.catalogue import RECIPES
    from mnist_edge.render import text
    from mnist_edge.render.published import figures_of

    rows = [(recipe, figures_of(recipe)) for recipe in RECIPES.values()]
    if as_json:
        emit_json(text.recipes_json(rows))
    else:
        emit_table(text.recipes_table(rows))
    if has_torch():
        Talk(quiet=False).suggest("mnist-edge train --recipe NAME", to="train one of them")
