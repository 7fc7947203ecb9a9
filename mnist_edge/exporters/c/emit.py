"""Write each step of a net as one C function over constants."""

from __future__ import annotations

from collections import Counter

from mnist_edge.exporters.c.convolve import describe, write_convolution
from mnist_edge.exporters.c.layers import (
    Add,
    Concat,
    Convolution,
    Linear,
    Net,
    Pool,
    Scale,
    SpaceToDepth,
    Step,
    sources,
)
from mnist_edge.exporters.c.plan import Place, Plan, padded
from mnist_edge.exporters.c.text import Code, call, define, padded_rows, size

# Columns of a matrix that count as few: so many classes at most.
MOST_DOTS = 16


def write_steps(net: Net, plan: Plan) -> list[Code]:
    """The C function of each step, in order."""
    numbers: Counter[str] = Counter()
    codes = []
    for index, step in enumerate(net.steps):
        kind, what = _kind(step)
        numbers[kind] += 1
        before = " and ".join(size(plan.shape(source)) for source in sources(step))
        relu = "; ReLU" if not isinstance(step, (Concat, SpaceToDepth)) and step.relu else ""
        comment = f"{before} -> {size(step.shape)}: {what}{relu}"
        counted = index >= plan.head
        codes.append(
            _write(f"{kind}{numbers[kind]}", comment, step, plan, plan.places[index], counted)
        )
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


def _write(name: str, comment: str, step: Step, plan: Plan, place: Place, counted: bool) -> Code:
    match step:
        case Convolution():
            return write_convolution(name, comment, step, plan, place)
        case Linear():
            return _linear(name, comment, step, plan, place, counted)
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


def _linear(name: str, comment: str, step: Linear, plan: Plan, place: Place, counted: bool) -> Code:
    shape = plan.shape(step.source)
    outputs, wide = step.shape.channels, padded(step.shape.channels)
    # From channel, row, column to the order in which the numbers lie here.
    rows = padded_rows(step.weight.reshape(outputs, *shape).transpose(2, 3, 1, 0), wide)
    row = plan.view(step.source).row
    source = plan.places.get(step.source)
    right = source.stride if source else shape.size
    count = "count" if counted else 1
    tail = (f"{name}_weight", wide, f"{name}_bias", "out", place.stride, step.relu)
    if outputs <= MOST_DOTS and row == shape.width * shape.channels:
        body = call("dots", count, outputs, "in", right, shape.size, *tail)
    else:
        taps = (row, shape.height, shape.width * shape.channels)
        body = call("line", count, outputs, "in", right, *taps, *tail)
    weight = define(f"{name}_weight", rows, (shape.size, wide))
    return Code(
        name=name,
        comment=comment,
        data=f"{weight}\n{define(f'{name}_bias', padded_rows(step.bias, wide))}",
        body=body,
        macs=step.weight.size,
        counted=counted,
    )


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
    for number, source in enumerate(step.sources):
        shape, view = plan.shape(source), plan.view(source)
        to = (f"out + {offset}", place.row, place.shape.channels)
        lines.append(call("copy", *shape, f"in{number}", *view, *to))
        offset += shape.channels
    return Code(
        name=name,
        comment=comment,
        body="\n".join(lines),
        inputs=tuple(f"in{number}" for number in range(len(step.sources))),
    )


def _space_to_depth(name: str, comment: str, step: SpaceToDepth, plan: Plan, place: Place) -> Code:
    channels, row = plan.shape(step.source).channels, plan.view(step.source).row
    to = (*step.shape[1:], "in", row, "out", place.row)
    return Code(name=name, comment=comment, body=call("space_to_depth", channels, step.block, *to))
