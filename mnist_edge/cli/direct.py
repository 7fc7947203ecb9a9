"""The usual call of a verb, read straight from what the verb declares.

A device that names one digit would else wait as long for typer as for the answer. Help, completion,
mistakes and rare spellings are left to typer; what is read here, typer would read alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mnist_edge.cli.options import Command, Declared, declared_by
from mnist_edge.cli.verbs import VERBS, module_of
from mnist_edge.errors import MnistEdgeError

_COMPLETING = "_MNIST_EDGE_COMPLETE"
"""Set by a shell that asks what might come next."""


def find_call(words: Sequence[str]) -> tuple[Command, dict[str, Any]] | None:
    """The command of a verb with its arguments; None where typer is to read them."""
    if not words or words[0] not in VERBS or _COMPLETING in os.environ:
        return None
    command: Command = module_of(words[0]).command
    values = read_words(declared_by(command), words[1:])
    return None if values is None else (command, values)


def read_words(parameters: Sequence[Declared], words: Sequence[str]) -> dict[str, Any] | None:
    """What was typed after a verb, by the names of its parameters; None where that is not plain."""
    typed = _sorted_out(parameters, words)
    if typed is None:
        return None
    try:
        return {known.name: known.read(typed[known.name]) for known in parameters}
    except MnistEdgeError:  # of several mistakes, typer tells the one that it meets first
        return None


def _sorted_out(
    parameters: Sequence[Declared], words: Sequence[str]
) -> dict[str, list[str | bool]] | None:
    """What was typed for each parameter, in order; None where that is not plain."""
    spelled = {name: (known, on) for known in parameters for name, on in known.spellings}
    typed: dict[str, list[str | bool]] = {known.name: [] for known in parameters}
    placed = [known for known in parameters if not known.spellings]
    rest = iter(words)
    for word in rest:
        if word.startswith("-") and word != "-":
            name, sign, value = word.partition("=")
            if name not in spelled:
                return None
            known, on = spelled[name]
            if known.is_flag:
                if sign:
                    return None
                typed[known.name].append(on)
                continue
            value = value if sign else next(rest, "")
        else:
            if not placed:
                return None
            known, value = placed[0], word
        if not value or (value.startswith("-") and value != "-"):
            return None
        typed[known.name].append(value)
    several = [known for known in placed if not known.several and len(typed[known.name]) > 1]
    missing = [known for known in parameters if known.required and not typed[known.name]]
    return None if several or missing else typed
