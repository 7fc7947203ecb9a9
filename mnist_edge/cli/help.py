"""How `--help` looks: option groups in plain text, at any width, no word broken and no name cut.

Typer's own drawing cuts names and values where the terminal is narrow, shows flags with a type, and
waits for rich.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

_INDENT, _GAP = 2, 2
_ARGUMENTS = "Arguments"
# With less room than this beside the names, texts stand below them.
_LEAST_TEXT = 30

Row: TypeAlias = tuple[str, str]


def help_page(command: Any, context: Any, verbs: Mapping[str, Sequence[Row]]) -> str:
    """The whole help text of a command.

    Args:
        command: of typer, which keeps its class and that of the context to itself.
        context: of the call.
        verbs: under each heading, the names of its own commands and what is said of them.
    """
    width = shutil.get_terminal_size().columns
    sections = sections_of(command, context)
    usage = [context.command_path, "[OPTIONS]", *(name for name, _ in sections.get(_ARGUMENTS, ()))]
    if verbs:
        usage.append("VERB")
    for title, listed in verbs.items():
        sections.setdefault(title, []).extend(listed)
    widest = max(len(name) for rows in sections.values() for name, _ in rows)
    lines = _wrapped(f"Usage: {' '.join(usage)}", width, indent=0)
    for paragraph in (command.help or "").split("\n\n"):
        lines += ["", *_wrapped(paragraph, width, indent=0)]
    for title, rows in sections.items():
        lines += ["", _bold(title), *_section(rows, widest, width)]
    return "\n".join([*lines, "", *_examples(command.epilog or "", width)])


def sections_of(command: Any, context: Any) -> dict[str, list[Row]]:
    """Under each heading, every argument and option of a command, and what is said of it."""
    sections: dict[str, list[Row]] = {}
    for parameter in command.get_params(context):
        if parameter.param_type_name == "argument":
            sections.setdefault(_ARGUMENTS, []).append(_row(parameter, [parameter.metavar]))
        else:
            names = [*parameter.opts, *parameter.secondary_opts]
            title = parameter.rich_help_panel or "Options"
            sections.setdefault(title, []).append(_row(parameter, names))
    return sections


def _row(parameter: Any, names: Sequence[str]) -> Row:
    """The names of a parameter with the kind of its value, and what is said of it."""
    short_first = sorted(names, key=lambda name: name.startswith("--"))
    spelled = ", ".join(short_first)
    if parameter.param_type_name == "option" and not parameter.is_flag:
        spelled += f" {parameter.metavar}"
    default = _default(parameter)
    ending = f" [default: {default}]" if default else " [required]" if parameter.required else ""
    return spelled, f"{parameter.help}{ending}"


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if not parameter.show_default or parameter.default in (None, False):
        return ""
    if parameter.default is True:
        return str(parameter.opts[0]).lstrip("-")
    return str(parameter.default)


def _section(rows: list[Row], widest: int, width: int) -> Iterator[str]:
    column = _INDENT + widest + _GAP
    beside = width - column >= _LEAST_TEXT
    for name, text in rows:
        lead = f"{'':{_INDENT}}{name}"
        if not beside:
            yield _bold(lead)
            yield from _wrapped(text, width, indent=2 * _INDENT + _GAP)
            continue
        first, *others = _wrapped(text, width, indent=column)
        yield f"{_bold(lead)}{first[len(lead) :]}"
        yield from others


def _examples(epilog: str, width: int) -> Iterator[str]:
    """The heading, then a command a line; its comment stands above where both have no room."""
    for line in epilog.splitlines():
        command, sign, comment = line.partition(" # ")
        if line.startswith("[bold]"):
            yield _bold(line.removeprefix("[bold]").removesuffix("[/bold]"))
        elif not sign or len(line) + _INDENT <= width:
            yield f"{'':{_INDENT}}{line}".rstrip()
        else:
            yield from _wrapped(f"# {comment}", width, indent=_INDENT)
            yield f"{'':{_INDENT}}{command.rstrip()}"


def _wrapped(text: str, width: int, *, indent: int) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        max(width, indent + 1),
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _bold(text: str) -> str:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stdout.isatty() else f"\x1b[1m{text}\x1b[0m"
