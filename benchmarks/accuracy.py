"""Accuracy and training time of the named recipes, each over several seeds.

    python benchmarks/accuracy.py quick sprint --seeds 5

One JSON line a run goes to benchmarks/accuracy.jsonl as it ends; a run that already stands there
(same recipe to the last field, same seed) is not repeated, so the campaign may be stopped at any
time and goes on where it was. Every run is a fresh process. Its seconds are wall time from the
cached raw files of MNIST to the final weights: reading included, imports and measuring not. The
test set is read once, after the last step; nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from mnist_edge.catalogue import RECIPES, train_recipe
from mnist_edge.figures import recipe_digest
from mnist_edge.machine import describe_machine, library_versions, usable_threads
from mnist_edge.recipes import DeviceChoice, TrainRecipe

RUNS = Path(__file__).with_name("accuracy.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), help="by default all")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", type=Path, help="a folder for the bundles of seed 0")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        recipe = replace(train_recipe(arguments.recipes[0]), seed=arguments.one)
        print(json.dumps(run(recipe, arguments.device, arguments.keep)))
        return
    done = {(line["digest"], line["seed"], line["device"]) for line in read_runs()}
    for seed in range(arguments.seeds):
        for name in arguments.recipes:
            if (recipe_digest(train_recipe(name)), seed, arguments.device) in done:
                continue
            command = [sys.executable, __file__, name, "--one", str(seed)]
            command += ["--device", arguments.device]
            if arguments.keep and seed == 0:
                command += ["--keep", str(arguments.keep / name)]
            line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            with RUNS.open("a") as stream:
                stream.write(line)
            found = json.loads(line)
            print(f"{name} seed {seed}: {found['accuracy']:.2%} in {found['seconds']:.1f} s")


def read_runs() -> list[dict[str, object]]:
    """Every run so far."""
    if not RUNS.exists():
        return []
    return [json.loads(line) for line in RUNS.read_text().splitlines()]


def run(recipe: TrainRecipe, device: DeviceChoice, keep: Path | None) -> dict[str, object]:
    """Train once, and describe it."""
    import torch._dynamo  # noqa: F401  (imports are not timed; the first optimizer asks for it)

    from mnist_edge.assembly import write_bundle
    from mnist_edge.data import load_mnist
    from mnist_edge.models import count_multiply_adds, count_parameters
    from mnist_edge.train import choose_device, fit

    threads = usable_threads()
    running = running_processes()
    started = time.perf_counter()
    data = load_mnist(None)
    loading_s = time.perf_counter() - started
    fitted = fit(
        recipe,
        data,
        device=choose_device(device),
        threads=threads,
        evaluate_epochs=False,
    )
    if keep:
        write_bundle(
            keep,
            recipe,
            data,
            fitted.model,
            history=fitted.history,
            duration_s=fitted.duration_s,
            device=fitted.device,
        )
    last = fitted.history[-1]
    versions = library_versions()
    return {
        "recipe": recipe.name,
        "digest": recipe_digest(recipe),
        "seed": recipe.seed,
        "accuracy": last.test_accuracy,
        "test_loss": last.test_loss,
        "train_accuracy": last.train_accuracy,
        "seconds": round(loading_s + fitted.duration_s, 3),
        "epochs": recipe.epochs,
        "parameters": count_parameters(fitted.model),
        "multiply_adds": count_multiply_adds(fitted.model),
        "data": data.sha256,
        "device": device,
        "threads": threads,
        "others_running": running,
        "processor": describe_machine().processor,
        "torch": versions["torch"],
    }


def running_processes() -> int:
    """How many other processes want a core at this moment; 0 where it cannot be read."""
    loads = Path("/proc/loadavg")
    return int(loads.read_text().split()[3].partition("/")[0]) - 1 if loads.exists() else 0


if __name__ == "__main__":
    main()
