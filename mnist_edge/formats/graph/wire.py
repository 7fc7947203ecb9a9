"""Messages of Protocol Buffers, taken apart without their package.

The wire format: https://protobuf.dev/programming-guides/encoding/. Readers differ in what they make
of a field that may stand once and stands twice, or is of another kind; here it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

MOST_FIELDS = 1 << 16
"""Of a file, in all its messages: each costs time before anything is known of it."""

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_FIXED_SIZES = {1: 8, _FIXED32: 4}


class _Field(NamedTuple):
    """A field: its wire type, its value if that is an integer, and where its content lies."""

    kind: int
    value: int
    content: range


class Message:
    """The fields of one message, by number; messages inside are read when they are asked for.

    Every method raises ValueError where the bytes are not what is asked for.
    """

    def __init__(self, view: memoryview, content: range, room: list[int]) -> None:
        self._view, self._room = view, room
        self._fields: dict[int, list[_Field]] = {}
        for number, found in _fields(view, content):
            self._fields.setdefault(number, []).append(found)
            room[0] -= 1
            if room[0] < 0:
                raise ValueError(f"more than {MOST_FIELDS:,} entries")

    @classmethod
    def of(cls, data: bytes) -> Message:
        """What a whole file holds."""
        return cls(memoryview(data), range(len(data)), [MOST_FIELDS])

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def integer(self, number: int) -> int:
        """The integer in a field, signed; 0 where there is none."""
        return _signed(self._one(number, _VARINT).value)

    def real(self, number: int) -> float:
        """The number of 32 bits in a field; 0 where there is none."""
        content = self._one(number, _FIXED32).content
        packed = np.frombuffer(self._view[content.start : content.stop], "<f4")
        return packed.item() if len(packed) else 0.0

    def joined(self, number: int) -> bytes:
        """The bytes of a list of numbers of one size, packed or one by one."""
        return b"".join(self._view[c.start : c.stop] for _, _, c in self._fields.get(number, ()))

    def integers(self, number: int) -> Iterator[int]:
        """The integers of a list, packed or one by one."""
        for kind, value, content in self._fields.get(number, ()):
            if kind == _VARINT:
                yield _signed(value)
            elif kind == _BYTES:
                place = content.start
                while place < content.stop:
                    value, place = _varint(self._view, place, content.stop)
                    yield _signed(value)
            else:
                raise ValueError("a number of another kind")

    def count(self, number: int, size: int) -> int:
        """How many numbers a list holds: of `size` bytes, or for 0 of as many as each needs."""
        total = 0
        for kind, _, content in self._fields.get(number, ()):
            if kind != _BYTES:
                total += 1
            elif size:
                total += len(content) // size
            else:
                packed = np.frombuffer(self._view[content.start : content.stop], np.uint8)
                total += int(np.count_nonzero(packed < 0x80))
        return total

    def data(self, number: int) -> memoryview:
        """The bytes in a field; none where there is none."""
        content = self._one(number, _BYTES).content
        return self._view[content.start : content.stop]

    def text(self, number: int) -> str:
        """The text in a field; empty where there is none."""
        return _text(self.data(number))

    def texts(self, number: int) -> tuple[str, ...]:
        """Every text of a list."""
        return tuple(_text(self._view[c.start : c.stop]) for c in self._contents(number))

    def child(self, number: int) -> Message:
        """The message in a field; an empty one where there is none."""
        return Message(self._view, self._one(number, _BYTES).content, self._room)

    def children(self, number: int) -> Iterator[Message]:
        """Every message of a list."""
        return (Message(self._view, content, self._room) for content in self._contents(number))

    def _one(self, number: int, kind: int) -> _Field:
        found = self._fields.get(number) or [_Field(kind, 0, range(0))]
        if len(found) > 1 or found[0].kind != kind:
            raise ValueError("an entry that stands twice, or is of another kind")
        return found[0]

    def _contents(self, number: int) -> list[range]:
        found = self._fields.get(number, [])
        if any(field.kind != _BYTES for field in found):
            raise ValueError("a number in place of a message")
        return [field.content for field in found]


def without(data: bytes, number: int) -> bytes:
    """A message without one of its fields. Raises ValueError where it is none."""
    view, start, kept = memoryview(data), 0, []
    for found, field in _fields(view, range(len(data))):
        if found != number:
            kept.append(view[start : field.content.stop])
        start = field.content.stop
    return b"".join(kept)


def packed(number: int, content: bytes) -> bytes:
    """A field of bytes, as it stands in a message."""
    return _packed_integer(number << 3 | _BYTES) + _packed_integer(len(content)) + content


def _packed_integer(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _packed_integer(rest) if rest else bytes([low])


def _fields(view: memoryview, content: range) -> Iterator[tuple[int, _Field]]:
    position, end = content.start, content.stop
    while position < end:
        key, position = _varint(view, position, end)
        number, kind = key >> 3, key & 7
        value, size = 0, 0
        if kind == _VARINT:
            value, position = _varint(view, position, end)
        elif kind == _BYTES:
            size, position = _varint(view, position, end)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError(f"unknown wire type {kind}")
        field = _Field(kind, value, range(position, position + size))
        position += size
        if not 0 < number < 1 << 29 or position > end:
            raise ValueError("a field that does not fit")
        yield number, field


def _varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise ValueError("cut off inside a number")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than ten bytes")


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _text(content: memoryview) -> str:
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError:
        raise ValueError("a text in it is not UTF-8") from None
