"""Make the console blocks of the documentation from real runs, all on one machine in one go.

python tools/console.py          runs every command that a block shows, and rewrites the blocks
python tools/console.py --forms  runs them on drawn digits with the shortest training, and says
                                 which block has other columns or hints today; exits 1 if one has
python tools/console.py --short  only takes over what the pages show, into the README and the
                                 picture of a terminal

The commands run in a folder of their own, in the order of `PAGES`; what the first ones write the
later ones read.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import terminal

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(
    ROOT / "docs" / f"{page}.md"
    for page in (
        *("commands/run", "commands/train", "commands/recipes", "commands/import", "your-own-net"),
        *("commands/export", "commands/verify", "commands/bench", "commands/sign"),
        *("commands/report", "commands/doctor", "commands/pack", "commands/predict"),
    )
)
README = ROOT / "README.md"
MACHINE = ROOT / "docs" / "commands" / "index.md"
# Of five verbs, the line of their output that the README shows.
SHORT = {
    "train": "test accuracy",
    "export": r"onnx-int8 .*\.onnx",
    "verify": "onnx-int8 .*test set",
    "bench": ".* is the fastest",
    "predict": r".*: \d  ",
}
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MADE = re.compile(r"(?<=<!-- made on -->)[^\n]*")


def main() -> int:
    """Rewrite the blocks, or say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forms", action="store_true", help="write nothing")
    parser.add_argument("--short", action="store_true", help="only take over what pages show")
    arguments = parser.parse_args()
    if arguments.short:
        take_over()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder), quick=arguments.forms)
        if arguments.forms:
            stale = [complaint for page in PAGES for complaint in desk.complaints(page)]
            print("\n".join(stale) or "no block is stale", file=sys.stderr)
            return bool(stale)
        for page in PAGES:
            page.write_text(_BLOCK.sub(desk.made, page.read_text()))
            print(f"wrote {page.relative_to(ROOT)}")
        take_over()
        MACHINE.write_text(_MADE.sub(f" {desk.machine()}.", MACHINE.read_text()))
    return 0


class Desk:
    """A folder in which commands are typed one after another.

    Args:
        folder: empty.
        quick: whether trainings are short ones on drawn digits, for the form of what is said alone.
    """

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self._folder, self._quick = folder, quick
        home = folder / "home"
        (home / ".ssh").mkdir(parents=True)
        key = home / ".ssh" / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self._environment = os.environ | {
            "HOME": str(home),
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
        }

    def made(self, block: re.Match[str]) -> str:
        """The block with what its command says now."""
        typed = block[1].splitlines()[0].removeprefix("$ ")
        return f"```console\n$ {typed}\n{self.type(typed)}```"

    def type(self, line: str) -> str:
        """What a command prints, as a terminal shows it.

        Raises:
            subprocess.CalledProcessError: it fails.
        """
        words = shlex.split(line.replace("~", str(self._folder / "home")))
        assert words[0] == "mnist-edge"
        self._bring(words)
        if self._quick and words[1] in ("run", "train", "import"):
            # The last of two recipes is taken; what `run` trains, `import` takes in.
            words += ["--recipe", "sprint", "--data", "rendered"]
        done = subprocess.run(
            [sys.executable, "-m", "mnist_edge", *words[1:]],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        # A machine that is slower than a minute ago is what that option is there to tell.
        if done.returncode > ("--fail-if-slower" in words):
            raise SystemExit(f"{line} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout.replace(str(self._folder / "home"), "~")

    def _bring(self, words: list[str]) -> None:
        """Lay ready what a command reads and none wrote: the net of somebody else."""
        if words[1] != "import":
            return
        made, wanted = self._folder / "exports" / "model", self._folder / words[2]
        if wanted.suffix == ".onnx":
            wanted.write_bytes(net_of_others((made / "onnx-float32.onnx").read_bytes()))
        else:
            shutil.copyfile(made / "checkpoint.safetensors", wanted)

    def machine(self) -> str:
        """The processor, as the blocks name it."""
        from mnist_edge.machine import describe_machine

        machine = describe_machine()
        return f"{machine.processor}, {machine.usable_threads} usable threads, {machine.system}"

    def complaints(self, page: Path) -> Iterator[str]:
        """Which blocks of a page have lines of another form than the same command gives now."""
        for block in _BLOCK.finditer(page.read_text()):
            typed, shown = block[1].split("\n", 1)
            now = forms(self.type(typed.removeprefix("$ ")))
            for form in sorted(forms(shown) - now):
                yield f"{page.relative_to(ROOT)}: {typed!r} shows {form!r}, which nothing says now"


def net_of_others(data: bytes) -> bytes:
    """Our ONNX file as others write them: it reads pixels less a mean, by a deviation."""
    import numpy as np
    from onnx import helper, load_model_from_string, numpy_helper

    model = load_model_from_string(data)
    del model.metadata_props[:]
    graph = model.graph
    theirs = graph.input[0].name
    for name, value in (("std", 0.3081), ("mean", 0.1307)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    for node in graph.node:
        node.input[:] = ["pixels" if name == theirs else name for name in node.input]
    graph.node.insert(0, helper.make_node("Mul", [theirs, "std"], ["spread"]))
    graph.node.insert(1, helper.make_node("Add", ["spread", "mean"], ["pixels"]))
    return bytes(model.SerializeToString())


def take_over() -> None:
    """Show in the README and in the picture of a terminal what the pages show."""
    README.write_text(with_short(README.read_text()))
    terminal.main()


def with_short(readme: str) -> str:
    """The README with one line of output for each of five verbs, out of their own pages."""
    lines = []
    for verb, shown in SHORT.items():
        page = ROOT / "docs" / "commands" / f"{verb}.md"
        block = _BLOCK.search(page.read_text())
        assert block
        typed, *output = block[1].splitlines()
        lines += [typed, next(line for line in output if re.match(shown, line))]
    return _BLOCK.sub("```console\n" + "\n".join(lines).replace("\\", r"\\") + "\n```", readme)


def forms(text: str) -> set[str]:
    """What stays of an output from run to run: the heads of its tables, and what comes next."""
    lines = text.splitlines()
    heads = {
        " | ".join(re.split(r"\s{2,}", line.strip()))
        for line in lines
        if re.match(r"(artifact|artifact/device|file|recipe|command|machine)(\s{2,}|$)", line)
    }
    return heads | {line for line in lines if line.startswith("next: ")}


if __name__ == "__main__":
    sys.exit(main())
