"""Which artifacts `export` writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from mnist_edge.errors import UsageError
from mnist_edge.recipes.terms import DEFAULT_OPSET, OPSETS, Format, Precision, unknown_name

# The checkpoint is what `train` writes.
_FORMATS = tuple(name for name in get_args(Format) if name != "checkpoint")


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """Which artifacts `export` writes.

    Attributes:
        formats: in the order they are written.
        precisions: every pair with `formats` that there can be is written; each must be possible
            with one of them, which the formats know (`formats.export_pairs`). None stand for the
            one in which each format is mostly wanted: int8 of a page, float32 of all others.
        opset: the ONNX operator set; what is asked for is what the file says.
        prefix: of the names in C and C++; empty for the recipe's name.
        tflm: write a LiteRT file's sources for microcontrollers, too.
        picture: let C files read pictures as they come, too.
        allow_mismatch: keep an artifact that failed parity, marked so in the manifest.
    """

    formats: tuple[Format, ...] = ("torchscript", "onnx")
    precisions: tuple[Precision, ...] = ()
    opset: int = DEFAULT_OPSET
    allow_mismatch: bool = False
    prefix: str = ""
    tflm: bool = False
    picture: bool = False

    def __post_init__(self) -> None:
        for format_ in self.formats:
            if format_ not in _FORMATS:
                raise unknown_name("format", format_, _FORMATS)
        for precision in self.precisions:
            if precision not in get_args(Precision):
                raise unknown_name("precision", precision, get_args(Precision))
        if not self.formats:
            raise UsageError("nothing to export", fix="give at least one format")
        if self.opset not in OPSETS:
            raise UsageError(
                f"opset {self.opset} is not supported",
                fix=f"choose --opset {OPSETS.start} to {OPSETS.stop - 1}",
            )
