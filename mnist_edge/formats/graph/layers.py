"""What a net does, step by step: the small typed language between ONNX and other formats.

A step reads the results of earlier steps by their index; -1 is the picture. Arrays are laid out
as ONNX has them, so a step can be compared with the node that it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

# In a quantized net, those of convolutions and matrix products are whole numbers of any type.
Weights: TypeAlias = NDArray[np.float32]
Order: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.floating[Any]]
"""Of any precision, while they are worked out."""

PICTURE = -1


class Shape(NamedTuple):
    """Of one picture's activations; the batch dimension is left out."""

    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return self.channels * self.height * self.width


class Window(NamedTuple):
    """How a kernel slides: its size, its step, and the border around the input, in pixels."""

    height: int
    width: int
    stride_y: int = 1
    stride_x: int = 1
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def steps(self, shape: Shape) -> tuple[int, int]:
        """Height and width of the result over an input of `shape`."""
        height = shape.height + self.top + self.bottom - self.height
        width = shape.width + self.left + self.right - self.width
        return height // self.stride_y + 1, width // self.stride_x + 1


def same_border(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """What makes a result as long as the input over the stride, rounded up: the smaller first."""
    border = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return border // 2, border - border // 2


HALVING = Window(2, 2, 2, 2)
"""That of a max pooling which takes each 2 x 2 for one."""


# Compared by identity: comparing arrays gives no single answer.
@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """`x · factor + offset`, (channels,) each: normalisation, or a ReLU that stands alone."""

    source: int
    shape: Shape
    factor: Weights
    offset: Weights
    relu: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution:
    """A 2-D convolution, then ReLU, then a 2×2 maximum, where asked for.

    Attributes:
        weight: (out, in / groups, height, width).
        bias: (out,).
        pooled: whether of each 2×2 results the largest is kept.
    """

    source: int
    shape: Shape
    window: Window
    weight: Weights
    bias: Weights
    groups: int = 1
    relu: bool = False
    pooled: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear:
    """A matrix product over all of its input, in the order channel, row, column.

    Attributes:
        weight: (out, in).
        bias: (out,).
    """

    source: int
    shape: Shape
    weight: Weights
    bias: Weights
    relu: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The largest or the mean of each window.

    Attributes:
        counts_border: whether a mean divides by the window's size where it reaches over the edge.
    """

    source: int
    shape: Shape
    kind: Literal["max", "average"]
    window: Window
    counts_border: bool = False
    relu: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Add:
    """The sum of two results."""

    source: int
    other: int
    shape: Shape
    relu: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat:
    """Results one after the other along the channels."""

    sources: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, kw_only=True, eq=False)
class SpaceToDepth:
    """Each block×block cell of pixels becomes one pixel; block row, column, then channel."""

    source: int
    shape: Shape
    block: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Move:
    """The same numbers in another order: layouts, cut-outs, and channels that stand twice.

    Attributes:
        order: (size,), for each number of the result, in the order channel, row, column, which
            number of the source it is.
    """

    source: int
    shape: Shape
    order: Order


@dataclass(frozen=True, kw_only=True, eq=False)
class Border:
    """Rows and columns of one number around each channel."""

    source: int
    shape: Shape
    top: int
    left: int
    fill: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Resize:
    """Another size, each pixel a weighted mean of its up to four neighbours.

    Centres of pixels lie at half a pixel; beyond the edge its pixels go on.
    """

    source: int
    shape: Shape


Function: TypeAlias = Literal[
    "sigmoid", "tanh", "elu", "leaky", "clip", "hard-sigmoid", "hard-swish", "silu", "round"
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Activate:
    """A function of each number.

    Attributes:
        function: sigmoid; tanh; elu, `first · (e^x - 1)` below 0; leaky, `first · x` below 0;
            clip, from `first` to `second`; hard-sigmoid, `first · x + second` from 0 to 1;
            hard-swish, `x` times that of 1/6 and 1/2; silu, `x` times sigmoid; round, of halves
            to the even one.
    """

    source: int
    shape: Shape
    function: Function
    first: float = 0.0
    second: float = 0.0


Step: TypeAlias = (
    Scale
    | Convolution
    | Linear
    | Pool
    | Add
    | Concat
    | SpaceToDepth
    | Move
    | Border
    | Resize
    | Activate
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Net:
    """A whole net: the last step gives the logits.

    Attributes:
        sha256: of the file that it was read from.
    """

    steps: tuple[Step, ...]
    picture: Shape
    sha256: str

    def shape(self, index: int) -> Shape:
        """Of the result of a step, or of the picture."""
        return self.picture if index == PICTURE else self.steps[index].shape


def sources(step: Step) -> tuple[int, ...]:
    """The steps whose results a step reads."""
    if isinstance(step, Concat):
        return step.sources
    if isinstance(step, Add):
        return step.source, step.other
    return (step.source,)


def is_rectified(step: Step) -> bool:
    """Whether a step ends in a ReLU."""
    return bool(getattr(step, "relu", False))


def is_depthwise(step: Convolution) -> bool:
    """Whether each of several channels sees only itself."""
    return step.groups == len(step.weight) > 1 and step.weight.shape[1] == 1


def rows(net: Net) -> frozenset[int]:
    """The steps that give a row of channels, without height and width: products, and what follows.

    For formats that tell a row from a picture of one pixel.
    """
    found: set[int] = set()
    for index, step in enumerate(net.steps):
        follows = isinstance(step, (Scale, Add, Concat, Activate)) and not found.isdisjoint(
            sources(step)
        )
        if follows or isinstance(step, Linear):
            found.add(index)
    return frozenset(found)
