"""What the engine reads: the head of a net and its steps, as `engine/steps.c` has them."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a step does."""

    FILL = 0
    LINE = 1
    POOLED_LINE = 2
    DOT = 3
    POOL = 4
    SCALE = 5
    COPY = 6
    ADD = 7
    DEPTHWISE = 8
    SPACE = 9
    TO_BYTES = 10


class Record(NamedTuple):
    """One step: the fields of `step_of_net`, in its order."""

    kind: Kind
    relu: int = 0
    channels: int = 0
    height: int = 0
    width: int = 0
    in_: int = 0
    in_row: int = 0
    in_next: int = 0
    in_apart: int = 0
    row: int = 0
    rows: int = 0
    run: int = 0
    columns: int = 0
    stride_y: int = 0
    stride_x: int = 0
    top: int = 0
    left: int = 0
    in_height: int = 0
    in_width: int = 0
    choice: int = 0
    other: int = 0
    other_row: int = 0
    weight: int = 0
    wide: int = 0
    bias: int = 0
    factor: int = 0
    zero: int = 0
    out: int = 0
    out_row: int = 0
    out_next: int = 0


class Head(NamedTuple):
    """What precedes the records: the fields of `head_of_net`."""

    steps: int
    workspace: int
    result: int
    classes: int
    scale: int = 0
    zero: int = 0


HEAD = struct.Struct(f"<{len(Head._fields)}i")
RECORD = struct.Struct(f"<{len(Record._fields)}i")
