"""A small ONNX classifier written byte by byte: tests of the edge side have no `onnx` package.

One `Flatten` and one `MatMul`. Field numbers: onnx/onnx.proto.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME
from mnist_edge.recipes.classes import DIGITS

FLOAT, DOUBLE = 1, 11


def weight_matrix() -> NDArray[np.float32]:
    """(784, 10): what `tiny_onnx` multiplies by unless it is told otherwise."""
    return np.random.default_rng(0).normal(0, 0.1, (28 * 28, len(DIGITS))).astype(np.float32)


def tiny_onnx(
    weight: NDArray[np.float32] | None = None,
    *,
    input_name: str = INPUT_NAME,
    output_name: str = OUTPUT_NAME,
    input_shape: tuple[int | str, ...] = ("batch", 1, 28, 28),
    element_type: int = FLOAT,
    ir_version: int = 8,
    opset: int = 18,
    domain: str = "",
    external: dict[str, str] | None = None,
    producer: str = "mnist-edge",
) -> bytes:
    """The file; each argument that is given spoils one thing."""
    weight = weight_matrix() if weight is None else weight
    tensor = number(1, weight.shape[0]) + number(1, weight.shape[1])
    tensor += number(2, element_type) + text(8, "weight")
    if external is None:
        tensor += field(9, weight.astype("<f4" if element_type == FLOAT else "<f8").tobytes())
    else:
        entries = (text(1, key) + text(2, value) for key, value in external.items())
        tensor += b"".join(field(13, entry) for entry in entries) + number(14, 1)
    graph = (
        field(1, _node("Flatten", (input_name,), "flat", ""))
        + field(1, _node("MatMul", ("flat", "weight"), output_name, domain))
        + text(2, "tiny")
        + field(5, tensor)
        + field(11, value(input_name, input_shape, element_type))
        + field(12, value(output_name, ("batch", weight.shape[1]), element_type))
    )
    model = number(1, ir_version) + field(7, graph) + field(8, number(2, opset))
    return model + field(14, text(1, "producer") + text(2, producer))


def number(index: int, value: int) -> bytes:
    return _varint(index << 3) + _varint(value)


def text(index: int, value: str) -> bytes:
    return field(index, value.encode())


def field(index: int, value: bytes) -> bytes:
    return _varint(index << 3 | 2) + _varint(len(value)) + value


def _node(operator: str, inputs: tuple[str, ...], output: str, domain: str) -> bytes:
    names = b"".join(text(1, name) for name in inputs) + text(2, output)
    return names + text(4, operator) + (text(7, domain) if domain else b"")


def value(name: str, shape: tuple[int | str, ...], element_type: int) -> bytes:
    dimensions = b"".join(
        field(1, number(1, size) if isinstance(size, int) else text(2, size)) for size in shape
    )
    tensor_type = number(1, element_type) + field(2, dimensions)
    return text(1, name) + field(2, field(1, tensor_type))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    value &= (1 << 64) - 1  # as a negative number stands
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
