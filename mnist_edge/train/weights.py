"""The weights in a file by name, wherever a training script has put them; nothing in it is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from mnist_edge.bundle.storage import read_file, readable
from mnist_edge.errors import BadInput
from mnist_edge.foreign.kinds import kind_of
from mnist_edge.foreign.read import MOST_BYTES, about
from mnist_edge.foreign.state_dict import COUNTER, natural
from mnist_edge.train.torch_file import Unread, read_torch_file

_Group: TypeAlias = Mapping[str, object]

_DEEPEST = 6  # dictionaries in each other, around the weights
_MOST_PARTS = 10_000
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_FIX = "save the weights alone, with torch.save(model.state_dict(), path)"


class Weights(NamedTuple):
    """Weights by name, in the order of the file.

    Attributes:
        tensors: of a floating-point type, and finite.
        of: the class that they were pickled with; empty where they are alone.
    """

    tensors: dict[str, Tensor]
    of: str = ""


def read_weights(path: Path, key: str = "") -> Weights:
    """The weights in a file of `torch.save` or safetensors.

    Args:
        path: of the file.
        key: which of several weights in it, by its name or that of the group around it; empty
            where there is one.

    Raises:
        BadInput: it cannot be read, is a program, holds no weights, several, or quantized ones.
    """
    with readable(path, BadInput, "give the path of a weights file"):
        data = read_file(path, most=MOST_BYTES)
    document = _document(path, data)
    with about(path):
        found = dict(_groups(document))
    chosen = _chosen(path, found, key)
    if chosen is None:
        told = _told(document, data)
        raise BadInput(
            f"{path} holds {told}, not named weights", fix=_DENSE if told == _QUANTIZED else _FIX
        )
    of = document.name if isinstance(document, Unread) else ""
    return Weights(_learned(path, chosen, data), of)


def _document(path: Path, data: bytes) -> object:
    kind = kind_of(data)
    if kind.is_program:
        raise BadInput(
            f"{path} is {kind.said}: that is a program, and no weights",
            fix="leave --recipe and --architecture away, and give --trust if you know its maker",
        )
    try:
        if data[:2] == b"PK" or data[:1] == b"\x80":  # torch's archives, new and old
            return read_torch_file(data)
        # The format keeps no order: conv10 belongs after conv2.
        tensors = load_safetensors(data)
        return {name: tensors[name] for name in sorted(tensors, key=natural)}
    except SafetensorError:
        raise BadInput(f"{path} is neither a torch file nor a safetensors file", fix=_FIX) from None
    except ValueError as error:
        raise BadInput(
            f"{path} is damaged, or holds more than weights: {error!s:.200}", fix=_FIX
        ) from None


# --- where they are -------------------------------------------------------------------------------


def _groups(document: object) -> Iterator[tuple[str, _Group]]:
    """Weights that belong together, by where they stand; an optimizer's state is none."""
    waiting: list[tuple[str, object, int]] = [("", document, 0)]
    seen: set[int] = set()  # a dictionary may lie in itself
    for place, value, depth in waiting:
        group = _of_module(value) if _is_module(value) else value
        if id(value) in seen or not isinstance(group, dict) or depth > _DEEPEST:
            continue
        seen.add(id(value))
        if any(_is_made(item) or _is_matrix(item) for item in group.values()):
            yield from _parted(place, group)
            continue
        waiting += [
            (f"{place}.{name}" if place else name, item, depth + 1)
            for name, item in group.items()
            if isinstance(name, str)  # an optimizer numbers what it keeps
        ]


def _parted(place: str, group: _Group) -> Iterator[tuple[str, _Group]]:
    """A group; or two, where it holds the same net twice, such as that of an EMA."""
    parts: dict[str, dict[str, object]] = {}
    for name, value in group.items():
        first, _, rest = name.partition(".")
        if isinstance(value, Tensor) and _is_matrix(value):
            parts.setdefault(first, {})[rest] = tuple(value.shape)
    distinct = list(parts.values())
    if len(parts) < 2 or len(distinct[0]) < 2 or any(p != distinct[0] for p in distinct):
        yield place, group
        return
    for part in parts:
        names = [name for name in group if name.startswith(f"{part}.")]
        yield f"{place}.{part}" if place else part, {name: group[name] for name in names}


