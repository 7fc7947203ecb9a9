"""The same net in fewer and plainer steps, as runtimes and quantization like them.

What people's graphs hold (layouts, normalisation, borders apart) is worked into the weights where
that changes nothing but rounding: so no writer has to know it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from mnist_edge.formats.graph.functions import fold_affine
from mnist_edge.formats.graph.layers import (
    PICTURE,
    Activate,
    Add,
    Border,
    Concat,
    Convolution,
    Linear,
    Move,
    Net,
    Numbers,
    Pool,
    Resize,
    Scale,
    Step,
    Window,
    is_rectified,
    sources,
)
from mnist_edge.formats.graph.operators import halved, may_halve


def fold(net: Net) -> Net:
    """A net with the same answers."""
    work = _Work(net)
    rules: tuple[Callable[[_Work, int], bool], ...] = (
        _drop_move,
        _drop_round,
        _join_moves,
        _multiply_moved,
        _rectify_before_pool,
        _halve,
        _scale_after,
        _scale_before,
        _convolve_bordered,
        _pool_bordered,
    )
    changed = True
    while changed:
        changed = any(rule(work, index) for rule in rules for index in work.living())
    for index in work.living():
        _convolve_scaled(work, index)
    return work.net()


class _Work:
    """Steps, some of which are gone; whoever read one of those reads another instead."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self.steps: list[Step | None] = list(net.steps)
        self._last = len(net.steps) - 1

    def living(self) -> list[int]:
        """The steps that the last one needs, in order."""
        needed = {self._last}
        for index in range(self._last, -1, -1):
            step = self.steps[index]
            if index in needed and step is not None:
                needed.update(sources(step))
        return sorted(needed - {PICTURE})

    def step(self, index: int) -> Step | None:
        """The step, or None for the picture."""
        return None if index == PICTURE else self.steps[index]

    def before(self, index: int) -> Step | None:
        """The step that this one, which reads one alone, reads, if nothing else reads that."""
        step = self.steps[index]
        assert step is not None
        reads = sources(step)
        if len(reads) != 1 or reads[0] == PICTURE or self.uses()[reads[0]] != 1:
            return None
        return self.steps[reads[0]]

    def uses(self) -> Counter[int]:
        """How often each step is read."""
        return Counter(s for i in self.living() for s in sources(cast("Step", self.steps[i])))

    def shape(self, index: int) -> tuple[int, int, int]:
        """Of a step, or of the picture."""
        step = self.step(index)
        return self._net.picture if step is None else step.shape

    def bypass(self, index: int, instead: int) -> None:
        """Take a step away; what read it reads another one."""
        for number in self.living():
            step = self.steps[number]
            if step is not None and index in sources(step):
                self.steps[number] = _redirected(step, index, instead)
        if index == self._last:
            self._last = instead

    def net(self) -> Net:
        """What is left."""
        numbers = {PICTURE: PICTURE}
        kept: list[Step] = []
        for index in self.living():
            step = cast("Step", self.steps[index])
            moved = [(old, numbers[old]) for old in dict.fromkeys(sources(step))]
            # By way of numbers that no step has, so that none is taken for another.
            for old, new in moved:
                step = _redirected(step, old, -2 - new)
            for _, new in moved:
                step = _redirected(step, -2 - new, new)
            numbers[index] = len(kept)
            kept.append(step)
        return replace(self._net, steps=tuple(kept))


def _redirected(step: Step, old: int, new: int) -> Step:
    if isinstance(step, Concat):
        return replace(step, sources=tuple(new if s == old else s for s in step.sources))
    source = new if step.source == old else step.source
    if isinstance(step, Add):
        return replace(step, source=source, other=new if step.other == old else step.other)
    return replace(step, source=source)


def _drop_move(work: _Work, index: int) -> bool:
    """What stays where it is."""
    step = work.steps[index]
    if not isinstance(step, Move) or step.shape != work.shape(step.source):
        return False
    if not np.array_equal(step.order, np.arange(step.shape.size)):
        return False
    work.bypass(index, step.source)
    return True


def _drop_round(work: _Work, index: int) -> bool:
    """Pixels are bytes: as those, they are whole numbers already."""
    step = work.steps[index]
    if not isinstance(step, Activate) or step.function != "round":
        return False
    scale = work.step(step.source)
    if not isinstance(scale, Scale) or scale.source != PICTURE:
        return False
    whole = np.concatenate([np.abs(scale.factor) - 255, scale.offset - np.rint(scale.offset)])
    if np.abs(whole).max() > 1e-3:
        return False
    work.bypass(index, step.source)
    return True


def _join_moves(work: _Work, index: int) -> bool:
    step, before = work.steps[index], work.before(index)
    if not isinstance(step, Move) or not isinstance(before, Move):
        return False
    work.steps[index] = replace(step, source=before.source, order=before.order[step.order])
    return True


def _multiply_moved(work: _Work, index: int) -> bool:
    """A matrix for numbers as they lie."""
    step, before = work.steps[index], work.before(index)
    if not isinstance(step, Linear) or not isinstance(before, Move):
        return False
    weight = np.zeros((int(np.prod(work.shape(before.source))), len(step.weight)), np.float32)
    np.add.at(weight, before.order, step.weight.T)
    work.steps[index] = replace(step, source=before.source, weight=weight.T)
    return True


def _rectify_before_pool(work: _Work, index: int) -> bool:
    """The largest of what is rectified; runtimes fuse a ReLU with the sum before it."""
    step, before = work.steps[index], work.before(index)
    if not isinstance(step, Pool) or step.kind != "max" or not step.relu:
        return False
    if not isinstance(before, (Convolution, Scale, Add, Pool)):
        return False
    work.steps[step.source] = replace(before, relu=True)
    work.steps[index] = replace(step, relu=False)
    return True


