"""What our own recipes are asked to reach, and the best figures that others published.

Floor, target and limits were set before the recipes were designed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What is asked of one recipe.

    Attributes:
        parameters: at most.
        floor, target: of the mean accuracy on the test set, 0 to 1.
        train_s: at most, on 2 cores.
        int8_loss: of accuracy on the test set by static int8, at most, in points.
        published: the best figure found at this size, and how it was come by; empty for none.
    """

    parameters: int
    floor: float
    target: float
    train_s: float
    int8_loss: float
    published: str = ""


TIERS: dict[str, Tier] = {
    "nano": Tier(
        parameters=2_000,
        floor=0.9920,
        target=0.9935,
        train_s=480,
        int8_loss=0.10,
        published="99.10% (1,936 parameters, one run)",
    ),
    "micro": Tier(
        parameters=8_000,
        floor=0.9945,
        target=0.9955,
        train_s=480,
        int8_loss=0.05,
        published="99.42–99.45% (8 k parameters, best epochs)",
    ),
    "small": Tier(parameters=30_000, floor=0.9958, target=0.9965, train_s=900, int8_loss=0.05),
    "large": Tier(
        parameters=350_000,
        floor=0.9966,
        target=0.9972,
        train_s=2_700,
        int8_loss=0.05,
        published="99.641% (327 k parameters, mean of 1,500)",
    ),
}
"""By the name of the recipe."""
