"""Files of torch.save: what torch reads of honest ones, and nothing of hostile ones."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn

from mnist_edge.errors import BadInput
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.train.importing import import_weights
from mnist_edge.train.torch_file import read_torch_file


def saved(document: object, *, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(document, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Tensor):
        return ours.dtype == theirs.dtype and bool(torch.equal(ours, theirs))
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, (list, tuple)):
        pairs = zip(ours, theirs, strict=True)
        return type(ours) is type(theirs) and all(same(one, other) for one, other in pairs)
    return type(ours) is type(theirs) and bool(ours == theirs)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(4, 10).half()


def honest() -> dict[str, object]:
    net = Net()
    optimizer = torch.optim.Adam(net.conv.parameters())
    net.conv(torch.zeros(1, 1, 9, 9)).sum().backward()
    optimizer.step()
    shared = torch.arange(12.0)
    return {
        "epoch": 3,
        "loss": -0.5,
        "large": 2**40,
        "flags": [True, False, None],
        "nested": {"a": (1, (2, "three"))},
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameter": nn.Parameter(torch.ones(2)),
        "shared": [shared, shared[3:7], shared.reshape(3, 4).t()],
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(4.0, dtype=torch.float64),
        "kinds": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.int16, torch.bool)],
        "channels": torch.arange(24.0)
        .reshape(1, 2, 3, 4)
        .contiguous(memory_format=torch.channels_last),
    }


@pytest.mark.parametrize("old", [False, True], ids=["archive", "old format"])
def test_an_honest_file_is_read_as_torch_reads_it(old: bool) -> None:
    data = saved(honest(), old=old)
    expected = torch.load(io.BytesIO(data), weights_only=True)
    assert same(plain(read_torch_file(data)), plain(expected))


def plain(document: Any) -> Any:
    """Ordered dictionaries as plain ones, parameters as tensors."""
    if isinstance(document, dict):
        return {key: plain(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return type(document)(map(plain, document))
    return document.detach() if isinstance(document, Tensor) else document


def test_the_nets_of_others_are_read_as_torch_reads_them(mnist_dir: Path) -> None:
    found = sorted((mnist_dir.parents[1] / "models").glob("torch-*"))
    if not found:
        pytest.skip("needs the nets of others beside MNIST_EDGE_DATA")
    for path in found:
        data = path.read_bytes()
        expected = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        assert same(plain(read_torch_file(data)), plain(expected)), path


# --- hostile files ------------------------------------------------------------------------------


class Calls:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return (self.function, self.arguments)


def itself() -> dict[str, object]:
    document: dict[str, object] = {}
    document["model"] = document
    return document


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
    "a whole module": lambda: saved(Net()),
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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_weights_are_one_error_and_take_no_memory(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    path.write_bytes(HOSTILE[case]())
    size = path.stat().st_size
    tracemalloc.start()
    try:
        with pytest.raises(BadInput) as caught:
            import_weights(path, RECIPES["lenet"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in caught.value.what
    assert "does not fit" not in caught.value.what, "it was read"
    assert "\n" not in str(caught.value)
    assert peak < 8 * size + (32 << 20)
    assert not (tmp_path / "pwned").exists()


def test_widths_that_multiply_are_compared_before_there_is_room_for_them(tmp_path: Path) -> None:
    # Each layer is thin, but a net of these widths would take 64 GB.
    width = 60_000
    weights = {
        "a.weight": torch.zeros(width, 1, 1, 1),
        "b.weight": torch.zeros(width, 1, 1, 1),
        "c.weight": torch.zeros(10, 1),
    }
    torch.save(weights, tmp_path / "wide.pth")
    with pytest.raises(BadInput, match="does not fit the architecture"):
        import_weights(tmp_path / "wide.pth", RECIPES["batchnorm"])
