"""Files of torch.save: what torch reads of honest ones, and nothing of hostile ones."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hostile_torch import HOSTILE, Net, saved
from torch import Tensor, nn

from mnist_edge.errors import BadInput
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.train.importing import import_weights
from mnist_edge.train.torch_file import read_torch_file


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Tensor):
        return ours.dtype == theirs.dtype and bool(torch.equal(ours, theirs))
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, (list, tuple)):
        pairs = zip(ours, theirs, strict=True)
        return type(ours) is type(theirs) and all(same(one, other) for one, other in pairs)
    return type(ours) is type(theirs) and bool(ours == theirs)


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
