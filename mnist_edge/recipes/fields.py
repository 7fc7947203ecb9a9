"""What a recipe says of each of its fields, once: the range check, the help and the option follow.

epochs: Annotated[int, Setting("Passes over the training set.", 1, 10_000)]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from functools import cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    get_args,
    get_origin,
    get_type_hints,
)

from mnist_edge.errors import UsageError
from mnist_edge.recipes.terms import as_limit, check_range, unknown_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Setting(NamedTuple):
    """What is said of a field in its annotation.

    Attributes:
        help: one sentence.
        low: the least value, and
        high: the greatest; of each item where the field holds several.
        group: the heading under which `--help` lists it; empty where it is no option.
    """

    help: str
    low: float = -math.inf
    high: float = math.inf
    group: str = ""


class Field(NamedTuple):
    """A field with its setting.

    Attributes:
        name: in the recipe.
        kind: of its value, or of each where there are several: int, float or str.
        names: that it may have, where these are a closed set.
        several: whether it holds a tuple.
    """

    name: str
    kind: Callable[[str], int | float | str]
    names: tuple[str, ...]
    several: bool
    setting: Setting

    @property
    def option(self) -> str:
        """Its name on the command line, where the unit of seconds is left out."""
        return self.name.removesuffix("_s").replace("_", "-")

    def read(self, text: str) -> int | float | str:
        """The value that was typed. Raises UsageError."""
        try:
            value = self.kind(text)
        except ValueError:
            noun = "whole number" if self.kind is int else "number"
            low, high = as_limit(self.setting.low), as_limit(self.setting.high)
            raise UsageError(
                f"--{self.option} is {text!r:.30}, which is no {noun}",
                fix=f"give --{self.option} one from {low} to {high}",
            ) from None
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Raise UsageError for a value out of the range, or a name that is none."""
        if self.names:
            if value not in self.names:
                raise unknown_name(self.option, value, self.names)
        elif self.kind is not str:
            check_range(self.option, value, self.setting.low, self.setting.high)


@cache
def fields_of(recipe: type[DataclassInstance]) -> tuple[Field, ...]:
    """The fields of a recipe that have a setting, in their order."""
    hints = get_type_hints(recipe, include_extras=True)
    return tuple(
        as_field(field.name, *get_args(hints[field.name]))
        for field in dataclass_fields(recipe)
        if get_origin(hints[field.name]) is Annotated
    )


def as_field(name: str, kind: Any, setting: Setting) -> Field:
    """A field of that type, as it is written in an annotation."""
    several = get_origin(kind) is tuple
    if several:
        kind = get_args(kind)[0]
    names = get_args(kind) if get_origin(kind) is Literal else ()
    return Field(name, str if names else kind, names, several, setting)


def check_fields(recipe: DataclassInstance) -> None:
    """Raise UsageError for the first field of a recipe whose value is not to be."""
    for field in fields_of(type(recipe)):
        value = getattr(recipe, field.name)
        for item in value if field.several else (value,):
            field.check(item)
