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
    QuietOption,
    RecipeOption,
    TorchThreadsOption,
    TrainDeviceOption,
    given_bundle,
    given_fields,
)
from mnist_edge.cli.steps import bundle_files, get_data, leads, start_training, train_model
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.errors import UsageError
from mnist_edge.recipes.catalogue import DEFAULT_RECIPE, train_recipe
from mnist_edge.recipes.terms import Architecture, Optimizer, Schedule

EPILOG = """[bold]Examples[/bold]
mnist-edge train                         # the default recipe on MNIST
mnist-edge train --epochs 2 --seed 7     # shorter, from other first weights
mnist-edge train --data rendered         # digits drawn from fonts, no network
mnist-edge train --bundle exports/mine   # into a folder of its own"""


def _field(option: str, text: str) -> Any:
    return typer.Option(
        option,
        help=text,
        show_default=False,
        rich_help_panel="Fields of the recipe (by default the named recipe's)",
    )


_Architecture: TypeAlias = Annotated[Architecture | None, _field("--architecture", "The network.")]
_Widths: TypeAlias = Annotated[
    list[int] | None, _field("--widths", "Channels of one layer; repeat it for the next layer.")
]
_Epochs: TypeAlias = Annotated[int | None, _field("--epochs", "Passes over the training set.")]
_BatchSize: TypeAlias = Annotated[int | None, _field("--batch-size", "Digits per step.")]
_LearningRate: TypeAlias = Annotated[
    float | None, _field("--learning-rate", "The largest rate of the schedule.")
]
_Optimizer: TypeAlias = Annotated[Optimizer | None, _field("--optimizer", "The optimizer.")]
_Schedule: TypeAlias = Annotated[
    Schedule | None, _field("--schedule", "How the learning rate changes.")
]
_Warmup: TypeAlias = Annotated[
    float | None, _field("--warmup", "Share of the steps in which onecycle rises.")
]
_WeightDecay: TypeAlias = Annotated[
    float | None, _field("--weight-decay", "Decoupled for adamw, L2 for adam.")
]
_LabelSmoothing: TypeAlias = Annotated[
    float | None, _field("--label-smoothing", "Mass taken from the true class.")
]
_Mean: TypeAlias = Annotated[float | None, _field("--mean", "Subtracted inside the graph.")]
_Std: TypeAlias = Annotated[float | None, _field("--std", "Divided by inside the graph.")]
_Average: TypeAlias = Annotated[
    float | None, _field("--average", "Decay of the averaged weights per step; 0 keeps none.")
]
_Strokes: TypeAlias = Annotated[
    int | None, _field("--strokes", "Drawn digits that join the training set.")
]
_Symbols: TypeAlias = Annotated[
    int | None, _field("--symbols", "Drawn signs that are no digit, to be unsure of.")
]
_Teacher: TypeAlias = Annotated[
    Path | None, _field("--teacher", "The bundle of a net whose answers are learnt besides.")
]
_TeacherWeight: TypeAlias = Annotated[
    float | None, _field("--teacher-weight", "Share of the loss that a teacher's answers make up.")
]
_TeacherTemperature: TypeAlias = Annotated[
    float | None, _field("--teacher-temperature", "Softens both nets' answers to each other.")
]
_Temperature: TypeAlias = Annotated[
    float | None, _field("--temperature", "Divides the logits, for calibrated probabilities.")
]
_RejectBelow: TypeAlias = Annotated[
    float | None, _field("--reject-below", "Probability under which there is no digit.")
]
_Seed: TypeAlias = Annotated[int | None, _field("--seed", "Of everything random.")]
_Shift: TypeAlias = Annotated[float | None, _field("--shift-px", "Largest shift, in pixels.")]
_Rotation: TypeAlias = Annotated[
    float | None, _field("--rotation-deg", "Largest rotation, in degrees.")
]
_Scale: TypeAlias = Annotated[float | None, _field("--scale", "Largest relative change of size.")]
_Shear: TypeAlias = Annotated[float | None, _field("--shear", "Largest shear, as a slope.")]
_Elastic: TypeAlias = Annotated[
    float | None, _field("--elastic-px", "Largest elastic displacement, in pixels.")
]
_Thickness: TypeAlias = Annotated[
    float | None, _field("--thickness", "Largest thickening or thinning of strokes, 0 to 1.")
]
_Anneal: TypeAlias = Annotated[
    float | None, _field("--anneal", "Last share of the training, on undistorted digits.")
]
_Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on with a training that was interrupted.")
]


def command(
    context: typer.Context,
    recipe: RecipeOption = DEFAULT_RECIPE,
    bundle: NewBundleOption = None,
    architecture: _Architecture = None,
    widths: _Widths = None,
    epochs: _Epochs = None,
    batch_size: _BatchSize = None,
    learning_rate: _LearningRate = None,
    optimizer: _Optimizer = None,
    schedule: _Schedule = None,
    warmup: _Warmup = None,
    weight_decay: _WeightDecay = None,
    label_smoothing: _LabelSmoothing = None,
    mean: _Mean = None,
    std: _Std = None,
    average: _Average = None,
    strokes: _Strokes = None,
    symbols: _Symbols = None,
    teacher_bundle: _Teacher = None,
    teacher_weight: _TeacherWeight = None,
    teacher_temperature: _TeacherTemperature = None,
    temperature: _Temperature = None,
    reject_below: _RejectBelow = None,
    seed: _Seed = None,
    shift_px: _Shift = None,
    rotation_deg: _Rotation = None,
    scale: _Scale = None,
    shear: _Shear = None,
    elastic_px: _Elastic = None,
    thickness: _Thickness = None,
    anneal: _Anneal = None,
    data: DataOption = "mnist",
    data_dir: DataDirOption = None,
    device: TrainDeviceOption = "auto",
    threads: TorchThreadsOption = None,
    resume: _Resume = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model and write its bundle: weights, reference digits, history and curves."""
    from mnist_edge.bundle.folder import LOCAL_BUNDLE
    from mnist_edge.render import text

    named = train_recipe(recipe)
    asked = replace(
        named,
        **given_fields(named, context.params),
        augmentation=replace(
            named.augmentation, **given_fields(named.augmentation, context.params)
        ),
    )
    talk = Talk(quiet=quiet or not leads())
    folder = bundle or LOCAL_BUNDLE
    if teacher_bundle is not None:
        from mnist_edge.bundle.folder import weights_digest

        asked = replace(asked, teacher=weights_digest(teacher_bundle))
    elif not asked.teacher and (teacher_weight is not None or teacher_temperature is not None):
        raise UsageError(f"{recipe} has no teacher", fix="name its bundle with --teacher FOLDER")
    chosen = start_training(
        talk, asked, data, folder, device=device, threads=threads, teacher=teacher_bundle
    )
    trained = train_model(
        talk,
        asked,
        get_data(talk, data, data_dir),
        folder,
        device=chosen,
        threads=threads,
        teacher=teacher_bundle,
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
