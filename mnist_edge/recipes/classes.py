"""The names of the classes that a net tells apart: the ten digits, or what else its data hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

DIGITS: tuple[str, ...] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
MOST_CLASSES = 1000

_LONGEST = 100  # characters of a name


def check_classes(names: Sequence[str]) -> None:
    """Raise ValueError for names that no net of ours may have.

    There are 2 to 1,000, no two alike, each of 1 to 100 characters that can be seen, or blanks
    between them.
    """
    if not 2 <= len(names) <= MOST_CLASSES:
        count = f"{len(names):,} class{'' if len(names) == 1 else 'es'}"
        raise ValueError(f"{count}, where 2 to {MOST_CLASSES:,} can be")
    for name in names:
        if not 0 < len(name) <= _LONGEST:
            raise ValueError(
                f"the class {name[:40]!r} has a name of {len(name)} characters, "
                f"where 1 to {_LONGEST} can be"
            )
        if not name.isprintable() or name != name.strip():
            raise ValueError(f"{name!r:.60} cannot be the name of a class: it cannot be seen whole")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the class {twice!r:.60} stands twice")


def joined(names: Sequence[str]) -> str:
    """Names as one line of CSV: `0,1,2`; one that holds a comma stands in quotes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def parted(line: str) -> tuple[str, ...]:
    """What `joined` has joined. Raises ValueError where it is no such line."""
    try:
        (names,) = csv.reader([line], strict=True)
    except csv.Error as error:
        raise ValueError(f"the names of the classes are damaged: {error}") from None
    check_classes(names)
    return tuple(names)


def noun(names: Sequence[str]) -> str:
    """What one of the pictures is called."""
    return "digit" if are_digits(names) else "picture"


def are_digits(names: Sequence[str]) -> bool:
    """Whether these are the ten digits, in their order."""
    return tuple(names) == DIGITS
