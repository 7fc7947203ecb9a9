"""Which artifacts `export` writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from mnist_edge.errors import UsageError
from mnist_edge.recipes.terms import DEFAULT_OPSET, MATRIX, OPSETS, Format, Precision, unknown_name


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """Which artifacts `export` writes.

    Attributes:
        formats: in the order they are written.
        precisions: every pair with `formats` that the matrix has is written.
        opset: the ONNX operator set; what is asked for is what the file says.
        allow_mismatch: keep an artifact that failed parity, marked so in the manifest.
    """

    formats: tuple[Format, ...] = ("torchscript", "onnx")
    precisions: tuple[Precision, ...] = ("float32",)
    opset: int = DEFAULT_OPSET
    allow_mismatch: bool = False

    def __post_init__(self) -> None:
        for format_ in self.formats:
            if format_ not in MATRIX:
                raise unknown_name("format", format_, tuple(MATRIX))
        for precision in self.precisions:
            if precision not in get_args(Precision):
                raise unknown_name("precision", precision, get_args(Precision))
        if not self.formats or not self.precisions:
            raise UsageError("nothing to export", fix="give at least one format and precision")
        if self.opset not in OPSETS:
            raise UsageError(
                f"opset {self.opset} is not supported",
                fix=f"choose --opset {OPSETS.start} to {OPSETS.stop - 1}",
            )
        for precision in self.precisions:
            if not any(precision in MATRIX[format_] for format_ in self.formats):
                raise UsageError(
                    f"{' and '.join(self.formats)} cannot hold {precision}",
                    fix="see the matrix in mnist-edge export --help",
                )

    @property
    def pairs(self) -> tuple[tuple[Format, Precision], ...]:
        """The artifacts to write; float32 first, since the others are made from it."""
        return tuple(
            (format_, precision)
            for precision in get_args(Precision)
            if precision in self.precisions
            for format_ in dict.fromkeys(self.formats)
            if precision in MATRIX[format_]
        )
