"""Commands in turns: an order in which a machine that slows down steadily weighs on all alike."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_edge.stats import Interval, estimate_quantile


def plan(labels: Sequence[str], rounds: int, seed: int) -> tuple[str, ...]:
    """Rounds of all labels, shuffled, every second one backwards (ABBA)."""
    shuffle = random.Random(seed)
    order: list[str] = []
    current = list(labels)
    for index in range(rounds):
        if index % 2:
            current.reverse()
        else:
            shuffle.shuffle(current)
        order += current
    return tuple(order)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times as long one command takes as another."""

    command: str
    against: str
    times: Interval


def ratio_of(command: str, against: str, samples_s: dict[str, list[float]]) -> Ratio:
    """Of the times in the same round, so that what slows the machine for a while weighs on both."""
    pairs = zip(samples_s[command], samples_s[against], strict=True)
    return Ratio(command=command, against=against, times=median_of([a / b for a, b in pairs]))


def median_of(samples: Sequence[float]) -> Interval:
    """The median with its interval; the caller has seen to it that there are enough samples."""
    median = estimate_quantile(samples, 0.5)
    assert median is not None
    return median


def command_before(checkout: Path) -> list[str]:
    """`predict` of the package in another checkout, on the bundle that came with it."""
    old = f"sys.path.insert(0, {str(checkout)!r})"
    start = f"import sys; {old}; from mnist_edge.cli import main; sys.exit(main())"
    words = ["predict", "--bundle", str(checkout / "exports/default")]
    return [sys.executable, "-c", start, *words]
