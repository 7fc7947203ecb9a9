"""The command line as typer reads it: help, completion, mistakes, and whatever else is not plain.

Importing typer takes as long as naming a digit, so that `direct` is asked first.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from mnist_edge import __version__
from mnist_edge.cli.help import Row, help_page
from mnist_edge.cli.options import Command, Option, declared_by
from mnist_edge.cli.verbs import PROGRAM, VERBS, module_of
from mnist_edge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TOO_MANY = re.compile(r"got unexpected extra arguments?(?:\(s\))? \((.*)\)")


def call(words: Sequence[str]) -> int | None:
    """Do what was typed. Raises UsageError for what typer does not understand."""
    try:
        code: int | None = app(words, prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        raise _typed_wrong(error, words) from None
    return code


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
    module = module_of(name)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=Verb, epilog=module.EPILOG)(_for_typer(module.command))
    return typer.main.get_command(alone)


def _for_typer(command: Command) -> Command:
    """The same command, its options declared as typer wants them."""

    def called(**values: Any) -> int | None:
        return command(**values)

    signature = inspect.signature(command, eval_str=True)
    parameters = [
        parameter.replace(
            annotation=Annotated[get_args(parameter.annotation)[0], _typer_s(declared.option)]
        )
        for parameter, declared in zip(
            signature.parameters.values(), declared_by(command), strict=True
        )
    ]
    called.__doc__ = command.__doc__
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    return called


def _typer_s(option: Option) -> Any:
    if not option.names:
        return typer.Argument(metavar=option.kind, help=option.text, show_default=option.default)
    known = option.known
    return typer.Option(
        *option.names,
        parser=option.read,
        metavar=option.kind or None,
        help=option.text,
        show_default=option.default,
        rich_help_panel=option.group,
        autocompletion=(lambda: list(known)) if known else None,
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


app = typer.Typer(
    name=PROGRAM,
    cls=Verbs,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    epilog="[bold]Start here[/bold]\n"
    "mnist-edge run             # the whole chain, in a few minutes\n"
    "mnist-edge predict 7.png   # name the digit in a picture\n"
    "mnist-edge VERB --help     # options and examples of a verb",
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Print the version and end.",
        ),
    ] = False,
) -> None:
    """Train a digit classifier, export it, prove the exports equal, predict without torch."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def _typed_wrong(error: typer.TyperException, words: Sequence[str]) -> UsageError:
    """What typer does not understand, and where to read on: typer's own words, but plainer."""
    verb = next((word for word in words if word in VERBS), "")
    fix = f"see {' '.join(filter(None, (PROGRAM, verb)))} --help"
    said = " ".join(error.format_message().split()).rstrip(".")
    message = said[:1].lower() + said[1:]
    if found := _TOO_MANY.fullmatch(message):
        return UsageError(f"unexpected argument {found[1]}", fix=fix)
    if (option := getattr(error, "option_name", None)) and message.startswith("no such option"):
        near = getattr(error, "possibilities", None)
        return UsageError(
            f"unknown option {option!r:.60}", fix=f"did you mean {near[0]}? {fix}" if near else fix
        )
    return UsageError(message, fix=fix)


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
