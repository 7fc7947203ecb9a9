"""When an artifact counts as equivalent; `FileFormat.gate` says which of these holds for it."""

from __future__ import annotations

import math
from dataclasses import replace

from mnist_edge.recipes.frozen import frozen


@frozen
class Tolerance:
    """When a candidate counts as equivalent to the reference.

    Attributes:
        max_abs_error: the largest difference of any logit; infinite where only decisions count.
        accuracy_drop: the largest loss of accuracy, in percentage points.
        min_sqnr_db: the smallest ratio of signal to quantization noise, in decibels.
        chance: deviations of a coin toss, over the flipped digits, by which a small sample may
            lose more than it gains.
        flips_allowed: whether the top class may change for an image whose margin exceeds
            twice the error. Quantized artifacts may flip; the flips are listed.
    """

    max_abs_error: float = math.inf
    accuracy_drop: float = 0.0
    min_sqnr_db: float = 0.0
    flips_allowed: bool = False
    chance: float = 0.0

    def widened(self, error: float) -> Tolerance:
        """The same gate for logits that may be off by `error` before anything is exported."""
        return replace(self, max_abs_error=self.max_abs_error + error)


# The constants are the gate; each report shows the float32 net's own error beside them. That of
# float32 on the CPU stands with each format.
GPU_TOLERANCE = Tolerance(max_abs_error=1e-4)
FLOAT16_TOLERANCE = Tolerance(max_abs_error=1e-2, accuracy_drop=0.02, flips_allowed=True)
INT8_TOLERANCE = Tolerance(accuracy_drop=0.10, min_sqnr_db=20.0, flips_allowed=True)

# Nets of others have logits of any size, so that of rounding only the ratio says anything, and
# name some digits by a hair's breadth.
FOREIGN_FLOAT16_TOLERANCE = Tolerance(
    accuracy_drop=0.05, min_sqnr_db=40.0, flips_allowed=True, chance=2.0
)
FOREIGN_INT8_TOLERANCE = Tolerance(
    accuracy_drop=0.30, min_sqnr_db=20.0, flips_allowed=True, chance=2.0
)
FOREIGN_ERRORS = 4.0
"""Times the net's own error of float32, that another order of its sums may be off by."""
