"""What each step of a net becomes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.formats.graph import layers
from mnist_edge.formats.litert.draft import Draft
from mnist_edge.formats.litert.schema import Operator, Tensor

_FIX = "choose another format"
_LARGEST = float(np.finfo(np.float32).max)
_FUNCTIONS = {"sigmoid": Operator.LOGISTIC, "tanh": Operator.TANH, "round": Operator.ROUND}
_CHANNELS = 3  # the axis


class Steps:
    """A net that is written into a draft."""

    def __init__(self, net: layers.Net, draft: Draft) -> None:
        self._net, self._draft = net, draft
        self._at: dict[int, int] = {}
        self._rows = layers.rows(net)

    def write(self, given: dict[int, int]) -> int:
        """Write all steps but those that are given, by the numbers of their tensors.

        Returns:
            The number of the tensor of logits, (N, classes).
        """
        self._at |= given
        for index, step in enumerate(self._net.steps):
            if index not in self._at:
                self._at[index] = self._write(index, step)
        return self._row(len(self._net.steps) - 1)

    def layout(self, index: int) -> tuple[int, ...]:
        """The shape of what a step gives for a picture, or of the picture."""
        channels, height, width = self._net.shape(index)
        return (channels,) if index in self._rows else (height, width, channels)

    def scale(self, step: layers.Scale, source: int, result: Callable[[str], Tensor]) -> int:
        """A product and a sum, as far as they change anything, or a ReLU alone."""
        parts = [
            (operator, constant.astype(np.float32))
            for operator, constant, neutral in (
                (Operator.MUL, step.factor, 1.0),
                (Operator.ADD, step.offset, 0.0),
            )
            if np.any(constant != neutral)
        ]
        for operator, constant in parts:
            name = f"{operator.name.lower()}{len(self._at)}"
            number = self._draft.constant(f"{name}.constant", constant)
            relu = int(step.relu and operator is parts[-1][0])
            source = self._draft.apply(operator, (source, number), result(name), relu=relu)
        if step.relu and not parts:
            source = self._draft.apply(Operator.RELU, (source,), result(f"relu{len(self._at)}"))
        return source

    def _write(self, index: int, step: layers.Step) -> int:
        match step:
            case layers.Convolution():
                return self._convolve(index, step)
            case layers.Linear():
                return self._multiply(index, step)
            case layers.Pool():
                return self._pool(index, step)
            case layers.Scale():
                return self.scale(step, self._at[step.source], lambda n: self._result(n, index))
            case layers.Add():
                return self._add(index, step)
            case layers.Concat():
                return self._concatenate(index, step)
            case layers.SpaceToDepth():
                return self._draft.apply(
                    Operator.SPACE_TO_DEPTH,
                    (self._at[step.source],),
                    self._result(f"space{index}", index),
                    block=step.block,
                )
        self._draft.check_whole(type(step).__name__)
        match step:
            case layers.Activate():
                return self._activate(index, step)
            case layers.Border():
                return self._surround(index, step)
            case layers.Resize():
                size = np.array([step.shape.height, step.shape.width], np.int32)
                inputs = (self._plane(step.source), self._draft.constant(f"size{index}", size))
                result = self._result(f"resized{index}", index)
                return self._draft.apply(Operator.RESIZE_BILINEAR, inputs, result, half=1)
            case layers.Move():
                return self._move(index, step)

    def _activate(self, index: int, step: layers.Activate) -> int:
        def apply(operator: Operator, *inputs: float) -> int:
            """The result for tensors by their number; a float is the same for each channel."""
            numbers = [
                self._draft.constant(
                    f"{operator.name.lower()}{index}.constant",
                    np.full(step.shape.channels, number, np.float32),
                )
                if isinstance(number, float)
                else number
                for number in inputs
            ]
            result = self._result(f"{step.function}{index}", index)
            return self._draft.apply(operator, tuple(numbers), result)

        def clip(number: int, low: float, high: float) -> int:
            above = apply(Operator.MAXIMUM, number, max(low, -_LARGEST))
            return apply(Operator.MINIMUM, above, min(high, _LARGEST))

        def hard(factor: float, offset: float) -> int:
            product = apply(Operator.MUL, given, factor)
            return clip(apply(Operator.ADD, product, offset), 0.0, 1.0)

        given, first, second = self._as(index, step.source), float(step.first), float(step.second)
        match step.function:
            case "sigmoid" | "tanh" | "round" as function:
                return apply(_FUNCTIONS[function], given)
            case "elu":
                below = apply(Operator.MINIMUM, apply(Operator.ELU, given), 0.0)
                above = apply(Operator.MAXIMUM, given, 0.0)
                return apply(Operator.ADD, above, apply(Operator.MUL, below, first))
            case "leaky" if 0 <= first <= 1:
                return apply(Operator.MAXIMUM, given, apply(Operator.MUL, given, first))
            case "clip":
                return clip(given, first, second)
            case "hard-sigmoid":
                return hard(first, second)
            case "hard-swish":
                return apply(Operator.MUL, given, hard(1 / 6, 0.5))
            case "silu":
                return apply(Operator.MUL, given, apply(Operator.LOGISTIC, given))
            case function:
                raise BadInput(f"LiteRT has no {function} of {first:g}", fix=_FIX)

    def _surround(self, index: int, step: layers.Border) -> int:
        before, after = self._net.shape(step.source), step.shape
        window = layers.Window(
            *(1, 1, 1, 1, step.top, step.left),
            bottom=after.height - before.height - step.top,
            right=after.width - before.width - step.left,
        )
        fill = self._draft.constant(f"fill{index}", np.full(1, step.fill, np.float32))
        return self._pad(index, step.source, window, fill)

    def _move(self, index: int, step: layers.Move) -> int:
        """Of a row of all numbers, one after the other, those that are wanted."""
        row, before = self._row(step.source), self._net.shape(step.source)
        place = np.argsort(_channels_last(before))
        order = place[step.order[_channels_last(step.shape)]].astype(np.int32)
        moved = self._draft.apply(
            Operator.GATHER,
            (row, self._draft.constant(f"order{index}", order)),
            self._draft.result(f"moved{index}", (step.shape.size,), index),
            axis=1,
        )
        shape = np.array([-1, *self.layout(index)], np.int32)
        inputs = (moved, self._draft.constant(f"moved{index}.shape", shape))
        return self._draft.apply(Operator.RESHAPE, inputs, self._result(f"laid{index}", index))

    def _convolve(self, index: int, step: layers.Convolution) -> int:
        out, depth, *_ = step.weight.shape
        source, border = self._bordered(index, step.source, step.window)
        inputs = self._net.shape(step.source).channels
        options = border | {
            "stride_x": step.window.stride_x,
            "stride_y": step.window.stride_y,
            "relu": int(step.relu),
        }
        if step.groups == inputs > 1:  # a kernel of its own for each channel
            operator, axis, order = Operator.DEPTHWISE_CONV_2D, 3, (1, 2, 3, 0)
            options["multiplier"] = out // inputs
        else:
            operator, axis, order = Operator.CONV_2D, 0, (0, 2, 3, 1)
        assert depth * step.groups == inputs
        weight = self._draft.weight(
            f"conv{index}.weight", step.weight.transpose(order), index, axis=axis
        )
        bias = self._draft.bias(f"conv{index}.bias", step.bias, index, step.source)
        height, width = step.window.steps(self._net.shape(step.source))
        result = self._draft.result(f"conv{index}", (height, width, out), index)
        number = self._draft.apply(operator, (source, weight, bias), result, **options)
        if step.pooled:
            result = self._result(f"pool{index}", index)
            options = _pooling(layers.HALVING) | {"valid": 1}
            number = self._draft.apply(Operator.MAX_POOL_2D, (number,), result, **options)
        return number

    def _multiply(self, index: int, step: layers.Linear) -> int:
        source = self._row(step.source)
        # In the order in which the channels come last.
        weight = step.weight.reshape(-1, *self._net.shape(step.source)).transpose(0, 2, 3, 1)
        inputs = (
            source,
            self._draft.weight(
                f"linear{index}.weight", weight.reshape(len(step.weight), -1), index
            ),
            self._draft.bias(f"linear{index}.bias", step.bias, index, step.source),
        )
        result = self._result(f"linear{index}", index)
        return self._draft.apply(Operator.FULLY_CONNECTED, inputs, result, relu=int(step.relu))

    def _pool(self, index: int, step: layers.Pool) -> int:
        largest, window = step.kind == "max", step.window
        counts = not largest and step.counts_border
        if (
            not (largest or counts)
            and any(window[4:])
            and not _is_same(window, self._net.shape(step.source))
        ):
            raise BadInput(
                f"LiteRT has no mean of windows over a border of {window[4:]} that does not count",
                fix=_FIX,
            )
        source, border = self._bordered(index, step.source, window, lowest=largest, whole=counts)
        operator = Operator.MAX_POOL_2D if largest else Operator.AVERAGE_POOL_2D
        options = _pooling(window) | border | {"relu": int(step.relu)}
        result = self._result(f"pool{index}", index)
        return self._draft.apply(operator, (source,), result, **options)

    def _add(self, index: int, step: layers.Add) -> int:
        inputs = tuple(self._as(index, source) for source in (step.source, step.other))
        result = self._result(f"add{index}", index)
        return self._draft.apply(Operator.ADD, inputs, result, relu=int(step.relu))

    def _concatenate(self, index: int, step: layers.Concat) -> int:
        inputs = tuple(self._as(index, source) for source in step.sources)
        axis = 1 if index in self._rows else _CHANNELS
        result = self._result(f"concat{index}", index)
        return self._draft.apply(Operator.CONCATENATION, inputs, result, axis=axis)

    def _as(self, index: int, source: int) -> int:
        """The result of a source, a row where that of a step is one."""
        return self._row(source) if index in self._rows else self._at[source]

    def _row(self, index: int) -> int:
        """The result of a step as a row of all its numbers for each picture."""
        if index in self._rows:
            return self._at[index]
        return self._reshaped(f"row{index}", index, (self._net.shape(index).size,))

    def _plane(self, index: int) -> int:
        """The result of a step with a height and a width, of one pixel where it has none."""
        if index not in self._rows:
            return self._at[index]
        return self._reshaped(f"plane{index}", index, (1, 1, self._net.shape(index).channels))

    def _reshaped(self, name: str, index: int, sizes: tuple[int, ...]) -> int:
        shape = self._draft.constant(f"{name}.shape", np.array([-1, *sizes], np.int32))
        result = self._draft.result(name, sizes, index)
        return self._draft.apply(Operator.RESHAPE, (self._at[index], shape), result)

    def _bordered(
        self,
        index: int,
        source: int,
        window: layers.Window,
        *,
        lowest: bool = False,
        whole: bool = False,
    ) -> tuple[int, dict[str, int]]:
        """What a window slides over, and whether it stays within: with a border, where needed.

        Args:
            index: of the step.
            source: that it reads.
            window: of it.
            lowest: the border holds the lowest number, not zero.
            whole: the border counts like any pixel.
        """
        shape, number = self._net.shape(source), self._plane(source)
        if not any(window[4:]):
            return number, {"valid": 1}
        if not whole and _is_same(window, shape):
            return number, {"valid": 0}
        fill = (self._draft.lowest(f"lowest{index}", source),) if lowest else ()
        return self._pad(index, source, window, *fill), {"valid": 1}

    def _pad(self, index: int, source: int, window: layers.Window, *fill: int) -> int:
        """With the border of a window, which holds zero or the number of a tensor."""
        shape = self._net.shape(source)
        border = [[0, 0], [window.top, window.bottom], [window.left, window.right], [0, 0]]
        sides = self._draft.constant(f"border{index}", np.array(border, np.int32))
        height = window.top + shape.height + window.bottom
        width = window.left + shape.width + window.right
        result = self._draft.result(f"padded{index}", (height, width, shape.channels), source)
        operator = Operator.PADV2 if fill else Operator.PAD
        return self._draft.apply(operator, (self._plane(source), sides, *fill), result)

    def _result(self, name: str, index: int) -> Tensor:
        return self._draft.result(name, self.layout(index), index)


def _channels_last(shape: layers.Shape) -> NDArray[np.int64]:
    """Which number, in the order channel, row, column, lies where when channels come last."""
    return np.arange(shape.size).reshape(shape).transpose(1, 2, 0).ravel()


def _pooling(window: layers.Window) -> dict[str, int]:
    return {
        "stride_x": window.stride_x,
        "stride_y": window.stride_y,
        "width": window.width,
        "height": window.height,
    }


def _is_same(window: layers.Window, shape: layers.Shape) -> bool:
    """Whether a border is the one that TensorFlow calls SAME."""
    height = layers.same_border(shape.height, window.height, window.stride_y)
    width = layers.same_border(shape.width, window.width, window.stride_x)
    return (window.top, window.bottom, window.left, window.right) == (*height, *width)
