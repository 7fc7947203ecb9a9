"""`mnist-edge train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from mnist_edge.cli.options import (
    DataDirOption,
    DataOption,
    JsonOption,
    NewBundleOption,
    PreprocessingOption,
    QuietOption,
    RecipeOption,
    TorchThreadsOption,
    TrainDeviceOption,
    given_bundle,
    given_fields,
    with_fields,
)
from mnist_edge.cli.steps import bundle_files, get_data, leads, start_training, train_model
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.errors import UsageError
from mnist_edge.recipes.catalogue import DEFAULT_RECIPE, train_recipe
from mnist_edge.recipes.train import Augmentation, TrainRecipe

EPILOG = """[bold]Examples[/bold]
mnist-edge train                         # the default recipe on MNIST
mnist-edge train --epochs 2 --seed 7     # shorter, from other first weights
mnist-edge train --data rendered         # digits drawn from fonts, no network
mnist-edge train --bundle exports/mine   # into a folder of its own"""


_Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on with a training that was interrupted.")
]


@with_fields(TrainRecipe, Augmentation)
def command(
    recipe: RecipeOption = DEFAULT_RECIPE,
    bundle: NewBundleOption = None,
    data: DataOption = "mnist",
    data_dir: DataDirOption = None,
    preprocessing: PreprocessingOption = None,
    device: TrainDeviceOption = "auto",
    threads: TorchThreadsOption = None,
    resume: _Resume = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    **fields: Any,
) -> None:
    """Train a model and write its bundle: weights, reference digits, history and curves.

    Every field of the recipe is an option; one that is left out is as in the named recipe.
    """
    from mnist_edge.bundle.folder import LOCAL_BUNDLE
    from mnist_edge.render import text

    talk = Talk(quiet=quiet or not leads())
    folder = bundle or LOCAL_BUNDLE
    taught_by = Path(fields["teacher"]) if fields["teacher"] is not None else None
    asked = _asked(train_recipe(recipe), taught_by, fields)
    chosen = start_training(
        talk, asked, data, folder, device=device, threads=threads, teacher=taught_by
    )
    trained = train_model(
        talk,
        asked,
        get_data(talk, data, data_dir, preprocessing),
        folder,
        device=chosen,
        threads=threads,
        teacher=taught_by,
        resume=resume,
    )
    if not leads():
        return
    if as_json:
        emit_json(text.bundle_json(trained))
    else:
        emit_table(text.files_table(bundle_files(trained)))
        emit(text.training_line(trained.manifest))
    talk.suggest(f"mnist-edge export{given_bundle(bundle)}", to="write its artifacts")


def _asked(named: TrainRecipe, teacher: Path | None, fields: dict[str, Any]) -> TrainRecipe:
    """The named recipe, with the fields that were given as options."""
    given = {**fields, "teacher": None}
    if teacher is not None:
        from mnist_edge.bundle.folder import weights_digest

        given["teacher"] = weights_digest(teacher)
    elif not named.teacher and not {fields["teacher_weight"], fields["teacher_temperature"]} <= {
        None
    }:
        raise UsageError(
            f"{named.name} has no teacher", fix="name its bundle with --teacher FOLDER"
        )
    augmentation = replace(named.augmentation, **given_fields(named.augmentation, given))
    return replace(named, **given_fields(named, given), augmentation=augmentation)
