"""Command lines that nobody should type, over surroundings that are not as they should be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from attack.cases import Case
from attack.ground import BUNDLE

_ONE = ("predict", "one.png")
_VERIFY = ("verify", "--bundle", BUNDLE, "--artifact", "onnx-float32")


def _pipe(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / name)

    return make


def _link(name: str, target: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)

    return make


def _folder(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).mkdir(parents=True)


_REFUSED: tuple[tuple[str, ...], ...] = (
    ("nothing",),
    ("--unknown",),
    ("predict",),
    ("predict", "none.png"),
    ("predict", "x" * 5000),
    ("predict", "/dev/zero"),
    ("predict", "/dev/stdout"),
    ("predict", "/proc/self/mem"),
    (*_ONE, "--bundle", "none"),
    (*_ONE, "--bundle", "one.png"),
    (*_ONE, "--bundle", "/dev/zero"),
    (*_ONE, "--bundle", ""),
    (*_ONE, "--bundle", BUNDLE, "--artifact", "../onnx-float32"),
    (*_ONE, "--bundle", BUNDLE, "--artifact", ""),
    (*_ONE, "--bundle", BUNDLE, "--artifact", "\x1b[31m"),
    (*_ONE, "--bundle", BUNDLE, "--top", "0"),
    (*_ONE, "--bundle", BUNDLE, "--top", "9" * 5000),
    (*_ONE, "--bundle", BUNDLE, "--batch-size", "0"),
    (*_ONE, "--bundle", BUNDLE, "--batch-size", "nan"),
    (*_ONE, "--bundle", BUNDLE, "--threads", "-1"),
    (*_ONE, "--bundle", BUNDLE, "--threads", "1000000000"),
    (*_ONE, "--bundle", BUNDLE, "--device", "cuda"),
    (*_ONE, "--bundle", BUNDLE, "--key", "none.pub"),
    (*_ONE, "--bundle", BUNDLE, "--key", "/dev/zero"),
    (*_ONE, "--bundle", BUNDLE, "--key", "."),
    (*_ONE, "--bundle", BUNDLE, "--key", "one.png"),
    (*_ONE, "--bundle", BUNDLE, "--key", "ssh-rsa AAAA"),
    (*_ONE, "--bundle", BUNDLE, "--key", "ssh-ed25519 " + "A" * 100_000),
    (*_ONE, "--bundle", BUNDLE, "--not-before", "1"),
    (*_ONE, "--bundle", BUNDLE, "--not-before", "-1"),
    (*_ONE, "--bundle", BUNDLE, "--save-input", "one.png"),
    (*_ONE, "--bundle", BUNDLE, "--csv", "--json"),
    ("doctor", "none.onnx"),
    ("doctor", "/dev/zero"),
    ("doctor", "."),
    ("doctor", "one.png"),
    ("doctor", "maker.pub"),
    ("doctor", "--bundle", BUNDLE, "--artifact", "onnx-float64"),
    ("verify", "--bundle", BUNDLE, "--artifact", "none"),
    ("verify", "--bundle", BUNDLE, "--out", "/dev/null"),
    ("verify", "--bundle", BUNDLE, "--out", "/proc/none"),
    ("verify", "--bundle", BUNDLE, "--out", "x" * 300),
    ("verify", "--bundle", BUNDLE, "--data-dir", "/dev/zero"),
    ("bench", "--bundle", BUNDLE, "--duration", "nan"),
    ("bench", "--bundle", BUNDLE, "--duration", "-1"),
    ("bench", "--bundle", BUNDLE, "--duration", "1e308"),
    ("bench", "--bundle", BUNDLE, "--batch-sizes", "0"),
    ("bench", "--bundle", BUNDLE, "--processes", "0"),
    ("bench", "--bundle", BUNDLE, "--compare", "/dev/zero", "--from", "/dev/zero"),
    ("bench", "--from", "one.png", "--compare", "one.png"),
    ("bench", "--from", f"{BUNDLE}/manifest.json", "--compare", f"{BUNDLE}/manifest.json"),
    ("export", "--bundle", BUNDLE, "--out", "one.png"),
    ("export", "--bundle", BUNDLE, "--out", "/proc/none"),
    ("export", "--bundle", BUNDLE, "--format", "exe"),
    ("export", "--bundle", BUNDLE, "--opset", "99"),
    ("export", "--bundle", BUNDLE, "--precision", "int2"),
    ("pack", "--bundle", BUNDLE, "--out", "one.png"),
    ("pack", "--bundle", BUNDLE, "--out", BUNDLE),
    ("pack", "--bundle", BUNDLE, "--out", "/proc/none"),
    ("sign", "--bundle", BUNDLE, "--key", "none"),
    ("sign", "--bundle", BUNDLE, "--key", "-oProxyCommand=touch struck"),
    ("sign", "--bundle", BUNDLE, "--key", "one.png"),
    ("sign", "--bundle", BUNDLE, "--key", "maker.pub", "--serial", "-1"),
    ("report", "--bundle", BUNDLE, "--out", "/dev/null"),
    ("report", "--bundle", BUNDLE, "--bench", "/dev/zero"),
    ("report", "--bundle", BUNDLE, "--bench", "one.png"),
    ("report", "--bundle", BUNDLE, "--pictures", "one.png"),
    ("import", "/dev/zero", "--recipe", "small"),
    ("import", "one.png", "--recipe", "small"),
    ("import", ".", "--recipe", "small"),
    ("import", "one.png", "--recipe", "none"),
    ("train", "--widths", "4097"),
    ("train", "--epochs", "99999999999"),
    ("train", "--learning-rate", "nan"),
    ("train", "--learning-rate", "inf"),
    ("train", "--reject-below", "nan"),
    ("train", "--reject-below", "inf"),
    ("train", "--seed", "-1"),
    ("train", "--teacher", "/dev/zero"),
    ("train", "--bundle", "one.png", "--data", "rendered"),
    ("train", "--resume", "--bundle", BUNDLE),
    ("run", "--recipe", ""),
    ("recipes", "one"),
)

_PREPARED: tuple[tuple[str, tuple[str, ...], Callable[[Path], None]], ...] = (
    ("a pipe for a picture", ("predict", "p.png", "--bundle", BUNDLE), _pipe("p.png")),
    ("a pipe in a folder", ("predict", "pipes", "--bundle", BUNDLE), _pipe("pipes/p.png")),
    ("a pipe for a model", (*_ONE, "--model", "p.onnx"), _pipe("p.onnx")),
    ("a pipe for a manifest", (*_ONE, "--bundle", "new"), _pipe("new/manifest.json")),
    ("a pipe for a key", (*_ONE, "--bundle", BUNDLE, "--key", "p.pub"), _pipe("p.pub")),
    ("a pipe for weights", ("import", "p.pth", "--recipe", "small"), _pipe("p.pth")),
    ("a pipe for a report", ("report", "--bundle", BUNDLE, "--bench", "p.json"), _pipe("p.json")),
    ("a pipe to compare", ("bench", "--from", "p.json", "--compare", "p.json"), _pipe("p.json")),
    ("a pipe for a page", ("report", "--bundle", BUNDLE, "--out", "p.html"), _pipe("p.html")),
    ("a pipe for a file", ("doctor", "p.ort"), _pipe("p.ort")),
    ("a pipe for MNIST", (*_VERIFY, "--data-dir", "d"), _pipe("d/t10k-images-idx3-ubyte")),
    ("a link to itself", ("predict", "l.png", "--bundle", BUNDLE), _link("l.png", "l.png")),
    ("a link to a device", ("predict", "l.png", "--bundle", BUNDLE), _link("l.png", "/dev/zero")),
    ("a link for a bundle", (*_ONE, "--bundle", "l"), _link("l", "/dev")),
    ("a folder for a page", ("report", "--bundle", BUNDLE, "--out", "f"), _folder("f")),
    ("a folder for a manifest", (*_ONE, "--bundle", "new"), _folder("new/manifest.json")),
)  # fmt: skip

_TAKEN: tuple[tuple[str, ...], ...] = (
    (*_ONE, "--bundle", BUNDLE, "--batch-size", "100000"),
    ("predict", "", "--bundle", BUNDLE),
    ("predict", "pictures", "--bundle", BUNDLE, "--threads", "4"),
    (*_ONE, "--bundle", BUNDLE, "--save-input", "new/folder"),
    ("--version",),
    ("help",),
)


def command_lines() -> Iterator[Case]:
    """Each is refused in one line, but for a few that are odd and right."""
    for words in _REFUSED:
        yield Case(kind="command lines", name=f"{' '.join(words)!r:.70}", words=words)
    for name, words, prepare in _PREPARED:
        may_pass = "MNIST" in name or "in a folder" in name
        yield Case(kind="command lines", name=name, words=words, prepare=prepare, may_pass=may_pass)
    for words in _TAKEN:
        yield Case(
            kind="command lines", name=f"{' '.join(words)!r:.70}", words=words, may_pass=True
        )
