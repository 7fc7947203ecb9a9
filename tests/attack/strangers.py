"""Nets of others for `import`: HDF5 and torch files, classes of Python; and forged web pages."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from dataclasses import replace

from attack.cases import Case
from attack.damage import damaged, forged
from attack.ground import BUNDLE, PICTURES, Ground
from mnist_edge.formats.web.page import put_together, take_apart

_NOWHERE = ("--bundle", "new", "--data", "mnist", "--data-dir", "none")
"""What could be read wants digits, which are not there: so nothing is taken."""

_CLASSES = {
    "that raises": "class Net(torch.nn.Module):\n    def __init__(self): raise SystemError('x')",
    "that ends": "import sys\nclass Net(torch.nn.Module):\n    def __init__(self): sys.exit(0)",
    "that dies": "import os\nclass Net(torch.nn.Module):\n    def __init__(self): os._exit(0)",
    "that wants more": "class Net(torch.nn.Module):\n    def __init__(self, size): pass",
    "that is none": "Net = 7",
    "of a damaged file": "class Net(",
    "that prints 20 MB": "print('x' * 20_000_000)\nNet = None",
}


def foreign_nets(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """Hostile files and damaged ones of every kind that `import` reads by what is in it."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "onnx", "h5py")):
        return
    import hostile_hdf5
    import hostile_torch
    import torch

    for name, make in hostile_hdf5.HOSTILE.items():
        yield _imported(name, ".keras" if "archive" in name else ".h5", make())
    for name, make in hostile_torch.HOSTILE.items():
        yield _imported(name, ".pth", make())
    weights = {"fc.weight": torch.zeros(10, 784), "fc.bias": torch.zeros(10)}
    good = {
        "w.h5": hostile_hdf5.keras(),
        "w.keras": hostile_hdf5.current(),
        "w.pth": hostile_torch.saved(weights),
    }
    for name, program in _CLASSES.items():
        yield Case(
            kind="nets of others",
            name=f"a class {name}",
            words=("import", "w.pth", "--architecture", "net.py:Net", *_NOWHERE),
            files={"w.pth": good["w.pth"], "net.py": f"import torch\n{program}\n".encode()},
        )
    for name, data in good.items():
        for other in ("w.onnx", "w.safetensors", *good):
            yield _imported(f"{name} as {other}", other[1:], data)
    for number in range(count):
        name = [*good][number % len(good)]
        data = damaged(good[name], [b"", bytes(8)], rng, near_ends=bool(number % 2))
        yield _imported(f"{name}, damaged, number {number}", name[1:], data)


def _imported(name: str, ending: str, data: bytes) -> Case:
    file = f"w{ending}"
    return Case(
        kind="nets of others", name=name, words=("import", file, *_NOWHERE), files={file: data}
    )


def web_pages(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """Pages with another engine, and with a net that is another: the manifest vouches for them."""
    files = [file for name, file in ground.artifacts.items() if name.startswith("web-")]
    for file in files:
        page = take_apart(ground.bundle[file])
        engines = {"none": b"", "the reader": page.reader, "one more part": page.engine + b"\0\4ab"}
        for name, engine in engines.items():
            data = put_together(replace(page, engine=engine))
            yield from _page(ground, file, f"{name} for an engine", data, may_pass=False)
        for number in range(count):
            net = damaged(page.net, [b"", page.reader], rng, near_ends=bool(number % 2))
            data = put_together(replace(page, net=net))
            yield from _page(ground, file, f"another net, number {number}", data, may_pass=True)


def _page(ground: Ground, file: str, name: str, data: bytes, *, may_pass: bool) -> Iterator[Case]:
    """In its bundle, which is another then; and alone, with the seal that was there."""
    artifact = next(known for known, place in ground.artifacts.items() if place == file)
    changed = forged(ground.bundle, {file: data})
    chosen = ("--bundle", BUNDLE, "--artifact", artifact)
    for words in (("predict", "one.png", *chosen), ("doctor", *chosen)):
        yield Case(
            kind="web pages",
            name=f"{file}, {name}, {words[0]}",
            words=words,
            files={f"{BUNDLE}/{n}": content for n, content in changed.items()},
            may_pass=may_pass and words[0] == "predict",  # a forger's net: what it answers is his
            answers=("predict", PICTURES, *chosen, "--json"),
        )
    yield Case(
        kind="web pages",
        name=f"{name}, alone",
        words=("predict", "one.png", "--model", "p.html"),
        files={"p.html": data},
    )
