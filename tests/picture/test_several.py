"""Many pictures read by several processes give what one gives, in the same order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn import draw

from mnist_edge.errors import BadInput
from mnist_edge.picture import Source, several
from mnist_edge.picture.several import Loaded, load_pictures

pytestmark = pytest.mark.edge


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Forty pictures of which the fifth is none."""
    found = [tmp_path / f"{number:02}.png" for number in range(40)]
    for number, path in enumerate(found):
        draw(number % 10, size=(60, 60), pen=6).save(path)
    found[4].write_text("no picture")
    return found


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start however little there is to read."""
    monkeypatch.setattr(several, "_LOOK_S", 0.0)
    monkeypatch.setattr(several, "_PAYS_S", -1.0)


def told(loaded: Iterator[Loaded]) -> list[object]:
    """What can be compared of each."""
    return [
        str(item)
        if isinstance(item, BadInput)
        else [(picture.pixels.tobytes(), picture.steps) for picture in item]  # type: ignore[union-attr]
        for item in loaded
    ]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("many", [False, True])
def test_several_processes_give_the_same_in_the_same_order(paths: list[Path], many: bool) -> None:
    alone = told(load_pictures(paths, many=many))
    assert told(load_pictures(paths, many=many, processes=2)) == alone
    assert sum(isinstance(item, str) for item in alone) == 1


def test_few_pictures_start_no_process(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "_load_apart", lambda *_: pytest.fail("it does not pay"))
    assert len(list(load_pictures(paths, many=False, processes=8))) == 40


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("task_s", "size"), [(0.0, several._FEWEST), (1e9, several._MOST)])
def test_a_task_has_more_of_quick_pictures_than_of_slow_ones(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, task_s: float, size: int
) -> None:
    sizes: list[int] = []

    def noted(sources: list[Path], load: object, processes: int, size: int) -> Iterator[Loaded]:
        sizes.append(size)
        return iter(())

    monkeypatch.setattr(several, "_load_apart", noted)
    monkeypatch.setattr(several, "_LOOK_S", 1e-9)  # at one picture
    monkeypatch.setattr(several, "_TASK_S", task_s)
    assert len(list(load_pictures(paths, many=False, processes=2))) == 1
    assert sizes == [size]


@pytest.mark.usefixtures("at_once")
def test_pictures_in_memory_are_read_here(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(several, "_load_apart", lambda *_: pytest.fail("they cannot be sent"))
    sources: list[Source] = [paths[0], np.zeros((60, 60), np.uint8), paths[1].read_bytes()]
    assert len(list(load_pictures(sources, many=False, processes=8))) == 3


@pytest.mark.usefixtures("at_once")
def test_a_process_that_dies_loses_no_picture(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = told(load_pictures(paths, many=False))
    monkeypatch.setattr(several, "_follow_parent", _die)
    assert told(load_pictures(paths, many=False, processes=2)) == alone


def _die() -> None:
    os._exit(9)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_process_outlives_the_one_that_asked(paths: list[Path]) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from mnist_edge.picture import several\n"
        "if __name__ == '__main__':\n"
        "    several._LOOK_S, several._PAYS_S = 0.0, -1.0\n"
        "    paths = [pathlib.Path(word) for word in sys.argv[1:]]\n"
        "    next(several.load_pictures(paths, many=False, processes=2))\n"
        "    os._exit(1)\n"
    )
    marked = os.environ | {"MNIST_EDGE_TEST_MARK": str(paths[0])}
    subprocess.run([sys.executable, "-c", script, *map(str, paths)], env=marked, check=False)
    until_s = time.monotonic() + 30
    while left := _marked(str(paths[0])):
        assert time.monotonic() < until_s, left
        time.sleep(0.05)


def _marked(mark: str) -> list[str]:
    """The processes whose environment has the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:  # it has ended, or is not ours
            continue
    return found
