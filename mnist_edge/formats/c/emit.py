"""Write each step of a net as one C function over constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.c.convolve import describe, write_convolution
from mnist_edge.formats.c.document import Program
from mnist_edge.formats.c.layout import move_table, resize_tables, surround_calls
from mnist_edge.formats.c.plan import GROUP, LANES, Place, Plan, lay_out, padded
from mnist_edge.formats.c.text import Code, call, define, number, padded_rows, size
from mnist_edge.formats.graph.layers import (
    Activate,
    Add,
    Border,
    Concat,
    Convolution,
    Linear,
    Move,
    Net,
    Pool,
    Resize,
    Scale,
    SpaceToDepth,
    Step,
    sources,
)

# Columns of a matrix that count as few: so many classes at most.
MOST_DOTS = 16

_ABOUT = """\
C99 with GCC's vector types where the compiler has them; MNIST_EDGE_SCALAR does without.
   With -std=c99, GCC wants -ffp-contract=fast, or it multiplies and adds in two steps."""

_ANSWERS = """\
        COPY(logits + i * @NAME@_CLASSES, workspace + @last@, sizeof *logits * @NAME@_CLASSES);"""

Writer: TypeAlias = Callable[[str, str, Step, Plan, int], Code]
"""Gives the code of one step, from its name, comment, step, plan and index."""


def write_program(net: Net) -> Program:
    """A float32 net in C."""
    plan = lay_out(net, weight_bytes=4)
    steps = write_steps(plan, _write)
    zeroed = max((place.end for place in plan.places.values() if place.bordered), default=0)
    return Program(
        plan=plan,
        steps=steps,
        kernels=tuple(_kernels(steps)),
        workspace=plan.size + LANES,
        marks={
            "about": _ABOUT,
            "number": "float",
            "cast": "",
            "borders": f"    FILL(workspace, 0, sizeof *workspace * {zeroed});",
            "answers": _ANSWERS,
            "half_empty": int(are_half_empty(net, steps)),
            "GROUP": GROUP,
            "MOST_DOTS": MOST_DOTS,
        },
    )


def are_half_empty(net: Net, steps: Sequence[Code]) -> bool:
    """Whether it takes hardly more vectors of 8 channels than of 16: narrow ones wait less."""
    eights, sixteens = (
        sum(
            code.macs / step.shape.channels * -(-step.shape.channels // lanes)
            for step, code in zip(net.steps, steps, strict=True)
        )
        for lanes in (8, 16)
    )
    return eights < 1.1 * sixteens


def _kernels(steps: Sequence[Code]) -> Iterator[str]:
    """The files whose functions the steps call."""
    bodies = "".join(step.body for step in steps)
    yield from ("lanes.c", "common.c", "vectors.c", "kernels.c", "dots.c")
    yield from winograd_files(bodies, "terms.c")
    yield "plain.c"
    if any(f"{name}(" in bodies for name in ("move", "surround", "resize")):
        yield "moves.c"
    if "EACH(" in bodies:
        yield "functions.c"


def winograd_files(bodies: str, terms: str) -> Iterator[str]:
    """Those of Winograd's ways, after the file that says what they work on, if one is called."""
    ways = {"winograd": "winograd.c", "winograd3": "winograd3.c", "convolve_rows": "rows.c"}
    files = [file for way, file in ways.items() if f"{way}(" in bodies]
    yield from (terms, *files) if files else ()


def write_steps(plan: Plan, write: Writer) -> list[Code]:
    """The C function of each step, in order."""
    numbers: Counter[str] = Counter()
    codes = []
    for index, step in enumerate(plan.net.steps):
        kind, what = _kind(step)
        numbers[kind] += 1
        before = " and ".join(size(plan.shape(source)) for source in sources(step))
        relu = "; ReLU" if getattr(step, "relu", False) else ""
        comment = f"{before} -> {size(step.shape)}: {what}{relu}"
        codes.append(write(f"{kind}{numbers[kind]}", comment, step, plan, index))
    return codes


def _kind(step: Step) -> tuple[str, str]:
    """What a step is called in C, and what it does in a few words."""
    match step:
        case Convolution():
            return "conv", describe(step)
        case Linear():
            return "linear", "all with all"
        case Scale():
            return "scale", "a factor and an offset"
        case Pool():
            word = "largest" if step.kind == "max" else "mean"
            return "pool", f"the {word} of each {step.window.height} x {step.window.width}"
        case Add():
            return "add", "their sum"
        case Concat():
            return "concat", "one after the other"
        case SpaceToDepth():
            return "space", f"each {step.block} x {step.block} becomes one"
        case Move():
            return "move", "in another order"
        case Border():
            return "border", f"a border of {step.fill:g} around it"
        case Resize():
            return "resize", "between neighbours"
        case Activate():
            return "each", step.function


def _write(name: str, comment: str, step: Step, plan: Plan, index: int) -> Code:
    place = plan.places[index]
    match step:
        case Convolution():
            return write_convolution(name, comment, step, plan, place)
        case Linear():
            return _linear(name, comment, step, plan, index)
        case Scale():
            return _scale(name, comment, step, plan, place)
        case Pool():
            return _pool(name, comment, step, plan, place)
        case Add():
            return _add(name, comment, step, plan, place)
        case Concat():
            return _concat(name, comment, step, plan, place)
        case SpaceToDepth():
            return _space_to_depth(name, comment, step, plan, place)
        case Move():
            return _move(name, comment, step, plan, place)
        case Border():
            return _surround(name, comment, step, plan, place)
        case Resize():
            return _resize(name, comment, step, plan, place)
        case Activate():
            return _activate(name, comment, step, plan, place)


