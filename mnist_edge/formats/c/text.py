"""C text: arrays of numbers, calls, and the two parts of a step."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

_WIDTH = 100
_TYPES = {
    "float32": "float",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
}


class Code(NamedTuple):
    """What a step is in C.

    Attributes:
        data: its constants, as definitions.
        body: the statements of its function: from `in`, or `in0`, `in1` ..., to `out`.
    """

    data: str
    body: str


def define(
    name: str,
    array: NDArray[np.generic],
    shape: Sequence[int] = (),
    note: str = "",
) -> str:
    """A constant array in C: whole numbers, or floats with the nine digits that they need.

    Args:
        name: of the array.
        array: its numbers, in the order of memory.
        shape: what a reader shall know of the order, outermost first.
        note: more of that.
    """
    texts = [number(value) for value in array.reshape(-1).tolist()]
    # Small numbers are many: without blanks they take up to a third less.
    blank, count = {1: (",", 24), 2: (",", 16)}.get(array.itemsize, (", ", 8))
    lines = ["    " + blank.join(texts[i : i + count]) for i in range(0, len(texts), count)]
    about = "".join(f"[{size}]" for size in shape) + (f", {note}" if note else "")
    comment = f" /* {about} */" if about else ""
    head = f"static const {_TYPES[array.dtype.name]} {name}[{array.size}] ALIGNED = {{{comment}\n"
    return head + ",\n".join(lines) + "\n};"


def call(function: str, *arguments: object, indent: int = 4) -> str:
    """The statement that calls a function, in lines that fit; a truth value becomes 0 or 1."""
    texts = [str(int(a)) if isinstance(a, bool) else str(a) for a in arguments]
    # Expressions stay whole: their blanks are no place to break a line.
    joined = f"{function}({', '.join(text.replace(' ', chr(0)) for text in texts)});"
    lines = textwrap.wrap(
        joined,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + len(function) + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(chr(0), " ")


def size(shape: Sequence[int]) -> str:
    """A shape as a reader writes it: `24 x 6 x 6`."""
    return " x ".join(map(str, shape))


def padded_rows(array: NDArray[T], wide: int) -> NDArray[T]:
    """`array` with zeros at the end of its last axis."""
    missing = [(0, 0)] * (array.ndim - 1) + [(0, wide - array.shape[-1])]
    return np.pad(array, missing)


def either(condition: str, first: str, second: str) -> str:
    """The first text where a condition of the preprocessor holds, else the second one."""
    return f"#if {condition}\n{first}\n#else\n{second}\n#endif"


def number(value: float) -> str:
    """A number in C, to the last bit."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.9g}"
    return (text if "." in text or "e" in text else f"{text}.0") + "f"