def _chosen(path: Path, found: Mapping[str, _Group], key: str) -> _Group | None:
    """The weights that are meant; None where there are none."""
    if key and key not in found:
        within = {
            name: value
            for group in found.values()
            for name, value in group.items()
            if name.startswith(f"{key}.")
        }
        if not within:
            raise BadInput(
                f"{path} holds no weights under {key!r:.60}",
                fix=f"choose --key of {', '.join(filter(None, found)) or 'nothing: leave it out'}",
            )
        return within
    if len(found) > 1 and not key:
        raise BadInput(
            f"{path} holds several weights: {', '.join(found)}", fix="choose one with --key NAME"
        )
    return found[key] if key else next(iter(found.values()), None)


def _is_matrix(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim > 1


def _is_made(value: object) -> bool:
    """Whether it is a tensor of a kind that is not read."""
    return isinstance(value, Unread) and value.name.startswith("torch._utils.")


def _is_module(value: object) -> bool:
    return isinstance(value, Unread) and isinstance(value.state, dict) and "_modules" in value.state


def _of_module(module: object) -> dict[str, object]:
    """What `state_dict` would give of a pickled module."""
    found: dict[str, object] = {}
    waiting = [("", module)]
    for prefix, known in waiting:
        if len(waiting) + len(found) > _MOST_PARTS:  # a module may stand in itself
            raise BadInput(f"it holds more than {_MOST_PARTS:,} modules and weights", fix=_FIX)
        if not isinstance(known, Unread) or not isinstance(known.state, dict):
            continue
        parts = (known.state.get(part) for part in ("_parameters", "_buffers", "_modules"))
        parameters, buffers, modules = (part if isinstance(part, dict) else {} for part in parts)
        named = (*parameters.items(), *buffers.items())
        found |= {f"{prefix}{name}": value for name, value in named if value is not None}
        waiting += [(f"{prefix}{name}.", inner) for name, inner in modules.items()]
    return found


# --- what they are --------------------------------------------------------------------------------


def _learned(path: Path, group: _Group, data: bytes) -> dict[str, Tensor]:
    """The weights of a group, without what counts and measures. Raises BadInput."""
    for name, value in group.items():
        items = value if isinstance(value, (tuple, list)) else (value,)
        if any(map(_is_made, items)):
            raise BadInput(f"{path}: {name} holds {_told(value, data)}", fix=_DENSE)
    tensors = {
        str(name): value
        for name, value in group.items()
        if isinstance(value, Tensor)
        and not name.endswith(COUNTER)
        and (value.dtype in _FLOATS or name.endswith("weight"))
    }
    distinct = {id(tensor): name for name, tensor in tensors.items()}
    for name in distinct.values():  # one tensor under many names costs the time of one
        tensor = tensors[name]
        if tensor.dtype not in _FLOATS or not torch.isfinite(tensor).all():
            raise BadInput(
                f"{path}: {name} holds NaN, infinity or {str(tensor.dtype).partition('.')[2]}",
                fix="give weights of a model that works",
            )
    return tensors


_QUANTIZED = "numbers that are quantized already"
_DENSE = "give the float32 weights that it was made from; export quantizes them"


def _told(value: object, data: bytes) -> str:
    """What something that is no weights is, for people."""
    if b"_rebuild_qtensor" in data:
        return _QUANTIZED
    if b"_reconstruct" in data and b"ndarray" in data:
        return "arrays of NumPy"
    if isinstance(value, Unread):
        return f"a {value.name:.100}"
    return f"a {type(value).__name__}"
