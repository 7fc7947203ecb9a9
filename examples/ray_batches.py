"""Name the digits in a folder of pictures on a Ray cluster: python ray_batches.py FOLDER OUT."""

import sys
from typing import Any

import ray

from mnist_edge import Predictor


class Digits:
    """One predictor for each worker, which keeps it for all its batches."""

    def __init__(self) -> None:
        self.predictor = Predictor.load()  # the net comes with the package, on every machine

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Add the digit and its probability to each picture's path."""
        answers = [self.predictor(bytes(data)) for data in batch["bytes"]]
        return {
            "path": batch["path"],
            "digit": [-1 if answer.digit is None else answer.digit for answer in answers],
            "probability": [answer.probability for answer in answers],
        }


if __name__ == "__main__":
    folder, out = sys.argv[1:]
    pictures = ray.data.read_binary_files(folder, include_paths=True)
    pictures.map_batches(Digits, batch_size=64, concurrency=1).write_csv(out)
