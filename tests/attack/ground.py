"""What is attacked: a bundle with every format that can be made here, signed and not, and pictures.

All of it is as a stranger would have sent it: the list of what this user made is empty.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from drawn import draw
from factory import ROOT, TESTS
from signers import Signer, public_line, ssh_signature

from mnist_edge.bundle.manifest import MANIFEST, SIGNATURE
from mnist_edge.formats import FORMATS
from mnist_edge.recipes.terms import Format

MAKER = Signer(b"maker".ljust(32))
STRANGER = Signer(b"stranger".ljust(32))
SERIAL = 7

BUNDLE, SIGNED, FILES, PICTURES = "bundle", "signed", "files", "pictures"
KEY = ("--key", "maker.pub", "--not-before", str(SERIAL))

DATA = ("--data", "mnist", "--data-dir", os.environ.get("MNIST_EDGE_DATA", "none"))
"""Of what is imported nothing gets so far as to want digits, if it is hostile."""

_DRAWN = ((28, 28), (60, 60), (90, 140), (400, 300), (33, 77), (200, 200))


@dataclass(frozen=True)
class Ground:
    """A folder that every worker copies.

    Attributes:
        folder: with all of it.
        home: for the folders of a user.
    """

    folder: Path
    home: Path
    _known: dict[tuple[str, ...], tuple[int, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def listed(self) -> set[str]:
        """Every path in it."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    @cached_property
    def bundle(self) -> dict[str, bytes]:
        """The files of the bundle, by name, that its manifest names, and the manifest."""
        folder = self.folder / BUNDLE
        document = json.loads((folder / MANIFEST).read_text())
        names = {MANIFEST, *_named(document)}
        return {name: (folder / name).read_bytes() for name in sorted(names)}

    @cached_property
    def artifacts(self) -> dict[str, str]:
        """The file of each artifact, by its name."""
        document = json.loads(self.bundle[MANIFEST])
        return {entry["name"]: entry["file"] for entry in document["artifacts"]}

    def environment(self, folder: Path) -> dict[str, str]:
        """That of a command: folders of a user that hold nothing, and no data set."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith("MNIST_EDGE")}
        home = self.home / folder.name
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        return kept | {
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(TESTS))),
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_DATA_HOME": str(home / "data"),
            "TMPDIR": str(home / "tmp"),
            "ORT_DISABLE_TELEMETRY": "1",
            "NO_COLOR": "1",
        }

    def cost(self, words: tuple[str, ...]) -> int:
        """The memory that the same verb takes for what is good."""
        verb, *rest = words
        good = GOOD.get(verb, ("--version",))
        # With a test set at hand the checkpoint is run on it, which takes torch.
        if "--artifact" not in rest:  # of a whole bundle every runtime is loaded
            good = tuple(word for word in good if word not in _ONE)
        tested = verb == "verify" and DATA[-1] in rest
        return self._run((*good, *DATA[2:]) if tested else good)[0]

    def answers(self, words: tuple[str, ...]) -> str:
        """What a command says, as JSON, of what is good."""
        return self._run(words)[1]

    def _run(self, words: tuple[str, ...]) -> tuple[int, str]:
        from attack.pool import _command

        with self._lock:
            if words not in self._known:
                folder = self.home / "good" / str(len(self._known))
                shutil.copytree(self.folder, folder)
                outcome, said = _command(self, folder, words)
                self._known[words] = outcome.grown_bytes, said
                shutil.rmtree(folder)
            return self._known[words]


_TRAINING = ("train", "--recipe", "sprint", "--data", "rendered", "--bundle", "trained")

_ONE = ("--artifact", "onnx-float32")

GOOD: dict[str, tuple[str, ...]] = {
    "predict": ("predict", "one.png", "--bundle", BUNDLE),
    "doctor": ("doctor", "--bundle", BUNDLE, *_ONE),
    "verify": ("verify", "--bundle", BUNDLE, *_ONE, "--out", "out.json"),
    "pack": ("pack", "--bundle", BUNDLE, *_ONE, "--out", "packed"),
    "report": ("report", "--bundle", BUNDLE, "--out", "out.html"),
    "export": ("export", "--bundle", BUNDLE, "--out", "elsewhere", "--format", "onnx"),
    "import": (
        *("import", f"{BUNDLE}/checkpoint.safetensors", "--recipe", "small"),
        *("--bundle", "imported", *DATA),
    ),
    "bench": ("bench", "--quick", "--bundle", BUNDLE, *_ONE),
    "train": _TRAINING,
    "run": _TRAINING,  # which is the first of what it does
}
"""A command of each verb that ends well on the ground."""


def make_ground(folder: Path, home: Path, *, formats: Iterable[Format] | None = None) -> Ground:
    """Make the ground, with the formats that are asked for or all that can be made and run here.

    Args:
        folder: that holds nothing yet.
        home: for the folders of a user.
        formats: besides those that are shipped.
    """
    shutil.copytree(ROOT / "exports" / "default", folder / BUNDLE)
    ground = Ground(folder, home)
    _export(ground, formats_here() if formats is None else formats)
    for lock in folder.rglob(".lock"):
        lock.unlink()
    shutil.copytree(folder / BUNDLE, folder / SIGNED)
    text = (folder / SIGNED / MANIFEST).read_bytes()
    signature = ssh_signature(MAKER, text, namespace=f"mnist-edge/{SERIAL}")
    (folder / SIGNED / SIGNATURE).write_text(signature)
    (folder / "maker.pub").write_text(public_line(MAKER))
    (folder / "stranger.pub").write_text(public_line(STRANGER))
    (folder / FILES).mkdir()
    for name in ground.bundle:
        if name.startswith(tuple(FORMATS)):
            shutil.copyfile(folder / BUNDLE / name, folder / FILES / name)
    _draw(folder)
    return ground


def formats_here() -> tuple[Format, ...]:
    """What can be exported, and run afterwards, with the packages that are installed."""
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError:
        return ()
    return tuple(name for name, known in FORMATS.items() if known.precisions and not known.absent())


def _export(ground: Ground, formats: Iterable[Format]) -> None:
    wanted = [option for name in formats for option in ("--format", name)]
    if not wanted:
        return
    command = [sys.executable, "-m", "mnist_edge", "export", "--bundle", BUNDLE, "--no-verdict"]
    precisions = ["--precision", "float32", "--precision", "int8"]
    maker = ground.home / "maker"  # whose list of what he made is not that of who gets it
    done = subprocess.run(
        [*command, *wanted, *precisions], cwd=ground.folder, env=ground.environment(maker),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _draw(folder: Path) -> None:
    (folder / PICTURES).mkdir()
    for digit in range(10):
        for size in _DRAWN:
            name = f"{digit}-{size[0]}x{size[1]}.png"
            draw(digit, size=size, pen=max(2, min(size) // 14)).save(folder / PICTURES / name)
    buffer = io.BytesIO()
    draw(7, size=(60, 60), pen=5).save(buffer, "PNG")
    (folder / "one.png").write_bytes(buffer.getvalue())


def _named(document: object) -> set[str]:
    """Every file that a manifest names."""
    if isinstance(document, dict):
        own = {document["file"]} if "sha256" in document and "file" in document else set()
        return own.union(*(_named(value) for value in document.values()))
    if isinstance(document, list):
        return set().union(*map(_named, document))
    return set()
