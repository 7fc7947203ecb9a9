"""Read a flatbuffer that may come from anywhere: no offset in it is believed.

The layout: https://flatbuffers.dev/internals/. The `flatbuffers` package reads as fast as it can
and takes whatever lies at a wrong offset.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_ENTRIES = 1 << 16
"""In all lists of tables and texts of a file: each costs time before anything is known of it."""

_OFFSET = 4  # bytes


@dataclass(frozen=True)
class Table:
    """A table within the bytes of a file. All that reads it raises ValueError outside of them.

    Attributes:
        room: one number: how many entries may still be read, in any table of the file.
    """

    data: memoryview
    position: int
    room: list[int]

    def __contains__(self, field: int) -> bool:
        return self._place(field) > 0

    def only(self, *fields: int) -> Table:
        """This table, which has no other fields. Raises ValueError for others."""
        for field in range(self._field_count()):
            if field not in fields and self._place(field):
                raise ValueError(f"a table has the unknown field {field}")
        return self

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """A whole number; `kind` is a letter of the module `struct`."""
        place = self._place(field)
        return self._at(place, kind) if place else default

    def table(self, field: int) -> Table | None:
        """The table that a field refers to, if it is there."""
        place = self.place_of(field)
        return self._child(place) if place else None

    def part(self, field: int) -> Table:
        """The table that a field refers to. Raises ValueError where there is none."""
        found = self.table(field)
        if found is None:
            raise ValueError("a part is missing")
        return found

    def tables(self, field: int, most: int = MOST_ENTRIES) -> list[Table]:
        """The tables of a list of at most so many."""
        return [self._child(place) for place in self._entries(field, most)]

    def numbers(self, field: int, dtype: str, most: int = 0) -> NDArray[Any]:
        """A list of numbers, at most so many where that is said; empty where it is not there."""
        start, count = self._vector(field, np.dtype(dtype).itemsize, most or len(self.data))
        return np.frombuffer(self.data, dtype, count, start)

    def content(self, field: int) -> bytes:
        """The bytes of a list of bytes, or of a text."""
        return self._content(place) if (place := self.place_of(field)) else b""

    def text(self, field: int) -> str:
        """A text of UTF-8; UnicodeDecodeError is a ValueError."""
        return str(self.content(field), "utf-8")

    def texts(self, field: int) -> tuple[str, ...]:
        """The texts of a list."""
        places = self._entries(field, MOST_ENTRIES)
        return tuple(str(self._content(place), "utf-8") for place in places)

    def place_of(self, field: int) -> int:
        """Where the table, list or text that a field refers to lies, or 0."""
        place = self._place(field)
        return place + self._at(place, "I") if place else 0

    def fields_place(self) -> int:
        """Where the list of the table's fields lies, which tables of one kind may share."""
        return self.position - self._at(self.position, "i")

    def _child(self, place: int) -> Table:
        return Table(self.data, place, self.room)

    def _content(self, place: int) -> bytes:
        """The bytes of the list at a place."""
        start, count = self._items(place, 1, len(self.data))
        return bytes(self.data[start : start + count])

    def _entries(self, field: int, most: int) -> list[int]:
        """Where each table or text of a list of at most so many lies."""
        start, count = self._vector(field, _OFFSET, most)
        self.room[0] -= count
        if self.room[0] < 0:
            raise ValueError(f"more than {MOST_ENTRIES:,} entries")
        places = range(start, start + _OFFSET * count, _OFFSET)
        return [place + self._at(place, "I") for place in places]

    def _vector(self, field: int, size: int, most: int) -> tuple[int, int]:
        """Where the items of a list begin, and how many there are."""
        place = self.place_of(field)
        return self._items(place, size, most) if place else (0, 0)

    def _items(self, place: int, size: int, most: int) -> tuple[int, int]:
        count = self._at(place, "I")
        if count > most or place + _OFFSET + count * size > len(self.data):
            raise ValueError(f"a list of {count} items")
        return place + _OFFSET, count

    def _field_count(self) -> int:
        return (self._at(self.fields_place(), "H") - 4) // 2

    def _place(self, field: int) -> int:
        """Where the content of a field lies, or 0."""
        if field >= self._field_count():
            return 0
        offset = self._at(self.fields_place() + 4 + 2 * field, "H")
        return self.position + offset if offset else 0

    def _at(self, place: int, kind: str) -> int:
        form = f"<{kind}"
        if not 0 <= place <= len(self.data) - struct.calcsize(form):
            raise ValueError("an offset points outside of the file")
        return int(struct.unpack_from(form, self.data, place)[0])


def root_table(data: bytes, identifier: bytes) -> Table:
    """The table that a file begins with. Raises ValueError where it is of another kind."""
    if data[4:8] != identifier:
        raise ValueError(f"its identifier is {data[4:8]!r}, not {identifier!r}")
    view = memoryview(data)
    return Table(view, int.from_bytes(view[:4], "little"), [MOST_ENTRIES])
