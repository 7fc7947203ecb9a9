"""Build the documentation: the pages of docs/ and beside it, with both references generated.

python tools/pages.py          builds build/site, and fails on a link that leads nowhere
python tools/pages.py --stage  only lays the pages together, in build/pages

The pages are laid together as they lie in the repository, so that a link holds in both places.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mnist_edge
from mnist_edge.cli.help import sections_of
from mnist_edge.cli.typed import load_verb

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build" / "pages"
# What pages stand in, and what they link to.
SHOWN = (
    *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"),
    *("CITATION.cff", "LICENSE", "docs", "examples", "benchmarks/README.md"),
    *("benchmarks/on-a-device.md", "benchmarks/results"),
)
_MARK = re.compile(r"^<!-- (options|python)(?:: ([\w-]+))? -->$", re.MULTILINE)
_SECTIONS = ("Args:", "Attributes:", "Raises:", "Returns:", "Yields:")


def main() -> int:
    """Lay the pages together and build them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", action="store_true", help="build nothing")
    arguments = parser.parse_args()
    stage(STAGE)
    if arguments.stage:
        return 0
    build = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    # It warns of a future version of its own at each build, at length.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(build, cwd=ROOT, env=environment, check=False).returncode


def stage(folder: Path) -> None:
    """Copy what is shown into an empty folder, with the references in their places."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in SHOWN:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for page in folder.rglob("*.md"):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """A page with each reference where its mark stands."""
    return _MARK.sub(lambda mark: _reference(mark[1], mark[2]), text)


def _reference(kind: str, name: str | None) -> str:
    if kind == "options":
        assert name is not None
        return options_table(name)
    return "\n\n".join(entry(public) for public in sorted(mnist_edge.__all__, key=str.casefold))


def options_table(verb: str) -> str:
    """Every argument and option of a verb, as its help says it."""
    command = load_verb(verb)
    lines = []
    context = command.make_context(
        verb, [], resilient_parsing=True, help_option_names=["-h", "--help"]
    )
    for title, rows in sections_of(command, context).items():
        lines += [f"**{title}**", "", "| option | what it does |", "|---|---|"]
        lines += [f"| {_cell(f'`{name}`')} | {_cell(text)} |" for name, text in rows]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def entry(name: str) -> str:
    """What the Python reference says of a public name."""
    value = getattr(mnist_edge, name)
    lines = [f"### {name}", ""]
    if callable(value):
        lines += ["```text", f"{name}{_signature(value)}", "```", ""]
    text = inspect.getdoc(value) if not isinstance(value, dict) else "The recipes, by name."
    lines.append(_prose(text or ""))
    if inspect.isclass(value):
        lines += [_method(value, method) for method in _methods(value)]
    return "\n".join(lines)


def _signature(value: object) -> str:
    assert callable(value)
    try:
        signature = inspect.signature(value)
    except ValueError:
        return "(...)"
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    shown = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return re.sub(r"<?(?:function )?<?lambda>? at 0x\w+>|<function (\w+) at 0x\w+>", r"\1", shown)


def _methods(kind: type) -> list[str]:
    """The public methods that a class defines itself, and says something of."""
    return [
        name
        for name, value in vars(kind).items()
        if (not name.startswith("_") or name == "__call__")
        and (inspect.isroutine(value) or isinstance(value, property | classmethod))
        and inspect.getdoc(getattr(kind, name))
    ]


def _method(kind: type, name: str) -> str:
    (first, *_) = (inspect.getdoc(getattr(kind, name)) or "").split("\n\n")
    shown = "(picture)" if name == "__call__" else f".{name}"
    return f"\n- `{shown}`: {' '.join(first.split())}"


def _prose(text: str) -> str:
    """A docstring as Markdown: its sections become lists."""
    lines = []
    for line in text.splitlines():
        if line.strip() in _SECTIONS:
            lines += ["", f"**{line.strip(': ')}**", ""]
        elif found := re.match(r"^ {4}([\w, ]+): (.*)", line):
            lines.append(f"- `{found[1]}`: {found[2]}")
        else:
            lines.append(line.strip() and (f"  {line.strip()}" if line[:1] == " " else line))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
