"""Keras files of others, `.h5` and `.keras`: layers from their JSON, weights from their HDF5.

Nothing of Keras is needed, and nothing of a file is run: what is no layer of the table in
`keras_layers` is refused by its name.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput
from mnist_edge.foreign.draft import Draft, Given, Value, refuse
from mnist_edge.foreign.hdf5 import FIX, read_hdf5
from mnist_edge.foreign.keras_layers import SKIPPED, write_layer
from mnist_edge.foreign.net import ForeignNet

Json: TypeAlias = Any
Arrays: TypeAlias = Mapping[str, NDArray[np.generic]]

_MOST_JSON = 16 << 20
_DEEPEST = 8
_CONTAINERS = ("Sequential", "Functional", "Model")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer as its file names it.

    Attributes:
        kind: its class.
        config: its options.
        inputs: the layers that it reads, and numbers.
        weights: by name, such as `kernel`, or numbered in the order in which they are kept.
    """

    kind: str
    config: Json
    inputs: tuple[str | float, ...]
    weights: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its own."""
        return str(self.config.get("name", self.kind))


def read_keras(data: bytes) -> tuple[ForeignNet, ...]:
    """The net in a Keras file.

    Raises:
        BadInput: it is damaged, holds weights alone, or a layer that is not known here.
    """
    try:
        config, arrays, archived = _parts(data)
        model = _model(config)
        layers = list(_flattened(model, _weights(arrays, archived=archived), (), (), 0))
        graph, said = _graph(layers, model, _version(arrays))
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BadInput(f"its layers cannot be read: {reason:.200}", fix=FIX) from None
    return (ForeignNet(graph=graph, said=f"a Keras model: {said}", kind="keras"),)


def _parts(data: bytes) -> tuple[Json, Arrays, bool]:
    """The JSON of the layers, the arrays, and whether these lie as in `.keras`."""
    if data[:2] == b"PK":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
                texts = max(sizes["config.json"], sizes["metadata.json"])
                if texts > _MOST_JSON or sizes["model.weights.h5"] > 1 << 30:
                    raise BadInput("what is in it is larger than a GiB", fix=FIX)
                config, weights = (
                    archive.read(name) for name in ("config.json", "model.weights.h5")
                )
                about = archive.read("metadata.json")
                version = str(json.loads(about).get("keras_version", "3")).encode()
        except (zipfile.BadZipFile, KeyError, NotImplementedError, OSError, RuntimeError) as error:
            raise BadInput(f"it is damaged: {error!s:.200}", fix=FIX) from None
        arrays = {**read_hdf5(weights), "@keras_version": np.frombuffer(version, np.uint8)}
        return json.loads(config), arrays, True
    arrays = read_hdf5(data)
    if "@model_config" not in arrays:
        raise BadInput(_without_layers(arrays), fix="save the whole model, with model.save(path)")
    return json.loads(arrays["@model_config"].tobytes()), arrays, False


def _without_layers(arrays: Arrays) -> str:
    kept = [
        "x".join(map(str, array.shape))
        for path, array in arrays.items()
        if "@" not in path and array.ndim > 1 and not path.startswith("optimizer")
    ]
    if not kept:
        return "it is an HDF5 file, but no Keras model"
    return f"it holds weights alone ({', '.join(kept)[:80]}), and not what its layers do with them"


def _version(arrays: Arrays) -> int:
    """Of Keras, its first number."""
    kept = arrays.get("@keras_version")
    text = kept.tobytes().decode(errors="replace") if kept is not None else "2"
    return int(text[:1]) if text[:1].isdigit() else 2


def _model(document: Json) -> Json:
    if document.get("class_name") not in _CONTAINERS:
        raise BadInput(
            f"it is of a class of its own, {document.get('class_name')!r:.60}, whose code is not "
            "in the file",
            fix="save it as a Sequential or a Functional model, or export it to ONNX",
        )
    return document


def _members(model: Json) -> list[Json]:
    config = model["config"]
    return list(config["layers"] if isinstance(config, dict) else config)


class _Kept:
    """Where the weights of a layer lie in a `.h5` file: by its name."""

    def __init__(self, arrays: Arrays) -> None:
        self._by_layer: dict[str, dict[str, NDArray[np.generic]]] = {}
        root = "model_weights/" if any(n.startswith("model_weights/") for n in arrays) else ""
        for path, array in arrays.items():
            if "@" in path or not path.startswith(root) or path.startswith("optimizer"):
                continue
            layer, _, name = path.removeprefix(root).partition("/")
            self._by_layer.setdefault(layer, {})[name] = array

    def find(self, layer: Json, outer: tuple[str, ...], place: tuple[str, ...]) -> dict[str, Any]:
        """The weights of a layer by name; `outer` are the models that it lies in."""
        del place
        name = str(layer["config"].get("name"))
        kept = self._by_layer.get(outer[0] if outer else name, {})
        found: dict[str, NDArray[np.generic]] = {}
        for path, array in kept.items():
            *folders, leaf = path.split("/")
            plain = leaf.partition(":")[0]
            within = not outer or any(
                re.fullmatch(re.escape(name) + r"(_\d+)?", f) for f in folders
            )
            exact = not outer or name in folders
            if within and (exact or plain not in found):
                found[plain] = array
            if within and folders:  # for layers that are made of several
                found["/".join((*folders, plain))] = array
        return found


class _Numbered:
    """Where they lie in a `.keras` file: by their class, counted among their neighbours."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def find(self, layer: Json, outer: tuple[str, ...], place: tuple[str, ...]) -> dict[str, Any]:
        """The weights of a layer, numbered."""
        del layer, outer
        for folder in ("layers", "_layer_checkpoint_dependencies"):
            prefix = "/".join(f"{folder}/{part}" for part in place)
            found = {
                path[len(prefix) + 1 :].removeprefix("vars/"): array
                for path, array in self._arrays.items()
                if path.startswith(f"{prefix}/")
            }
            if found:
                return found
        return {}


