"""Frozen dataclasses that are made in a third of the time.

The standard library compiles six methods for each class. A command that names one digit meets some
thirty records, and would wait longer for them than for the digit; all but the constructor are the
same here for all.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import TYPE_CHECKING, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """What `dataclass(frozen=True, kw_only=True)` does, but for ordering and slots."""
    made = dataclass(kw_only=True, eq=False, repr=False)(kind)
    for name, method in _METHODS.items():
        if name not in vars(kind):
            setattr(made, name, method)
    return made


def _set(self: DataclassInstance, name: str, value: object) -> None:
    """Set a field once, as the constructor does."""
    if name in self.__dict__ or name not in self.__dataclass_fields__:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    self.__dict__[name] = value


def _delete(self: object, name: str) -> None:
    del self
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _repr(self: DataclassInstance) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _equal(self: DataclassInstance, other: DataclassInstance) -> object:
    return _compared(self) == _compared(other) if type(self) is type(other) else NotImplemented


def _hash(self: DataclassInstance) -> int:
    return hash(_compared(self))


def _compared(record: DataclassInstance) -> tuple[object, ...]:
    return tuple(getattr(record, f.name) for f in fields(record) if f.compare)


_METHODS = {
    "__setattr__": _set,
    "__delattr__": _delete,
    "__repr__": _repr,
    "__eq__": _equal,
    "__hash__": _hash,
}
