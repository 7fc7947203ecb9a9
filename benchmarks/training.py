"""Seconds to 99.0 % and 99.4 % on MNIST: our recipes, the seeds' way, the usual example loop.

    python benchmarks/training.py                        writes results/training.json
    python benchmarks/training.py --sprint --before DIR  writes results/sprint.json

The second is of ten runs of `sprint` (seeds 0 to 9), as many of the version before, whose tree is
DIR, and two of the LeNet-like project's way.

The seeds' way is the LeNet-like net of the `lenet` recipe, trained as its project does: a
DataLoader that turns one digit after the other into a tensor, batches of 10, Adam, 5 epochs. The
example loop is that of PyTorch's own MNIST example: two convolutions, two dropouts, two linear
layers, Adadelta, batches of 64, normalised digit by digit.

Every run is a fresh process with all cores, in the interleaved order that the report tells.
Seconds are wall time from the cached raw files to the weights; imports and evaluation are left
out. A loop that is watched counts as done at the first epoch that reaches the line on the test
set, which favours it: ours stop at the end of their fixed schedule, whatever they reached.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runs import RESULTS

from mnist_edge.render.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor, nn

    from mnist_edge.data.mnist import DataSet

REPORT = RESULTS / "training.json"
SPRINT_REPORT = RESULTS / "sprint.json"
SPRINT, BEFORE, LENET = "sprint", "sprint-before", "lenet-dataloader"
OURS = (SPRINT, "quick")
THEIRS = (LENET, "pytorch-example")
PATIENCE_S = 200.0
"""A loop that has not reached 99.4 % by then is stopped after its epoch, and said to have not."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each of our recipes")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--sprint", action="store_true", help="sprint against the LeNet-like alone")
    parser.add_argument("--before", type=Path, help="the tree of the version before, for --sprint")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--run-seed", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(arguments.one, arguments.run_seed)))
        return
    if arguments.sprint:
        names = (SPRINT, BEFORE) if arguments.before else (SPRINT,)
        order = [(name, seed) for name in names for seed in range(10)]
        order += [(LENET, seed) for seed in range(2)]
    else:
        order = [(name, seed) for name in OURS for seed in range(arguments.repeats)]
        order += [(name, 0) for name in THEIRS]
    random.Random(arguments.seed).shuffle(order)
    rows = []
    for name, seed in order:
        rows.append(run_apart(name, seed, arguments.before))
        print(json.dumps(rows[-1]), flush=True)
        write_report(rows, order, arguments.seed, SPRINT_REPORT if arguments.sprint else REPORT)


