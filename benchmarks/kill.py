"""Kills a training and an export at random moments, and looks at what they leave.

    python benchmarks/kill.py --kills 20        writes benchmarks/results/kill.json

A tiny recipe is trained once without a break. The same training is then started over and over,
killed by SIGKILL after a random time, and resumed; when the kills are used up it may end. The two
checkpoints must be the same bytes. Then exports over the bundle are killed, half as many, with one
opset and another in turn so that each has files to replace. After every kill the manifest must
name only files that are there and whole.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from runs import RESULTS

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.data.fonts import rendered_data
from mnist_edge.export import export_verified
from mnist_edge.recipes.catalogue import train_recipe
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.train.session import STATE, read_state, train_bundle

REPORT = RESULTS / "kill.json"
RECIPE = replace(train_recipe("sprint"), widths=(8, 16), epochs=400, batch_size=50)
# The first epoch ends after about 0.9 s, each further one 0.02 s later: some kills fall into the
# start, most into an epoch or the writing of its state, and all twenty before the last epoch.
KILL_TRAINING_AFTER_S = (0.8, 1.4)
# An export of four files takes a second or two, most of it before it writes.
KILL_EXPORT_AFTER_S = (0.5, 4.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--opset", type=int, default=18, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train)
        return
    if arguments.export:
        export(arguments.export, arguments.opset)
        return
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole"), Path(scratch, "killed")
        train(whole)
        epochs = []
        for _ in range(arguments.kills):
            interrupt(["--train", str(killed)], rng.uniform(*KILL_TRAINING_AFTER_S))
            check_whole(killed)
            epochs.append(safe_epochs(killed))
        train(killed)
        left = []
        for number in range(arguments.kills // 2):
            command = ["--export", str(killed), "--opset", str(18 + number % 2)]
            interrupt(command, rng.uniform(*KILL_EXPORT_AFTER_S))
            left.append(check_whole(killed))
        digests = [open_bundle(folder).artifact(CHECKPOINT).sha256 for folder in (whole, killed)]
    same = digests[0] == digests[1]
    report = {
        "claim": "a killed and resumed training ends bit-identical to an unbroken one",
        "recipe": RECIPE,
        "seed": arguments.seed,
        "kills": arguments.kills,
        "epochs_done_at_each_kill": epochs,
        "bit_identical": same,
        "artifacts_named_after_each_killed_export": left,
    }
    atomic_write(REPORT, codec.dumps(report).encode())
    print(f"{arguments.kills} kills, at epochs {epochs}: bit-identical {same}")
    print(f"{len(left)} killed exports: every manifest whole, naming {left} artifacts")
    raise SystemExit(not same)


def train(folder: Path) -> None:
    """Train, or go on where the last one was killed."""
    import_all()
    data = rendered_data(600, 200, seed=0)
    print("ready", flush=True)
    train_bundle(RECIPE, data, folder, threads=1, resume=(folder / STATE).exists())


def export(folder: Path, opset: int) -> None:
    """Export over what is there."""
    import_all()
    bundle = open_bundle(folder)
    print("ready", flush=True)
    export_verified(bundle, ExportRecipe(formats=("torchscript", "onnx"), opset=opset))


def import_all() -> None:
    """Import first what the work will ask for: seconds in which there is nothing to harm."""
    import mnist_edge.formats.source
    import mnist_edge.train.write  # noqa: F401


def interrupt(options: list[str], after_s: float) -> None:
    """Start this script with `options`, and kill it some time after it is ready."""
    with subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(after_s)
        child.send_signal(signal.SIGKILL)


def check_whole(folder: Path) -> int:
    """Read every file that the manifest names; how many artifacts there are."""
    if not (folder / MANIFEST).exists():
        return 0
    bundle = open_bundle(folder)
    for record in bundle.manifest.records:
        bundle.read(record)
    return len(bundle.manifest.artifacts)


def safe_epochs(folder: Path) -> int:
    """How many epochs the saved state holds; 0 where there is none yet."""
    import torch

    if not (folder / STATE).exists():
        return 0
    saved = torch.load(io.BytesIO(read_state(folder)), weights_only=True)
    return len(json.loads(saved["history"]))


if __name__ == "__main__":
    main()
