"""Accuracy and training time of the named recipes, each over several seeds.

    python benchmarks/accuracy.py quick sprint --seeds 5
    python benchmarks/accuracy.py large --seeds 5 --jobs 2 --keep FOLDER --keep-all

One JSON line a run goes to results/accuracy.jsonl as it ends; a run that already stands there
(same recipe to the last field, same seed) is not repeated, so the campaign may be stopped at any
time and goes on where it was. It is repeated where the line lacks the digits that were named
wrongly, or a bundle is to be kept that is not there; the new line then counts. Every run is a
fresh process. Its seconds are wall time from the cached raw files of MNIST to the final weights:
reading included, imports and measuring not; those of several jobs at once are not comparable, and
the line says so. The test set is read once, after the last step; nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from runs import RUNS, TrainingRun, latest, parse, read_runs

from mnist_edge.contract import Logits
from mnist_edge.data.mnist import DataSet
from mnist_edge.machine import describe_machine, keep_memory, library_versions, usable_threads
from mnist_edge.recipes.catalogue import RECIPES, train_recipe
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.render.published import recipe_digest


def main() -> None:
    options = _options()
    if options.one is not None:
        recipe = replace(train_recipe(options.recipes[0]), seed=options.one)
        print(train(recipe, options).line, end="")
    else:
        campaign(options)


def campaign(options: argparse.Namespace) -> None:
    """Run what is wanted and not done, `options.jobs` trainings at a time."""
    jobs = missing(options.recipes, options, latest(read_runs()))
    failed = False
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(partial(_run_apart, *job, options)): job for job in jobs}
        try:
            for future in as_completed(running):
                name, seed = running[future]
                try:
                    run = future.result()
                except subprocess.CalledProcessError as error:
                    print(f"{name} seed {seed} ended with {error.returncode}", file=sys.stderr)
                    failed = True
                    continue
                with RUNS.open("a") as stream:
                    stream.write(run.line)
                note = "" if run.timed_alone else ", not alone"
                print(
                    f"{name} seed {seed}: {run.accuracy:.2%} in {run.seconds:.1f} s{note}",
                    flush=True,
                )
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    raise SystemExit(failed)


def missing(
    names: list[str], options: argparse.Namespace, done: list[TrainingRun]
) -> list[tuple[str, int]]:
    """The recipes and seeds that are to be trained: seed by seed, so that all recipes grow."""
    recorded = {run.key for run in done if run.wrong is not None}
    return [
        (name, seed)
        for seed in range(options.seeds)
        for name in names
        if (recipe_digest(train_recipe(name)), seed, options.device) not in recorded
        or not all(path.exists() for path in _kept(name, seed, options))
    ]


def _kept(name: str, seed: int, options: argparse.Namespace) -> list[Path]:
    """The folder for the bundle of a run, if it is to be kept."""
    if options.keep is None or not (seed == 0 or options.keep_all):
        return []
    return [options.keep / (name if seed == 0 else f"{name}-{seed}")]


def _run_apart(name: str, seed: int, options: argparse.Namespace) -> TrainingRun:
    command = [sys.executable, __file__, name, "--one", str(seed), "--device", options.device]
    command += ["--jobs", str(options.jobs), "--threads", str(options.threads)]
    for path in _kept(name, seed, options):
        command += ["--keep", str(path)]
    return parse(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def train(recipe: TrainRecipe, options: argparse.Namespace) -> TrainingRun:
    """Train once in this process, and describe it."""
    import torch._dynamo  # noqa: F401  (imports are not timed; the first optimizer asks for it)

    from mnist_edge.data.obtain import obtain_data
    from mnist_edge.metrics import cross_entropy
    from mnist_edge.models import count_multiply_adds, count_parameters
    from mnist_edge.train.fit import choose_device, evaluate, fit
    from mnist_edge.train.write import write_bundle

    running = running_processes()
    started = time.perf_counter()
    data = obtain_data("mnist", None)
    loading_s = time.perf_counter() - started
    keep_memory()
    fitted = fit(
        recipe,
        data,
        device=choose_device(options.device),
        threads=options.threads,
        evaluate_epochs=False,
    )
    running = max(running, running_processes())
    if options.keep:
        write_bundle(
            options.keep,
            recipe,
            data,
            fitted.model,
            history=fitted.history,
            duration_s=fitted.duration_s,
            device=fitted.device,
        )
    logits = evaluate(fitted.model, data.test_images, "cpu")
    wrong = wrong_digits(logits, data)
    return TrainingRun(
        recipe=recipe.name,
        digest=recipe_digest(recipe),
        seed=recipe.seed,
        accuracy=1 - len(wrong) / len(data.test_labels),
        test_loss=cross_entropy(logits, data.test_labels),
        train_accuracy=fitted.history[-1].train_accuracy,
        seconds=round(loading_s + fitted.duration_s, 3),
        epochs=recipe.epochs,
        parameters=count_parameters(fitted.model),
        multiply_adds=count_multiply_adds(fitted.model),
        data=data.sha256,
        device=options.device,
        threads=options.threads,
        others_running=running,
        processor=describe_machine().processor,
        torch=library_versions()["torch"],
        jobs=options.jobs,
        wrong=wrong,
    )


def wrong_digits(logits: Logits, data: DataSet) -> tuple[int, ...]:
    """Which test digits logits (N, 10) name wrongly, ascending."""
    return tuple(np.flatnonzero(logits.argmax(axis=1) != data.test_labels).tolist())


def running_processes() -> int:
    """How many other processes want a core at this moment; 0 where it cannot be read."""
    loads = Path("/proc/loadavg")
    return int(loads.read_text().split()[3].partition("/")[0]) - 1 if loads.exists() else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), help="by default all")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--threads", type=int, help="of each; by default its share of the cores")
    parser.add_argument("--keep", type=Path, help="a folder for the bundles of seed 0")
    parser.add_argument("--keep-all", action="store_true", help="also of the other seeds")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.threads = options.threads or max(1, usable_threads() // options.jobs)
    return options


if __name__ == "__main__":
    main()
