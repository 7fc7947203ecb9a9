"""Operators that leave numbers as they are and lay them out in another way."""

from __future__ import annotations

import math

import numpy as np

from mnist_edge.formats.graph.layers import (
    PICTURE,
    Border,
    Concat,
    Order,
    Resize,
    Shape,
    SpaceToDepth,
)
from mnist_edge.formats.graph.reader import Node, Reader, Value

_EVERY = (1 << 31) - 1
"""An end of a slice that is none."""


def reshape(reader: Reader, node: Node) -> Value:
    """Flatten, Reshape, Squeeze and Unsqueeze, all of one picture."""
    source = reader.input(node)
    match node.kind:
        case "Flatten":
            dims = _flattened(node, source)
        case "Reshape":
            dims = _reshaped(node, source)
        case _:
            dims = _squeezed(node, source)
    if math.prod(dims) != source.size:
        raise node.refuse(f"it makes {dims} of {source.dims}")
    return source._replace(dims=dims)


def _flattened(node: Node, source: Value) -> tuple[int, ...]:
    axis = int(node.number("axis", 1))
    if axis not in (1, 1 - len(source.dims) - 1):
        raise node.refuse("it does not give one row a picture")
    return (source.size,)


def _reshaped(node: Node, source: Value) -> tuple[int, ...]:
    target = node.whole(1)
    if not target or (0 in target and node.number("allowzero", 0)):
        raise node.refuse("its shape is not constant")
    before = (-1, *source.dims)
    sizes = [
        before[axis] if size == 0 and axis < len(before) else size
        for axis, size in enumerate(target)
    ]
    rest = sizes[1:]
    if -1 in rest:  # then the first size is that of the batch, or one picture is meant
        known = math.prod(size for size in rest if size != -1)
        rest[rest.index(-1)] = source.size // known if known > 0 else 0
    if sizes[0] != -1 or math.prod(rest) != source.size:
        raise node.refuse("it does not give one row a picture")
    return tuple(rest)


def _squeezed(node: Node, source: Value) -> tuple[int, ...]:
    axes = node.whole(1) if node.inputs > 1 else node.integers("axes")
    sizes = [-1, *source.dims]
    if node.kind == "Squeeze":
        ones = tuple(axis for axis, size in enumerate(sizes) if size == 1)
        gone = {axis % len(sizes) for axis in axes or ones}
        if any(sizes[axis] != 1 for axis in gone):
            raise node.refuse("it takes away more than sizes of 1")
        return tuple(size for axis, size in enumerate(sizes) if axis not in gone)[1:]
    if not axes:
        raise node.refuse("its axes are not constant")
    for axis in sorted(axis % (len(sizes) + len(axes)) for axis in axes):
        if axis == 0:
            raise node.refuse("it puts a size before the batch")
        sizes.insert(axis, 1)
    return tuple(sizes[1:])


def transpose(reader: Reader, node: Node) -> Value:
    """Transpose within a picture."""
    source = reader.input(node)
    order = node.integers("perm", tuple(range(len(source.dims), -1, -1)))
    if order[:1] != (0,) or sorted(order) != list(range(len(source.dims) + 1)):
        raise node.refuse(f"it moves the batch, to {order}")
    return source.laid_out(source.indices.transpose([axis - 1 for axis in order[1:]]))


def cut(reader: Reader, node: Node) -> Value:
    """Slice with constant bounds, within a picture."""
    source = reader.input(node)
    starts, ends = node.whole(1), node.whole(2)
    if starts is None or ends is None:
        raise node.refuse("its bounds are not constant")
    axes = node.whole(3) if node.inputs > 3 else None
    steps = node.whole(4) if node.inputs > 4 else None
    indices = source.indices
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if (axes[number] if axes else number) == 0 == start and end >= _EVERY:
            continue  # of all pictures
        axis = _axis(node, source, axes[number] if axes else number)
        step = steps[number] if steps else 1
        # Numbers beyond what slices may reach mean the end, either one.
        size = source.dims[axis]
        stop = None if step < 0 and end < -size else end
        slices = [slice(None)] * len(source.dims)
        slices[axis] = slice(start, stop, step)
        indices = indices[tuple(slices)]
    if not indices.size:
        raise node.refuse("it leaves nothing")
    return source.laid_out(indices)


