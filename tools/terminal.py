"""Draw the terminal of docs/start.md, docs/terminal.svg, from the console blocks of the commands.

python tools/terminal.py    `make console` does it, too, once it has made the blocks

What is drawn was printed by real runs; of each command some lines are shown, and long ones are cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "terminal.svg"
# By verb, the lines of its output that are shown.
SHOWN = {
    "train": r"epoch|test accuracy",
    "export": r"artifact +file|onnx-\S+ +exports",
    "verify": r"artifact|onnx-float32|onnx-int8 ",
    "bench": r"\S+/\S+  ",
    "predict": r"exports",
}
COLUMNS = 118
_LINE, _CELL, _EDGE = 19, 7.8, 16  # pixels
_STYLE = """
    rect { fill: #f6f8fa; stroke: #d0d7de } text { fill: #1f2328 } .typed { fill: #0550ae }
    .good { fill: #1a7f37 } .typed { font-weight: bold }
    text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
    @media (prefers-color-scheme: dark) {
      rect { fill: #161b22; stroke: #30363d } text { fill: #e6edf3 } .typed { fill: #79c0ff }
      .good { fill: #3fb950 }
    }"""


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(drawn(list(recorded())))


def recorded() -> Iterator[str]:
    """The lines of the terminal: each command as it was typed, and what it said."""
    for verb, shown in SHOWN.items():
        page = (ROOT / "docs" / "commands" / f"{verb}.md").read_text()
        block = re.search(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        assert block
        typed, *output = block[1].split("\n\n")[0].splitlines()
        yield typed
        for line in filter(re.compile(shown).match, output):
            yield line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…"


def drawn(lines: list[str]) -> str:
    """A picture of lines, light or dark as the page that shows it."""
    width, height = round(COLUMNS * _CELL) + 2 * _EDGE, len(lines) * _LINE + 2 * _EDGE
    texts = "\n".join(_text(line, _EDGE + (row + 0.7) * _LINE) for row, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">\n'
        f"<title>Five verbs of mnist-edge in a terminal</title>\n<style>{_STYLE}\n</style>\n"
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>\n'
        f"{texts}\n</svg>\n"
    )


def _text(line: str, y: float) -> str:
    """A line that is as wide everywhere, whichever font is there."""
    kind = ' class="typed"' if line.startswith("$ ") else ""
    said = re.sub(r"\bequivalent\b", '<tspan class="good">equivalent</tspan>', escape(line))
    place = f'x="{_EDGE}" y="{y:.0f}" textLength="{len(line) * _CELL:.0f}" xml:space="preserve"'
    return f"<text{kind} {place}>{said}</text>"


if __name__ == "__main__":
    main()
