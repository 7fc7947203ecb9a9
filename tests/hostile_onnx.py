"""ONNX graphs that ask a runtime for more than a picture is worth, written byte by byte.

Not a test module. Each is a whole model with our input and output, of a few kilobytes at most, that
`onnx` would call valid. Field numbers: onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tiny_onnx import FLOAT, field, number, text, value, weight_matrix

Attribute: TypeAlias = "int | str | Sequence[int] | NDArray[np.generic] | bytes"
"""Bytes are those of a graph."""

UINT8, INT64 = 2, 7
_TYPES = {"float32": FLOAT, "int64": INT64, "int8": 3, "bool": 9}


def tensor(name: str, array: NDArray[np.generic], *, shape: Sequence[int] | None = None) -> bytes:
    """A tensor of the file; `shape` is what it claims."""
    sizes = b"".join(number(1, size) for size in (array.shape if shape is None else shape))
    return sizes + number(2, _TYPES[array.dtype.name]) + text(8, name) + field(9, array.tobytes())


def node(
    kind: str, inputs: str, outputs: str, *, domain: str = "", **attributes: Attribute
) -> bytes:
    """An operator; its inputs and outputs are divided by blanks."""
    parts = [text(1, name) for name in inputs.split()] + [text(2, n) for n in outputs.split()]
    parts += [text(4, kind), text(7, domain) if domain else b""]
    parts += [field(5, _attribute(name, item)) for name, item in attributes.items()]
    return b"".join(parts)


def _attribute(name: str, item: Attribute) -> bytes:
    match item:
        case int():
            return text(1, name) + number(3, item) + number(20, 2)
        case str():
            return text(1, name) + text(4, item) + number(20, 3)
        case bytes():
            return text(1, name) + field(6, item) + number(20, 5)
        case np.ndarray():
            return text(1, name) + field(5, tensor("", item)) + number(20, 4)
    return text(1, name) + b"".join(number(8, n) for n in item) + number(20, 7)


def graph(
    nodes: Sequence[bytes],
    tensors: Sequence[bytes] = (),
    *,
    inputs: Sequence[bytes] = (),
    outputs: Sequence[bytes] = (),
) -> bytes:
    """A graph, of the net's own input and output unless others are given."""
    inputs = inputs or [value("images", ("batch", 1, 28, 28), FLOAT)]
    outputs = outputs or [value("logits", ("batch", 10), FLOAT)]
    parts = [field(1, n) for n in nodes] + [text(2, "g")] + [field(5, t) for t in tensors]
    return b"".join([*parts, *(field(11, i) for i in inputs), *(field(12, o) for o in outputs)])


def model(
    nodes: Sequence[bytes],
    tensors: Sequence[bytes] = (),
    *,
    opset: int = 18,
    outputs: Sequence[bytes] = (),
) -> bytes:
    """A file around `graph`, with a linear layer to fall back on: `flat` and `weight`."""
    ready = [node("Flatten", "images", "flat")]
    tensors = [*tensors, tensor("weight", weight_matrix())]
    operators = field(8, number(2, opset))
    if any(b"com.microsoft" in item for item in nodes):
        operators += field(8, text(1, "com.microsoft") + number(2, 1))
    return number(1, 8) + field(7, graph([*ready, *nodes], tensors, outputs=outputs)) + operators


ANSWER = node("MatMul", "flat weight", "logits")
ONE = tensor("one", np.ones(1, np.float32))


def ints(name: str, *values: int) -> bytes:
    return tensor(name, np.array(values, np.int64))


def _endless_loop() -> bytes:
    """A Loop whose condition never fails, over 2^63 - 1 rounds."""
    body = graph(
        [node("Identity", "go", "go_on"), node("Add", "sum step", "next")],
        [tensor("step", np.ones(1, np.float32))],
        inputs=[value("round", (), INT64), value("go", (), 9), value("sum", (1,), FLOAT)],
        outputs=[value("go_on", (), 9), value("next", (1,), FLOAT)],
    )
    return model(
        [
            node("Loop", "rounds yes one", "total", body=body),
            ANSWER.replace(b"logits", b"before"),
            node("Add", "before total", "logits"),
        ],
        [
            tensor("rounds", np.array(2**63 - 1, np.int64)),
            tensor("yes", np.array(True)),
            ONE,
        ],
    )


