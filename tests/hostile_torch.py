"""Files of torch.save that no honest training leaves: lies about sizes, loops, and code.

Not a test module.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn


def saved(document: object, *, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(document, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(4, 10).half()


class Calls:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return (self.function, self.arguments)


def itself() -> dict[str, object]:
    document: dict[str, object] = {}
    document["model"] = document
    return document


def module_in_itself() -> nn.Module:
    module = Net()
    module._modules |= {"again": module, "and again": module}
    return module


def archive(pickled: bytes, storages: dict[str, bytes], *, packed: bool = False) -> bytes:
    """An archive as torch writes it, of what torch would not write."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as file:
        file.writestr("archive/data.pkl", pickled)
        for key, content in storages.items():
            file.writestr(f"archive/data/{key}", content)
    return buffer.getvalue()


def tensor_pickle(
    numel: int, sizes: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
) -> bytes:
    """The pickle of {"conv.weight": a tensor} whose figures are as given."""

    class Storage:
        pass

    class Writer(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            if isinstance(obj, Storage):
                return ("storage", torch.FloatStorage, "0", "cpu", numel)
            return None

    buffer = io.BytesIO()
    rebuilt = Calls(
        torch._utils._rebuild_tensor_v2, Storage(), offset, sizes, strides, False, OrderedDict()
    )
    Writer(buffer, protocol=2).dump({"conv.weight": rebuilt})
    return buffer.getvalue()


def deep(levels: int) -> bytes:
    return b"\x80\x02})" + b"\x85" * levels + b"K\x01s."


def shared_many_times() -> bytes:
    weight = torch.ones(1 << 18)
    return saved({f"w{i}.weight": weight[:] for i in range(3000)})


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a dictionary in itself": lambda: saved(itself()),
    "code": lambda: saved({"a": Calls(os.mkdir, "pwned")}),
    "a byte array of 4.8 GB": lambda: saved({"a": Calls(bytearray, 4_800_000_000)}),
    "a module in itself": lambda: saved(module_in_itself()),
    "three million lists": lambda: archive(b"\x80\x02" + b"]" * 3_000_000 + b".", {}),
    "compressed entries": lambda: archive(
        tensor_pickle(1 << 26, (1 << 26,), (1,)), {"0": bytes(1 << 28)}, packed=True
    ),
    "a storage that lies about its size": lambda: archive(
        tensor_pickle(1 << 40, (1 << 40,), (1,)), {"0": bytes(4)}
    ),
    "a negative size": lambda: archive(tensor_pickle(-1, (1,), (1,)), {"0": bytes(4)}),
    "an expanded tensor": lambda: archive(
        tensor_pickle(1, (1 << 20, 1 << 12), (0, 0)), {"0": bytes(4)}
    ),
    "a tensor behind its storage": lambda: archive(
        tensor_pickle(4, (4,), (1,), offset=2), {"0": bytes(16)}
    ),
    "a tensor before its storage": lambda: archive(
        tensor_pickle(4, (4,), (1,), offset=-2), {"0": bytes(16)}
    ),
    "strides that jump": lambda: archive(tensor_pickle(4, (2,), (1 << 40,)), {"0": bytes(16)}),
    "weights shared 3,000 times": shared_many_times,
    "expanded by torch": lambda: saved({"conv.weight": torch.ones(1).expand(1 << 30)}),
    "a meta tensor": lambda: saved({"conv.weight": torch.empty(1 << 32, device="meta")}),
    "a sparse tensor": lambda: saved({"conv.weight": torch.eye(3).to_sparse()}),
    "a csr tensor": lambda: saved({"conv.weight": torch.eye(3).to_sparse_csr()}),
    "a nested tensor": lambda: saved({"w": torch.nested.nested_tensor([torch.ones(2)])}),
    "float8": lambda: saved({"conv.weight": torch.ones(3).to(torch.float8_e4m3fn)}),
    "a quantized tensor": lambda: saved(
        {"w": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}
    ),
    "complex numbers": lambda: saved({"w": torch.ones(3, dtype=torch.complex64)}),
    "100,000 tuples in each other": lambda: archive(deep(100_000), {}),
    "a memo of four billion": lambda: archive(b"\x80\x02Nr\xff\xff\xff\xff.", {}),
    "a memo that is not there": lambda: archive(b"\x80\x02h\x05.", {}),
    "no end": lambda: archive(b"\x80\x02N", {}),
    "an empty pickle": lambda: archive(b"", {}),
    "items of a number": lambda: archive(b"\x80\x02K\x01K\x02K\x03s.", {}),
    "an old file whose numbers are missing": lambda: saved({"w": torch.ones(9)}, old=True)[:-8],
    "an old file that lies": lambda: saved({"w": torch.ones(9)}, old=True).replace(
        struct.pack("<B", 9) + b"Nt", struct.pack("<B", 8) + b"Nt"
    ),
    "another archive": lambda: archive(b"", {}).replace(b"data.pkl", b"data.txt"),
}
"""Makers by name."""
