"""Kills a training at random moments until it is through, and compares the weights' bits.

    python benchmarks/kill.py --kills 20        writes benchmarks/kill.json

A tiny recipe is trained once without a break. The same training is then started over and over,
killed by SIGKILL after a random time, and resumed; when the kills are used up it may end. The two
checkpoints must be the same bytes, and after each kill whatever bundle and state lie in the folder
must be whole.
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

from mnist_edge import codec
from mnist_edge.bundle import CHECKPOINT, MANIFEST, open_bundle
from mnist_edge.catalogue import train_recipe
from mnist_edge.rendered import rendered_data
from mnist_edge.storage import atomic_write
from mnist_edge.workflow import STATE, read_state, train_bundle

REPORT = Path(__file__).with_suffix(".json")
RECIPE = replace(train_recipe("sprint"), widths=(8, 16), epochs=40, batch_size=50)
# Long enough after the first step to fall into every part of an epoch and its writing.
KILL_AFTER_S = (0.0, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train)
        return
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole"), Path(scratch, "killed")
        train(whole)
        epochs = [interrupted(killed, rng.uniform(*KILL_AFTER_S)) for _ in range(arguments.kills)]
        train(killed)
        digests = [open_bundle(folder).artifact(CHECKPOINT).sha256 for folder in (whole, killed)]
    same = digests[0] == digests[1]
    report = {
        "claim": "a killed and resumed training ends bit-identical to an unbroken one",
        "recipe": RECIPE,
        "seed": arguments.seed,
        "kills": arguments.kills,
        "epochs_done_at_each_kill": epochs,
        "bit_identical": same,
    }
    atomic_write(REPORT, codec.dumps(report).encode())
    print(f"{arguments.kills} kills, at epochs {epochs}: bit-identical {same}")
    raise SystemExit(not same)


def train(folder: Path) -> None:
    """Train, or go on where the last one was killed."""
    data = rendered_data(600, 200, seed=0)
    print("ready", flush=True)
    train_bundle(RECIPE, data, folder, threads=1, resume=(folder / STATE).exists())


def interrupted(folder: Path, after_s: float) -> int:
    """Start a training, kill it, check what it left; the epochs that were safe by then."""
    command = [sys.executable, __file__, "--train", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(after_s)
        child.send_signal(signal.SIGKILL)
    if (folder / MANIFEST).exists():
        bundle = open_bundle(folder)
        for record in bundle.manifest.records:
            bundle.read(record)
    return safe_epochs(folder) if (folder / STATE).exists() else 0


def safe_epochs(folder: Path) -> int:
    """How many epochs the saved state holds."""
    import torch

    saved = torch.load(io.BytesIO(read_state(folder)), weights_only=True)
    return len(json.loads(saved["history"]))


if __name__ == "__main__":
    main()
