"""How a verb declares its options, each once; and those that several verbs share.

`direct` reads the usual call from what is declared here, and `typed` makes typer's options of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias, Union, get_args, get_origin

from mnist_edge.cli.talk import Talk
from mnist_edge.errors import UsageError, in_shell
from mnist_edge.recipes.fields import Field, Setting, as_field, fields_of
from mnist_edge.recipes.terms import DataChoice, DeviceChoice, Preprocessing, Runtime, unknown_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.bundle.signing import Trust

DATA_PANEL = "Data"
OUTPUT_PANEL = "Output"
MACHINE_PANEL = "Machine"
TRUST_PANEL = "Trust"
MOST_SERIAL = 10**15
OR_SHIPPED = "exports/model where there is one, else the shipped one"

Command: TypeAlias = Callable[..., int | None]
"""What a verb does; an exit code other than 0 is what it returns."""

# What is longer stands in the help text instead.
_LONGEST_KIND = 20


class Option(NamedTuple):
    """An option of a verb, or an argument, as it is declared in the annotation of a parameter.

    Attributes:
        names: as typed, such as `--quiet` and `-q`, or `--a/--no-a`; none for an argument.
        kind: what the help calls the value; empty for a flag.
        text: of the help.
        group: the heading above it.
        default: in words, where it is not what the command declares; False to say none.
        known: values that a shell completes.
        read: makes something else of the text than the type of the parameter does.
    """

    names: tuple[str, ...]
    kind: str
    text: str
    group: str | None = None
    default: bool | str = True
    known: tuple[str, ...] = ()
    read: Callable[[Any], Any] | None = None


class Declared(NamedTuple):
    """A parameter of a command with its option.

    Attributes:
        name: of the parameter.
        kind: of its value, or of each where there are several.
        several: whether it may be given more than once.
        default: what it is where it is left out; `inspect.Parameter.empty` where it must be given.
    """

    name: str
    kind: Any
    several: bool
    default: Any
    option: Option

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool

    @property
    def spellings(self) -> tuple[tuple[str, bool], ...]:
        """Its names, and what each means to a flag; none of an argument."""
        pairs = [name.partition("/") for name in self.option.names]
        return tuple(
            (name, on) for yes, _, no in pairs for name, on in ((yes, True), (no, False)) if name
        )

    def read(self, typed: Sequence[Any]) -> Any:
        """The value of what was typed, of which the last counts if it is not several."""
        read = self.option.read or self.kind
        if self.several:
            return [read(item) for item in typed]
        return read(typed[-1]) if typed else self.default


def declared_by(command: Command) -> tuple[Declared, ...]:
    """The options and arguments of a command, from its annotations."""
    return tuple(
        _declared(parameter)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
    )


def _declared(parameter: inspect.Parameter) -> Declared:
    kind, option = get_args(parameter.annotation)
    if get_origin(kind) in (Union, UnionType):  # with None, where it is left out
        kind = get_args(kind)[0]
    several = get_origin(kind) is list
    return Declared(
        name=parameter.name,
        kind=get_args(kind)[0] if several else kind,
        several=several,
        default=parameter.default,
        option=option,
    )


def argument(kind: str, text: str, *, default: bool | str = True) -> Option:
    """What is given without a name."""
    return Option(names=(), kind=kind, text=text, default=default)


def flag(names: str, text: str, group: str | None = None) -> Option:
    """An option without a value; `names` as typed, such as `--quiet -q` or `--a/--no-a`."""
    return Option(names=tuple(names.split()), kind="", text=text, group=group)


def value(
    names: str,
    kind: str,
    text: str,
    group: str | None = None,
    *,
    default: bool | str = True,
    known: Sequence[str] = (),
    read: Callable[[Any], Any] | None = None,
) -> Option:
    """An option that takes a text or a path; `names` as typed, such as `--bundle --model`."""
    return Option(
        names=tuple(names.split()),
        kind=kind,
        text=text,
        group=group,
        default=default,
        known=tuple(known),
        read=read,
    )


def option(name: str, kind: Any, setting: Setting, *, show_default: bool | str = True) -> Option:
    """An option that takes a number or a name: it is read and checked as a recipe's field is."""
    return _option(as_field(name, kind, setting), show_default=show_default)


def _option(field: Field, *, show_default: bool | str) -> Option:
    text, kind = field.setting.help, "N" if field.kind is int else "X"
    if field.names:
        kind = "|".join(field.names)
        if len(kind) > _LONGEST_KIND:
            kind, text = "NAME", f"{text.removesuffix('.')}: {', '.join(field.names)}."
    elif field.kind is str:
        kind = "FOLDER"

    def read(typed: str | float) -> str | float:
        return field.read(typed) if isinstance(typed, str) else typed  # as typer hands on defaults

    return value(
        f"--{field.option}",
        kind,
        text,
        field.setting.group or None,
        default=show_default,
        known=field.names,
        read=read,
    )


