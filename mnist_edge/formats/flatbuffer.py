"""Read a flatbuffer that may come from anywhere: no offset in it is believed.

The layout: https://flatbuffers.dev/internals/. The `flatbuffers` package reads as fast as it can
and takes whatever lies at a wrong offset.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_OFFSET = 4  # bytes


@dataclass(frozen=True)
class Table:
    """A table within the bytes of a file. All that reads it raises ValueError outside of them."""

    data: memoryview
    position: int

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
        place = self._place(field)
        return Table(self.data, place + self._at(place, "I")) if place else None

    def tables(self, field: int, most: int) -> list[Table]:
        """The tables of a list of at most so many."""
        start, count = self._vector(field, _OFFSET, most)
        places = range(start, start + _OFFSET * count, _OFFSET)
        return [Table(self.data, place + self._at(place, "I")) for place in places]

    def numbers(self, field: int, dtype: str, most: int) -> NDArray[np.generic]:
        """A list of at most so many numbers, empty where it is not there."""
        start, count = self._vector(field, np.dtype(dtype).itemsize, most)
        return np.frombuffer(self.data, dtype, count, start)

    def content(self, field: int) -> bytes:
        """The bytes of a list of bytes, or of a text."""
        start, count = self._vector(field, 1, len(self.data))
        return bytes(self.data[start : start + count])

    def text(self, field: int) -> str:
        """A text of UTF-8; UnicodeDecodeError is a ValueError."""
        return str(self.content(field), "utf-8")

    def _vector(self, field: int, size: int, most: int) -> tuple[int, int]:
        """Where the items of a list begin, and how many there are."""
        place = self._place(field)
        if not place:
            return 0, 0
        place += self._at(place, "I")
        count = self._at(place, "I")
        if count > most or place + _OFFSET + count * size > len(self.data):
            raise ValueError(f"a list of {count} items")
        return place + _OFFSET, count

    def _field_count(self) -> int:
        return (self._at(self._fields(), "H") - 4) // 2

    def _fields(self) -> int:
        """Where the list of the table's fields lies."""
        return self.position - self._at(self.position, "i")

    def _place(self, field: int) -> int:
        """Where the content of a field lies, or 0."""
        if field >= self._field_count():
            return 0
        offset = self._at(self._fields() + 4 + 2 * field, "H")
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
    return Table(view, int.from_bytes(view[:4], "little"))
