"""Where a recipe's `temperature` and `reject_below` come from.

    python benchmarks/calibration.py quick --seeds 3

    python benchmarks/calibration.py large --every 2 --seeds 1 --keep FOLDER
    python benchmarks/calibration.py small --every 2 --teacher FOLDER

The recipe is trained on the 55,000 digits of `data.development_twin` and judged on its other
5,000, or on halves; the test set is not touched. A recipe with a teacher needs one that has not
seen the judging digits either: the first command of the second pair makes it. The temperature is
the one with the least cross-entropy (Guo et al. 2017). The threshold is one that rejects at most
1 % of digits: the lower end of the 99 % interval of that quantile of the probabilities, since
another net and other digits vary.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.folder import open_bundle, refuse_shipped, weights_digest
from mnist_edge.contract import Labels
from mnist_edge.data.mnist import DataSet, development_twin
from mnist_edge.data.obtain import obtain_data
from mnist_edge.machine import keep_memory, usable_threads
from mnist_edge.metrics import accuracy, cross_entropy, softmax
from mnist_edge.recipes.catalogue import TEACHER, train_recipe
from mnist_edge.recipes.train import TrainRecipe
from mnist_edge.stats import estimate_quantile
from mnist_edge.train.fit import evaluate, fit
from mnist_edge.train.write import write_bundle

FALSE_REJECTS = 0.01
TEMPERATURES = np.geomspace(0.25, 4, 401)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--every",
        type=int,
        default=12,
        choices=range(2, 61),
        metavar="N",
        help="one digit of so many judges",
    )
    parser.add_argument("--teacher", type=Path, help="a bundle that was trained on such a twin")
    parser.add_argument("--keep", type=Path, help="where to write the bundle of seed 0")
    parser.add_argument("--data-dir", type=Path, help="of MNIST")
    options = parser.parse_args()
    twin = development_twin(obtain_data("mnist", options.data_dir), every=options.every)
    plain = replace(train_recipe(options.recipe), temperature=1.0, reject_below=0.0)
    if options.keep is not None:
        refuse_shipped(options.keep)
    if options.teacher is not None:
        if open_bundle(options.teacher).manifest.data.sha256 != twin.sha256:
            parser.error(f"the net in {options.teacher} has seen the digits that judge")
        plain = replace(plain, teacher=weights_digest(options.teacher))
    elif plain.taught:
        parser.error(
            f"{plain.name} learns from a net; make one of the twin with calibration.py {TEACHER} "
            f"--every {options.every} --seeds 1 --keep FOLDER, and give it as --teacher FOLDER"
        )
    found = [
        calibrate(
            replace(plain, seed=seed), twin, options.teacher, options.keep if seed == 0 else None
        )
        for seed in range(options.seeds)
    ]
    temperature, threshold = np.mean(found, axis=0)
    print(f"mean of {len(found)}: temperature={temperature:.2f}, reject_below={threshold:.2f}")


def calibrate(
    recipe: TrainRecipe, twin: DataSet, teacher: Path | None, keep: Path | None
) -> tuple[float, float]:
    """The temperature and the threshold of one training."""
    keep_memory()
    fitted = fit(recipe, twin, threads=usable_threads(), teacher=teacher, evaluate_epochs=False)
    if keep is not None:
        write_bundle(keep, recipe, twin, fitted.model, history=fitted.history)
    logits = evaluate(fitted.model, twin.test_images, "cpu").astype(np.float64)
    temperature = best_temperature(logits, twin.test_labels)
    quantile = estimate_quantile(softmax(logits / temperature).max(axis=1), FALSE_REJECTS)
    assert quantile is not None
    print(
        f"seed {recipe.seed}: accuracy {accuracy(logits, twin.test_labels):.2%}, loss "
        f"{cross_entropy(logits, twin.test_labels):.4f} and "
        f"{cross_entropy(logits / temperature, twin.test_labels):.4f} at temperature "
        f"{temperature:.2f}; {FALSE_REJECTS:.0%} lie under {quantile.low:.2f} to "
        f"{quantile.high:.2f}",
        flush=True,
    )
    return temperature, quantile.low


def best_temperature(logits: NDArray[np.float64], labels: Labels) -> float:
    """The one that makes the probabilities of `logits` (N, 10) most likely."""
    losses = [cross_entropy(logits / temperature, labels) for temperature in TEMPERATURES]
    return float(TEMPERATURES[np.argmin(losses)])


if __name__ == "__main__":
    main()
