"""The tables of steps that move numbers, or mean them: the same in float32 and in int8."""

from __future__ import annotations

import numpy as np

from mnist_edge.errors import BadInput
from mnist_edge.formats.c.plan import Place, Site
from mnist_edge.formats.c.text import call, define
from mnist_edge.formats.graph.layers import Border, Move, Resize

_REACH = 1 << 16


def move_table(site: Site, step: Move) -> str:
    """Where each number of a result lies in what it is taken from, in the order of memory."""
    shape, view = site.plan.shape(step.source), site.plan.view(step.source)
    channel, row, column = np.unravel_index(step.order, shape)
    places = row * view.row + column * view.next + channel * view.apart
    table = places.reshape(step.shape).transpose(1, 2, 0)
    if table.max(initial=0) >= _REACH:
        raise BadInput(
            "C moves numbers within 65,536 of each other at most", fix="choose another format"
        )
    return define(f"{site.name}_from", table.astype(np.uint16))


def resize_tables(site: Site, step: Resize) -> str:
    """The rows and columns that each result lies between, and how near to the second."""
    _, height, width = site.plan.shape(step.source)
    texts = []
    for what, share, size, before in (
        ("rows", "lower", step.shape.height, height),
        ("columns", "right", step.shape.width, width),
    ):
        centres = np.clip((np.arange(size) + 0.5) * before / size - 0.5, 0, before - 1)
        first = np.minimum(np.floor(centres), max(before - 2, 0)).astype(np.int64)
        pairs = np.stack([first, np.minimum(first + 1, before - 1)], axis=1)
        texts.append(define(f"{site.name}_{what}", pairs.astype(np.uint16)))
        texts.append(define(f"{site.name}_{share}", (centres - first).astype(np.float32)))
    return "\n".join(texts)


def surround_calls(step: Border, place: Place, fill: str) -> tuple[str, str]:
    """The statement that fills all of a result, and the place within it for what is copied."""
    channels, height, width = step.shape
    filled = call("surround", height, width * channels, fill, "out", place.row)
    return filled, f"out + {step.top * place.row + step.left * channels}"
