"""When an artifact counts as equivalent: the gate of each format, precision and device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mnist_edge.recipes.terms import Device, Format, Precision


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """When a candidate counts as equivalent to the reference.

    Attributes:
        max_abs_error: the largest difference of any logit; infinite where only decisions count.
        accuracy_drop: the largest loss of accuracy, in percentage points.
        min_sqnr_db: the smallest ratio of signal to quantization noise, in decibels.
        flips_allowed: whether the top class may change for an image whose margin exceeds
            twice the error. Quantized artifacts may flip; the flips are listed.
    """

    max_abs_error: float = math.inf
    accuracy_drop: float = 0.0
    min_sqnr_db: float = 0.0
    flips_allowed: bool = False


TOLERANCES: dict[tuple[Format, Precision], Tolerance] = {
    # The constants are the gate; each report shows the float32 net's own error beside them.
    ("checkpoint", "float32"): Tolerance(max_abs_error=1e-4),
    ("torchscript", "float32"): Tolerance(max_abs_error=1e-5),
    ("pt2", "float32"): Tolerance(max_abs_error=1e-5),
    ("onnx", "float32"): Tolerance(max_abs_error=1e-4),
    ("ort", "float32"): Tolerance(max_abs_error=1e-4),
    ("c", "float32"): Tolerance(max_abs_error=1e-4),
}
GPU_TOLERANCE = Tolerance(max_abs_error=1e-4)
FLOAT16_TOLERANCE = Tolerance(max_abs_error=1e-2, accuracy_drop=0.02, flips_allowed=True)
INT8_TOLERANCE = Tolerance(accuracy_drop=0.10, min_sqnr_db=20.0, flips_allowed=True)


def tolerance(
    format_: Format, precision: Precision, device: Device = "cpu", *, float32_error: float = 0.0
) -> Tolerance:
    """The gate of one artifact on one device.

    Args:
        format_: of the artifact.
        precision: of the artifact.
        device: that runs it.
        float32_error: of the checkpoint's own float32 against the float64 reference. It is added
            to the constant: an export of the very same float32 results cannot be nearer.
    """
    if precision == "float16":
        return FLOAT16_TOLERANCE
    if precision in ("int8", "int8-dynamic"):
        return INT8_TOLERANCE
    gate = TOLERANCES[format_, precision] if device == "cpu" else GPU_TOLERANCE
    return replace(gate, max_abs_error=gate.max_abs_error + float32_error)
