"""A table of texts: for a terminal of any width, and for Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_edge.render.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as Drawing
    from rich.text import Text

NOTHING = "–"
_NUMBER = re.compile(r"[\d.,]+(e[+-]\d+)?%?")
_STYLES = {"equivalent": "green", "differs": "bold red", "not checked": "yellow"}

# More than any row takes, so nothing is folded in a file.
_UNLIMITED = 10_000
_GAP = 2
# What is longer is a text, which may be folded between its words.
_LONGEST_FIGURE = 40
# With more parts than these, a reader would rather have the rows one by one.
_MOST_PARTS = 3


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under headers; `notes` stand below."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers alone, which stand to the right."""
        cells = [row[column] for row in self.rows if row[column] != NOTHING]
        return bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)

    def keys(self) -> int:
        """How many columns, from the first on, tell every row from all others; 1 if none do."""
        counts = range(1, len(self.headers) + 1)
        names = (count for count in counts if len({r[:count] for r in self.rows}) == len(self.rows))
        return next(names, 1)

    def least_widths(self) -> list[int]:
        """What each column takes at least, if only texts are folded, and only between words."""
        columns = zip(self.headers, *self.rows, strict=True)
        return [max(map(_least_width, cells)) for cells in columns]


def terminal(table: Table, *, width: int | None = None, colour: bool = False) -> str:
    """The table as lines of text.

    One that is too wide is drawn in parts, each with the columns that name the rows; where there
    would be many, as a list of its rows. Nothing is left out, and no figure is folded.

    Args:
        table: what to draw.
        width: columns to stay within; None for as many as it takes.
        colour: whether to write escape sequences.
    """
    from rich.console import Console
    from rich.text import Text

    table = _printable(table)
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width or _UNLIMITED,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    parts = _parts(table.least_widths(), table.keys(), console.width)
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(_drawing(table, part))
    if not parts:
        for line in _records(table, console.width):
            console.print(line)
    if len(parts) != 1 and table.notes:
        console.print()
    for note in table.notes:
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _printable(table: Table) -> Table:
    headers, notes = (tuple(map(printable, texts)) for texts in (table.headers, table.notes))
    rows = tuple(tuple(map(printable, cells)) for cells in table.rows)
    return Table(headers=headers, rows=rows, notes=notes)


def markdown(table: Table) -> str:
    """The table for a README or a pull request."""
    rules = ("---:" if table.is_numeric(i) else "---" for i in range(len(table.headers)))
    lines = [table.headers, tuple(rules), *table.rows]
    text = "".join(f"| {' | '.join(map(_escaped, cells))} |\n" for cells in lines)
    return text + "".join(f"\n{_escaped(note)}\n" for note in table.notes)


def _least_width(cell: str) -> int:
    from rich.cells import cell_len

    width = cell_len(cell)
    return width if width <= _LONGEST_FIGURE else max(map(cell_len, cell.split()))


def _parts(widths: list[int], keys: int, width: int) -> list[list[int]]:
    """The columns of each part, those that name the rows first; empty if that gives no table."""
    names = list(range(keys))
    parts, room = [names], width - sum(widths[:keys]) - _GAP * (keys - 1)
    start = room
    for column, needed in enumerate(widths[keys:], start=keys):
        if room < _GAP + needed and len(parts[-1]) > keys:
            parts.append(names)
            room = start
        parts[-1] = [*parts[-1], column]
        room -= _GAP + needed
        if room < 0:
            return []
    return parts if room >= 0 and len(parts) <= _MOST_PARTS else []


def _drawing(table: Table, columns: list[int]) -> Drawing:
    from rich.table import Table as Drawing
    from rich.text import Text

    drawing = Drawing(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    widths = table.least_widths()
    for column in columns:
        drawing.add_column(
            Text(table.headers[column]),
            justify="right" if table.is_numeric(column) else "left",
            overflow="fold",
            min_width=widths[column],
        )
    for row in table.rows:
        drawing.add_row(*(_styled(row[column]) for column in columns))
    return drawing


def _records(table: Table, width: int) -> Iterator[RenderableType]:
    """Each row as its first cell, with a line for each of the others below it."""
    from rich.cells import cell_len
    from rich.padding import Padding
    from rich.text import Text

    widest = max((cell_len(header) for header in table.headers[1:]), default=0)
    for name, *cells in table.rows:
        yield Text(name, style="bold")
        for header, cell in zip(table.headers[1:], cells, strict=True):
            lead = f"{'':{_GAP}}{header}{'':{_GAP + widest - cell_len(header)}}"
            if header and cell_len(lead) + cell_len(cell) <= width:
                yield Text(lead).append_text(_styled(cell))
                continue
            if header:
                yield Text(lead.rstrip())
            yield Padding(_styled(cell), (0, 0, 0, 2 * _GAP))


def _styled(cell: str) -> Text:
    from rich.text import Text

    return Text(cell, style=_STYLES.get(cell, ""))


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
