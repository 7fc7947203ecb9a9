"""The text of a `.param` file: one line a layer.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure. ncnn reads as many layers as
the second line says; our metadata stand in a line behind them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mnist_edge.bundle import codec

FLOAT32_TAG, FLOAT16_TAG = 0, 0x01306B47
"""What stands before weights of each kind: `ModelBin::load` of ncnn."""

_MAGIC = "7767517"
_METADATA = "#mnist_edge metadata 0 0 0="
_MOST_LAYERS, _MOST_BLOBS = 1000, 64
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_OPTION = re.compile(r"([0-9]{1,2})=(-?[0-9]{1,9})")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: the names of what it reads and gives, and its options by their number."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[int, int] = field(default_factory=dict)


def write_layers(layers: Sequence[Layer], metadata: Mapping[str, str]) -> bytes:
    """The text of a net."""
    blobs = sum(len(layer.outputs) for layer in layers)
    text = base64.b64encode(json.dumps(dict(sorted(metadata.items()))).encode()).decode()
    lines = [_MAGIC, f"{len(layers)} {blobs}", *map(_line, layers), f"{_METADATA}{text}"]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _line(layer: Layer) -> str:
    counts = (str(len(layer.inputs)), str(len(layer.outputs)))
    options = (f"{key}={value}" for key, value in layer.options.items())
    words = (layer.kind, layer.name, *counts, *layer.inputs, *layer.outputs, *options)
    return " ".join(words)


def read_layers(data: bytes) -> tuple[tuple[Layer, ...], dict[str, str]]:
    """The layers of a text, and what it says of itself.

    Raises:
        ValueError: it is not as `write_layers` writes it.
    """
    magic, counts, *lines, last = str(data, "ascii").splitlines() or [""]
    if magic != _MAGIC or not last.startswith(_METADATA) or not data.endswith(b"\n"):
        raise ValueError("it does not say what it is")
    layers = tuple(_parse(line) for line in lines[: _MOST_LAYERS + 1])
    blobs = sum(len(layer.outputs) for layer in layers)
    if len(layers) > _MOST_LAYERS or counts != f"{len(layers)} {blobs}":
        raise ValueError(f"it counts its layers as {counts!r:.30}")
    text = base64.b64decode(last.removeprefix(_METADATA), validate=True)
    return layers, codec.loads(dict[str, str], str(text, "utf-8"))


def _parse(line: str) -> Layer:
    kind, name, *words = line.split(" ")
    reads, gives = (int(word) for word in words[:2])
    if not (0 <= reads <= _MOST_BLOBS and 0 <= gives <= _MOST_BLOBS):
        raise ValueError("a layer with too many inputs")
    names, options = words[2 : 2 + reads + gives], words[2 + reads + gives :]
    matches = [_OPTION.fullmatch(option) for option in options]
    if len(names) != reads + gives or not all(map(_NAME.fullmatch, (kind, name, *names))):
        raise ValueError(f"the layer {line!r:.80}")
    given = {int(match[1]): int(match[2]) for match in matches if match}
    if len(given) != len(options):
        raise ValueError(f"the options of the layer {name!r}")
    return Layer(
        kind=kind,
        name=name,
        inputs=tuple(names[:reads]),
        outputs=tuple(names[reads:]),
        options=given,
    )
