"""The README against the program: what it shows exists, and what exists it shows."""

from __future__ import annotations

import re
import shlex

import pytest
from factory import ROOT

from mnist_edge import cli
from mnist_edge.cli.verbs import VERBS as LISTED
from mnist_edge.cli.verbs import load_verb
from mnist_edge.errors import MnistEdgeError
from mnist_edge.recipes.catalogue import RECIPES

pytestmark = pytest.mark.edge

README = (ROOT / "README.md").read_text()
VERBS: dict[str, set[str]] = {
    name: {
        spelling
        for parameter in command.params
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }
    | {"--help", "-h"}
    for name in LISTED
    for command in [load_verb(name)]
}
GLOBAL = {"--version", "--help", "--install-completion", "--show-completion"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def shown_commands() -> list[str]:
    """Every `mnist-edge ...` line of a console block, and every one in running text."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    typed += re.findall(r"`(mnist-edge [^`]+)`", README)
    parts = [part for line in typed for part in re.split(r" [|>] | && ", line)]
    return [part for part in parts if "mnist-edge " in part]


@pytest.mark.parametrize("line", shown_commands())
def test_a_documented_command_exists_with_its_options(line: str) -> None:
    words = shlex.split(line[line.index("mnist-edge ") :], comments=True)[1:]
    options = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    if words[0].startswith("-"):
        assert options <= GLOBAL
        return
    assert words[0] in {*VERBS, "VERB"}
    if words[0] in VERBS:
        assert options <= VERBS[words[0]]


def test_an_option_in_running_text_exists() -> None:
    known = set().union(*VERBS.values()) | GLOBAL
    named = set(re.findall(r"`(--[a-z][a-z-]*)[ `=]", README))
    assert named
    assert named <= known


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_a_section_with_its_output(verb: str) -> None:
    section = README.partition(f"### `mnist-edge {verb}`\n")[2].partition("\n### ")[0]
    assert section, "no section"
    (block, *_) = re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    first, *output = block.splitlines()
    assert first.startswith(f"$ mnist-edge {verb}")
    assert output, "no output is shown"


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join([*blocks("console"), *blocks("sh")])))
    assert {"demo", "test"} <= shown <= targets


def test_every_recipe_and_exit_code_is_named() -> None:
    assert [name for name in RECIPES if not re.search(rf"(`|--recipe ){name}`", README)] == []
    codes = {MnistEdgeError.exit_code, 0, 1, cli.BUG_EXIT_CODE, 130, 143}
    assert [code for code in codes if f"| {code} |" not in README] == []


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