_Weights: TypeAlias = "_Kept | _Numbered"


def _weights(arrays: Arrays, *, archived: bool) -> _Weights:
    return _Numbered(arrays) if archived else _Kept(arrays)


def _flattened(
    model: Json,
    weights: _Weights,
    outer: tuple[str, ...],
    reads: tuple[str | float, ...],
    depth: int,
    at: tuple[str, ...] = (),
) -> Iterator[Layer]:
    """The layers of a model, those of models in it in their place.

    Args:
        model: its JSON.
        weights: of all.
        outer: the names of the models around it.
        reads: what it reads, where it is in another one.
        depth: how many those are.
        at: its place in a `.keras` file.
    """
    if depth > _DEEPEST:
        raise BadInput("its models lie in each other without an end", fix=FIX)
    counts: Counter[str] = Counter()
    last: tuple[str | float, ...] = reads
    ends: dict[str, str | float] = {}
    sequential = model["class_name"] == "Sequential"
    for member in _members(model):
        kind, config = str(member["class_name"]), member["config"]
        snake = _snake(kind)
        number, counts[snake] = counts[snake], counts[snake] + 1
        place = (*at, f"{snake}_{number}" if number else snake)
        own = str(config.get("name", f"{snake}_{number}") if isinstance(config, dict) else snake)
        name = "/".join((*outer, own))
        inputs = last if sequential else tuple(_inbound(member))
        if not sequential:
            inputs = tuple(
                ends.get(i, "/".join((*outer, i))) if isinstance(i, str) else i for i in inputs
            )
        if kind == "InputLayer" and outer:
            ends[own] = reads[0]
            last = reads
            continue
        if kind in _CONTAINERS:
            inner = list(_flattened(member, weights, (*outer, own), inputs, depth + 1, place))
            yield from inner
            ends[own] = inner[-1].name if inner else inputs[0]
        else:
            kept = {} if kind in SKIPPED else weights.find(member, outer, place)
            yield Layer(kind=kind, config={**config, "name": name}, inputs=inputs, weights=kept)
            ends[own] = name
        last = (ends[own],)


