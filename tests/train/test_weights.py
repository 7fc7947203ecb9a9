"""Weights are found wherever training scripts put them, and what is no weights is said."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mnist_edge.errors import BadInput
from mnist_edge.train.weights import read_weights


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(16, 10)
        self.act = torch.relu


NET = Net()
STATE = NET.state_dict()
OTHER = OrderedDict((name, value + 1) for name, value in STATE.items())
TRAINED = {
    "epoch": 3,
    "best": np.float64(0.5),
    "args": argparse.Namespace(lr=1),
    "folder": Path("runs"),
    "optimizer": torch.optim.SGD(NET.parameters(), 0.1, momentum=0.9).state_dict(),
}


def under(prefix: str, weights: dict[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


FILES: dict[str, object] = {
    "state_dict": {**TRAINED, "state_dict": STATE},
    "model_state_dict": {**TRAINED, "model_state_dict": STATE},
    "three deep": {"checkpoint": {"model": {"net": STATE}}},
    "the same twice": {"model": STATE, "best": STATE},
    "DataParallel": nn.DataParallel(NET).state_dict(),
    "torch.compile": under("_orig_mod."),
    "an average": AveragedModel(NET).state_dict(),
    "Lightning": {
        "state_dict": under("model.") | {"accuracy.count": torch.tensor([1, 2])},
        "hyper_parameters": argparse.Namespace(lr=1),
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"checkpoint": {"best": torch.tensor(1.0)}},
    },
    "a whole model": NET,
    "a whole model of DataParallel": nn.DataParallel(NET),
    "a whole model among others": {**TRAINED, "model": NET},
    "parameters": OrderedDict((name, nn.Parameter(value)) for name, value in STATE.items()
                              if value.is_floating_point()),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("old", [False, True], ids=["archive", "old format"])
@pytest.mark.parametrize("name", FILES)
def test_weights_are_found_where_training_scripts_put_them(
    name: str, old: bool, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    torch.save(FILES[name], path, _use_new_zipfile_serialization=not old)
    found = read_weights(path)
    assert found.of.rpartition(".")[2] == {
        "a whole model": "Net", "a whole model of DataParallel": "DataParallel"
    }.get(name, "")  # fmt: skip
    expected = [value for key, value in STATE.items() if not key.endswith("batches_tracked")]
    assert len(found.tensors) == len(expected)
    assert all(map(torch.equal, found.tensors.values(), expected))


def test_a_pickled_model_is_read_in_every_protocol_and_not_run(tmp_path: Path) -> None:
    for protocol in (2, 3, 4, 5):
        torch.save(NET, tmp_path / "net.pth", pickle_protocol=protocol)
        assert next(iter(read_weights(tmp_path / "net.pth").tensors)) == "conv.weight"


@pytest.mark.parametrize(
    "document", [{"model": STATE, "ema": OTHER}, under("model.") | under("ema.", OTHER)]
)
def test_of_two_nets_in_a_file_one_is_to_be_chosen(document: object, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(document, path)
    with pytest.raises(BadInput, match="holds several weights: model, ema") as caught:
        read_weights(path)
    assert caught.value.fix == "choose one with --key NAME"
    for key, weights in (("model", STATE), ("ema", OTHER)):
        first = next(iter(read_weights(path, key).tensors.values()))
        assert torch.equal(first, weights["conv.weight"])
    with pytest.raises(BadInput, match="no weights under 'teacher'"):
        read_weights(path, "teacher")


def test_a_part_of_a_net_is_chosen_by_the_beginning_of_its_names(tmp_path: Path) -> None:
    torch.save(under("classifier.") | {"encoder.weight": torch.ones(3, 3)}, tmp_path / "net.pth")
    found = read_weights(tmp_path / "net.pth", "classifier").tensors
    assert set(found) == set(under("classifier.")) - {"classifier.norm.num_batches_tracked"}


def quantized() -> object:
    with pytest.warns(match="deprecated"):
        return torch.ao.quantization.quantize_dynamic(NET, {nn.Linear}).state_dict()


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "arrays": (lambda: {"W1": np.zeros((3, 4)), "b1": np.zeros(3)}, "holds arrays of NumPy"),
    "a list": (lambda: [1, 2], "holds a list, not named weights"),
    "parameters without names": (lambda: list(NET.parameters()), "holds a list"),
    "a number": (lambda: {"epoch": 3}, "holds a dict, not named weights"),
    "an object": (lambda: argparse.Namespace(lr=1), r"holds a argparse\.Namespace"),
    "int8 weights": (lambda: under("", {"fc.weight": torch.ones(3, 3, dtype=torch.int8)}), "int8"),
    "quantized": (quantized, "out.*quantized already"),
    "sparse": (lambda: {**STATE, "out.weight": torch.eye(3).to_sparse()}, "out.weight holds a "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_weights_is_said(name: str, tmp_path: Path) -> None:
    make, reason = REFUSED[name]
    torch.save(make(), tmp_path / "net.pth")
    with pytest.raises(BadInput, match=reason) as caught:
        read_weights(tmp_path / "net.pth")
    assert "damaged" not in caught.value.what


def test_a_pickle_that_torch_did_not_write_is_said(tmp_path: Path) -> None:
    (tmp_path / "net.pkl").write_bytes(pickle.dumps({"W1": np.zeros((3, 4))}))
    with pytest.raises(BadInput, match="holds arrays of NumPy"):
        read_weights(tmp_path / "net.pkl")