def _halve(work: _Work, index: int) -> bool:
    """A convolution, and the largest of each 2×2 of it."""
    step, before = work.steps[index], work.before(index)
    if not isinstance(step, Pool) or step.kind != "max" or step.window != Window(2, 2, 2, 2):
        return False
    if not isinstance(before, Convolution) or not may_halve(before):
        return False
    work.steps[index] = replace(halved(before), relu=before.relu or step.relu)
    return True


def _scale_after(work: _Work, index: int) -> bool:
    """A factor and an offset before a step that may take them in, or let them pass."""
    step, scale = work.steps[index], work.before(index)
    if not isinstance(scale, Scale) or scale.relu:
        return False
    factor, offset = scale.factor.astype(np.float64), scale.offset.astype(np.float64)
    match step:
        case Linear():
            area = scale.shape.height * scale.shape.width
            work.steps[index] = _absorbed(
                step, scale.source, np.repeat(factor, area), np.repeat(offset, area)
            )
        case Convolution() if not any(step.window[4:]) or not offset.any():
            work.steps[index] = _absorbed(step, scale.source, factor, offset)
        case Pool() if not step.relu and _lets_pass(step, factor, offset):
            # The other way round: the scale takes the place behind.
            work.steps[index] = replace(
                scale, source=_inserted(work, step, scale), shape=step.shape
            )
        case _:
            return False
    return True


def _inserted(work: _Work, step: Pool, scale: Scale) -> int:
    """Put a pooling in the place of the scale before it; its number."""
    work.steps[step.source] = replace(step, source=scale.source)
    return step.source


def _lets_pass(step: Pool, factor: Numbers, offset: Numbers) -> bool:
    if step.kind == "max":
        return bool((factor > 0).all())
    return not step.counts_border or not offset.any()


def _absorbed(
    step: Convolution | Linear, source: int, factor: Numbers, offset: Numbers
) -> Convolution | Linear:
    """A step whose weights and bias take in what is done to each of its inputs before."""
    weight = step.weight.astype(np.float64)
    groups = step.groups if isinstance(step, Convolution) else 1
    # Inputs of each output, of which a group sees its own.
    per_group = (groups, 1, -1, *[1] * (weight.ndim - 2))
    parts = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    axes = tuple(range(2, parts.ndim))
    bias = (parts * offset.reshape(per_group)).sum(axis=axes).reshape(-1) + step.bias
    scaled = (parts * factor.reshape(per_group)).reshape(weight.shape)
    return replace(
        step, source=source, weight=scaled.astype(np.float32), bias=bias.astype(np.float32)
    )


def _scale_before(work: _Work, index: int) -> bool:
    """A scale of what was only moved: to where it came from, and into what gave it."""
    step, before = work.steps[index], work.before(index)
    if not isinstance(step, Scale) or step.relu or before is None:
        return False
    folded = fold_affine(before, step.factor, step.offset)
    if folded is not None:
        work.steps[index] = folded
        return True
    alike = not np.ptp(step.factor) and not np.ptp(step.offset)
    if not isinstance(before, (Move, Border, Resize)) or not alike:
        return False
    factor, offset = step.factor[0], step.offset[0]
    moved: Move | Border | Resize = before
    if isinstance(before, Border):
        moved = replace(before, fill=float(before.fill * factor + offset))
    channels, height, width = work.shape(before.source)
    scale = replace(
        step,
        source=before.source,
        shape=type(step.shape)(channels, height, width),
        factor=np.full(channels, factor, np.float32),
        offset=np.full(channels, offset, np.float32),
    )
    work.steps[step.source], work.steps[index] = scale, replace(moved, source=step.source)
    return True


def _convolve_bordered(work: _Work, index: int) -> bool:
    """A border of zeros as the convolution's own."""
    step, before = work.steps[index], work.before(index)
    if not isinstance(step, Convolution) or not isinstance(before, Border) or before.fill:
        return False
    work.steps[index] = replace(
        step, source=before.source, window=_widened(step.window, before, work)
    )
    return True


def _widened(window: Window, border: Border, work: _Work) -> Window:
    _, height, width = work.shape(border.source)
    return window._replace(
        top=window.top + border.top,
        left=window.left + border.left,
        bottom=window.bottom + border.shape.height - height - border.top,
        right=window.right + border.shape.width - width - border.left,
    )


def _pool_bordered(work: _Work, index: int) -> bool:
    """A border of zeros around what is not below zero, as that of the pooling."""
    step, before = work.steps[index], work.before(index)
    if not isinstance(step, Pool) or not isinstance(before, Border) or before.fill:
        return False
    window = _widened(step.window, before, work)
    if step.kind == "average":
        if any(step.window[4:]):
            return False
        work.steps[index] = replace(step, source=before.source, window=window, counts_border=True)
        return True
    source = work.step(before.source)
    rectified = source is None or is_rectified(source)
    inside = (
        max(window.top, window.bottom) < window.height
        and max(window.left, window.right) < window.width
    )
    if not rectified or not inside:
        return False
    work.steps[index] = replace(step, source=before.source, window=window)
    return True


def _convolve_scaled(work: _Work, index: int) -> None:
    """What scales channels amid a net, as a convolution of each by itself: that can be int8."""
    step = work.steps[index]
    if not isinstance(step, Scale) or step.source == PICTURE:
        return
    channels = step.shape.channels
    work.steps[index] = Convolution(
        source=step.source,
        shape=step.shape,
        window=Window(1, 1),
        weight=step.factor.reshape(channels, 1, 1, 1),
        bias=step.offset,
        groups=channels,
        relu=step.relu,
    )
