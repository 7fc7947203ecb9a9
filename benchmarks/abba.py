"""An order in which a machine that slows down steadily weighs on all alike."""

from __future__ import annotations

import random
from collections.abc import Sequence


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
