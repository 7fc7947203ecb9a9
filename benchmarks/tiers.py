"""What our own recipes are asked to reach, and the strongest figures of others that we found.

Floor, target and limits were set before the recipes were designed as they are now.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure of others.

    Attributes:
        accuracy: on the test set, 0 to 1.
        parameters: of the net.
        how: it was come by; an epoch that is picked by the test set is worth about 0.17 points.
        source: where it stands; empty where that was not kept.
    """

    accuracy: float
    parameters: int
    how: str
    source: str = ""

    def __str__(self) -> str:
        """The figure in Markdown."""
        net = f"{self.parameters:,} parameters"
        linked = f"[{net}]({self.source})" if self.source else net
        return f"{self.accuracy:.2%} ({linked}, {self.how})"


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What is asked of one recipe.

    Attributes:
        parameters: at most.
        floor, target: of the mean accuracy on the test set, 0 to 1.
        train_s: at most, on 2 cores; a teacher's own training is told beside it.
        int8_loss: of accuracy on the test set by static int8, at most, in points.
        published: the strongest figure of others that was found at this size; None for none.
    """

    parameters: int
    floor: float
    target: float
    train_s: float
    int8_loss: float
    published: Published | None = None


TIERS: dict[str, Tier] = {
    "nano": Tier(
        parameters=2_000,
        floor=0.9928,
        target=0.9935,
        train_s=480,
        int8_loss=0.10,
        published=Published(accuracy=0.9910, parameters=1_936, how="one run"),
    ),
    "micro": Tier(
        parameters=8_000,
        floor=0.9954,
        target=0.9958,
        train_s=480,
        int8_loss=0.05,
        published=Published(
            accuracy=0.9952,
            parameters=7_918,
            how="best epoch",
            source="https://github.com/snehanshu-raj/ERA/blob/bcde181/assignment_6/Readme.md",
        ),
    ),
    "small": Tier(parameters=30_000, floor=0.9964, target=0.9968, train_s=900, int8_loss=0.05),
    "large": Tier(
        parameters=350_000,
        floor=0.9968,
        target=0.9974,
        train_s=2_700,
        int8_loss=0.05,
        published=Published(accuracy=0.99641, parameters=327_000, how="mean of 1,500"),
    ),
}
"""By the name of the recipe."""
