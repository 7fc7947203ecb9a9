"""The options that several verbs share."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from mnist_edge.cli.talk import Talk
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.recipes.terms import DataChoice, DeviceChoice

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from mnist_edge.bundle.folder import Bundle

DATA_PANEL = "Data"
OUTPUT_PANEL = "Output"
MACHINE_PANEL = "Machine"

BundleOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        help="The folder of the bundle.",
        show_default="exports/model where there is one, else the shipped one",
    ),
]
NewBundleOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--bundle", help="The folder of the bundle to write.", show_default="exports/model"
    ),
]
JsonOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print exactly one JSON document on stdout, errors included.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
QuietOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Say nothing on stderr but warnings and errors.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
DataDirOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="A folder that holds MNIST.",
        show_default="$MNIST_EDGE_DATA, else the user's cache folder",
        rich_help_panel=DATA_PANEL,
    ),
]
RecipeOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help=f"A named recipe: {', '.join(RECIPES)}.",
        autocompletion=lambda: list(RECIPES),
    ),
]
DataOption: TypeAlias = Annotated[
    DataChoice,
    typer.Option(
        "--data",
        help="MNIST, or digits drawn from fonts; auto takes these where MNIST cannot be had.",
        rich_help_panel=DATA_PANEL,
    ),
]
TrainDeviceOption: TypeAlias = Annotated[
    DeviceChoice,
    typer.Option(
        "--device",
        help="Where to train; auto takes a GPU where there is one.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
TorchThreadsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        help="Threads of torch.",
        show_default="all that this process may use",
        rich_help_panel=MACHINE_PANEL,
    ),
]
ThreadsOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        help="Threads of each runtime.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
ArtifactsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--artifact",
        metavar="NAME",
        help="Only this artifact, such as onnx-float32; may be repeated.",
        show_default="all",
    ),
]
OutOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Where to write the report, as JSON.",
        show_default="benchmarks/, named by bundle and processor",
        rich_help_panel=OUTPUT_PANEL,
    ),
]


def chosen_bundle(path: Path | None, talk: Talk, *, whole: bool = True) -> Bundle:
    """Open the bundle that was asked for, or the default one, which is then named.

    Args:
        path: the option.
        talk: names the default.
        whole: whether every file must be as the manifest says, used or not.

    Raises:
        DigestMismatch, BundleError: it is damaged, or there is none.
    """
    from mnist_edge.bundle.folder import open_bundle

    bundle = open_bundle(path)
    for record in bundle.manifest.records if whole else ():
        bundle.read(record)
    if path is None:
        talk.say(f"bundle: {bundle.path}")
    return bundle


def given_bundle(path: Path | None) -> str:
    """The option that the next command needs to work on the same bundle."""
    return "" if path is None else f" --bundle {shlex.quote(str(path))}"


def given_fields(part: DataclassInstance, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe that were given as options, for `dataclasses.replace`.

    An option that was left out is None, or empty if it may be repeated.
    """
    names = [field.name for field in fields(part)]
    asked = {name: given[name] for name in names if given.get(name) not in (None, (), [])}
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()
    }
