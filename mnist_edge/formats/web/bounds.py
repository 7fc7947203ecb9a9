"""Look into a net that is data before it runs: it writes where it may, and comes to an end.

WebAssembly keeps it from everything outside its memory. Inside, a step that wrote over the steps
could run for ever.
"""

from __future__ import annotations

import math

from mnist_edge.errors import BadInput
from mnist_edge.formats.web.records import HEAD, RECORD, Head, Kind, Record
from mnist_edge.recipes.classes import MOST_CLASSES

_FIX = "give a page as mnist-edge export wrote it"
_LANES = 4  # of a vector of WebAssembly
_MOST_STEPS = 1000
_MOST_WORK = 1 << 34  # rounds of the innermost loops for one picture
_MOST_NUMBERS = 1 << 26


def check_net(data: bytes) -> int:
    """How many classes a net tells apart. Raises BadInput where it does what none of ours does."""
    try:
        return _check(data)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"the net of the page is damaged: {error!s:.200}", fix=_FIX) from None


def _check(data: bytes) -> int:
    if len(data) < HEAD.size:
        raise ValueError("it has no head")
    head = Head(*HEAD.unpack_from(data))
    if not 0 < head.steps <= _MOST_STEPS or len(data) < HEAD.size + head.steps * RECORD.size:
        raise ValueError(f"{head.steps} steps in {len(data)} bytes")
    if not 0 < head.classes <= MOST_CLASSES:
        raise ValueError(f"it tells {head.classes} classes apart")
    if not 0 <= head.result <= head.result + head.classes <= head.workspace <= _MOST_NUMBERS:
        raise ValueError(f"its result lies at {head.result} of {head.workspace}")
    _check_place(head.scale, len(data))
    records = [
        Record(*RECORD.unpack_from(data, HEAD.size + index * RECORD.size))
        for index in range(head.steps)
    ]
    for record in records:
        _check_record(record, head.workspace, len(data))
    work = sum(map(_work, records))
    if work > _MOST_WORK:
        raise ValueError(f"{work:,} products for one picture")
    return head.classes


def _check_record(record: Record, workspace: int, size: int) -> None:
    Kind(record.kind)
    if min(record[1:]) < 0 or max(record[1:]) > _MOST_NUMBERS:
        raise ValueError("a step counts what cannot be")
    for place in (record.weight, record.bias, record.factor):
        _check_place(place, size)
    if record.out + _extent(record) > workspace:
        raise ValueError(f"a step writes beyond its {workspace} numbers")


def _check_place(place: int, size: int) -> None:
    if not 0 <= place <= size:
        raise ValueError(f"a constant at {place} of {size} bytes")


def _extent(record: Record) -> int:
    """How far a step writes, from the place of its result."""
    match Kind(record.kind):
        case Kind.FILL:
            return record.run
        case Kind.LINE | Kind.POOLED_LINE | Kind.DOT:
            across = (record.width - 1) * record.out_next + _in_vectors(record.channels)
        case Kind.SCALE | Kind.COPY:
            across = (record.width - 1) * record.out_next + record.channels
        case Kind.SPACE:
            across = record.width * record.channels * record.choice**2
        case Kind.TO_BYTES:
            across = _in_vectors(record.width)
        case Kind.POOL | Kind.ADD | Kind.DEPTHWISE:
            across = record.width * record.channels
    return (record.height - 1) * record.out_row + across


def _in_vectors(count: int) -> int:
    """Numbers that are written where so many are meant."""
    return -(-count // _LANES) * _LANES


def _work(record: Record) -> int:
    """At least as many rounds as its innermost loop makes."""
    sizes = (*record[2:5], record.rows, record.run, record.columns, record.choice, record.choice)
    return math.prod(max(size, 1) for size in sizes)
