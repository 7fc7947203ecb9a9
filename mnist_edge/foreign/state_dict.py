"""Weights by name, without the program that they belong to: the nets that they fit.

A convolution's weights say how many channels go in and out and how large its kernel is; borders,
strides, pooling and activations stand in the program alone. What fits from one layer to the next
is few: all of that is given, the likeliest first, and digits decide.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from mnist_edge.data.folder import natural as natural
from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Draft
from mnist_edge.foreign.geometry import Array, Geometry, Layer, Place, branching, geometries
from mnist_edge.foreign.net import ForeignNet

Tensors: TypeAlias = Mapping[str, Array]

FIX = (
    "give the class that it was saved from with --architecture FILE.py:CLASS, or export it to ONNX"
)
_VARIED = 8
_MOST, _MOST_VAGUE = 60, 500
COUNTER = "num_batches_tracked"
"""Of the batches of a training, with which no net computes."""

_STATISTICS = ("running_mean", "running_var")
_EPSILON = 1e-5

Activation: TypeAlias = Literal["Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", ""]


@dataclass(frozen=True)
class Style:
    """What the weights do not say at all.

    Attributes:
        cost: how odd that would be.
        inner: after convolutions.
        between: of linear layers.
        pooling: of convolutions' results.
        slope: of a leaky ReLU below 0.
        norm_last: whether activations stand before normalisations.
        bare: whether a convolution without a normalisation has no activation either.
        ended: whether an activation stands even after the last convolution, where that is the end.
    """

    cost: float
    inner: Activation = "Relu"
    between: Activation = "Relu"
    pooling: Literal["MaxPool", "AveragePool"] = "MaxPool"
    slope: float = 0.01
    norm_last: bool = False
    bare: bool = False
    ended: bool = False


_STYLES = (
    Style(0.0),
    Style(1.0, pooling="AveragePool"),
    Style(1.2, "Tanh", "Tanh", "AveragePool"),
    Style(1.3, "Tanh", "Tanh"),
    Style(1.5, "Sigmoid", "Sigmoid", "AveragePool"),
    Style(1.6, "Sigmoid", "Sigmoid"),
    Style(1.7, "LeakyRelu", "LeakyRelu"),
    Style(1.75, "LeakyRelu", "LeakyRelu", slope=0.2),
    Style(1.78, "LeakyRelu", "LeakyRelu", slope=0.1),
    Style(1.8, "Elu", "Elu"),
    Style(1.9, "Relu", ""),
    Style(2.0, "", "Relu"),
)


def read_state_dict(tensors: Tensors) -> tuple[ForeignNet, ...]:
    """The nets that weights may be of: convolutions one after the other, then linear layers.

    Args:
        tensors: by name, in the order of the file.

    Raises:
        BadInput: they are of something else.
    """
    if list(tensors) == sorted(tensors):  # then the file keeps no order: conv10 is after conv2
        tensors = {name: tensors[name] for name in sorted(tensors, key=natural)}
    convolutions, linears = _layers(tensors)
    known = geometries(convolutions, linears)
    if not known:  # made in another order than used: their names may keep it
        by_name = {name: tensors[name] for name in sorted(tensors, key=natural)}
        convolutions, linears = _layers(by_name)
        known = geometries(convolutions, linears)
    if not known:
        no_way = "no borders, strides and poolings lead from one layer to the next"
        raise BadInput(
            f"it is {_said(convolutions, linears)}, but {branching(convolutions) or no_way}",
            fix=FIX,
        )
    found = [
        (geometry.cost + style.cost, _net(convolutions, linears, geometry, style))
        for number, geometry in enumerate(known)
        for style in _styles(convolutions, linears, varied=number < _VARIED)
    ]
    found.sort(key=lambda item: item[0])
    nets: dict[bytes, ForeignNet] = {}
    for _, net in found:
        nets.setdefault(net.graph, net)
    most = _MOST_VAGUE if any(net.vague for _, net in found) else _MOST
    return tuple(itertools.islice(nets.values(), most))


def _net(
    convolutions: Sequence[Layer], linears: Sequence[Layer], geometry: Geometry, style: Style
) -> ForeignNet:
    return ForeignNet(
        graph=_graph(convolutions, linears, geometry, style),
        said=_said(convolutions, linears),
        kind="torch",
        guessed=_guessed(convolutions, linears, geometry, style),
        vague=geometry.mean or not linears,
        side=geometry.side,
    )


def _styles(
    convolutions: Sequence[Layer], linears: Sequence[Layer], *, varied: bool
) -> Iterator[Style]:
    normed = {layer.norm is not None for layer in convolutions[: None if linears else -1]}
    ways: list[dict[str, Any]] = [{}]
    if True in normed or any(layer.norm for layer in linears):
        ways += [{"norm_last": True}]
    if len(normed) > 1:
        ways += [way | {"bare": True} for way in ways]
    if not linears:
        ways += [way | {"ended": True} for way in ways]
    for style in _STYLES if varied else _STYLES[:1]:
        if not convolutions and (style.pooling == "AveragePool" or style.inner != style.between):
            continue  # nothing is pooled
        for way in ways:
            yield replace(style, cost=style.cost + 0.5 * len(way), **way)


# --- layers -------------------------------------------------------------------------------------


def _layers(tensors: Tensors) -> tuple[list[Layer], list[Layer]]:
    """Convolutions and linear layers, each in order, with their normalisations."""
    groups: dict[str, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        if leaf != COUNTER:
            groups.setdefault(layer, {})[leaf] = tensor
    layers: list[Layer] = []
    early: dict[str, dict[str, Array]] = {}  # in files that sort their names: bn1 before conv1
    for name, members in groups.items():
        weight = members.get("weight")
        if weight is not None and weight.ndim in (2, 4) and set(members) <= {"weight", "bias"}:
            layers.append(Layer(name, weight, members.get("bias")))
        elif set(_STATISTICS) <= set(members) and members["running_mean"].ndim == 1:
            if not any(_fits(layer, members) for layer in layers):
                early[name] = members
            else:
                _normalise(layers, members, name)
        else:
            kept = ", ".join(sorted(members))
            raise BadInput(
                f"its layer {name!r:.60} with {kept:.80} is neither a convolution, a linear layer "
                "nor a batch normalisation",
                fix=FIX,
            )
    for name, members in early.items():
        _normalise(layers, members, name)
    convolutions = [layer for layer in layers if layer.weight.ndim == 4]
    linears = [layer for layer in layers if layer.weight.ndim == 2]
    if not layers:
        raise BadInput("it holds no weights of layers", fix=FIX)
    return convolutions, linears


def _fits(layer: Layer, norm: Mapping[str, Array]) -> bool:
    return layer.norm is None and layer.out == len(norm["running_mean"])


def _normalise(layers: list[Layer], members: dict[str, Array], name: str) -> None:
    """Give a normalisation to the layer before it, or the first that it fits."""
    mean = members["running_mean"]
    fitting = [layer for layer in layers if _fits(layer, members)]
    if not fitting:
        raise BadInput(f"its normalisation {name!r:.60} fits no layer", fix=FIX)
    layer = fitting[-1] if layers[-1] is fitting[-1] else fitting[0]
    gain = members.get("weight", np.ones_like(mean))
    shift = members.get("bias", np.zeros_like(mean))
    layer.norm = (gain, shift, mean, members["running_var"])


def _said(convolutions: Sequence[Layer], linears: Sequence[Layer]) -> str:
    parts = [f"conv {layer.out}" for layer in convolutions]
    if not convolutions:
        parts = [str(linears[0].weight.shape[1])]
    return "torch weights: " + "-".join([*parts, *(str(layer.out) for layer in linears)])


def _guessed(
    convolutions: Sequence[Layer], linears: Sequence[Layer], geometry: Geometry, style: Style
) -> str:
    pooling = "max" if style.pooling == "MaxPool" else "mean"
    parts = []
    for layer, place in zip(convolutions, geometry.places, strict=True):
        part = f"conv {layer.out}"
        part += f" border {place.border}" if place.border else ""
        part += f" stride {place.stride}" if place.stride > 1 else ""
        part += f" {pooling} {place.pool}" if place.pool else ""
        parts.append(part)
    parts += ["mean of all"] if geometry.mean else []
    parts += [str(layer.out) for layer in linears]
    used = [style.inner] if convolutions else []
    used += [style.between] if len(linears) > 1 else []
    named = " and ".join(dict.fromkeys(kind or "nothing" for kind in used)) or "nothing"
    named = named.replace("LeakyRelu", f"LeakyRelu of {style.slope:g}")
    return f"{', '.join(parts)}; {named} between them"


# --- graph --------------------------------------------------------------------------------------


def _graph(
    convolutions: Sequence[Layer], linears: Sequence[Layer], geometry: Geometry, style: Style
) -> bytes:
    side = geometry.side
    depth = int(convolutions[0].weight.shape[1]) if convolutions else 1
    draft = Draft((depth, side, side))
    x = draft.start.name
    last = len(convolutions) - 1
    for number, (layer, place) in enumerate(zip(convolutions, geometry.places, strict=True)):
        x = _convolved(draft, x, layer, place, depth)
        bare = (style.bare and layer.norm is None) or not (linears or number < last or style.ended)
        activation: Activation = "" if bare else style.inner
        x = _ended(draft, x, layer, activation, style)
        if place.pool:
            window = {"kernel_shape": [place.pool] * 2, "strides": [place.pool_stride] * 2}
            x = draft.op(style.pooling, x, **window)
        depth = layer.out
    if geometry.mean:
        x = draft.op("GlobalAveragePool", x)
    size = int(linears[0].weight.shape[1]) if linears else depth
    x = draft.op("Reshape", x, np.array([-1, size]))
    for number, layer in enumerate(linears):
        inputs: list[str | Array] = [x, layer.weight]
        inputs += [] if layer.bias is None else [layer.bias]
        x = draft.op("Gemm", *inputs, transB=1)
        activation = style.between if number < len(linears) - 1 else ""
        x = _ended(draft, x, layer, activation, style)
    classes = linears[-1].out if linears else depth
    return draft.finish(draft.start._replace(name=x, shape=(classes,)))


def _convolved(draft: Draft, x: str, layer: Layer, place: Place, depth: int) -> str:
    inputs: list[str | Array] = [x, layer.weight]
    inputs += [] if layer.bias is None else [layer.bias]
    options: dict[str, Any] = {"pads": [place.border] * 4, "strides": [place.stride] * 2}
    return draft.op("Conv", *inputs, **options, group=depth // int(layer.weight.shape[1]))


def _ended(draft: Draft, x: str, layer: Layer, activation: Activation, style: Style) -> str:
    options = {"alpha": style.slope} if activation == "LeakyRelu" else {}
    if layer.norm is not None and not style.norm_last:
        x = draft.op("BatchNormalization", x, *layer.norm, epsilon=_EPSILON)
    if activation:
        x = draft.op(activation, x, **options)
    if layer.norm is not None and style.norm_last:
        x = draft.op("BatchNormalization", x, *layer.norm, epsilon=_EPSILON)
    return x
