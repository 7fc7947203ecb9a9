"""The pages against the program: what they show exists, and what exists they show."""

from __future__ import annotations

import hashlib
import inspect
import re
import shlex
from pathlib import Path

import console
import pages
import picture
import pytest
import terminal
from factory import ROOT
from PIL import Image

import mnist_edge
from mnist_edge import cli
from mnist_edge.cli.typed import load_verb
from mnist_edge.cli.verbs import VERBS as LISTED
from mnist_edge.errors import MnistEdgeError
from mnist_edge.formats import FORMATS, exported_formats
from mnist_edge.recipes.catalogue import RECIPES

pytestmark = pytest.mark.edge

README = ROOT / "README.md"
# All that is read as documentation; the changelog speaks of versions that are gone.
SHOWN = (
    README,
    *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "benchmarks" / "README.md",
    ROOT / "benchmarks" / "on-a-device.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
)
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in SHOWN if path.exists()}
ALL = "\n".join(TEXTS.values())
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
# Options of scripts and of other programs that pages name.
OTHERS = {"--vs", "--expt-relaxed-constexpr"}


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shown_commands() -> list[str]:
    """Every `mnist-edge ...` line of a console block, and every one in running text."""
    shown = [line for block in blocks("console", ALL) for line in block.splitlines()]
    typed = [line.removeprefix("$ ") for line in shown if line.startswith("$ ")]
    typed += [line for block in blocks("sh", ALL) for line in block.splitlines()]
    typed += re.findall(r"`(mnist-edge [^`]+)`", ALL)
    parts = [part for line in typed for part in re.split(r" [|>] | && ", line)]
    return sorted({part for part in parts if part.startswith("mnist-edge ")})


@pytest.mark.parametrize("line", shown_commands())
def test_a_documented_command_exists_with_its_options(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    options = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    if words[0].startswith("-"):
        assert options <= GLOBAL
        return
    assert words[0] in {*VERBS, "VERB", "help"}
    if words[0] in VERBS:
        assert options <= VERBS[words[0]]


def test_an_option_in_running_text_exists() -> None:
    known = set().union(*VERBS.values()) | GLOBAL | OTHERS
    ours = "\n".join(text for name, text in TEXTS.items() if not name.startswith("benchmarks/"))
    named = set(re.findall(r"`(--[a-z][a-z-]*)[ `=]", ours))
    assert named
    assert named <= known


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_a_page_with_its_output_and_all_its_options(verb: str) -> None:
    page = TEXTS[f"docs/commands/{verb}.md"]
    (block, *_) = blocks("console", page)
    first, *output = block.splitlines()
    assert first.startswith(f"$ mnist-edge {verb}")
    assert output, "no output is shown"
    table = pages.filled(page)
    for option in VERBS[verb]:
        assert re.search(rf"[` ]{re.escape(option)}[` ,]", table), option


def test_the_table_of_formats_is_that_of_the_registry() -> None:
    table = TEXTS["docs/commands/export.md"].partition("What there is:\n\n")[2].partition("\n\n")[0]
    head, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    shown = {
        row[0].split("`")[1]: {
            precision.split("(")[0].strip(" `")
            for precision, cell in zip(head[-5:], row[1:], strict=True)
            if cell == "yes"
        }
        for row in rows
    }
    assert shown == {name: set(FORMATS[name].precisions) for name in exported_formats()}


def test_the_python_reference_has_every_public_name_with_what_is_said_of_it() -> None:
    page = pages.filled(TEXTS["docs/python.md"])
    for name in mnist_edge.__all__:
        described = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        value = getattr(mnist_edge, name)
        if not isinstance(value, dict):
            (first, *_) = (inspect.getdoc(value) or "").splitlines()
            assert first in described, name
    assert " at 0x" not in page


def test_the_readme_has_at_most_eight_kilobytes() -> None:
    assert len(README.read_bytes()) <= 8000


def test_the_lines_in_the_readme_are_those_of_the_pages() -> None:
    text = README.read_text()
    assert console.with_short(text) == text, "run python tools/console.py --short"


def test_the_terminal_in_the_pages_shows_what_they_say() -> None:
    lines = list(terminal.recorded())
    assert [line.split()[2] for line in lines if line.startswith("$ ")] == list(terminal.SHOWN)
    assert terminal.PICTURE.read_text() == terminal.drawn(lines), (
        "run python tools/console.py --short"
    )


def test_the_picture_in_the_readme_is_that_of_the_page_of_today() -> None:
    with Image.open(picture.PICTURE) as shown:
        digest = shown.info[picture.DIGEST]
    assert digest == hashlib.sha256(picture.PAGE.read_bytes()).hexdigest(), (
        "run python tools/picture.py"
    )


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"[\w./-]+\.md", contents.partition("\nnav:")[2]))
    linked = {
        (Path(name).parent / link.partition("#")[0]).as_posix()
        for name, text in TEXTS.items()
        for link in re.findall(r"\]\((?!https?:|#)([^)]+)", text)
    }
    reached = {_plain(link) for link in linked} | listed
    assert [name for name in TEXTS if name not in {*reached, "SECURITY.md"}] == []
    assert [name for name in listed if not (ROOT / name).exists()] == []


def _plain(path: str) -> str:
    """A path without its steps upwards."""
    parts: list[str] = []
    for part in Path(path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    typed = "\n".join([*blocks("console", ALL), *blocks("sh", ALL)])
    shown = set(re.findall(r"\bmake ([a-z]+)\b", typed)) | set(re.findall(r"`make ([a-z]+)", ALL))
    assert {"demo", "test", "docs"} <= shown <= targets


def test_every_recipe_and_exit_code_is_named() -> None:
    assert [name for name in RECIPES if not re.search(rf"(`|--recipe ){name}`", ALL)] == []
    codes = {MnistEdgeError.exit_code, 0, 1, cli.BUG_EXIT_CODE, 130, 143}
    assert [code for code in codes if f"| {code} |" not in ALL] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_is_linked_exists(name: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXTS[name])
    folder = (ROOT / name).parent
    assert [link for link in links if not (folder / link).exists()] == []


def test_the_messages_of_the_troubleshooting_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| `([^`]+)`", TEXTS["docs/troubleshooting.md"], re.MULTILINE)
    assert len(rows) >= 10
    code = "\n".join(path.read_text() for path in (ROOT / "mnist_edge").rglob("*.py"))
    said = " ".join(re.sub(r'"\s*f?"|[{]\w+[}]', " ", code).split())
    for row in rows:
        # The longest part that is the same for every file and package.
        fixed = max(re.split(r"\.\.\. ?|; |torchscript and pt2.*|torch |--key", row), key=len)
        assert " ".join(fixed.strip("`., :").split()) in said, row


@pytest.mark.slow
def test_every_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_edge.bundle.folder import open_bundle

    monkeypatch.chdir(tmp_path)
    Image.fromarray(open_bundle(ROOT / "exports" / "default").reference().images[7]).save(
        "seven.png"
    )
    found = blocks("python", ALL)
    assert found
    for block in found:
        exec(compile(block, "page", "exec"), {"__name__": "page"})
