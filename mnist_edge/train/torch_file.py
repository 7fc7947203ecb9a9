"""What `torch.save` wrote, read without unpickling: of what a file names, nothing is called.

A pickle is a program. torch's own reader calls only what it knows, but even so can be asked for
gigabytes, for tensors without values, and for dictionaries in themselves. Here a pickle builds
dictionaries, lists, tuples, numbers, texts, and dense tensors of bytes that the file holds; what
it wants of any other class or function is kept by its name alone.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import torch

Document: TypeAlias = object
"""Dictionaries, lists, tuples, numbers, texts, tensors and `Unread` in each other."""

_OLD_MAGIC, _OLD_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # from before torch 1.6
_NUMEL_BYTES = 8
_MOST_SHARED = 2
"""How often the bytes of a file may stand in its tensors: once, and those that share weights."""
_MOST_STEPS = 300_000
"""Of a pickle: each may make an object. A large net and its optimizer take some thousands."""

_STORAGES = {
    f"torch {name}Storage": dtype
    for name, dtype in {
        "BFloat16": torch.bfloat16,
        "Bool": torch.bool,
        "Byte": torch.uint8,
        "Char": torch.int8,
        "Double": torch.float64,
        "Float": torch.float32,
        "Half": torch.float16,
        "Int": torch.int32,
        "Long": torch.int64,
        "QInt32": torch.int32,
        "QInt8": torch.int8,
        "QUInt8": torch.uint8,
        "Short": torch.int16,
    }.items()
}


@dataclass(eq=False)
class Unread:
    """What a class or function that is not known here would have made.

    Attributes:
        name: of that, such as `torch.nn.modules.conv.Conv2d`.
        state: what a pickle then gives it: of a module, its weights and the modules in it.
    """

    name: str
    state: Document = None


def read_torch_file(data: bytes) -> Document:
    """Read a file of `torch.save`, in the new format or the old one.

    Raises:
        ValueError: it is damaged, or holds tensors that are expanded, or whose bytes it does not
            hold.
    """
    try:
        return _read_archive(data) if data[:2] == b"PK" else _read_old(io.BytesIO(data))
    # zipfile has a dozen classes of errors for damaged bytes, and so has a pickle that is none.
    except (zipfile.BadZipFile, NotImplementedError, LookupError, TypeError, OSError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def check_read(document: Document) -> None:
    """Raises ValueError if something in a document is not known here."""
    waiting: list[object] = [document]
    seen: set[int] = set()  # a container may lie in itself
    while waiting:
        value = waiting.pop()
        if isinstance(value, Unread):
            raise ValueError(f"it holds a {value.name:.100}")
        if isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value


def _read_archive(data: bytes) -> Document:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("its entries are compressed")
        if sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("its entries overlap")
        (pickled,) = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
        root = pickled.filename.removesuffix("data.pkl")
        contents = {entry.filename.removeprefix(root): archive.read(entry) for entry in entries}
    if contents.get("byteorder", b"little") != b"little":
        raise ValueError("it was written on a machine of another byte order")
    storages = _Storages(len(data))
    document = _build(io.BytesIO(contents["data.pkl"]), storages)
    for key, buffer in storages.buffers().items():
        _fill(buffer, contents[f"data/{key}"])
    return document


def _read_old(stream: BinaryIO) -> Document:
    """Five pickles (magic, version, machine, document, keys), then the values of each key."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    storages = _Storages(size)
    magic = _build(stream, storages)
    if magic != _OLD_MAGIC and not storages.buffers():  # a pickle of something else
        return magic
    version, _, document, keys = (_build(stream, storages) for _ in range(4))
    if (magic, version) != (_OLD_MAGIC, _OLD_PROTOCOL) or not isinstance(keys, list):
        raise ValueError("it was not written by torch")
    buffers = storages.buffers()
    for key in keys:
        stream.read(_NUMEL_BYTES)
        _fill(buffers[key], stream.read(len(buffers[key])))
    return document


def _fill(buffer: bytearray, content: bytes) -> None:
    if len(content) != len(buffer):
        raise ValueError("a tensor has more numbers than the file, or fewer")
    buffer[:] = content


