"""The command line as a process of its own, which ends without taking the interpreter apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import draw

pytestmark = pytest.mark.edge

COMMAND = (sys.executable, "-m", "mnist_edge")


def ended(
    *words: str, command: tuple[str, ...] = COMMAND, out: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [*command, *words],
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=100,
    )


def test_nothing_that_was_said_is_lost(tmp_path: Path) -> None:
    draw(7).save(tmp_path / "7.png")
    (tmp_path / "8.png").write_bytes(b"no picture")
    names = [str(tmp_path / name) for name in ("7.png", "8.png")]
    done = ended("predict", *names, "--json")
    assert done.returncode == 2
    assert [answer["picture"] for answer in json.loads(done.stdout)["answers"]] == names
    assert done.stderr.splitlines()[-1].startswith(f"mnist-edge: error: {names[1]} is not")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device on this system")
def test_a_full_disk_is_still_told(tmp_path: Path) -> None:
    draw(7).save(tmp_path / "7.png")
    with Path("/dev/full").open("w") as full:
        done = ended("predict", str(tmp_path / "7.png"), "--quiet", out=full.fileno())
    assert done.returncode == 2
    assert "cannot write: No space left on device" in done.stderr


def test_who_watches_the_process_sees_its_end() -> None:
    done = ended("--version", command=(sys.executable, "-m", "cProfile", *COMMAND[1:]))
    assert done.stdout.startswith("mnist-edge ")
    assert "function calls" in done.stdout


def test_a_verb_that_loads_more_ends_as_any_program(tmp_path: Path) -> None:
    # What is to be done at its end, a pool of processes waits for.
    script = (
        "import atexit, multiprocessing, sys\n"
        "from mnist_edge.__main__ import main\n"
        "atexit.register(print, 'at the end')\n"
        "sys.argv = ['mnist-edge', '--version']\n"
        "sys.exit(main())\n"
    )
    done = ended(command=(sys.executable, "-c", script))
    assert done.stdout.splitlines()[-1] == "at the end"