def _added(*nodes: bytes, big: str = "big") -> list[bytes]:
    """Nodes that make `big`, whose first numbers are added to the answer."""
    return [
        *nodes,
        node("ReduceMax", big, "most", keepdims=0),
        node("MatMul", "flat weight", "before"),
        node("Add", "before most", "logits"),
    ]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "Loop without an end": _endless_loop,
    "If": lambda: model(
        [node("If", "yes", "logits", then_branch=graph([ANSWER]), else_branch=graph([ANSWER]))],
        [tensor("yes", np.array(True))],
    ),
    "Resize": lambda: model(
        _added(node("Resize", "images none none sizes", "big", mode="nearest")),
        [ints("sizes", 1, 1, 26_000, 26_000), tensor("none", np.ones(0, np.float32))],
    ),
    "ConstantOfShape": lambda: model(
        _added(node("ConstantOfShape", "shape", "big")), [ints("shape", 900_000_000)]
    ),
    "Expand": lambda: model(
        _added(node("Expand", "one shape", "big")), [ints("shape", 900_000_000), ONE]
    ),
    "Tile": lambda: model(
        _added(node("Tile", "one repeats", "big")), [ints("repeats", 900_000_000), ONE]
    ),
    "Range": lambda: model(
        _added(node("Range", "start end step", "big")),
        [
            tensor("start", np.array(0, np.float32)),
            tensor("end", np.array(9e8, np.float32)),
            tensor("step", np.array(1, np.float32)),
        ],
    ),
    "Pad": lambda: model(
        _added(node("Pad", "images pads", "big")),
        [ints("pads", *([0, 0, 9000, 9000] * 2))],
    ),
    "pads of a Conv": lambda: model(
        _added(node("Conv", "images kernel", "big", pads=[9000] * 4)),
        [tensor("kernel", np.ones((1, 1, 1, 1), np.float32))],
    ),
    "a Conv as large as its picture": lambda: model(
        [
            node("Conv", "images kernel", "wide"),
            *_added(node("Conv", "wide across", "big", pads=[27] * 4)),
        ],
        [
            tensor("kernel", np.ones((2000, 1, 1, 1), np.float32)),
            tensor("across", np.ones((1, 2000, 28, 28), np.float32)),
        ],
    ),
    "an Add that squares": lambda: model(
        [
            node("Reshape", "images column", "tall"),
            node("Reshape", "images row", "long"),
            node("Add", "tall long", "square"),
            node("Reshape", "square column", "taller"),
            node("Reshape", "square row", "longer"),
            *_added(node("Add", "taller longer", "big")),
        ],
        [ints("column", -1, 1), ints("row", 1, -1)],
    ),
    "a MatMul that squares": lambda: model(
        [
            node("Reshape", "images column", "tall"),
            node("Reshape", "images row", "long"),
            node("MatMul", "tall long", "square"),
            node("Reshape", "square column", "taller"),
            node("Reshape", "square row", "longer"),
            *_added(node("MatMul", "taller longer", "big")),
        ],
        [ints("column", -1, 1), ints("row", 1, -1)],
    ),
    "a Concat that doubles": lambda: model(
        [
            node("Reshape", "images row", "d0"),
            *(node("Concat", f"d{i} d{i}", f"d{i + 1}", axis=1) for i in range(21)),
            *_added(node("Identity", "d21", "big")),
        ],
        [ints("row", 1, -1)],
    ),
    "60,000 operators": lambda: model(
        [
            node("Identity", "flat", "i0"),
            *(node("Identity", f"i{i}", f"i{i + 1}") for i in range(59_998)),
            node("MatMul", "i59998 weight", "logits"),
        ]
    ),
    "900 products of wide layers": lambda: model(
        [
            node("MatMul", "flat into", "w0"),
            *(node("MatMul", f"w{i} square", f"w{i + 1}") for i in range(900)),
            node("MatMul", "w900 out", "logits"),
        ],
        [
            tensor("into", np.zeros((784, 4096), np.float32)),
            tensor("square", np.zeros((4096, 4096), np.int8), shape=(4096, 4096)),
            tensor("out", np.zeros((4096, 10), np.float32)),
        ],
    ),
    "a foreign operator": lambda: model(
        [node("MatMul", "flat weight", "logits", domain="com.example")]
    ),
    "an operator of ONNX Runtime that we do not write": lambda: model(
        [node("Inverse", "flat", "turned", domain="com.microsoft"), ANSWER]
    ),
    "a function": lambda: model([ANSWER]) + field(25, text(1, "f") + field(7, ANSWER)),
    "a training": lambda: model([ANSWER]) + field(20, field(1, graph([ANSWER]))),
    "a sparse tensor": lambda: (
        model([ANSWER])
        + field(7, field(15, field(1, ONE) + field(2, ints("at", 0)) + number(3, 10**9)))
    ),
    "a tensor that lies about its size": lambda: model(
        [ANSWER], [tensor("big", np.ones(4, np.float32), shape=(1 << 30,))]
    ),
    "a tensor of a negative size": lambda: model(
        [ANSWER], [tensor("big", np.ones(1, np.float32), shape=(-1, -1))]
    ),
    "a shape from the picture": lambda: model(
        _added(
            node("Cast", "images", "whole", to=INT64),
            node("Reshape", "whole row", "shape"),
            node("Reshape", "images shape", "big"),
        ),
        [ints("row", -1)],
    ),
    "a circle": lambda: model([node("Add", "b flat", "a"), node("Relu", "a", "b"), ANSWER]),
    "a name given twice": lambda: model([ANSWER, ANSWER]),
    "an input of a gigabyte": lambda: (
        number(1, 8)
        + field(
            7,
            graph(
                [node("Flatten", "images", "flat"), ANSWER],
                [tensor("weight", weight_matrix())],
                inputs=[value("images", ("batch", 1, 16_000, 16_000), FLOAT)],
            ),
        )
        + field(8, number(2, 18))
    ),
    "two graphs, of which a runtime takes both": lambda: (
        model([ANSWER]) + field(7, field(1, node("ConstantOfShape", "weight", "big")))
    ),
    "a graph under an attribute of another type": lambda: model(
        [ANSWER + field(5, text(1, "x") + field(6, graph([ANSWER])) + number(20, 2))]
    ),
}
"""Makers by name."""
