"""What a bundle says of a net of others: the file it came from, and how it reads pictures."""

# No annotations as text here: a manifest is read by their types, and each text would be compiled.

import math
from typing import Literal, TypeAlias

from mnist_edge.recipes.frozen import frozen

Kind: TypeAlias = Literal["onnx", "keras", "torch"]
Fit: TypeAlias = Literal["", "resize", "pad"]

FOREIGN = "source_sha256"
"""The key under which an artifact states the file of others that it came from."""

MOST_PIXELS = 256
"""A side, of a net that takes a digit."""


@frozen
class Norm:
    """A normalisation of pixels in [0, 1]: `(pixel - mean) / std`."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"a mean of {self.mean:g} and a deviation of {self.std:g}")

    def __str__(self) -> str:
        low, high = -self.mean / self.std, (1 - self.mean) / self.std
        for ends in ((0, 1), (-1, 1), (-0.5, 0.5), (0, 255)):
            if all(
                math.isclose(*pair, abs_tol=1e-6) for pair in zip((low, high), ends, strict=True)
            ):
                return "{:g} to {:g}".format(*ends)
        return f"with mean {self.mean:g} and deviation {self.std:g}"


@frozen
class Contract:
    """How a net of others wants its picture, white ink on black in [0, 1] being ours.

    Attributes:
        norm: applied last.
        inverted: whether it wants black ink on white.
        transposed: whether its rows are our columns.
        side: pixels a side.
        fit: how 28 pixels become as many.
        channels: which all hold the same picture.
        channels_last: whether they change faster than its columns.
    """

    norm: Norm = Norm()
    inverted: bool = False
    transposed: bool = False
    side: int = 28
    fit: Fit = ""
    channels: int = 1
    channels_last: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.side <= MOST_PIXELS or self.channels not in (1, 3):
            raise ValueError(f"{self.channels} channels of {self.side} pixels a side")
        if (self.side == 28) == bool(self.fit) or (self.fit == "pad" and self.side < 28):
            raise ValueError(f"{self.side} pixels a side, and {self.fit!r} to get there")

    def __str__(self) -> str:
        parts = [f"pixels {self.norm}"]
        parts += ["black on white"] if self.inverted else []
        parts += ["transposed"] if self.transposed else []
        fits = {"resize": "resized", "pad": "with a border"}
        parts += [f"{fits[self.fit]} to {self.side}x{self.side}"] if self.fit else []
        return ", ".join(parts)


@frozen
class ImportRecord:
    """Where a net of others came from.

    Attributes:
        kind: of the file.
        said: what the file is, for people.
        file: its name.
        sha256: of its bytes.
        contract: how it reads pictures; all of it is inside the graph of `source-float32`.
        forced: whether the user said so, and no digits.
    """

    kind: Kind
    said: str
    file: str
    sha256: str
    contract: Contract
    forced: bool = False
