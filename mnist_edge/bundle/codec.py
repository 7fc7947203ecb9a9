"""Frozen dataclasses to JSON and back, strictly.

The standard library writes dataclasses but does not read them; a manifest comes from outside, so
each field's type is checked on the way in. Unknown and missing fields are errors: a manifest of
another schema must not be half understood.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import types
import typing
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

LATER = {"later": True}
"""Metadata of a field that came later: with its default it is not written, as it was before."""

# Control characters above ASCII's own, line ends of Unicode, and marks of direction.
_STEERING = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
# No text holds a line end in JSON, so this can only be a list.
_NUMBERS = re.compile(r"\[\n *(-?\d[-+.\de]*(?:,\n *-?\d[-+.\de]*)*)\n *\]")


def dumps(value: object) -> str:
    """JSON text of dataclasses, mappings, sequences and scalars; keys in the order of definition.

    Raises:
        ValueError: for NaN or infinity, which JSON does not have.
    """
    return _shown(json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False))


def line(value: object) -> str:
    """What `dumps` writes, in one line: for what goes over a pipe."""
    return _shown(json.dumps(_plain(value), allow_nan=False, ensure_ascii=False))


def _shown(text: str) -> str:
    """Escape what JSON lets through and would steer a terminal; a line end added."""
    text = _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # Python keeps the bytes of a foreign file name as lone surrogates, which UTF-8 does not have.
    return text.encode(errors="replace").decode() + "\n"


def join_numbers(text: str) -> str:
    """What `dumps` wrote, with each list of numbers in one line: for long ones half the bytes."""
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def loads(kind: type[T], text: str) -> T:
    """Read one dataclass from JSON text.

    Raises:
        ValueError: with the place and what was expected there.
    """
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return decode(kind, document)


def decode(kind: type[T], document: object) -> T:
    """Read one dataclass from parsed JSON. Raises ValueError with the place."""
    return typing.cast("T", _decode(kind, document, "document"))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if "later" not in f.metadata or getattr(value, f.name) != f.default
        }
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _decode(kind: Any, value: object, where: str) -> object:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(typing.cast("type", kind), value, where)
    if origin is typing.Literal:
        choices = typing.get_args(kind)
        # type() as well: True == 1, and a schema version of `true` is none.
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise ValueError(f"{where}: {value!r:.60} is none of {', '.join(map(repr, choices))}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_optional(kind, value, where)
    if origin is tuple:
        item_kind = typing.get_args(kind)[0]
        items = _expect(list, value, where)
        return tuple(_decode(item_kind, item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        _, item_kind = typing.get_args(kind)
        entries = _expect(dict, value, where)
        return {
            _decode_str(key, where): _decode(item_kind, item, f"{where}.{key:.60}")
            for key, item in entries.items()
        }
    if kind is float:
        return _decode_float(value, where)
    if kind is str:
        return _decode_str(value, where)
    return _expect(kind, value, where)


def _decode_dataclass(kind: type, value: object, where: str) -> object:
    entries = _expect(dict, value, where)
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in entries:
        if name not in fields:
            raise ValueError(f"{where}: unknown field {name!r:.60}")
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in entries and not optional:
            raise ValueError(f"{where}: field {name!r} is missing")
    return kind(
        **{name: _decode(hints[name], item, f"{where}.{name}") for name, item in entries.items()}
    )


def _decode_optional(kind: Any, value: object, where: str) -> object:
    options = [option for option in typing.get_args(kind) if option is not type(None)]
    if value is None and len(options) < len(typing.get_args(kind)):
        return None
    if len(options) != 1:
        raise TypeError(f"{where}: unions of more than one type and None are not supported")
    return _decode(options[0], value, where)


def _decode_float(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where}: expected a number, found {type(value).__name__}")
    number = float(value) if abs(value) <= sys.float_info.max else math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where}: the number is too large")
    return number


def _decode_str(value: object, where: str) -> str:
    text = _expect(str, value, where)
    try:
        text.encode()
    except UnicodeEncodeError:
        # An escape such as `\ud800` passes the parser, but can be neither written nor shown.
        raise ValueError(f"{where}: half of a surrogate pair is not text") from None
    return text


def _expect(kind: type[T], value: object, where: str) -> T:
    # bool is an int to Python, but not to a reader of the file.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: expected {kind.__name__}, found {type(value).__name__}")
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.60} stands twice")
        found[key] = value
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
