"""A net as the data that the engine runs: a head, its steps, then their constants.

The steps are those of the C file, with the same places and the same order of weights; what is a
call there is a record here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.formats.c.convolve import dense
from mnist_edge.formats.c.emit import in_one_piece, innermost
from mnist_edge.formats.c.emit8 import borders, factors, offsets, packed, picture_units
from mnist_edge.formats.c.plan import Plan, lay_out, padded
from mnist_edge.formats.c.text import padded_rows
from mnist_edge.formats.graph.layers import (
    PICTURE,
    Add,
    Concat,
    Convolution,
    Linear,
    Net,
    Pool,
    Scale,
    SpaceToDepth,
    Step,
    is_rectified,
    sources,
)
from mnist_edge.formats.graph.quantized import QuantizedNet
from mnist_edge.formats.web.records import HEAD, RECORD, Head, Kind, Record

_ALIGNED = 64  # bytes: constants are read as vectors


class _Writer:
    """Records and constants so far; places of constants count from the first of them."""

    def __init__(self, net: Net, shift: int) -> None:
        # Weights that are read once a picture: there are no groups of pictures here.
        self.plan = lay_out(net, weight_bytes=0)
        self.shift = shift
        self.records: list[Record] = []
        self.constants = bytearray()

    def keep(self, array: NDArray[np.generic]) -> int:
        """Where a constant lies."""
        self.constants += bytes(-len(self.constants) % _ALIGNED)
        place = len(self.constants)
        self.constants += array.astype(array.dtype.newbyteorder("<")).tobytes()
        return place

    def place(self, index: int) -> int:
        """The first number of a result, or of the picture."""
        places = self.plan.places
        return places[index].inside + self.shift if index in places else 0

    def source(self, index: int) -> Record:
        """Where a step reads the result of another, or the picture."""
        view = self.plan.view(index)
        place = self.place(index)
        return Record(Kind.FILL, in_=place, in_row=view.row, in_next=view.next, in_apart=view.apart)

    def add(self, kind: Kind, index: int, read: Record | None = None, /, **fields: int) -> None:
        """A record of a step, which reads its first source unless something else is said."""
        place, step = self.plan.places[index], self.plan.net.steps[index]
        channels, height, width = step.shape
        usual = {
            "relu": int(is_rectified(step)),
            "channels": channels,
            "height": height,
            "width": width,
            "out": self.place(index),
            "out_row": place.row,
            "out_next": place.shape.channels,
        }
        read = read or self.source(sources(step)[0])
        self.records.append(read._replace(kind=kind, **(usual | fields)))

    def product(self, index: int, step: Convolution | Linear, **fields: int) -> None:
        """A convolution or a matrix product: `fields` say where its constants are."""
        read, shape = self.source(step.source), self.plan.shape(step.source)
        wide = padded(step.shape.channels)
        if isinstance(step, Convolution):
            window = step.window
            down, right = window.stride_y * read.in_row, window.stride_x * read.in_next
            self.add(
                Kind.POOLED_LINE if step.pooled else Kind.LINE,
                index,
                read._replace(
                    in_=read.in_ - window.top * read.in_row - window.left * read.in_next,
                    in_row=2 * down if step.pooled else down,
                    in_next=right,
                    in_apart=down,
                ),
                row=read.in_row,
                rows=window.height,
                run=window.width * shape.channels,
                wide=wide,
                **fields,
            )
        elif in_one_piece(step, self.plan):
            self.add(Kind.DOT, index, run=shape.size, wide=wide, **fields)
        else:
            taps = {"row": read.in_row, "rows": shape.height, "run": shape.width * shape.channels}
            self.add(Kind.LINE, index, wide=wide, **taps, **fields)

    def finish(self, **head: int) -> bytes:
        """The whole net; `head` has what is known of the result."""
        last = len(self.plan.net.steps) - 1
        start = HEAD.size + len(self.records) * RECORD.size
        start += -start % _ALIGNED
        if "scale" in head:
            head["scale"] += start
        first = Head(
            steps=len(self.records),
            workspace=self.plan.size + self.shift + padded(1),
            result=self.place(last),
            classes=self.plan.net.steps[last].shape.size,
            **head,
        )
        moved = (
            record._replace(
                weight=record.weight + start, bias=record.bias + start, factor=record.factor + start
            )
            for record in self.records
        )
        data = HEAD.pack(*first) + b"".join(RECORD.pack(*record) for record in moved)
        return data + bytes(-len(data) % _ALIGNED) + bytes(self.constants)


def write_net(net: Net) -> bytes:
    """A float32 net as data."""
    writer = _Writer(net, shift=net.picture.size)
    for place in writer.plan.places.values():
        if place.bordered:
            size = place.end - place.start
            writer.records.append(Record(Kind.FILL, out=place.start + writer.shift, run=size))
    if PICTURE in writer.plan.places:
        _copy_picture(writer)
    for index, step in enumerate(net.steps):
        _write(writer, index, step)
    return writer.finish()


def _copy_picture(writer: _Writer) -> None:
    channels, height, width = writer.plan.net.picture
    place = writer.plan.places[PICTURE]
    writer.records.append(
        Record(
            Kind.COPY,
            channels=channels,
            height=height,
            width=width,
            in_row=width,
            in_next=1,
            in_apart=height * width,
            out=writer.place(PICTURE),
            out_row=place.row,
            out_next=channels,
        )
    )


def _write(writer: _Writer, index: int, step: Step) -> None:
    plan = writer.plan
    match step:
        case Convolution() if step.groups == step.weight.shape[0] == plan.shape(step.source)[0] > 1:
            taps = step.weight.transpose(2, 3, 1, 0)[:, :, 0]
            read = writer.source(step.source)
            start = read.in_ - step.window.top * read.in_row - step.window.left * read.in_next
            writer.add(
                Kind.DEPTHWISE,
                index,
                read._replace(in_=start),
                weight=writer.keep(taps),
                bias=writer.keep(step.bias),
                **_window(step),
            )
        case Convolution() | Linear():
            if isinstance(step, Convolution):
                rows = dense(step).transpose(2, 3, 1, 0)
            else:
                rows = innermost(step, plan)
            wide = padded(step.shape.channels)
            weight = writer.keep(padded_rows(rows, wide))
            bias = writer.keep(padded_rows(step.bias, wide))
            writer.product(index, step, weight=weight, bias=bias)
        case Scale():
            weight, bias = writer.keep(step.factor), writer.keep(step.offset)
            writer.add(Kind.SCALE, index, weight=weight, bias=bias)
        case Pool():
            writer.add(Kind.POOL, index, **_pooling(step, plan))
        case Add():
            row = plan.view(step.other).row
            writer.add(Kind.ADD, index, other=writer.place(step.other), other_row=row)
        case Concat():
            _concatenate(writer, index, step)
        case SpaceToDepth():
            channels = plan.shape(step.source).channels
            writer.add(Kind.SPACE, index, choice=step.block, channels=channels)
        case _:
            raise _no_record(step)


def _no_record(step: Step) -> BadInput:
    return BadInput(
        f"the engine of the page has no step for {type(step).__name__}: a net of others has one",
        fix="choose another format, such as c or onnx",
    )


def _concatenate(writer: _Writer, index: int, step: Concat) -> None:
    out = writer.place(index)
    for source in step.sources:
        channels, height, width = writer.plan.shape(source)
        shape = {"channels": channels, "height": height, "width": width}
        writer.add(Kind.COPY, index, writer.source(source), out=out, **shape)
        out += channels


def _window(step: Convolution | Pool) -> dict[str, int]:
    window = step.window
    return {
        "rows": window.height,
        "columns": window.width,
        "stride_y": window.stride_y,
        "stride_x": window.stride_x,
        "top": window.top,
        "left": window.left,
    }


def _pooling(step: Pool, plan: Plan) -> dict[str, int]:
    _, height, width = plan.shape(step.source)
    return _window(step) | {
        "in_height": height,
        "in_width": width,
        "choice": int(step.kind == "max"),
        "zero": int(step.counts_border),
    }


def write_quantized_net(quantized: QuantizedNet) -> bytes:
    """A quantized net as data."""
    net = quantized.net
    writer = _Writer(net, shift=0)
    for start, byte, size in borders(writer.plan, quantized):
        writer.records.append(Record(Kind.FILL, out=start, zero=byte, run=size))
    for index, step in enumerate(net.steps):
        zero = quantized.grids[index].zero
        match step:
            case Scale():
                units = writer.keep(np.array(picture_units(step, quantized.grids[index])))
                writer.add(Kind.TO_BYTES, index, factor=units, zero=zero)
            case Pool(kind="max"):
                writer.add(Kind.POOL, index, **_pooling(step, writer.plan))
            case Convolution() | Linear():
                writer.product(
                    index,
                    step,
                    weight=writer.keep(packed(step, writer.plan)),
                    bias=writer.keep(offsets(quantized, step)[1]),
                    factor=writer.keep(factors(quantized, step, index)),
                    zero=zero,
                )
            case _:
                raise _no_record(step)
    last = quantized.grids[len(net.steps) - 1]
    return writer.finish(scale=writer.keep(np.array([last.scale])), zero=last.zero)
