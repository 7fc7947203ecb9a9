"""The verbs, each of which is imported as it is typed: `--help` and `predict` wait for no other."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from mnist_edge.cli.help import Row, help_page

if TYPE_CHECKING:
    from collections.abc import Callable


class Entry(NamedTuple):
    """A verb as it is listed.

    Attributes:
        module: of `mnist_edge.cli`, with `command` and `EPILOG`.
        summary: the first paragraph of the docstring of its `command`.
    """

    module: str
    panel: str
    summary: str


_MAKE, _PROVE, _USE = "Make a model", "Prove and measure it", "Use it"
VERBS = {
    "run": Entry(
        "run",
        _MAKE,
        "Train, export, verify, bench and predict in a few minutes: the whole chain at once.",
    ),
    "train": Entry(
        "train",
        _MAKE,
        "Train a model and write its bundle: weights, reference digits, history and curves.",
    ),
    "import": Entry(
        "import_weights",
        _MAKE,
        "Make a bundle of a net that you already have; its accuracy is measured.",
    ),
    "recipes": Entry(
        "recipes", _MAKE, "List the training recipes, with what was measured of each."
    ),
    "export": Entry(
        "export", _MAKE, "Export the model, and verify each artifact as it is written."
    ),
    "verify": Entry(
        "verify",
        _PROVE,
        "Compare each artifact with the checkpoint: on the reference, and on MNIST's test set.",
    ),
    "bench": Entry(
        "bench",
        _PROVE,
        "Measure latency, throughput and size of each artifact, in turns with all others.",
    ),
    "sign": Entry(
        "sign", _PROVE, "Sign a bundle with an SSH key, so that others can tell that it is yours."
    ),
    "report": Entry(
        "report",
        _PROVE,
        "Write one page on a model: curves, confusion matrix, its errors, its artifacts.",
    ),
    "doctor": Entry(
        "doctor",
        _PROVE,
        "Say what works here, and test a bundle or one file with the answers that it carries.",
    ),
    "pack": Entry(
        "pack", _USE, "Copy what a device needs of a bundle: one artifact, and what proves it."
    ),
    "predict": Entry(
        "predict",
        _USE,
        "Name the digit in each picture, with its probability. Works without torch.",
    ),
}


class Verb(TyperCommand):
    """A command with our help, whose options are read without pydantic."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its arguments and options."""
        return _plainly_read(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:  # typer keeps the class of this context to itself
        """The whole help text."""
        return help_page(self, ctx, {})


class Verbs(TyperGroup):
    """The group of all verbs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb of that name, None where there is none."""
        del ctx
        return load_verb(cmd_name) if cmd_name in VERBS else None

    def get_params(self, ctx: Any) -> list[Any]:
        """The options of the program itself."""
        return _plainly_read(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """The whole help text."""
        listed: dict[str, list[Row]] = {}
        for name, entry in VERBS.items():
            listed.setdefault(entry.panel, []).append((name, entry.summary))
        return help_page(self, ctx, listed)


def load_verb(name: str) -> Any:
    """A verb as a command of typer, which keeps the class of that to itself."""
    module = import_module(f"mnist_edge.cli.{VERBS[name].module}")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=Verb, epilog=module.EPILOG)(module.command)
    return typer.main.get_command(alone)


def _plainly_read(parameters: list[Any]) -> list[Any]:
    """The same parameters, which read what is typed themselves.

    typer builds a pydantic adapter for each, and importing pydantic alone takes longer than a
    prediction. A typer that knows no such adapters, or another kind of value, is left alone.
    """
    for parameter in parameters:
        if described := getattr(parameter, "type_descriptor", None):
            kind, parser = described.annotation, described.parameter_info.parser
            if get_origin(kind) is list:
                kind = get_args(kind)[0]
            if parser or kind in (bool, str, Path):
                parameter.get_runtime_param = _Plain(parser or kind).itself
    return parameters


class _Plain:
    """Stands in for typer's own object that coerces the values of one parameter."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read

    def itself(self) -> _Plain:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        del ctx
        if param.multiple or param.nargs == -1:
            return [self._read(item) for item in value or ()]
        return None if value is None else self._read(value)
