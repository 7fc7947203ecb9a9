"""Whether the console blocks of the pages have the form that the program gives today.

Of every verb its wording and columns are looked up in the code, which costs no run; the cheap ones
are run, too.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import console
import pytest
from factory import ROOT
from PIL import Image

from mnist_edge import cli
from mnist_edge.bundle.folder import open_bundle

pytestmark = pytest.mark.edge

CHEAP = ("recipes", "pack", "predict", "verify", "doctor", "report")


def first_block(verb: str) -> tuple[str, str]:
    """The command of a page's first console block, and what it shows."""
    page = (ROOT / "docs" / "commands" / f"{verb}.md").read_text()
    found = re.search(r"^```console\n\$ (.*?)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found
    return found[1], found[2]


@pytest.mark.parametrize("verb", CHEAP)
def test_a_block_has_the_columns_and_hints_of_today(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if verb in ("recipes", "report"):  # the one advises to train, the other draws
        pytest.importorskip("torch", reason="the pages are of a machine that trains")
    typed, shown = first_block(verb)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNIST_EDGE_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = tmp_path / "exports" / "model"
    shutil.copytree(ROOT / "exports" / "default", model)
    (model / "samples").mkdir()
    for digit in (3, 7):
        image = open_bundle(model).reference().images[digit]
        Image.fromarray(image).save(model / "samples" / f"{digit}.png")
    assert cli.main(typed.split()[1:]) == 0
    said = capfd.readouterr()
    now = console.forms(said.out + said.err)
    stale = console.forms(shown) - now
    assert not stale, f"{stale}, but today {now}: run make console"
    assert console.forms(shown) or verb in ("predict", "report")


def test_a_changed_column_and_a_changed_hint_are_another_form() -> None:
    block = (
        "artifact      digits  kB\nonnx-float32  all     107.5\nnext: mnist-edge bench  (to x)\n"
    )
    assert console.forms(block) == {"artifact | digits | kB", "next: mnist-edge bench  (to x)"}
    assert console.forms(block.replace("digits", "source")) != console.forms(block)
    assert console.forms(block.replace("107.5", "85.2")) == console.forms(block)


# --- the wording of every block, held against the strings of the code ----------------------------

BLOCKS = [
    (page.stem, block)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
]
TREES = [ast.parse(path.read_text()) for path in (ROOT / "mnist_edge").rglob("*.py")]
FILLED = "\0"
# What stands in a line because of the run: the machine, the recipe, the data.
VALUES = {"AMD", "EPYC", "Intel", "Xeon", "Processor", "Linux", "CPython", "cpu", "auto", "mnist"}
VALUES |= {"quick", "sprint", "large", "compact", "device", "PICTURE", "AzureExecutionProvider"}


def strings(tree: ast.AST) -> Iterator[str]:
    """Every string of a module but its docstrings, with a mark where a value is filled in."""
    parts = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for value in node.values
    }
    parts |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            pieces = [v.value if isinstance(v, ast.Constant) else FILLED for v in node.values]
            yield "".join(map(str, pieces))
        elif isinstance(node, ast.Constant) and id(node) not in parts:
            yield node.value if isinstance(node.value, str) else ""


SAID = "\n".join(text for tree in TREES for text in strings(tree))


def phrases(line: str) -> Iterator[list[str]]:
    """The words of a line that the code must hold side by side: between signs and values."""
    for part in re.split(r"[,;:()]+(?:\s|$)|\s{2,}|\s[–-]\s|[()]", line):
        words: list[str] = []
        for word in part.split():
            if re.search(r"[\d/.~=]|\w-\w", word) or word in VALUES or not re.search(r"\w", word):
                yield words
                words = []
            else:
                words.append(word)
        yield words


def spelled(word: str) -> str:
    """A pattern of a word, whose plural may be filled in."""
    return re.escape(word[:-1]) + f"(?:s|{FILLED})" if word.endswith("s") else re.escape(word)


@cache
def is_said(first: str, then: str) -> bool:
    """Whether the code holds two words side by side, or could: a value ends between them."""
    a, b = spelled(first), spelled(then)
    known = all(re.search(rf"(?<!\w){word}(?!\w)", SAID) for word in (a, b))
    beside = rf"(?<!\w){a}[ \n{FILLED}]+{b}(?!\w)"
    ends = rf"(?<!\w){a}[,;:]? ?(?:{FILLED}|$)|(?:^|{FILLED})[,;:]? ?{b}(?!\w)"
    return known and bool(re.search(rf"{beside}|{ends}", SAID, re.MULTILINE))


def stale_wording(block: str) -> list[str]:
    """The lines of a block with words that the program does not say now."""
    return [
        line
        for line in block.splitlines()
        if not line.startswith("$ ")
        and not all(is_said(*pair) for words in phrases(line) for pair in pairwise(words))
    ]


def columns() -> list[list[str]]:
    """The heads of every table of the program, as patterns."""
    return [
        [_head(head) for head in _flat(keyword.value)]
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "headers"
    ]


def _flat(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple):
        yield from _flat(node.value)
    elif isinstance(node, ast.Tuple):
        for part in node.elts:
            yield from _flat(part)
    else:
        yield node


def _head(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=text):
            return re.escape(str(text))
        case ast.JoinedStr(values=parts):
            return "".join(map(_head, parts))
        case ast.Starred(value=ast.GeneratorExp(elt=cell)):
            return rf"{_head(cell)}(?: \| {_head(cell)})*"
        case ast.Starred():
            return ".*"
        case _:
            return "[^|]*"


def stale_columns(block: str) -> list[str]:
    """The heads of tables in a block that no table of the program has now."""
    known = [" \\| ".join(heads) for heads in columns()]
    shown = [form for form in console.forms(block) if not form.startswith("next: ")]
    return [form for form in shown if not any(re.fullmatch(heads, form) for heads in known)]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_a_block_says_what_the_program_would_say_today(page: str, block: str) -> None:
    assert stale_wording(block) == [], f"run make console, for {page}"
    assert stale_columns(block) == [], f"run make console, for {page}"


def test_a_changed_word_and_a_changed_column_of_any_verb_are_found() -> None:
    for _, block in BLOCKS:
        spoken = [line for line in block.splitlines() if re.search(r"[a-z]{4,} [a-z]{4,}", line)]
        for line in spoken[:3]:
            if not line.startswith("$ "):
                other = re.sub(r"([a-z]{4,}) ([a-z]{4,})", r"\1 zounds \2", line, count=1)
                assert stale_wording(other) == [other]
    head = "artifact/device  p50 µs  range seen  time  p99 µs  MB  kB\n"
    assert stale_columns(head) == [
        "artifact/device | p50 µs | range seen | time | p99 µs | MB | kB"
    ]
