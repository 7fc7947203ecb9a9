"""Look into the bytes of an ONNX file without the `onnx` package, and before any runtime does.

The wire format of Protocol Buffers: https://protobuf.dev/programming-guides/encoding/. The field
numbers: onnx/onnx.proto. Field numbers never change their meaning, so this holds for later files.
"""

from __future__ import annotations

from collections.abc import Iterator

from mnist_edge.formats.format import Header

_VARINT, _BYTES = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}

# Which field of which message holds which message: every way from a model to its tensors.
_CHILDREN = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_IR_VERSION, _OPSET, _METADATA = 1, 8, 14
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def names_external_data(data: bytes) -> bool:
    """Whether any tensor of an ONNX file says that its values lie in another file.

    A runtime would open whatever path stands there, relative to the working directory; ONNX
    Runtime even takes an address in memory.

    Raises:
        ValueError: the bytes are not a Protocol Buffers message.
    """
    view = memoryview(data)
    pending = [("Model", 0, len(view))]
    while pending:
        message, start, end = pending.pop()
        for number, value, content in _fields(view, start, end):
            if message == "Tensor" and (
                number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value)
            ):
                return True
            child = _CHILDREN[message].get(number)
            if child and content:
                pending.append((child, content.start, content.stop))
    return False


def read_header(data: bytes) -> Header:
    """What an ONNX file says of itself beside its graph.

    Raises:
        ValueError: the bytes are no message, an entry is not text, or a key of the metadata stands
            twice: which of the two a runtime would believe is chance.
    """
    view = memoryview(data)
    ir_version, opset = 0, 0
    metadata: dict[str, str] = {}
    for number, value, content in _fields(view, 0, len(view)):
        if number == _IR_VERSION:
            ir_version = value
        elif number == _OPSET:
            domain, version = _operator_set(view, content)
            opset = opset if domain else version  # the domain of ONNX itself has no name
        elif number == _METADATA:
            key, text = _metadata_entry(view, content)
            if key in metadata:
                raise ValueError(f"its metadata has the key {key!r:.60} twice")
            metadata[key] = text
    return Header(metadata=metadata, ir_version=ir_version, opset=opset)


def _operator_set(view: memoryview, content: range) -> tuple[str, int]:
    domain, version = "", 0
    for number, value, place in _fields(view, content.start, content.stop):
        if number == _OPSET_DOMAIN:
            domain = _text(view, place)
        elif number == _OPSET_VERSION:
            version = value
    return domain, version


def _metadata_entry(view: memoryview, content: range) -> tuple[str, str]:
    key, text = "", ""
    for number, _, place in _fields(view, content.start, content.stop):
        if number == _ENTRY_KEY:
            key = _text(view, place)
        elif number == _ENTRY_VALUE:
            text = _text(view, place)
    return key, text


def _text(view: memoryview, place: range) -> str:
    try:
        return str(view[place.start : place.stop], "utf-8")
    except UnicodeDecodeError:
        raise ValueError("its metadata is not UTF-8") from None


def _fields(view: memoryview, position: int, end: int) -> Iterator[tuple[int, int, range]]:
    """Per field: its number, its value if it is an integer, and where its content lies if not."""
    while position < end:
        key, position = _varint(view, position, end)
        number, kind = key >> 3, key & 7
        value, size = 0, 0
        if kind == _VARINT:
            value, position = _varint(view, position, end)
        elif kind == _BYTES:
            size, position = _varint(view, position, end)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError(f"unknown wire type {kind}")
        content = range(position, position + size)
        position += size
        if not 0 < number < 1 << 29 or position > end:
            raise ValueError("a field that does not fit")
        yield number, value, content


def _varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise ValueError("cut off inside a number")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than ten bytes")