def _linear(name: str, comment: str, step: Linear, plan: Plan, index: int) -> Code:
    rows = padded_rows(innermost(step, plan), padded(step.shape.channels))
    weight = define(f"{name}_weight", rows, rows.shape)
    return Code(
        name=name,
        comment=comment,
        data=f"{weight}\n{define(f'{name}_bias', padded_rows(step.bias, rows.shape[-1]))}",
        body=product(name, step, plan, index, step.relu, by_dots=step.shape.channels <= MOST_DOTS),
        macs=step.weight.size,
        counted=index >= plan.head,
    )


def innermost(step: Linear, plan: Plan) -> NDArray[np.float32]:
    """The weights (height, width, channels, out) of a matrix, in the order of what it reads."""
    shape = plan.shape(step.source)
    return step.weight.reshape(-1, *shape).transpose(2, 3, 1, 0)


def product(
    name: str, step: Linear, plan: Plan, index: int, ending: object, *, by_dots: bool
) -> str:
    """The statement that multiplies by a matrix.

    Args:
        name: of the function that it is for, and of its arrays.
        step: the product.
        plan: where all lies.
        index: of the step.
        ending: what the kernels call so.
        by_dots: in a few sums at once for each column, where the input lies in one piece.
    """
    shape, outputs = plan.shape(step.source), step.shape.channels
    source = plan.places.get(step.source)
    right = source.stride if source else shape.size
    count = "count" if index >= plan.head else 1
    arrays = (f"{name}_weight", padded(outputs), f"{name}_bias")
    tail = (*arrays, "out", plan.places[index].stride, ending)
    whole = in_one_piece(step, plan)
    if by_dots and whole:
        return call("dots", count, outputs, "in", right, shape.size, *tail)
    row = plan.view(step.source).row
    taps = (0, 1, shape.size) if whole else (row, shape.height, shape.width * shape.channels)
    return call("line", count, outputs, "in", right, *taps, *tail)


def in_one_piece(step: Linear, plan: Plan) -> bool:
    """Whether a row follows the other in what a matrix product reads."""
    shape = plan.shape(step.source)
    return plan.view(step.source).row == shape.width * shape.channels


def _scale(name: str, comment: str, step: Scale, plan: Plan, place: Place) -> Code:
    channels, height, width = step.shape
    factor = define(f"{name}_factor", step.factor)
    return Code(
        name=name,
        comment=comment,
        data=f"{factor}\n{define(f'{name}_offset', step.offset)}",
        body=call(
            *("scale", channels, height, width, "in", *plan.view(step.source)),
            *(f"{name}_factor", f"{name}_offset", "out", place.row, channels, step.relu),
        ),
    )


def _pool(name: str, comment: str, step: Pool, plan: Plan, place: Place) -> Code:
    window = step.window
    return Code(
        name=name,
        comment=comment,
        body=call(
            *("pool", step.kind == "max", *plan.shape(step.source), "in"),
            *(plan.view(step.source).row, *window[:4], window.top, window.left),
            *(step.counts_border, *step.shape[1:], "out", place.row, step.relu),
        ),
    )


def _add(name: str, comment: str, step: Add, plan: Plan, place: Place) -> Code:
    left, right = (plan.view(source).row for source in sources(step))
    return Code(
        name=name,
        comment=comment,
        body=call("add", *step.shape, "in0", left, "in1", right, "out", place.row, step.relu),
        inputs=("in0", "in1"),
    )


def _concat(name: str, comment: str, step: Concat, plan: Plan, place: Place) -> Code:
    lines, offset = [], 0
    for index, source in enumerate(step.sources):
        shape, view = plan.shape(source), plan.view(source)
        to = (f"out + {offset}", place.row, place.shape.channels)
        lines.append(call("copy", *shape, f"in{index}", *view, *to))
        offset += shape.channels
    return Code(
        name=name,
        comment=comment,
        body="\n".join(lines),
        inputs=tuple(f"in{index}" for index in range(len(step.sources))),
    )


def _space_to_depth(name: str, comment: str, step: SpaceToDepth, plan: Plan, place: Place) -> Code:
    channels, row = plan.shape(step.source).channels, plan.view(step.source).row
    to = (*step.shape[1:], "in", row, "out", place.row)
    return Code(name=name, comment=comment, body=call("space_to_depth", channels, step.block, *to))


def _move(name: str, comment: str, step: Move, plan: Plan, place: Place) -> Code:
    channels, height, width = step.shape
    return Code(
        name=name,
        comment=comment,
        data=move_table(name, step, plan),
        body=call("move", height, width * channels, "in", f"{name}_from", "out", place.row),
    )


def _surround(name: str, comment: str, step: Border, plan: Plan, place: Place) -> Code:
    filled, within = surround_calls(step, place, number(step.fill))
    to = (within, place.row, step.shape.channels)
    shape, view = plan.shape(step.source), plan.view(step.source)
    return Code(
        name=name, comment=comment, body=f"{filled}\n{call('copy', *shape, 'in', *view, *to)}"
    )


def _resize(name: str, comment: str, step: Resize, plan: Plan, place: Place) -> Code:
    tables = (f"{name}_{table}" for table in ("rows", "lower", "columns", "right"))
    return Code(
        name=name,
        comment=comment,
        data=resize_tables(name, step, plan),
        body=call("resize", *step.shape, "in", *plan.view(step.source), *tables, "out", place.row),
    )


def _activate(name: str, comment: str, step: Activate, plan: Plan, place: Place) -> Code:
    function = step.function.upper().replace("-", "_")
    constants = (number(step.first), number(step.second))
    view = plan.view(step.source)
    return Code(
        name=name,
        comment=comment,
        body=call(*("EACH", function, *constants, *step.shape, "in", *view, "out", place.row)),
    )
