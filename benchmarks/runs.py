"""The trainings in accuracy.jsonl, one line each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from mnist_edge.bundle import codec

RESULTS = Path(__file__).with_name("results")
"""Every report and picture that is committed."""

RUNS = RESULTS / "accuracy.jsonl"


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One training: what it was, what it gave, and beside what it ran.

    Attributes:
        digest: of the recipe, whatever its seed (`figures.recipe_digest`).
        accuracy, train_accuracy: 0 to 1, after the last step.
        seconds: wall time from the cached raw files to the final weights.
        data: digest of the data set.
        threads: of torch.
        others_running: the most other processes that wanted a core, at its start or its end.
        jobs: trainings that the campaign ran at once, this one included.
        wrong: indices of the test digits that the final weights name wrongly, in rising order;
            None in lines from before they were kept.
    """

    recipe: str
    digest: str
    seed: int
    accuracy: float
    test_loss: float
    train_accuracy: float
    seconds: float
    epochs: int
    parameters: int
    multiply_adds: int
    data: str
    device: str
    threads: int
    others_running: int
    processor: str
    torch: str
    jobs: int = 1
    wrong: tuple[int, ...] | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """What makes a later run a repetition of this one."""
        return (self.digest, self.seed, self.device)

    @property
    def timed_alone(self) -> bool:
        """Whether its seconds are those of an idle machine."""
        return self.jobs == 1 and self.others_running <= 1

    @property
    def line(self) -> str:
        """The run as one line of JSON, with its end."""
        return json.dumps(asdict(self)) + "\n"


def read_runs(path: Path = RUNS) -> list[TrainingRun]:
    """Every run so far, in the order in which they ended."""
    if not path.exists():
        return []
    return [parse(line) for line in path.read_text().splitlines()]


def parse(line: str) -> TrainingRun:
    """A run from its line. Raises ValueError where it is none."""
    return codec.loads(TrainingRun, line)


def latest(runs: Iterable[TrainingRun]) -> list[TrainingRun]:
    """One run for each recipe, seed and device: a repetition takes the place of the first."""
    return list({run.key: run for run in runs}.values())
