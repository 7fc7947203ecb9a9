"""Whether the console blocks of the pages have the form that the program gives today."""

from __future__ import annotations

import re
import shutil
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
