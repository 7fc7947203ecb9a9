"""Model files without their bundle: damaged ones of every format, and hostile graphs."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hostile_onnx import HOSTILE

from attack.cases import Case
from attack.damage import damaged
from attack.ground import DATA, FILES, PICTURES, Ground

_LOOSE = (".onnx", ".ort", ".tflite", ".param", ".bin", ".html")


def bare_files(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """One exported file, far from its manifest, is damaged."""
    contents = {path.name: path.read_bytes() for path in sorted((ground.folder / FILES).iterdir())}
    names = [name for name in contents if not name.endswith((".c", ".h"))]
    for number in range(count):
        name = names[number % len(names)]
        others = [content for other, content in contents.items() if other != name]
        data = damaged(contents[name], others, rng, near_ends=bool(number % 3))
        path = f"{FILES}/{name}".replace(".bin", ".param")
        loose = name.endswith(_LOOSE)
        words: tuple[str, ...] = ("predict", "one.png", "--model", path)
        if number // len(names) % 2 or not loose:
            words = ("doctor", path)
        yield Case(
            kind="bare files",
            name=f"{name}, number {number}, {words[0]}",
            words=words,
            files={f"{FILES}/{name}": data},
            may_pass=not loose,  # of what is a program only the golden vectors' place is looked at
            answers=("predict", PICTURES, "--model", path, "--json") if loose else (),
        )


def hostile_graphs() -> Iterator[Case]:
    """Graphs that ask for more than a picture is worth."""
    for name, make in HOSTILE.items():
        for words in (
            ("predict", "one.png", "--model", "g.onnx"),
            ("doctor", "g.onnx"),
            ("import", "g.onnx", "--bundle", "new", *DATA),
        ):
            yield Case(
                kind="graphs", name=f"{name}, {words[0]}", words=words, files={"g.onnx": make()}
            )