def run_apart(name: str, seed: int, before: Path | None) -> dict[str, object]:
    """One training in a process of its own; of the version before in that version's tree."""
    tree = before if before and name == BEFORE else Path(__file__).parents[1]
    script = str(tree / "benchmarks" / "training.py")
    asked = ["--one", SPRINT if name == BEFORE else name, "--run-seed", str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    ended = subprocess.run(
        [sys.executable, script, *asked],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return {**json.loads(ended.stdout), "name": name}


def write_report(
    rows: list[dict[str, object]], order: list[tuple[str, int]], seed: int, path: Path
) -> None:
    """Written after every run: an interrupt loses one."""
    from mnist_edge.bundle import codec
    from mnist_edge.bundle.storage import atomic_write
    from mnist_edge.machine import describe_machine, library_versions

    report = {
        "machine": describe_machine(),
        "versions": library_versions(),
        "order": order,
        "seed": seed,
        "rows": rows,
    }
    atomic_write(path, codec.dumps(report).encode())


def run(name: str, seed: int) -> dict[str, object]:
    """One training in this process."""
    import torch
    import torch._dynamo  # imports are not timed; the first optimizer asks for it
    import torchvision  # noqa: F401

    from mnist_edge.data.obtain import obtain_data
    from mnist_edge.machine import usable_threads

    torch.set_num_threads(usable_threads())
    started = time.perf_counter()
    data = obtain_data("mnist", None)
    epochs = ours(name, seed, data) if name in OURS else theirs(name, seed, data, started)
    elapsed = time.perf_counter() - started
    return {
        "name": name,
        "seed": seed,
        "wall_s": elapsed,
        "epochs": [{"seconds": s - started, "accuracy": a} for s, a in epochs],
        "seconds": epochs[-1][0] - started,
        "accuracy": epochs[-1][1],
    }


def ours(name: str, seed: int, data: DataSet) -> list[tuple[float, float]]:
    """A recipe of ours: one line, at the end of its schedule."""
    from mnist_edge.machine import keep_memory, usable_threads
    from mnist_edge.recipes.catalogue import train_recipe
    from mnist_edge.train.fit import fit

    recipe = replace(train_recipe(name), seed=seed)
    started = time.perf_counter()
    keep_memory()
    fitted = fit(recipe, data, threads=usable_threads(), evaluate_epochs=False)
    return [(started + fitted.duration_s, fitted.history[-1].test_accuracy)]


class Loop(NamedTuple):
    """A training loop as another project writes it."""

    epochs: int
    batch_size: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    after_epoch: Callable[[], None]
    transform: Callable[[object], Tensor]


def theirs(name: str, seed: int, data: DataSet, started: float) -> list[tuple[float, float]]:
    """Another's loop: the moment and the accuracy after every epoch, evaluation left out."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.manual_seed(seed)
    loop = LOOPS[name]()
    digits: Dataset[tuple[Tensor, int]] = OneByOne(data, loop.transform)  # type: ignore[assignment]
    loader: DataLoader[tuple[Tensor, int]] = DataLoader(
        digits, batch_size=loop.batch_size, shuffle=True
    )
    lines: list[tuple[float, float]] = []
    evaluating = 0.0
    for _ in range(loop.epochs):
        loop.model.train()
        for images, labels in loader:
            loop.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(loop.model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            loop.optimizer.step()
        loop.after_epoch()
        ended = time.perf_counter()
        accuracy = evaluate(loop.model, data, loop.transform)
        lines.append((ended - evaluating, accuracy))
        evaluating += time.perf_counter() - ended
        if accuracy >= 0.994 or ended - evaluating - started > PATIENCE_S:
            break
    return lines


class OneByOne:
    """MNIST as torchvision serves it: each digit through PIL and the transforms by itself."""

    def __init__(self, data: DataSet, transform: Callable[[object], Tensor]) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data.train_labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        picture = Image.fromarray(self.data.train_images[index])
        return self.transform(picture), int(self.data.train_labels[index])


def evaluate(model: nn.Module, data: DataSet, transform: Callable[[object], Tensor]) -> float:
    """Accuracy on the test set, with the loop's own transform."""
    import torch
    from PIL import Image

    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(data.test_labels), 1000):
            part = slice(start, start + 1000)
            images = torch.stack(
                [transform(Image.fromarray(image)) for image in data.test_images[part]]
            )
            answers = model(images).argmax(1).numpy()
            right += int((answers == data.test_labels[part]).sum())
    return right / len(data.test_labels)


def lenet_dataloader() -> Loop:
    """The LeNet-like net as its project trains it."""
    import torch
    from torchvision.transforms import ToTensor

    from mnist_edge.models import build_model
    from mnist_edge.recipes.catalogue import train_recipe

    recipe = train_recipe("lenet")
    model = build_model(recipe)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    return Loop(recipe.epochs, recipe.batch_size, model, optimizer, lambda: None, ToTensor())


def pytorch_example() -> Loop:
    """The net and settings of the MNIST example in PyTorch's examples repository."""
    import torch
    from torch import nn
    from torchvision.transforms import Compose, Normalize, ToTensor

    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    transform = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    return Loop(14, 64, model, optimizer, schedule.step, transform)


LOOPS = {"lenet-dataloader": lenet_dataloader, "pytorch-example": pytorch_example}


SHOWN = {
    SPRINT: "`sprint`",
    "quick": "`quick`",
    LENET: "the LeNet-like project's way",
    "pytorch-example": "PyTorch's MNIST example",
}


def training_table(path: Path) -> Table:
    """Seconds to two lines of accuracy, ours beside theirs, from one run."""
    report = json.loads(path.read_text())
    rows = []
    for name, shown in SHOWN.items():
        runs = [row for row in report["rows"] if row["name"] == name]
        rows.append(
            (
                shown,
                str(len(runs)),
                seconds_to(0.990, runs),
                seconds_to(0.994, runs),
                f"{statistics.mean(run['accuracy'] for run in runs):.2%}",
                f"{statistics.mean(run['seconds'] for run in runs):.1f} s",
            )
        )
    return Table(
        headers=("training", "runs", "to 99.0 %", "to 99.4 %", "accuracy at its end", "its end"),
        rows=tuple(rows),
    )


def sprint_table(path: Path) -> Table:
    """`sprint` now and before, and how many times as fast as the LeNet-like project's whole run."""
    rows = json.loads(path.read_text())["rows"]
    theirs = statistics.median(row["seconds"] for row in rows if row["name"] == LENET)
    lines = []
    for name in (SPRINT, BEFORE, LENET):
        runs = [row for row in rows if row["name"] == name]
        if not runs:
            continue
        seconds, reached = ([run[what] for run in runs] for what in ("seconds", "accuracy"))
        lines.append(
            (
                {**SHOWN, BEFORE: "`sprint` of the version before"}[name],
                str(len(runs)),
                f"{statistics.mean(reached):.3%}",
                f"{min(reached):.2%}",
                f"{statistics.median(seconds):.2f} s",
                f"{min(seconds):.2f} to {max(seconds):.2f}",
                f"{theirs / statistics.median(seconds):.1f}",
            )
        )
    return Table(
        headers=("training", "runs", "accuracy", "worst", "median", "range", "times as fast"),
        rows=tuple(lines),
    )


def seconds_to(line: float, runs: list[dict[str, list[dict[str, float]]]]) -> str:
    """Mean seconds to the first measured accuracy at or over a line, and in how many runs."""
    reached = [
        min(epoch["seconds"] for epoch in run["epochs"] if epoch["accuracy"] >= line)
        for run in runs
        if any(epoch["accuracy"] >= line for epoch in run["epochs"])
    ]
    if not reached:
        return "not reached"
    part = "" if len(reached) == len(runs) else f" ({len(reached)} of {len(runs)} runs)"
    return f"{statistics.mean(reached):.1f} s{part}"


if __name__ == "__main__":
    main()
