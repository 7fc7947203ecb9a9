"""What the layers of Keras that go along rows become in ONNX: of one direction, and recurrent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_edge.foreign.draft import Given, Layering, Value, Weights, pair

_FUNCTIONS = {
    "hard_sigmoid": "HardSigmoid",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "softsign": "Softsign",
    "tanh": "Tanh",
}


def along(of_pictures: Layering) -> Layering:
    """A layer of pictures for rows of pixels: these are pictures one pixel wide."""

    def write(layer: Given) -> Value:
        if len(layer.source.shape) != 2 or layer.config.get("data_format") == "channels_first":
            raise layer.refuse("layer of rows", f"but its input has the shape {layer.source.shape}")
        steps, depth = layer.source.shape
        column = layer.draft.shaped(layer.source, (steps, 1, depth))
        wide = {key: _widened(key, value) for key, value in layer.config.items()}
        kernels = {
            key: array[:, None] if array.ndim == 3 else array
            for key, array in layer.weights.items()
        }
        result = of_pictures(layer._replace(config=wide, weights=kernels, reads=[column]))
        if len(result.shape) < 3:
            return result
        return layer.draft.shaped(result, (result.shape[0], result.shape[2]))

    return write


def _widened(key: str, value: Any) -> Any:
    """An option for both directions."""
    if key in ("padding", "cropping") and not isinstance(value, str):
        return [pair(value), (0, 0)]
    if key in ("strides", "pool_size", "dilation_rate", "size") and value is not None:
        return [value if isinstance(value, int) else value[0], 1]
    return value


class _Kind(NamedTuple):
    """A recurrent layer: its operator, where each of its gates lies in ONNX, and its functions."""

    operator: str
    gates: tuple[int, ...]
    functions: tuple[str, ...]


_KINDS = {
    "GRU": _Kind("GRU", (0, 1, 2), ("recurrent_activation", "activation")),
    "LSTM": _Kind("LSTM", (0, 3, 1, 2), ("recurrent_activation", "activation", "activation")),
    "SimpleRNN": _Kind("RNN", (0,), ("activation",)),
}


def recur(kind: str) -> Layering:
    """A layer that goes over rows one after the other."""

    def write(layer: Given) -> Value:
        backwards = bool(layer.config.get("go_backwards"))
        if backwards and layer.config.get("return_sequences"):
            raise layer.refuse(kind, "which goes backwards and gives every row")
        direction = "reverse" if backwards else "forward"
        return _run(layer, kind, [layer.weights], direction)

    return write


def recur_both_ways(layer: Given) -> Value:
    """Bidirectional: a recurrent layer from both ends."""
    inner, mode = layer.config["layer"], layer.config.get("merge_mode", "concat")
    modes = {"concat": "", "sum": "ReduceSum", "mul": "ReduceProd", "ave": "ReduceMean"}
    if inner["class_name"] not in _KINDS or mode not in modes:
        raise layer.refuse(
            "Bidirectional", f"of {inner['class_name']!r:.40}, merged as {mode!r:.20}"
        )
    ways = [
        {path: array for path, array in layer.weights.items() if _lies_in(path, start)}
        for start in ("forward", "backward")
    ]
    one = layer._replace(config=inner["config"])
    both = _run(one, inner["class_name"], ways, "bidirectional")
    if not modes[mode]:
        return both
    parted = (*both.shape[:-1], 2, both.shape[-1] // 2)
    laid = layer.draft.shaped(both, parted).name
    axis = np.array([len(parted) - 1])
    merged = layer.op(modes[mode], laid, axis, keepdims=0)
    return Value(merged, (*both.shape[:-1], parted[-1]))


def _lies_in(path: str, start: str) -> bool:
    return any(folder.startswith(start) for folder in path.split("/")[:-1])


def _run(layer: Given, kind: str, ways: Sequence[Weights], direction: str) -> Value:
    draft, config, source = layer.draft, layer.config, layer.source
    if len(source.shape) != 2 or config.get("return_state"):
        raise layer.refuse(kind, f"of the shape {source.shape}, or one that gives its state")
    about, every = _KINDS[kind], bool(config.get("return_sequences"))
    parts = zip(*(_parts(layer, about, way) for way in ways), strict=True)
    stacked = [np.stack(part).astype(np.float32) for part in parts]
    hidden = stacked[1].shape[2]
    options = _functions(layer, about, len(ways))
    if kind == "GRU":
        options["linear_before_reset"] = int(bool(config.get("reset_after")))
    rows = draft.op("Transpose", draft.last(source), perm=[1, 0, 2])
    result = draft.result(
        0 if every else 1,
        about.operator,
        rows,
        *stacked,
        hidden_size=hidden,
        direction=direction,
        **options,
    )
    laid = draft.op("Transpose", result, perm=[2, 0, 1, 3] if every else [1, 0, 2])
    shape = (*source.shape[: int(every)], len(ways) * hidden)
    return Value(draft.op("Reshape", laid, np.array([-1, *shape])), shape)


def _parts(layer: Given, about: _Kind, weights: Weights) -> list[NDArray[np.generic]]:
    """The weights of one way as ONNX has them: (gates, rows), both, and their biases."""
    own = layer._replace(weights={path.rpartition("/")[2]: w for path, w in weights.items()})
    kernel, again = own.weight("kernel", 0), own.weight("recurrent_kernel", 1)
    count = len(about.gates)
    bias = np.zeros((2, kernel.shape[1]), np.float32)
    given = own.bias(2)
    if given is not None:
        if given.ndim == 1:
            bias[0] = given
        else:
            bias[:] = given
    if kernel.shape[1] % count:
        raise layer.refuse(about.operator, f"with weights of the shape {kernel.shape}")

    def turned(array: NDArray[np.generic]) -> NDArray[np.generic]:
        parts = np.split(array, count, axis=-1)
        return np.concatenate([parts[gate] for gate in about.gates], axis=-1)

    return [turned(kernel).T, turned(again).T, turned(bias).reshape(-1)]


def _functions(layer: Given, about: _Kind, ways: int) -> dict[str, Any]:
    """The functions of a recurrent operator, where they are others than the usual ones."""
    usual = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    named = [str(layer.config.get(key, usual[key])) for key in about.functions]
    if named == [usual[key] for key in about.functions]:
        return {}
    if not set(named) <= _FUNCTIONS.keys():
        raise layer.refuse(about.operator, f"with the activation {named[-1]!r:.40}")
    options: dict[str, Any] = {"activations": [_FUNCTIONS[each] for each in named] * ways}
    if "hard_sigmoid" in named and layer.draft.version > 2:
        raise layer.refuse(about.operator, "with the hard sigmoid of Keras 3")
    return options
