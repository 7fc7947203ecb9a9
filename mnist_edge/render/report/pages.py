"""HTML, put together so that no text enters it unescaped."""

from __future__ import annotations

import base64
import html
import struct
from collections.abc import Sequence
from typing import NewType

from mnist_edge.render.table import Table

Html = NewType("Html", str)

# The pictures are drawn on white and stay so; all else follows the reader's choice of light or
# dark. The policy forbids the page to ask anybody for anything.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #222; --paper: #fff; --quiet: #666; --line: #ddd; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #ddd; --paper: #16181c; --quiet: #999; --line: #3a3d44; }}
}}
body {{ max-width: 58rem; margin: 2.5rem auto; padding: 0 1.25rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 1.8rem; line-height: 1.2; margin: 0; }}
h2 {{ font-size: 1.25rem; margin: 3rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }}
p {{ max-width: 48rem; margin: .5rem 0; overflow-wrap: anywhere; }}
.figures {{ display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.5rem 0; }}
.figures dt {{ color: var(--quiet); font-size: .85rem; }}
.figures dd {{ margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }}
.scroll {{ overflow-x: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem 1.1rem .25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }}
thead th {{ color: var(--quiet); font-weight: 600; white-space: nowrap; }}
tbody th {{ font-weight: 400; white-space: nowrap; }}
.number {{ text-align: right; white-space: nowrap; }}
img {{ display: block; max-width: max(100%, 42rem); height: auto; background: #fff;
  border-radius: 4px; }}
small {{ color: var(--quiet); font-size: .875rem; }}
@media print {{
  body {{ max-width: none; margin: 0; font-size: 11pt; }}
  h2, p {{ break-after: avoid; }}
  img, p, tr, .figures {{ break-inside: avoid; }}
  .scroll {{ overflow: visible; }}
  img {{ max-width: 100%; }}
  table {{ font-size: 8.5pt; }}
  th, td {{ padding-right: .7rem; }}
  thead th {{ white-space: normal; vertical-align: bottom; }}
}}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, *parts: Html) -> str:
    """A whole document."""
    return _PAGE.format(title=text(title), body="\n".join(parts))


def text(words: str) -> Html:
    """Words as they are to be read, whatever signs they hold."""
    return Html(html.escape(words))


def heading(words: str) -> Html:
    """The title of the page."""
    return Html(f"<h1>{text(words)}</h1>")


def section(title: str, *parts: Html) -> Html:
    """A part of the page under a title."""
    return Html("\n".join([f"<section>\n<h2>{text(title)}</h2>", *parts, "</section>"]))


def paragraph(words: str) -> Html:
    """A paragraph of plain words."""
    return Html(f"<p>{text(words)}</p>")


def note(words: str) -> Html:
    """Small print."""
    return Html(f"<p><small>{text(words)}</small></p>")


def key_figures(pairs: Sequence[tuple[str, str]]) -> Html:
    """Names and values, large and side by side."""
    cells = (f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs)
    return Html(f'<dl class="figures">{"".join(cells)}</dl>')


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table whose first column names the rows; columns of numbers stand to the right."""
    drawn = Table(headers=tuple(headers), rows=tuple(map(tuple, rows)))
    places = range(len(headers))
    classes = [' class="number"' if place and drawn.is_numeric(place) else "" for place in places]
    head = "".join(
        f'<th scope="col"{kind}>{text(header)}</th>'
        for header, kind in zip(headers, classes, strict=True)
    )
    body = "\n".join(f"<tr>{_row(row, classes)}</tr>" for row in rows)
    return Html(
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def picture(png: bytes, description: str) -> Html:
    """A picture inside the page, at half its size in pixels; on a phone one scrolls along it."""
    width, height = struct.unpack_from(">2I", png, 16)  # of the IHDR chunk, which comes first
    data = base64.b64encode(png).decode("ascii")
    return Html(
        f'<div class="scroll"><img src="data:image/png;base64,{data}" alt="{text(description)}" '
        f'width="{width // 2}" height="{height // 2}"></div>'
    )


def _row(cells: Sequence[str], classes: Sequence[str]) -> str:
    first, *others = cells
    values = zip(others, classes[1:], strict=True)
    return f'<th scope="row">{text(first)}</th>' + "".join(
        f"<td{kind}>{text(cell)}</td>" for cell, kind in values
    )
