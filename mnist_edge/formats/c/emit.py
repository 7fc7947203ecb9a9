"""Write each step of a net as one C function over constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.c.convolve import describe, multiply_adds, write_convolution
from mnist_edge.formats.c.document import Function, Program
from mnist_edge.formats.c.layout import move_table, resize_tables, surround_calls
from mnist_edge.formats.c.plan import GROUP, LANES, Plan, Site, lay_out, padded
from mnist_edge.formats.c.text import Code, call, define, number, padded_rows, size
from mnist_edge.formats.graph import layers

# Columns of a matrix that count as few: so many classes at most.
MOST_DOTS = 16

_ABOUT = """\
C99 with GCC's vector types where the compiler has them; MNIST_EDGE_SCALAR does without.
   With -std=c99, GCC wants -ffp-contract=fast, or it multiplies and adds in two steps."""

_ANSWERS = """\
        COPY(logits + i * @NAME@_CLASSES, workspace + @last@, sizeof *logits * @NAME@_CLASSES);"""

Writer: TypeAlias = Callable[[Site, layers.Step], Code]
"""Gives the code of one step."""


def write_program(net: layers.Net) -> Program:
    """A float32 net in C."""
    plan = lay_out(net, weight_bytes=4)
    steps = write_steps(plan, _write, "float")
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


def are_half_empty(net: layers.Net, steps: Sequence[Function]) -> bool:
    """Whether it takes hardly more vectors of 8 channels than of 16: narrow ones wait less."""
    eights, sixteens = (
        sum(
            function.macs / step.shape.channels * -(-step.shape.channels // lanes)
            for step, function in zip(net.steps, steps, strict=True)
        )
        for lanes in (8, 16)
    )
    return eights < 1.1 * sixteens


def _kernels(steps: Sequence[Function]) -> Iterator[str]:
    """The files whose functions the steps call."""
    bodies = "".join(step.code.body for step in steps)
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


def write_steps(
    plan: Plan, write: Writer, kind: str, notes: Mapping[int, str] = {}
) -> list[Function]:
    """The C function of each step, in order.

    Args:
        plan: of the net.
        write: gives the code of each.
        kind: the type of results; that of the picture is float.
        notes: what else is said of steps, by their index.
    """
    numbers: Counter[str] = Counter()
    functions = []
    for index, step in enumerate(plan.net.steps):
        stem, what = _kind(step)
        numbers[stem] += 1
        reads = layers.sources(step)
        before = " and ".join(size(plan.shape(source)) for source in reads)
        relu = "; ReLU" if layers.is_rectified(step) else ""
        site = Site(name=f"{stem}{numbers[stem]}", plan=plan, index=index)
        functions.append(
            Function(
                name=site.name,
                comment=f"{before} -> {size(step.shape)}: {what}{relu}{notes.get(index, '')}",
                code=write(site, step),
                macs=multiply_adds(step),
                inputs=input_names(step),
                counted=index >= plan.head,
                reads="float" if layers.PICTURE in reads else kind,
                writes=kind,
            )
        )
    return functions


def input_names(step: layers.Step) -> tuple[str, ...]:
    """What the function of a step calls what it reads."""
    if isinstance(step, (layers.Add, layers.Concat)):
        return tuple(f"in{number}" for number in range(len(layers.sources(step))))
    return ("in",)


def _kind(step: layers.Step) -> tuple[str, str]:
    """What a step is called in C, and what it does in a few words."""
    match step:
        case layers.Convolution():
            return "conv", describe(step)
        case layers.Linear():
            return "linear", "all with all"
        case layers.Scale():
            return "scale", "a factor and an offset"
        case layers.Pool():
            word = "largest" if step.kind == "max" else "mean"
            return "pool", f"the {word} of each {step.window.height} x {step.window.width}"
        case layers.Add():
            return "add", "their sum"
        case layers.Concat():
            return "concat", "one after the other"
        case layers.SpaceToDepth():
            return "space", f"each {step.block} x {step.block} becomes one"
        case layers.Move():
            return "move", "in another order"
        case layers.Border():
            return "border", f"a border of {step.fill:g} around it"
        case layers.Resize():
            return "resize", "between neighbours"
        case layers.Activate():
            return "each", step.function


def _write(site: Site, step: layers.Step) -> Code:
    match step:
        case layers.Convolution():
            return write_convolution(site, step)
        case layers.Linear():
            return _linear(site, step)
        case layers.Scale():
            return _scale(site, step)
        case layers.Pool():
            return _pool(site, step)
        case layers.Add():
            return _add(site, step)
        case layers.Concat():
            return _concat(site, step)
        case layers.SpaceToDepth():
            return space_to_depth(site, step)
        case layers.Move():
            return _move(site, step)
        case layers.Border():
            return _surround(site, step)
        case layers.Resize():
            return _resize(site, step)
        case layers.Activate():
            return _activate(site, step)


def _linear(site: Site, step: layers.Linear) -> Code:
    rows = padded_rows(innermost(step, site.plan), padded(step.shape.channels))
    weight = define(f"{site.name}_weight", rows, rows.shape)
    bias = define(f"{site.name}_bias", padded_rows(step.bias, rows.shape[-1]))
    by_dots = step.shape.channels <= MOST_DOTS
    return Code(f"{weight}\n{bias}", product(site, step, step.relu, by_dots=by_dots))


def innermost(step: layers.Linear, plan: Plan) -> NDArray[np.float32]:
    """The weights (height, width, channels, out) of a matrix, in the order of what it reads."""
    shape = plan.shape(step.source)
    return step.weight.reshape(-1, *shape).transpose(2, 3, 1, 0)


def product(site: Site, step: layers.Linear, ending: object, *, by_dots: bool) -> str:
    """The statement that multiplies by a matrix: where the input lies in one piece, `by_dots`."""
    plan, outputs = site.plan, step.shape.channels
    shape, source = plan.shape(step.source), plan.places.get(step.source)
    right = source.stride if source else shape.size
    count = "count" if site.index >= plan.head else 1
    arrays = (f"{site.name}_weight", padded(outputs), f"{site.name}_bias")
    tail = (*arrays, "out", site.place.stride, ending)
    whole = in_one_piece(step, plan)
    if by_dots and whole:
        return call("dots", count, outputs, "in", right, shape.size, *tail)
    row = site.row(step.source)
    taps = (0, 1, shape.size) if whole else (row, shape.height, shape.width * shape.channels)
    return call("line", count, outputs, "in", right, *taps, *tail)


def in_one_piece(step: layers.Linear, plan: Plan) -> bool:
    """Whether a row follows the other in what a matrix product reads."""
    shape = plan.shape(step.source)
    return plan.view(step.source).row == shape.width * shape.channels


def _scale(site: Site, step: layers.Scale) -> Code:
    channels, height, width = step.shape
    factor, offset = f"{site.name}_factor", f"{site.name}_offset"
    body = call(
        *("scale", channels, height, width, "in", *site.plan.view(step.source)),
        *(factor, offset, "out", site.place.row, channels, step.relu),
    )
    return Code(f"{define(factor, step.factor)}\n{define(offset, step.offset)}", body)


def _pool(site: Site, step: layers.Pool) -> Code:
    window = step.window
    body = call(
        *("pool", step.kind == "max", *site.plan.shape(step.source), "in", site.row(step.source)),
        *(*window[:4], window.top, window.left, step.counts_border, *step.shape[1:]),
        *("out", site.place.row, step.relu),
    )
    return Code("", body)


def _add(site: Site, step: layers.Add) -> Code:
    left, right = site.row(step.source), site.row(step.other)
    to = ("out", site.place.row, step.relu)
    return Code("", call("add", *step.shape, "in0", left, "in1", right, *to))


def _concat(site: Site, step: layers.Concat) -> Code:
    lines, offset = [], 0
    for name, source in zip(input_names(step), step.sources, strict=True):
        shape, view = site.plan.shape(source), site.plan.view(source)
        to = (f"out + {offset}", site.place.row, site.place.shape.channels)
        lines.append(call("copy", *shape, name, *view, *to))
        offset += shape.channels
    return Code("", "\n".join(lines))


def space_to_depth(site: Site, step: layers.SpaceToDepth) -> Code:
    """Cells of pixels as channels, of numbers and of bytes."""
    channels, row = site.plan.shape(step.source).channels, site.row(step.source)
    to = (*step.shape[1:], "in", row, "out", site.place.row)
    return Code("", call("space_to_depth", channels, step.block, *to))


def _move(site: Site, step: layers.Move) -> Code:
    channels, height, width = step.shape
    to = ("in", f"{site.name}_from", "out", site.place.row)
    return Code(move_table(site, step), call("move", height, width * channels, *to))


def _surround(site: Site, step: layers.Border) -> Code:
    filled, within = surround_calls(step, site.place, number(step.fill))
    to = (within, site.place.row, step.shape.channels)
    shape, view = site.plan.shape(step.source), site.plan.view(step.source)
    return Code("", f"{filled}\n{call('copy', *shape, 'in', *view, *to)}")


def _resize(site: Site, step: layers.Resize) -> Code:
    tables = (f"{site.name}_{table}" for table in ("rows", "lower", "columns", "right"))
    view = site.plan.view(step.source)
    body = call("resize", *step.shape, "in", *view, *tables, "out", site.place.row)
    return Code(resize_tables(site, step), body)


def _activate(site: Site, step: layers.Activate) -> Code:
    function = step.function.upper().replace("-", "_")
    constants = (number(step.first), number(step.second))
    view = site.plan.view(step.source)
    return Code(
        "", call("EACH", function, *constants, *step.shape, "in", *view, "out", site.place.row)
    )
