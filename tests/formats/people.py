"""Small nets of random weights, each with an operator as people's graphs have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME

Arg = str | NDArray[np.generic] | np.generic
_TWO = {"kernel_shape": [2, 2], "strides": [2, 2]}


class Net:
    """A graph that grows operator by operator."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: Arg, **options: Any) -> str:
        """Add an operator; the name of its result. Constants stand for themselves."""
        result = f"v{len(self._nodes)}"
        names = [item if isinstance(item, str) else self._constant(item) for item in inputs]
        self._nodes.append(helper.make_node(kind, names, [result], **options))
        return result

    def random(self, *shape: int, by: float = 0.2) -> NDArray[np.float32]:
        """Weights."""
        return self._rng.normal(0, by, shape).astype(np.float32)

    def conv(self, x: str, depth: int, out: int, side: int, **options: Any) -> str:
        """A convolution with a bias."""
        groups = int(str(options.get("group", 1)))
        weight = self.random(out, depth // groups, side, side)
        return self.op("Conv", x, weight, self.random(out), **options)

    def linear(self, x: str, depth: int, out: int) -> str:
        """A matrix product with a bias."""
        weight = self.random(depth, out, by=depth**-0.5)
        return self.op("Gemm", x, weight, self.random(1, out))

    def norm(self, x: str, channels: int, gain: float = 0.5) -> str:
        """Batch normalisation."""
        scale, shift, mean, variance = (self.random(channels) for _ in range(4))
        return self.op(
            *("BatchNormalization", x, np.abs(scale) + gain if gain else scale, shift, mean),
            np.abs(variance) + np.float32(0.5),
        )

    def ended(self, x: str, features: int) -> bytes:
        """The file, with a Flatten and a linear layer at the end."""
        return self.done(self.linear(self.op("Flatten", x), features, 10))

    def done(self, x: str) -> bytes:
        """The file."""
        self._nodes.append(helper.make_node("Identity", [x], [OUTPUT_NAME]))
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
            for name, shape in ((INPUT_NAME, (1, 28, 28)), (OUTPUT_NAME, (10,)))
        ]
        model = helper.make_model(
            helper.make_graph(self._nodes, "g", ends[:1], ends[1:], self._constants),
            opset_imports=[helper.make_opsetid("", 18)],
        )
        model.ir_version = 8
        return bytes(model.SerializeToString())

    def _constant(self, value: NDArray[np.generic] | np.generic) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def ints(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


PEOPLE: dict[str, Callable[[], bytes]] = {}


def _net(make: Callable[[Net], bytes]) -> Callable[[Net], bytes]:
    PEOPLE[make.__name__.strip("_").replace("_", " ")] = lambda: make(Net())
    return make


def _standardised(net: Net, x: str = INPUT_NAME) -> str:
    return net.op("Div", net.op("Sub", x, np.float32(0.1307)), np.float32(0.3081))


@_net
def normalisation_before_a_border(net: Net) -> bytes:
    x = net.op("Relu", net.conv(_standardised(net), 1, 6, 5, pads=[2, 2, 2, 2]))
    return net.ended(net.op("MaxPool", x, **_TWO), 6 * 196)


@_net
def a_product_and_a_sum_of_flat_pixels(net: Net) -> bytes:
    x = net.op("Reshape", _standardised(net), ints(-1, 784))
    x = net.op("Add", net.op("MatMul", x, net.random(784, 32, by=0.05)), net.random(32))
    return net.done(net.linear(net.op("Relu", x), 32, 10))


@_net
def relu_after_halving(net: Net) -> bytes:
    x = net.op("Relu", net.op("MaxPool", net.conv(INPUT_NAME, 1, 8, 5), **_TWO))
    return net.ended(net.op("Relu", net.op("MaxPool", net.conv(x, 8, 12, 5), **_TWO)), 12 * 16)


@_net
def relu_after_overlapping_maxima(net: Net) -> bytes:
    options = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = net.op("MaxPool", net.conv(INPUT_NAME, 1, 8, 5), **options)
    return net.ended(net.op("Relu", x), 8 * 144)


@_net
def channels_last(net: Net) -> bytes:
    x = net.op("Transpose", net.op("Reshape", INPUT_NAME, ints(-1, 28, 28, 1)), perm=[0, 3, 1, 2])
    x = net.op("MaxPool", net.op("Relu", net.conv(x, 1, 8, 3)), **_TWO)
    x = net.op("MaxPool", net.op("Relu", net.conv(x, 8, 16, 3)), **_TWO)
    x = net.op("Reshape", net.op("Transpose", x, perm=[0, 2, 3, 1]), ints(-1, 400))
    return net.done(net.linear(net.op("Relu", net.linear(x, 400, 32)), 32, 10))


@_net
def batch_normalisation_after_relu_and_after_flatten(net: Net) -> bytes:
    x = net.norm(net.op("Relu", net.conv(INPUT_NAME, 1, 8, 3)), 8)
    x = net.norm(net.op("Relu", net.conv(x, 8, 8, 3, auto_pad="SAME_UPPER")), 8)
    x = net.op("Transpose", net.op("MaxPool", x, **_TWO), perm=[0, 2, 3, 1])
    x = net.op("Relu", net.linear(net.norm(net.op("Flatten", x), 8 * 169), 8 * 169, 32))
    return net.done(net.linear(net.norm(x, 32), 32, 10))


@_net
def batch_normalisation_that_turns_signs(net: Net) -> bytes:
    x = net.norm(net.op("Relu", net.conv(INPUT_NAME, 1, 6, 5)), 6, gain=0)
    x = net.op("Relu", net.conv(net.op("MaxPool", x, **_TWO), 6, 8, 3, pads=[1, 1, 1, 1]))
    options = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return net.ended(net.op("AveragePool", x, **options), 8 * 36)


def _activated(kind: str, **options: float) -> Callable[[], bytes]:
    def make() -> bytes:
        net = Net()
        x = net.op(kind, net.conv(INPUT_NAME, 1, 6, 5), **options)
        x = net.op("Flatten", net.op("MaxPool", x, **_TWO))
        return net.done(net.linear(net.op(kind, net.linear(x, 6 * 144, 24), **options), 24, 10))

    return make


for _kind, _options in {
    "Sigmoid": {},
    "Tanh": {},
    "Elu": {"alpha": 0.7},
    "Selu": {},
    "LeakyRelu": {"alpha": 0.1},
    "HardSigmoid": {},
    "HardSwish": {},
}.items():
    PEOPLE[_kind] = _activated(_kind, **_options)


@_net
def relu6(net: Net) -> bytes:
    x = net.op("Mul", net.conv(INPUT_NAME, 1, 6, 5), np.float32(8))
    return net.ended(net.op("Clip", x, np.float32(0), np.float32(6)), 6 * 576)


@_net
def its_own_sigmoid(net: Net) -> bytes:
    x = net.conv(INPUT_NAME, 1, 6, 5)
    return net.ended(net.op("Mul", x, net.op("Sigmoid", x)), 6 * 576)


@_net
def means(net: Net) -> bytes:
    x = net.op("Relu", net.conv(INPUT_NAME, 1, 6, 5, pads=[2, 2, 2, 2]))
    x = net.op("Relu", net.conv(net.op("AveragePool", x, **_TWO), 6, 16, 5))
    return net.ended(net.op("AveragePool", x, **_TWO), 400)


@_net
def a_border_in_front(net: Net) -> bytes:
    x = net.op("Pad", INPUT_NAME, ints(0, 0, 2, 2, 0, 0, 2, 2), mode="constant")
    x = net.op("MaxPool", net.op("Relu", net.conv(_standardised(net, x), 1, 6, 5)), **_TWO)
    return net.ended(x, 6 * 196)


@_net
def a_larger_picture(net: Net) -> bytes:
    x = net.op("Resize", INPUT_NAME, "", "", ints(32, 32), mode="linear", axes=[2, 3])
    x = net.op("MaxPool", net.op("Relu", net.conv(_standardised(net, x), 1, 6, 5)), **_TWO)
    return net.ended(x, 6 * 196)


@_net
def a_smaller_picture(net: Net) -> bytes:
    x = net.op("Resize", INPUT_NAME, "", "", ints(14, 14), mode="linear", axes=[2, 3])
    x = net.op("Relu", net.linear(net.op("Flatten", x), 196, 32))
    return net.done(net.linear(x, 32, 10))


@_net
def a_picture_on_its_side(net: Net) -> bytes:
    x = _standardised(net, net.op("Transpose", INPUT_NAME, perm=[0, 1, 3, 2]))
    return net.ended(net.op("Relu", net.conv(x, 1, 6, 5, pads=[1, 1, 1, 1])), 6 * 676)


@_net
def three_channels_of_grey(net: Net) -> bytes:
    x = net.op("Concat", INPUT_NAME, INPUT_NAME, INPUT_NAME, axis=1)
    return net.ended(net.op("Relu", net.conv(x, 3, 6, 5, pads=[2, 2, 2, 2])), 6 * 784)


@_net
def three_channels_of_three_scales(net: Net) -> bytes:
    x = net.op("Concat", INPUT_NAME, INPUT_NAME, INPUT_NAME, axis=1)
    x = net.op("Div", net.op("Sub", x, net.random(3, 1, 1)), np.abs(net.random(1, 3, 1, 1)) + 0.3)
    return net.ended(net.op("Relu", net.conv(x, 3, 6, 5, pads=[2, 2, 2, 2])), 6 * 784)


@_net
def channels_by_themselves_and_in_groups(net: Net) -> bytes:
    x = net.op("Relu", net.conv(INPUT_NAME, 1, 12, 3, strides=[2, 2], pads=[1, 1, 1, 1]))
    x = net.norm(net.conv(x, 12, 12, 3, group=12, pads=[1, 1, 1, 1]), 12)
    x = net.op("Relu", net.conv(net.op("Clip", x, np.float32(0), np.float32(6)), 12, 20, 1))
    x = net.conv(net.op("MaxPool", net.conv(x, 20, 20, 3, group=20), **_TWO), 20, 20, 3, group=4)
    return net.ended(net.op("GlobalAveragePool", x), 20)


@_net
def sums_of_results(net: Net) -> bytes:
    around = {"pads": [1, 1, 1, 1]}
    x = net.op("Relu", net.conv(INPUT_NAME, 1, 8, 3, **around))
    y = net.op("Relu", net.norm(net.conv(x, 8, 8, 3, **around), 8))
    x = net.op("Relu", net.op("Add", x, net.norm(net.conv(y, 8, 8, 3, **around), 8)))
    short = net.conv(x, 8, 12, 1, strides=[2, 2])
    x = net.op("Relu", net.op("Add", net.conv(x, 8, 12, 3, strides=[2, 2], **around), short))
    return net.done(net.linear(net.op("ReduceMean", x, ints(2, 3), keepdims=0), 12, 10))


@_net
def results_joined(net: Net) -> bytes:
    x = net.op("Relu", net.conv(INPUT_NAME, 1, 8, 3))
    y = net.op("Relu", net.conv(x, 8, 4, 1))
    z = net.op("Relu", net.conv(x, 8, 6, 3, pads=[1, 1, 1, 1]))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    x = net.op(
        "AveragePool", net.op("Concat", y, z, x, axis=1), kernel_shape=[4, 4], strides=[4, 4]
    )
    return net.ended(x, 18 * 36)


@_net
def rows_joined(net: Net) -> bytes:
    x = net.op("Flatten", net.op("Relu", net.conv(INPUT_NAME, 1, 4, 5, strides=[2, 2])))
    y = net.op("Relu", net.linear(net.op("Flatten", INPUT_NAME), 784, 16))
    return net.done(net.linear(net.op("Concat", x, y, axis=1), 592, 10))


@_net
def results_joined_channels_last(net: Net) -> bytes:
    parts = [net.op("Relu", net.conv(INPUT_NAME, 1, size, 3)) for size in (4, 3)]
    parts = [net.op("Transpose", part, perm=[0, 2, 3, 1]) for part in parts]
    x = net.op("Reshape", net.op("Concat", *parts, axis=3), ints(-1, 676 * 7))
    return net.done(net.linear(x, 676 * 7, 10))


@_net
def a_dilated_kernel_and_sizes_rounded_up(net: Net) -> bytes:
    x = net.op("Unsqueeze", net.op("Squeeze", INPUT_NAME, ints(1)), ints(3))
    x = net.op("Transpose", x, perm=[0, 3, 1, 2])
    x = net.op("Relu", net.conv(x, 1, 6, 3, dilations=[2, 2], pads=[2, 2, 2, 2]))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    return net.ended(net.op("Reshape", x, ints(0, 6, -1)), 6 * 196)


@_net
def borders_channels_last(net: Net) -> bytes:
    around = ints(0, 1, 1, 0, 0, 1, 1, 0)
    x = net.op("Pad", net.op("Reshape", INPUT_NAME, ints(-1, 28, 28, 1)), around)
    x = net.op("Relu", net.conv(net.op("Transpose", x, perm=[0, 3, 1, 2]), 1, 6, 3))
    x = net.op("Pad", net.op("Transpose", x, perm=[0, 2, 3, 1]), around)
    x = net.op("Transpose", x, perm=[0, 3, 1, 2])
    return net.ended(net.op("MaxPool", x, kernel_shape=[3, 3], strides=[3, 3]), 600)


@_net
def a_product_along_the_last_axis(net: Net) -> bytes:
    x = net.op("MatMul", net.op("Reshape", INPUT_NAME, ints(-1, 28, 28)), net.random(28, 12))
    return net.ended(net.op("Relu", net.op("Add", x, net.random(12))), 336)


@_net
def whole_pixels(net: Net) -> bytes:
    x = net.op("Cast", net.op("Round", net.op("Mul", INPUT_NAME, np.float32(255))), to=2)
    x = net.op("Div", net.op("Cast", x, to=1), np.float32(255))
    return net.ended(net.op("Relu", net.conv(x, 1, 6, 5)), 6 * 576)


@_net
def less_a_mean_picture(net: Net) -> bytes:
    x = net.op("Sub", INPUT_NAME, net.random(28, 28))
    return net.ended(net.op("Relu", net.conv(x, 1, 6, 5)), 6 * 576)


@_net
def slopes_that_differ(net: Net) -> bytes:
    x = net.op("PRelu", net.conv(INPUT_NAME, 1, 6, 5, strides=[2, 2]), net.random(6, 1, 1))
    x = net.linear(net.op("Flatten", x), 6 * 144, 24)
    return net.done(net.linear(net.op("PRelu", x, net.random(1, 24)), 24, 10))


@_net
def the_larger_of_it_and_nothing(net: Net) -> bytes:
    x = net.op("Max", np.float32(0), net.conv(INPUT_NAME, 1, 6, 5, strides=[2, 2]))
    y = net.op("Min", net.conv(x, 6, 6, 3, pads=[1, 1, 1, 1]), np.float32(0.5))
    return net.ended(net.op("Sum", x, y), 6 * 144)


@_net
def rows_of_channels(net: Net) -> bytes:
    x = net.op("Squeeze", INPUT_NAME, ints(1))
    every = (1 << 63) - 1
    x = net.op("Slice", x, ints(0, 1, 0), ints(every, 27, every), ints(0, 1, 2))
    x = net.op("Reshape", x, ints(0, 0, -1, 1))
    x = net.op("Conv", x, net.random(12, 26, 3, 1), net.random(12), pads=[1, 0, 1, 0])
    x = net.op("Reshape", net.op("Relu", x), ints(0, 0, -1))
    return net.ended(net.op("GlobalAveragePool", x), 12)