def gather(reader: Reader, node: Node) -> Value:
    """Gather with constant indices, within a picture."""
    source = reader.input(node)
    chosen = node.constant(1)
    if chosen is None:
        raise node.refuse("its indices are not constant")
    axis = _axis(node, source, int(node.number("axis", 0)))
    return source.laid_out(np.take(source.indices, chosen.astype(np.int64), axis=axis))


def repeat(reader: Reader, node: Node) -> Value:
    """Tile and Expand: the same numbers several times."""
    source = reader.input(node)
    sizes = node.whole(1)
    if sizes is None or len(sizes) != len(source.dims) + 1 or sizes[0] != 1:
        raise node.refuse("it does not repeat numbers of one picture")
    if node.kind == "Tile":
        return source.laid_out(np.tile(source.indices, sizes[1:]))
    dims = np.broadcast_shapes(source.dims, sizes[1:])
    return source.laid_out(np.broadcast_to(source.indices, dims))


def concatenate(reader: Reader, node: Node) -> Value:
    """Concat within a picture."""
    values = [reader.input(node, index) for index in range(node.inputs)]
    first = values[0]
    axis = _axis(node, first, int(node.number("axis", 1)))
    others = {value.dims[:axis] + value.dims[axis + 1 :] for value in values}
    if len(others) > 1 or len({len(value.dims) for value in values}) > 1:
        raise node.refuse("what it joins differs in size")
    if len({value.step for value in values}) == 1 and first.step == PICTURE:
        joined = np.concatenate([value.indices for value in values], axis=axis)
        return first.laid_out(joined)
    if len(first.dims) > 3:
        raise node.refuse("it joins more than channels, rows and columns")
    # As channels, whatever they are: a step that moves numbers is made where they lie otherwise.
    parts = [_as_channels(reader, value, axis) for value in values]
    channels = sum(part.shape.channels for part in parts)
    shape = Shape(channels, *parts[0].shape[1:])
    step = Concat(sources=tuple(part.step for part in parts), shape=shape)
    result = reader.append(step)
    rest = [size for number, size in enumerate(first.dims) if number != axis]
    return result.laid_out(np.moveaxis(result.indices.reshape(channels, *rest), 0, axis))


def _as_channels(reader: Reader, value: Value, axis: int) -> Value:
    indices = np.moveaxis(value.indices, axis, 0)
    sizes = (*indices.shape, 1, 1)[:3]
    laid = value.laid_out(indices.reshape(sizes))
    return laid if laid.order is None and laid.dims == laid.shape else reader.moved(laid)


def pad(reader: Reader, node: Node) -> Value:
    """Pad with a constant: a border of rows and columns."""
    source = reader.input(node)
    pads = node.whole(1) if node.inputs > 1 else node.integers("pads")
    mode = node.attributes.get("mode", "constant")
    axes = node.whole(3) if node.inputs > 3 else None
    rank = len(source.dims) + 1
    if mode != "constant" or pads is None or axes is not None or len(pads) != 2 * rank:
        raise node.refuse("it is no border of one number around a whole picture")
    given = node.constant(2) if node.inputs > 2 and node.operator.inputs[2] else None
    fill = float(given.item()) if given is not None else node.number("value", 0.0)
    if not any(pads):
        return source
    if pads[0] or pads[rank] or min(pads) < 0 or len(source.dims) != 3:
        raise node.refuse("it is no border around rows and columns")
    sides = [(pads[axis], pads[rank + axis]) for axis in range(1, rank)]
    ways: tuple[tuple[int, int, int], ...] = ((0, 1, 2), (2, 0, 1), (1, 0, 2))
    for order in ways:  # where the channels stand, first or last, or have no size
        channels, rows, columns = order
        turned = source.laid_out(source.indices.transpose(order))
        fits = turned.order is None and turned.dims == source.shape
        if not any(sides[channels]) and (fits or order == ways[0]):
            break
    else:
        raise node.refuse("it puts a border around channels")
    if turned.order is not None or turned.dims != turned.shape:
        turned = reader.moved(turned)
    (top, bottom), (left, right) = sides[rows], sides[columns]
    depth, height, width = turned.shape
    shape = Shape(depth, top + height + bottom, left + width + right)
    step = Border(source=turned.step, shape=shape, top=top, left=left, fill=fill)
    result = reader.append(step)
    return result.laid_out(result.indices.transpose(np.argsort(order)))