class _Storages:
    """The buffers that tensors look into; each is filled once all of them are known.

    Args:
        size: of the file: more than it holds is never asked of memory.
    """

    def __init__(self, size: int) -> None:
        self._room, self._shared_room = size, _MOST_SHARED * size
        self._known: dict[str, tuple[torch.dtype, bytearray]] = {}

    def buffers(self) -> dict[str, bytearray]:
        """Every buffer by its key."""
        return {key: buffer for key, (_, buffer) in self._known.items()}

    def key(self, identity: object) -> str:
        """The key of a storage, by what the pickle says of it; room is made for its numbers."""
        match identity:
            case ("storage", torch.dtype() as dtype, str() as key, str(), int() as count, *rest):
                size = count * dtype.itemsize
            case ("module", str() as name, *_):  # in old files, with its program
                return name
            case _:
                raise ValueError("a storage of another form")
        if key not in self._known:
            self._room -= size
            if size < 0 or self._room < 0 or any(view is not None for view in rest):
                raise ValueError("tensors of more bytes than the file holds")
            self._known[key] = dtype, bytearray(size)
        known, buffer = self._known[key]
        if known != dtype or len(buffer) != size:
            raise ValueError("a storage of two forms")
        return key

    def tensor(self, key: object, offset: object, sizes: object, strides: object) -> torch.Tensor:
        """A dense tensor that looks into the numbers of a storage."""
        if not isinstance(key, str) or not isinstance(offset, int):
            raise ValueError("a tensor of another form")
        dtype, buffer = self._known[key]
        shape, steps = _whole_numbers(sizes), _whole_numbers(strides)
        count, held = math.prod(shape), len(buffer) // dtype.itemsize
        last = offset + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
        self._shared_room -= count * dtype.itemsize
        if offset < 0 or (count and last >= held) or count > held or self._shared_room < 0:
            raise ValueError("a tensor that is expanded, or of more numbers than the file holds")
        if not count:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(buffer, dtype=dtype).as_strided(shape, steps, offset)


def _whole_numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(n) is int and n >= 0 for n in value):
        raise ValueError("sizes that are no whole numbers")
    return value


def _build(stream: BinaryIO, storages: _Storages) -> Document:
    """Carry out the steps of one pickle, as far as they are known here."""
    stack: list[Any] = []
    below: list[list[Any]] = []
    memo: dict[Any, Any] = {}
    for number, (step, argument, _) in enumerate(pickletools.genops(stream)):
        if number > _MOST_STEPS:
            raise ValueError(f"a pickle of more than {_MOST_STEPS:,} steps")
        if step.name in _TEXTS_AND_NUMBERS:
            stack.append(argument)
            continue
        match step.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                below.append(stack)
                stack = []
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(step.name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(step.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE" | "FROZENSET":
                items, stack = stack, below.pop()
                stack.append(tuple(items))
            case "APPEND":
                item = stack.pop()
                _extend(stack[-1], [item])
            case "APPENDS" | "ADDITEMS":
                items, stack = stack, below.pop()
                _extend(stack[-1], items)
            case "SETITEM":
                items, stack[-2:] = stack[-2:], []
                _update(stack[-1], items)
            case "SETITEMS":
                items, stack = stack, below.pop()
                _update(stack[-1], items)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":  # a name; what it names is looked up nowhere
                stack.append(_named(str(argument)))
            case "STACK_GLOBAL":
                stack[-2:] = [_named(f"{stack[-2]} {stack[-1]}")]
            case "BINPERSID":
                stack.append(storages.key(stack.pop()))
            case "REDUCE" | "NEWOBJ":
                arguments = stack.pop()
                stack.append(_made(stack.pop(), arguments, storages))
            case "BUILD":  # of a dictionary of weights: the versions of its modules
                state = stack.pop()
                if isinstance(stack[-1], Unread):
                    stack[-1].state = state
            case _:
                raise ValueError(f"the step {step.name} of a pickle")
    raise ValueError("a pickle without an end")


_TEXTS_AND_NUMBERS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINSTRING", "BINSTRING"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
)


def _named(name: str) -> object:
    return _STORAGES.get(name, name)


def _made(name: object, arguments: object, storages: _Storages) -> Document:
    """What a pickle would call a function or class for, if that is one of a few."""
    match name, arguments:
        case ("collections OrderedDict", ()) | ("collections defaultdict", _):
            return {}
        case "collections OrderedDict", (list() as pairs,):
            made: dict[Hashable, object] = {}
            for pair in pairs:
                _update(made, pair)
            return made
        case "torch Size", (tuple() as sizes,):
            return sizes
        case (
            "torch._utils _rebuild_parameter" | "torch._utils _rebuild_parameter_with_state",
            (torch.Tensor() as tensor, *_),
        ):
            return tensor
        case (
            "torch._utils _rebuild_tensor" | "torch._utils _rebuild_tensor_v2",
            (key, offset, sizes, strides, *_),
        ):
            return storages.tensor(key, offset, sizes, strides)
    if not isinstance(name, str):
        raise ValueError("it calls what is no function")
    return Unread(name.replace(" ", ".").removeprefix("__main__."))


def _extend(target: object, items: list[Any]) -> None:
    if isinstance(target, Unread):
        return
    if not isinstance(target, list):
        raise ValueError("items of what is no list")
    target += items


def _update(target: object, items: object) -> None:
    if isinstance(target, Unread):
        return
    if not isinstance(target, dict) or not isinstance(items, (list, tuple)) or len(items) % 2:
        raise ValueError("items of what is no dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if isinstance(key, (str, int, float)):  # under no other one are weights
            target[key] = value