def _inbound(member: Json) -> Iterator[str | float]:
    """What a layer of a functional model reads, as Keras 2 or 3 say it."""
    nodes = member.get("inbound_nodes") or []
    if len(nodes) > 1:
        raise refuse(str(member.get("name")), str(member["class_name"]), "used more than once")
    for node in nodes:
        if isinstance(node, dict):  # of Keras 3
            for item in node.get("args", ()):
                yield from (item,) if _is_number(item) else _history(item)
            yield from _history(node.get("kwargs"))
        else:
            yield from _history(node)


def _history(item: Json) -> Iterator[str | float]:
    """The layers that are named in what a layer is called with."""
    if isinstance(item, dict):
        if item.get("class_name") == "__keras_tensor__":
            yield str(item["config"]["keras_history"][0])
            return
        for name, value in item.items():
            yield from (value,) if name == "y" and _is_number(value) else _history(value)
    elif isinstance(item, list):
        plain = len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int)
        if not plain:
            for value in item:
                yield from _history(value)
            return
        yield float(item[2]) if item[0] == "_CONSTANT_VALUE" else str(item[0])
        yield from _history(item[3:])


def _is_number(item: Json) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool)


def _snake(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _graph(layers: list[Layer], model: Json, version: int) -> tuple[bytes, str]:
    draft = Draft(_input_shape(layers, model), version)
    values: dict[str, Value] = {}
    said: list[str] = []
    last = ""
    for layer in layers:
        if layer.kind == "InputLayer":
            values[layer.name] = draft.start
            last = layer.name
            continue
        reads = [
            values[i] if isinstance(i, str) else Value(draft.constant(np.array(i, np.float32)), ())
            for i in layer.inputs
        ] or [draft.start]
        if layer.kind in SKIPPED:
            values[layer.name] = reads[0]
        else:
            result = write_layer(
                layer.kind, Given(draft, layer.name, layer.config, layer.weights, reads)
            )
            values[layer.name] = result
            said += _words(layer, result)
        last = layer.name
    ends = [name for name in _output_names(model) if name in values] or [last]
    shape = "x".join(map(str, draft.start.shape))
    flat = str(math.prod(draft.start.shape))
    only = all(word.isdigit() for word in said)
    return draft.finish(*(values[name] for name in ends)), "-".join(
        [flat if only else shape, *said]
    )


def _words(layer: Layer, value: Value) -> Iterator[str]:
    if layer.kind == "Dense":
        yield str(value.shape[-1])
    elif "Conv" in layer.kind:
        yield f"conv {value.shape[-1]}"


def _output_names(model: Json) -> list[str]:
    config = model["config"]
    outputs = config.get("output_layers") if isinstance(config, dict) else None
    named = [outputs] if outputs and isinstance(outputs[0], str) else outputs or []
    return [str(item[0]) for item in named]


def _input_shape(layers: list[Layer], model: Json) -> tuple[int, ...]:
    """Of one picture."""
    first = layers[0].config
    found = first.get("batch_shape") or first.get("batch_input_shape")
    config = model["config"]
    if not found and isinstance(config, dict):
        found = config.get("build_input_shape")
    if not found:
        found = model.get("build_config", {}).get("input_shape")
    if found and isinstance(found[0], list):
        found = found[0]
    if found and all(isinstance(size, int) and size > 0 for size in found[1:]):
        return tuple(found[1:])
    for layer in layers:  # never said: what its weights take
        for array in layer.weights.values():
            if layer.kind == "Conv2D" and array.ndim == 4:
                return (28, 28, int(array.shape[2]))
            if layer.kind == "Dense" and array.ndim == 2:
                return (int(array.shape[0]),)
    raise BadInput("it does not say how large its input is", fix=FIX)