def with_fields(*recipes: type[DataclassInstance]) -> Callable[[Command], Command]:
    """Give a command an option for each field of the recipes, in place of its `**fields`.

    An option that was left out is None, or empty if it may be repeated.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[_typed(field), _option(field, show_default=False)],
            )
            for recipe in recipes
            for field in fields_of(recipe)
            if field.setting.group
        ]
        parameters = [*own, *added]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def _typed(field: Field) -> Any:
    return list[str] | None if field.several else str | None


BundleOption: TypeAlias = Annotated[
    Path | None, value("--bundle", "FOLDER", "The folder of the bundle.", default=OR_SHIPPED)
]
NewBundleOption: TypeAlias = Annotated[
    Path | None,
    value("--bundle", "FOLDER", "The folder of the bundle to write.", default="exports/model"),
]
JsonOption: TypeAlias = Annotated[
    bool,
    flag("--json", "Print exactly one JSON document on stdout, errors included.", OUTPUT_PANEL),
]
QuietOption: TypeAlias = Annotated[
    bool, flag("--quiet -q", "Say nothing on stderr but warnings and errors.", OUTPUT_PANEL)
]
DataDirOption: TypeAlias = Annotated[
    Path | None,
    value(
        "--data-dir",
        "FOLDER",
        "A folder that holds the data set; for a bundle of a folder, that folder.",
        DATA_PANEL,
        default="$MNIST_EDGE_DATA, else the user's cache folder",
    ),
]


def _data(typed: str | Path) -> str | Path:
    """The name of a data set, or a folder."""
    if typed in get_args(DataChoice):
        return typed
    folder = Path(typed)
    if not folder.is_dir():
        wrong = unknown_name("data set", str(typed), get_args(DataChoice))
        raise UsageError(wrong.what, fix=f"{wrong.fix}, or give a folder of your own")
    return folder


DataOption: TypeAlias = Annotated[
    Any,
    value(
        "--data",
        "NAME|FOLDER",
        f"A data set: {', '.join(get_args(DataChoice))}; or a folder of your own, with a "
        "folder of pictures for each class, or with IDX files. Where MNIST cannot be had, auto "
        "takes digits drawn from fonts.",
        DATA_PANEL,
        known=get_args(DataChoice),
        read=_data,
    ),
]
PreprocessingOption: TypeAlias = Annotated[
    Preprocessing | None,
    option(
        "preprocessing",
        Preprocessing,
        Setting(
            "What is done to the pictures of a folder: one digit found and framed, all ink as one "
            "letter, or plain, only made smaller.",
            group=DATA_PANEL,
        ),
        show_default="digit for digits, letter for other single characters, else plain",
    ),
]
TrainDeviceOption: TypeAlias = Annotated[
    DeviceChoice,
    option(
        "device",
        DeviceChoice,
        Setting("Where to train; auto takes a GPU where there is one.", group=MACHINE_PANEL),
    ),
]
TorchThreadsOption: TypeAlias = Annotated[
    int | None,
    option(
        "threads",
        int,
        Setting("Threads of torch.", 1, 1024, MACHINE_PANEL),
        show_default="all that this process may use",
    ),
]
ThreadsOption: TypeAlias = Annotated[
    int, option("threads", int, Setting("Threads of each runtime.", 1, 1024, MACHINE_PANEL))
]
BackendOption: TypeAlias = Annotated[
    Runtime | None,
    option(
        "backend",
        Runtime,
        Setting("Which runtime runs onnx artifacts.", group=MACHINE_PANEL),
        show_default="onnxruntime",
    ),
]
ArtifactsOption: TypeAlias = Annotated[
    list[str] | None,
    value(
        "--artifact",
        "NAME",
        "Only this artifact, such as onnx-float32; may be repeated.",
        default="all",
    ),
]
KeyOption: TypeAlias = Annotated[
    str | None,
    value(
        "--key",
        "FILE",
        "The public key (.pub) that must have signed the bundle.",
        TRUST_PANEL,
        default="that of $MNIST_EDGE_KEY, where it is set",
    ),
]
NotBeforeOption: TypeAlias = Annotated[
    int | None,
    option(
        "not_before",
        int,
        Setting("The least serial number of the signature.", 0, MOST_SERIAL, TRUST_PANEL),
    ),
]
TrustOption: TypeAlias = Annotated[
    bool,
    flag(
        "--trust",
        "Run the programs in the bundle (C, TorchScript, pt2), whoever wrote them.",
        TRUST_PANEL,
    ),
]
OutOption: TypeAlias = Annotated[
    Path | None,
    value(
        "--out",
        "FILE",
        "Where to write the report, as JSON.",
        OUTPUT_PANEL,
        default="benchmarks/, named by bundle and processor",
    ),
]


def chosen_bundle(path: Path | None, talk: Talk, trust: Trust) -> Bundle:
    """Open the bundle that was asked for, or the default one, which is then named.

    Args:
        path: the option.
        talk: names the default, and who signed it.
        trust: what is asked of it.

    Raises:
        Untrusted: it is not signed by whom it should be.
        DigestMismatch, BundleError: it is damaged, or there is none.
    """
    from mnist_edge.bundle.folder import read_settled
    from mnist_edge.bundle.signing import open_trusted

    def whole() -> Bundle:
        bundle = open_trusted(path, trust)
        bundle.check()
        return bundle

    bundle = read_settled(path, whole)
    if path is None:
        talk.say(f"bundle: {bundle.path}")
    tell_signature(talk, bundle)
    return bundle


def tell_signature(talk: Talk, bundle: Bundle) -> None:
    """Name who signed a bundle, where that was asked for."""
    if bundle.signature:
        talk.say(f"signed by {bundle.signature.fingerprint}, serial {bundle.signature.serial}")


def given_bundle(path: Path | None) -> str:
    """The option that the next command needs to work on the same bundle."""
    return "" if path is None else f" --bundle {in_shell(path)}"


def given_fields(part: DataclassInstance, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe that were given as options, for `dataclasses.replace`."""
    names = [field.name for field in fields(part)]
    asked = {name: given[name] for name in names if given.get(name) not in (None, (), [])}
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()
    }