def resize(reader: Reader, node: Node) -> Value:
    """Resize of rows and columns by linear interpolation, and whole multiples of them."""
    source = reader.picture(node, reader.input(node))
    sizes = _target_sizes(node, source)
    mode = node.attributes.get("mode", "nearest")
    centres = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    channels, height, width = source.shape
    if mode == "nearest" and not (sizes[0] % height or sizes[1] % width):
        indices = source.indices.repeat(sizes[0] // height, axis=1)
        return source.laid_out(indices.repeat(sizes[1] // width, axis=2))
    if sizes == (height, width):
        return source
    if mode != "linear" or centres not in ("half_pixel", "pytorch_half_pixel"):
        raise node.refuse("it is not linear, with centres at half a pixel")
    if node.number("antialias", 0) or min(sizes) < 2:
        raise node.refuse("it takes more than four neighbours")
    return reader.append(Resize(source=source.step, shape=Shape(channels, *sizes)))


def _target_sizes(node: Node, source: Value) -> tuple[int, int]:
    axes = node.integers("axes", (0, 1, 2, 3))
    sizes = node.whole(3) if node.inputs > 3 else None
    scales = node.constant(2) if node.inputs > 2 else None
    if node.kind == "Upsample":
        scales = node.constant(1)
    before = (1, *source.dims)
    if sizes is None and scales is not None and scales.size == len(axes):
        factors = scales.reshape(-1).tolist()
        sizes = tuple(math.floor(before[a] * f) for a, f in zip(axes, factors, strict=True))
    if sizes is None or len(sizes) != len(axes):
        raise node.refuse("its size is not constant")
    wanted = dict(zip((axis % 4 for axis in axes), sizes, strict=True))
    if wanted.get(1, before[1]) != before[1] or min(sizes) < 1:
        raise node.refuse("it changes more than rows and columns")
    return wanted.get(2, before[2]), wanted.get(3, before[3])


def rearrange(reader: Reader, node: Node) -> Value:
    """SpaceToDepth and DepthToSpace."""
    source = reader.picture(node, reader.input(node))
    block = int(node.number("blocksize", 0))
    channels, height, width = source.shape
    if node.kind == "DepthToSpace":
        return source.laid_out(_to_space(node, source, block))
    if block < 1 or height % block or width % block:
        raise node.refuse("its block does not divide its input")
    shape = Shape(channels * block**2, height // block, width // block)
    return reader.append(SpaceToDepth(source=source.step, shape=shape, block=block))


def _to_space(node: Node, source: Value, block: int) -> Order:
    channels, height, width = source.dims
    if block < 1 or channels % block**2:
        raise node.refuse("its block does not divide its input")
    depth = channels // block**2
    if node.attributes.get("mode", "DCR") == "DCR":
        parts = source.indices.reshape(block, block, depth, height, width)
        parts = parts.transpose(2, 3, 0, 4, 1)
    else:
        parts = source.indices.reshape(depth, block, block, height, width)
        parts = parts.transpose(0, 3, 1, 4, 2)
    return parts.reshape(depth, height * block, width * block)


def pass_on(reader: Reader, node: Node) -> Value:
    """Identity, Dropout, and Cast between kinds of floats."""
    return reader.input(node)


def _axis(node: Node, source: Value, axis: int) -> int:
    """The axis within a picture that an axis of the graph is."""
    rank = len(source.dims) + 1
    if not -rank <= axis < rank or axis % rank == 0:
        raise node.refuse("it does not stay within a picture")
    return axis % rank - 1
