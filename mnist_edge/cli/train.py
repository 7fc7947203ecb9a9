"""`mnist-edge train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from mnist_edge.cli import options, steps
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.errors import UsageError
from mnist_edge.recipes.catalogue import DEFAULT_RECIPE, train_recipe
from mnist_edge.recipes.fields import Setting
from mnist_edge.recipes.terms import DataChoice, DeviceChoice
from mnist_edge.recipes.train import Augmentation, TrainRecipe

if TYPE_CHECKING:
    from mnist_edge.bundle.folder import Bundle

EPILOG = """[bold]Examples[/bold]
mnist-edge train                         # the default recipe on MNIST
mnist-edge train --epochs 2 --seed 7     # shorter, from other first weights
mnist-edge train --data rendered         # digits drawn from fonts, no network
mnist-edge train --bundle exports/mine   # into a folder of its own
mnist-edge train --data letters          # a folder of pictures for each class
mnist-edge train --from exports/model --data my-hand --bundle exports/mine"""


_From: TypeAlias = Annotated[
    Path | None,
    options.value(
        "--from",
        "BUNDLE",
        "Teach the net of a bundle: go on from its weights with the pictures of --data, a "
        "folder for each class that it reads wrong, mixed into its own.",
    ),
]
_MostCost: TypeAlias = Annotated[
    float,
    options.option(
        "most_cost",
        float,
        Setting("Points of accuracy on its own data that --from may cost.", 0, 100),
    ),
]
_Resume: TypeAlias = Annotated[
    bool, options.flag("--resume", "Go on with a training that was interrupted.")
]


_OF_THE_NET = (
    *("architecture", "widths", "mean", "std", "temperature"),
    *("teacher", "teacher_weight", "teacher_temperature"),
)
"""Fields of a recipe that a lesson cannot change."""


@options.with_fields(TrainRecipe, Augmentation)
def command(
    recipe: steps.RecipeOption = DEFAULT_RECIPE,
    from_: _From = None,
    most_cost: _MostCost = 0.1,
    bundle: options.NewBundleOption = None,
    data: options.DataOption = "mnist",
    data_dir: options.DataDirOption = None,
    preprocessing: options.PreprocessingOption = None,
    device: options.TrainDeviceOption = "auto",
    threads: options.TorchThreadsOption = None,
    resume: _Resume = False,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Train a model and write its bundle: weights, reference digits, history and curves.

    Every field of the recipe is an option; one that is left out is as in the named recipe.
    """
    from mnist_edge.bundle.folder import LOCAL_BUNDLE

    talk = Talk(quiet=quiet or not steps.leads())
    folder = bundle or LOCAL_BUNDLE
    if from_ is not None:
        if resume or recipe != DEFAULT_RECIPE:
            raise UsageError(
                "--from goes on from a net with its own recipe, from the start",
                fix="leave --resume and --recipe out",
            )
        taught = _teach(talk, from_, data, data_dir, folder, fields, most_cost, device, threads)
        _show(talk, taught, bundle, as_json=as_json)
        return
    taught_by = Path(fields["teacher"]) if fields["teacher"] is not None else None
    asked = _asked(train_recipe(recipe), taught_by, fields)
    chosen = steps.start_training(
        talk, asked, data, folder, device=device, threads=threads, teacher=taught_by
    )
    trained = steps.train_model(
        talk,
        asked,
        steps.get_data(talk, data, data_dir, preprocessing),
        folder,
        device=chosen,
        threads=threads,
        teacher=taught_by,
        resume=resume,
    )
    if steps.leads():
        _show(talk, trained, bundle, as_json=as_json)


def _show(talk: Talk, trained: Bundle, bundle: Path | None, *, as_json: bool) -> None:
    from mnist_edge.render import text

    if as_json:
        emit_json(text.bundle_json(trained))
    else:
        emit_table(text.files_table(steps.bundle_files(trained)))
        emit(text.training_line(trained.manifest))
        for line in text.lesson_lines(trained.manifest):
            emit(line)
    talk.suggest(f"mnist-edge export{options.given_bundle(bundle)}", to="write its artifacts")


def _teach(
    talk: Talk,
    from_: Path,
    data: DataChoice | Path,
    data_dir: Path | None,
    folder: Path,
    fields: dict[str, Any],
    most_cost: float,
    device: DeviceChoice,
    threads: int | None,
) -> Bundle:
    """Teach the net of a bundle what is in a folder."""
    from mnist_edge.bundle.folder import open_bundle
    from mnist_edge.data.folder import read_lesson
    from mnist_edge.errors import needed_to
    from mnist_edge.machine import keep_memory
    from mnist_edge.render import text
    from mnist_edge.train.session import check_start, teach_bundle

    check_start(folder)
    source = open_bundle(from_)
    source.check()
    with needed_to("train"):
        from mnist_edge.train.lesson import lesson_recipe
    recipe = lesson_recipe(source.manifest.own_recipe)
    of_the_net = [name for name in _OF_THE_NET if fields.get(name) not in (None, (), [])]
    if of_the_net:
        raise UsageError(
            f"--{of_the_net[0].replace('_', '-')} is what the net of {from_} was trained with",
            fix="leave it out, or train a new net without --from",
        )
    if not isinstance(data, Path):
        raise UsageError(
            "--from takes corrected pictures", fix="name their folder with --data FOLDER"
        )
    recipe = _asked(recipe, None, fields)
    known = source.manifest.data
    with talk.progress("pictures") as progress:
        lesson = read_lesson(
            data, known.classes, known.preprocessing, progress=progress, notice=talk.say
        )
    talk.say(
        f"{data}: {len(lesson[0].labels):,} pictures to learn, "
        f"{len(lesson[1].labels):,} held back to judge by"
    )
    own = steps.own_data(talk, source, data_dir)
    keep_memory()
    with talk.signature_kept(folder), talk.progress("train") as progress:
        return teach_bundle(
            source,
            recipe,
            own,
            lesson,
            folder,
            most_cost=most_cost,
            device=device,
            threads=threads,
            progress=progress,
            on_epoch=lambda epoch: talk.say(text.epoch_line(epoch, recipe.epochs)),
        )


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
    augmentation = replace(named.augmentation, **options.given_fields(named.augmentation, given))
    return replace(named, **options.given_fields(named, given), augmentation=augmentation)
