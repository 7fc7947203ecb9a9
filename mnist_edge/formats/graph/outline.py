"""A graph as far as its file tells what it will take to run: shapes, and weights if asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.recipes.frozen import frozen

Shape: TypeAlias = tuple[int, ...]
Attribute: TypeAlias = "int | float | str | tuple[int, ...] | Tensor | None"
Array: TypeAlias = NDArray[np.generic]

MOST_INTEGERS = 64
"""So many whole numbers may shape another tensor; more are weights."""

MOST_SCALES = 8
"""So many fractions may."""


@dataclass(frozen=True)
class Tensor:
    """A tensor: its shape, and its values where they are few whole numbers that are known.

    Attributes:
        numbers: all of them, where they were asked for and the file has them.
        scales: its values where they are few fractions that are known.
    """

    shape: Shape
    integers: tuple[int, ...] | None = None
    numbers: Array | None = field(default=None, compare=False)
    scales: tuple[float, ...] | None = None

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@frozen
class Operator:
    """One node.

    Attributes:
        kind: the operator, behind its domain and a point if that is not ONNX's own.
        inputs: names; an empty one where an input is left out.
        outputs: names.
        attributes: by name; None for what shapes nothing, such as a list of floats.
        name: for people; empty where it has none.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]
    name: str = ""

    def integer(self, name: str, default: int) -> int:
        """An attribute that is a number. Raises ValueError for anything else."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise ValueError(f"{name} is no number")
        return value

    def integers(self, name: str, default: Shape) -> Shape:
        """An attribute that is a list of numbers. Raises ValueError for anything else."""
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple):
            raise ValueError(f"{name} is no list of numbers")
        return value


@frozen
class Outline:
    """A graph.

    Attributes:
        inputs: shapes by name; None for a size that the file leaves open.
        constants: by name.
        operators: in the order in which they run.
        outputs: names.
    """

    inputs: dict[str, tuple[int | None, ...]]
    constants: dict[str, Tensor]
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]
