"""Where a picture goes into a graph of others, and where its class scores come out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import onnx

from mnist_edge.bundle.imported import MOST_PIXELS
from mnist_edge.errors import BadInput

End: TypeAlias = Literal["logits", "softmax", "log-softmax", "sigmoid"]

FIX = "export the part of the net that takes one picture and gives its class scores"
_LEAST_PIXELS = 7
_CHANNELS = (1, 3)
# What changes scores without changing their order, or only lays them out in another way.
_PASSED = (
    *("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Dropout"),
    *("Normalizer", "ZipMap"),  # of scikit-learn
)
_ACTIVATIONS: dict[str, End] = {
    "Softmax": "softmax",
    "LogSoftmax": "log-softmax",
    "Sigmoid": "sigmoid",
}
_CHOICES = ("ArgMax", "Hardmax", "TopK")
_ENDS: tuple[End, ...] = ("logits", "sigmoid", "softmax", "log-softmax")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """How a graph takes a picture.

    Attributes:
        name: of the input.
        shape: of one picture, without the batch: all its numbers in order.
        batch: how many pictures it takes at once; 0 where that is open.
        rank: of the input.
        side: pixels a side.
        channels: of a pixel.
        channels_last: whether they change faster than the columns.
    """

    name: str
    shape: tuple[int, ...]
    batch: int
    rank: int
    side: int
    channels: int
    channels_last: bool

    @property
    def batched(self) -> bool:
        """Whether the input has a size for the number of pictures."""
        return self.rank > len(self.shape)


def find_entries(graph: onnx.GraphProto) -> tuple[Entry, ...]:
    """The ways in which the one input of a graph may take a picture; the likeliest first.

    Raises:
        BadInput: it has several inputs, or one that takes no picture of a known kind.
    """
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(f"{value.name!r:.40}" for value in inputs)
        raise BadInput(f"it has {len(inputs)} inputs, {names or 'none'}: one is needed", fix=FIX)
    (value,) = inputs
    tensor = value.type.tensor_type
    sizes = [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]
    known = tensor.HasField("shape")
    entries = tuple(_entries(value.name, sizes if known else None))
    if not entries:
        shape = ", ".join("?" if size is None else str(size) for size in sizes)
        raise BadInput(f"it takes ({shape}), which is no picture of a digit", fix=FIX)
    return entries


def _entries(name: str, sizes: list[int | None] | None) -> Iterator[Entry]:
    if sizes is None:
        for usual in ((1, 28, 28), (28, 28, 1), (784,), (28, 28)):
            yield from _read_shape(name, usual, batch=0, rank=len(usual) + 1)
        return
    rank, batch, rest = len(sizes), sizes[0] if sizes else None, sizes[1:]
    if None not in sizes and not _as_picture([size or 0 for size in rest]):
        yield from _read_shape(name, [size or 0 for size in sizes], batch=1, rank=rank)
        return
    for shape in _filled(rest):
        yield from _read_shape(name, shape, batch=batch or 0, rank=rank)
    if batch == 1 and None not in sizes:  # or that is its one channel
        yield from _read_shape(name, [size or 0 for size in sizes], batch=1, rank=rank)


def _filled(rest: Sequence[int | None]) -> Iterator[list[int]]:
    """Shapes of one picture with sizes in place of those that are open."""
    if None not in rest:
        yield [size or 0 for size in rest]
        return
    for side in (28, 32):
        match rest:
            case [None]:
                yield [side * side]
            case [None, None]:
                yield [side, side]
            case [first, None, None]:
                yield from ([c, side, side] for c in ((first,) if first else _CHANNELS))
                if first is None:
                    yield from ([side, side, c] for c in _CHANNELS)
            case [None, None, last]:
                yield [side, side, last or 1]
            case [None, height, width]:
                yield from ([c, height or side, width or side] for c in _CHANNELS)
            case _:
                return


def _read_shape(name: str, shape: Sequence[int], *, batch: int, rank: int) -> Iterator[Entry]:
    found = _as_picture(shape)
    if found:
        channels, side = found
        last = channels > 1 and shape[-1] == channels and shape[0] != channels
        yield Entry(
            name=name,
            shape=tuple(shape),
            batch=batch,
            rank=rank,
            side=side,
            channels=channels,
            channels_last=last,
        )


def _as_picture(shape: Sequence[int]) -> tuple[int, int] | None:
    """Channels and side of a picture with so many numbers."""
    count = math.prod(shape)
    for channels in _CHANNELS:
        side = math.isqrt(count // channels)
        if side * side * channels == count and _LEAST_PIXELS <= side <= MOST_PIXELS:
            return channels, side
    return None


def find_scores(graph: onnx.GraphProto) -> tuple[tuple[str, End], ...]:
    """The results that may be a net's class scores: their names, and what was done to them after.

    Of each output the last result before activations that keep the order of the scores.
    """
    givers = {name: node for node in graph.node for name in node.output}
    found: dict[str, End] = {}
    for output in graph.output:
        name, end = output.name, _ENDS[0]
        while node := givers.get(name):
            if node.op_type in _ACTIVATIONS:
                end = max(end, _ACTIVATIONS[node.op_type], key=_ENDS.index)
            elif node.op_type == "Log" and _gives(givers, node.input[0], "Softmax"):
                end = "log-softmax"
            elif node.op_type not in _PASSED + _CHOICES:
                break
            if node.input[0] not in givers:
                break
            name = node.input[0]
        found.setdefault(name, end)
    return tuple(found.items())


def _gives(givers: dict[str, onnx.NodeProto], name: str, kind: str) -> bool:
    node = givers.get(name)
    while node is not None and node.op_type in _PASSED:
        node = givers.get(node.input[0])
    return node is not None and node.op_type == kind
