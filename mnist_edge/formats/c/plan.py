"""Where the numbers lie while the C code runs: one place in the workspace for each result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mnist_edge.formats.graph.layers import (
    PICTURE,
    Convolution,
    Linear,
    Net,
    Scale,
    Shape,
    Window,
    sources,
)

# The widest vector, in numbers. A vector may reach this far over the last channel.
LANES = 16

# Pictures that share one pass over the weights of large matrices, and from how many bytes on one
# is large: a first-level cache.
GROUP = 8
LARGE_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one result lies, channels innermost, with a border around it that stands for zeros.

    Attributes:
        shape: without the border.
        top, left, bottom, right: the border, in pixels.
        start: of the border, in numbers from the start of the workspace.
        copies: one for each picture of a group, or one.
    """

    shape: Shape
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    start: int
    copies: int = 1

    @property
    def bordered(self) -> bool:
        """Whether there is a border."""
        return any((self.top, self.left, self.bottom, self.right))

    @property
    def row(self) -> int:
        """Numbers from one row to the next."""
        return (self.left + self.shape.width + self.right) * self.shape.channels

    @property
    def inside(self) -> int:
        """The first number of the first pixel within the border."""
        return self.start + self.top * self.row + self.left * self.shape.channels

    @property
    def stride(self) -> int:
        """Numbers from one copy to the next: the result, and a vector that reaches over it."""
        return padded((self.top + self.shape.height + self.bottom) * self.row + LANES)

    @property
    def end(self) -> int:
        """One past the last number of the last copy."""
        return self.start + self.copies * self.stride


class View(NamedTuple):
    """How a result is read: numbers from row to row, pixel to pixel, channel to channel."""

    row: int
    next: int
    apart: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The workspace, and what is done for a group of pictures at once.

    Attributes:
        net: that is laid out.
        places: of each step, by its index; of the picture only if it must be laid out again.
        head: the first of the matrix products that end the net.
        group: pictures that go through the head together.
        size: of the workspace, in numbers.
    """

    net: Net
    places: dict[int, Place]
    head: int
    group: int
    size: int

    def shape(self, source: int) -> Shape:
        """Of the result of a step, or of the picture."""
        return self.net.shape(source)

    def view(self, source: int) -> View:
        """How the result of a step is read, or the picture."""
        if source in self.places:
            place = self.places[source]
            return View(place.row, place.shape.channels, 1)
        _, height, width = self.net.picture
        return View(width, 1, height * width)

    def start(self, source: int, window: Window) -> str:
        """`in`, moved into the border by as much as a window reaches into it."""
        row, next_, _ = self.view(source)
        back = window.top * row + window.left * next_
        return f"in - {back}" if back else "in"


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a step stands for whoever writes its function; its arrays begin with its name."""

    name: str
    plan: Plan
    index: int

    @property
    def place(self) -> Place:
        """Where the result goes."""
        return self.plan.places[self.index]

    def row(self, source: int) -> int:
        """Numbers from one row to the next of what the step reads."""
        return self.plan.view(source).row


def padded(count: int) -> int:
    """`count`, rounded up to whole vectors."""
    return -(-count // LANES) * LANES


def lay_out(net: Net, *, weight_bytes: int) -> Plan:
    """Find a place for the result of each step of a net whose weights take so many bytes each."""
    head = _head(net)
    matrices = [step for step in net.steps[head:] if isinstance(step, Linear)]
    large = any(weight_bytes * step.weight.size >= LARGE_BYTES for step in matrices)
    group = GROUP if large else 1
    shapes = {index: step.shape for index, step in enumerate(net.steps)}
    if _copies_picture(net):
        shapes = {PICTURE: net.picture, **shapes}
    places: dict[int, Place] = {}
    end = 0
    for index, shape in shapes.items():
        top, left, bottom, right = _border(net, index)
        # The head reads what the step before it gives, for all pictures of a group.
        copies = group if index >= head - 1 else 1
        place = Place(
            shape=shape, top=top, left=left, bottom=bottom, right=right, start=end, copies=copies
        )
        places[index] = place
        end = place.end
    return Plan(net=net, places=places, head=head, group=group, size=end)


def _head(net: Net) -> int:
    """Where the chain of matrix products begins that ends the net; its length if there is none."""
    head = len(net.steps)
    while head > 0 and isinstance(net.steps[head - 1], Linear):
        head -= 1
    chain = all(sources(net.steps[i]) == (i - 1,) for i in range(head, len(net.steps)))
    return head if chain and head > 0 else len(net.steps)


def _copies_picture(net: Net) -> bool:
    """Whether the picture must be laid out again: a border around it, or channels innermost."""
    if net.picture.channels == 1 and not any(_border(net, PICTURE)):
        return False
    readers = [step for step in net.steps if PICTURE in sources(step)]
    return not all(isinstance(step, Scale) for step in readers)


def _border(net: Net, index: int) -> tuple[int, ...]:
    """The widest border that a convolution wants around the result of a step, on each side."""
    borders = [
        step.window[4:]
        for step in net.steps
        if isinstance(step, Convolution) and step.source == index
    ]
    return tuple(map(max, zip((0, 0, 0, 0), *borders, strict=True)))
