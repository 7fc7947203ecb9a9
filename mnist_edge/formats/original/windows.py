"""Convolution and pooling for the reference evaluator, a hundred times faster than its own.

Its own take each place of a picture in turn. Here a convolution is one matrix product a picture,
and pooling takes each place of a window over all pictures at once; the rest is left to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx.reference.ops import op_average_pool, op_conv, op_max_pool

_Pixels: TypeAlias = NDArray[np.floating[Any]]
_Outputs: TypeAlias = tuple[_Pixels, ...]
_Places: TypeAlias = Iterator[tuple[tuple[int, ...], _Pixels]]
# Untyped classes, whose methods take what each operator has.
_Conv: Any = op_conv.Conv
_MaxPool: Any = op_max_pool.MaxPool
_AveragePool: Any = op_average_pool.AveragePool_19
_MOST_NUMBERS = 1 << 21  # that one product reads: what a cache holds, and few products
_PLAIN = ("NOTSET", "VALID", None)


class Conv(_Conv):  # type: ignore[misc]
    """Of two-dimensional pictures."""

    op_domain = ""

    def _run(
        self,
        pixels: _Pixels,
        weight: _Pixels,
        bias: _Pixels | None = None,
        *rest: Any,
        **options: Any,
    ) -> _Outputs:
        groups = options.get("group") or 1
        if pixels.ndim != 4 or options.get("auto_pad") not in _PLAIN:
            return super()._run(pixels, weight, bias, *rest, **options)  # type: ignore[no-any-return]
        out, _, *kernel = weight.shape
        windows = _windows(_bordered(pixels, options, 0.0), kernel, options)
        count, _, *_, height, width = windows.shape
        rows = weight.reshape(groups, out // groups, -1)
        result: _Pixels = np.empty((count, groups, out // groups, height * width), pixels.dtype)
        each = max(1, _MOST_NUMBERS // (groups * rows.shape[2] * height * width))
        for start in range(0, count, each):
            seen = windows[start : start + each]
            laid = seen.reshape(len(seen), groups, rows.shape[2], height * width)
            columns = laid.transpose(1, 2, 0, 3).reshape(groups, rows.shape[2], -1)
            sums = (rows @ columns).reshape(groups, out // groups, len(seen), height * width)
            result[start : start + each] = sums.transpose(2, 0, 1, 3)
        given = result.reshape(count, out, height, width)
        return (given if bias is None else given + bias.reshape(1, -1, 1, 1),)


class MaxPool(_MaxPool):  # type: ignore[misc]
    """Of two-dimensional pictures."""

    op_domain = ""

    def _run(self, pixels: _Pixels, *rest: Any, **options: Any) -> _Outputs:
        if not _is_plain(pixels, options) or len(self.output) > 1:
            return super()._run(pixels, *rest, **options)  # type: ignore[no-any-return]
        windows = _places(_bordered(pixels, options, -np.inf), options["kernel_shape"], options)
        _, largest = next(windows)
        for _, seen in windows:
            largest = np.maximum(largest, seen)
        return (largest,)


class AveragePool(_AveragePool):  # type: ignore[misc]
    """Of two-dimensional pictures."""

    op_domain = ""

    def _run(self, pixels: _Pixels, *rest: Any, **options: Any) -> _Outputs:
        if not _is_plain(pixels, options):
            return super()._run(pixels, *rest, **options)  # type: ignore[no-any-return]
        kernel = options["kernel_shape"]
        counted = np.ones((1, 1, *pixels.shape[2:]), pixels.dtype)
        counted = _bordered(counted, options, 1.0 if options.get("count_include_pad") else 0.0)
        total, count = (
            _sum(_places(board, kernel, options))
            for board in (_bordered(pixels, options, 0.0), counted)
        )
        return (total / count,)


def _is_plain(pixels: _Pixels, options: dict[str, Any]) -> bool:
    return (
        pixels.ndim == 4
        and options.get("auto_pad") in _PLAIN
        and not options.get("ceil_mode")
        and not options.get("storage_order")
    )


def _sum(places: _Places) -> _Pixels:
    _, total = next(places)
    for _, seen in places:
        total = total + seen
    return total


def _bordered(pixels: _Pixels, options: dict[str, Any], value: float) -> _Pixels:
    top, left, bottom, right = options.get("pads") or (0, 0, 0, 0)
    edges = ((0, 0), (0, 0), (top, bottom), (left, right))
    return np.pad(pixels, edges, constant_values=value)


def _windows(pixels: _Pixels, kernel: Sequence[int], options: dict[str, Any]) -> _Pixels:
    """What each place of a kernel meets, as a view: (N, C, *kernel, height, width)."""
    step_y, step_x = options.get("strides") or (1, 1)
    gap_y, gap_x = options.get("dilations") or (1, 1)
    span = ((kernel[0] - 1) * gap_y + 1, (kernel[1] - 1) * gap_x + 1)
    seen = np.lib.stride_tricks.sliding_window_view(pixels, span, axis=(2, 3))
    return seen[:, :, ::step_y, ::step_x, ::gap_y, ::gap_x].transpose(0, 1, 4, 5, 2, 3)


def _places(pixels: _Pixels, kernel: Sequence[int], options: dict[str, Any]) -> _Places:
    """Each place of a kernel with the pixels that it meets, (N, C, height, width)."""
    strides = options.get("strides") or (1, 1)
    gaps = options.get("dilations") or (1, 1)
    ends = [
        size - (side - 1) * gap
        for size, side, gap in zip(pixels.shape[2:], kernel, gaps, strict=True)
    ]
    for place in itertools.product(*map(range, kernel)):
        rows, columns = (
            slice(at * gap, at * gap + end, step)
            for at, gap, end, step in zip(place, gaps, ends, strides, strict=True)
        )
        yield place, pixels[:, :, rows, columns]
