"""Weights without their program: the net that they are of is among those that are tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
import safetensors.torch as safetensors
from torch import nn

from mnist_edge.errors import BadInput, UsageError
from mnist_edge.foreign.net import ForeignNet
from mnist_edge.train.program import read_user_class
from mnist_edge.train.torch_nets import read_torch_nets


def normed(*layers: nn.Module) -> list[nn.Module]:
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
    return list(layers)


NETS = {
    "three hidden layers": lambda: nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 10), nn.LogSoftmax(1)),
    ),
    "tanh": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 40), nn.Tanh(), nn.Linear(40, 10)),
    "an example of PyTorch": lambda: nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(10, 20, 5), nn.Dropout2d()),
        *(nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(320, 50), nn.ReLU()),
        nn.Linear(50, 10),
    ),
    "another one": lambda: nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(8 * 144, 16), nn.ReLU(), nn.Linear(16, 10)),
    ),
    "a border and strides": lambda: nn.Sequential(
        *(nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 9, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(9 * 49, 10)),
    ),
    "normalised": lambda: nn.Sequential(
        *normed(nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *normed(nn.Conv2d(6, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), *normed(nn.Linear(8 * 49, 12), nn.BatchNorm1d(12)), nn.ReLU()),
        nn.Linear(12, 10),
    ),
    "normalised after the ReLU": lambda: nn.Sequential(
        *normed(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(6 * 169, 10)),
    ),
    "a convolution without a normalisation": lambda: nn.Sequential(
        *normed(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1)),
        *(nn.MaxPool2d(2), *normed(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 25, 10)),
    ),
    "leaky": lambda: nn.Sequential(
        *(nn.Conv2d(1, 4, 5), nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5)),
        *(nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)),
    ),
    "leaky and strided": lambda: nn.Sequential(
        *(nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, 2, 1)),
        *(nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16 * 49, 10)),
    ),
    "strides alone": lambda: nn.Sequential(
        *(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU()),
        *(nn.Conv2d(12, 10, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ),
    "two convolutions a size, and a mean": lambda: nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)),
    ),
    "LeNet of 32 pixels": lambda: nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh()),
        *(nn.AvgPool2d(2), nn.Conv2d(16, 20, 5), nn.Tanh(), nn.Flatten()),
        *(nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 10)),
    ),
    "a mean at the end": lambda: nn.Sequential(
        *(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 12, 3, padding=1),
        ),
        *(nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)),
    ),
}


def answers(net: ForeignNet, images: np.ndarray) -> np.ndarray | None:
    session = onnxruntime.InferenceSession(net.graph)
    given = session.get_inputs()[0]
    if given.shape[1:] != list(images.shape[1:]):
        return None
    return np.asarray(session.run(None, {given.name: images})[0])


@pytest.mark.parametrize("name", NETS)
def test_the_net_of_weights_is_among_those_that_are_tried(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = NETS[name]().eval()
    torch.save({"epoch": 3, "model_state_dict": net.state_dict()}, tmp_path / "net.pth")
    side = 32 if "32" in name else 28
    images = torch.rand(4, 1, side, side)
    ends = nn.Sequential(*(m for m in net if not isinstance(m, nn.LogSoftmax)))
    expected = ends(images).detach().numpy()
    found = read_torch_nets(tmp_path / "net.pth")
    assert len(found) <= (500 if any(net.vague for net in found) else 60)
    near = [
        number
        for number, candidate in enumerate(found)
        if (given := answers(candidate, images.numpy())) is not None
        and np.abs(given - expected).max() < 1e-5
    ]
    assert near, name


def test_keys_in_alphabetical_order_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    layers = [nn.Linear(784, 12), *(nn.Linear(12, 12) for _ in range(10)), nn.Linear(12, 10)]
    weights = {
        f"l{number}.{leaf}": tensor
        for number, layer in enumerate(layers)
        for leaf, tensor in layer.state_dict().items()
    }
    torch.save(dict(sorted(weights.items())), tmp_path / "net.pth")
    (first, *_) = read_torch_nets(tmp_path / "net.pth")
    assert first.said == f"torch weights: 784-{'12-' * 11}10"


def test_layers_that_were_made_in_another_order_are_put_in_that_of_their_names(
    tmp_path: Path,
) -> None:
    layers: dict[str, nn.Module] = {"fc2": nn.Linear(50, 10), "fc1": nn.Linear(320, 50)}
    layers |= {"conv2": nn.Conv2d(10, 20, 5), "conv1": nn.Conv2d(1, 10, 5)}
    torch.save(nn.ModuleDict(layers).state_dict(), tmp_path / "net.pth")
    (first, *_) = read_torch_nets(tmp_path / "net.pth")
    assert first.said == "torch weights: conv 10-conv 20-50-10"
    assert first.guessed == "conv 10 max 2, conv 20 max 2, 50, 10; Relu between them"
    assert not first.vague


def test_normalisations_that_a_file_sorts_before_their_layers_find_them(tmp_path: Path) -> None:
    layers: dict[str, nn.Module] = {"bn1": nn.BatchNorm2d(6), "bn2": nn.BatchNorm2d(8)}
    layers |= {"conv1": nn.Conv2d(1, 6, 5), "conv2": nn.Conv2d(6, 8, 5), "fc": nn.Linear(128, 10)}
    normed(*layers.values())
    weights = nn.ModuleDict(layers).eval().state_dict()
    safetensors.save_file(weights, tmp_path / "net.safetensors")
    images = torch.rand(2, 1, 28, 28)
    expected = images
    with torch.no_grad():
        for number in ("1", "2"):
            expected = layers[f"bn{number}"](layers[f"conv{number}"](expected)).relu()
            expected = torch.nn.functional.max_pool2d(expected, 2)
        expected = layers["fc"](expected.flatten(1))
    (first, *_) = read_torch_nets(tmp_path / "net.safetensors")
    given = answers(first, images.numpy())
    assert given is not None
    np.testing.assert_allclose(given, expected.numpy(), atol=1e-5)


def test_of_convolutions_alone_it_is_said_that_much_is_guessed(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 6, 5, 2), nn.ReLU(), nn.Conv2d(6, 10, 12))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    assert all(found.vague for found in read_torch_nets(tmp_path / "net.pth"))


def test_a_pickled_model_is_named_where_its_layers_are_no_chain(tmp_path: Path) -> None:
    torch.save(nn.LSTM(28, 8), tmp_path / "net.pth")
    with pytest.raises(BadInput, match=r"with its class, torch\.nn\.modules\.rnn\.LSTM,") as caught:
        read_torch_nets(tmp_path / "net.pth")
    assert "--architecture FILE.py:LSTM" in caught.value.fix


def test_layers_that_are_no_chain_are_refused_by_name(tmp_path: Path) -> None:
    torch.save(nn.LSTM(28, 8).state_dict(), tmp_path / "net.pth")
    with pytest.raises(BadInput, match="is neither a convolution"):
        read_torch_nets(tmp_path / "net.pth")
    layers: dict[str, nn.Module] = {"stem": nn.Conv2d(1, 16, 3), "down": nn.Conv2d(16, 32, 1)}
    layers |= {"body": nn.Conv2d(16, 32, 3), "out": nn.Linear(32, 10)}
    torch.save(nn.ModuleDict(layers).state_dict(), tmp_path / "net.pth")
    with pytest.raises(BadInput, match="'down' takes 16 channels, and 'body' gives 32") as caught:
        read_torch_nets(tmp_path / "net.pth")
    assert "--architecture FILE.py:CLASS" in caught.value.fix
    odd = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(77, 10))
    torch.save(odd.state_dict(), tmp_path / "net.pth")
    with pytest.raises(BadInput, match="no borders, strides and poolings lead"):
        read_torch_nets(tmp_path / "net.pth")


CLASS = """
import torch
from torch import nn
print("noise")
class Net(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.first = nn.Linear(784, hidden)
        self.second = nn.Linear(hidden, 10)
    def forward(self, x):
        x = self.first(x.view(x.size(0), -1))
        return self.second(torch.sin(x))
class Ends(nn.Module):
    def __init__(self):
        raise SystemExit(0)
"""


def test_a_class_of_ones_own_is_run_and_traced(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CLASS)
    net = nn.Sequential(nn.Linear(784, 9), nn.Linear(9, 10))
    weights = dict(
        zip(
            ("first.weight", "first.bias", "second.weight", "second.bias"),
            net.state_dict().values(),
            strict=True,
        )
    )
    torch.save(weights, tmp_path / "net.pth")
    name = f"{tmp_path / 'net.py'}:Net"
    (found,) = read_user_class(tmp_path / "net.pth", name, '{"hidden": 9}', "")
    images = torch.rand(1, 1, 28, 28)
    expected = net[1](torch.sin(net[0](images.flatten(1)))).detach().numpy()
    given = answers(found, images.numpy())
    assert given is not None
    np.testing.assert_allclose(given, expected, atol=1e-5)
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    torch.save(wrapped | {"metric.weight": torch.ones(3)}, tmp_path / "wrapped.pth")
    assert read_user_class(tmp_path / "wrapped.pth", name, '{"hidden": 9}', "") == (found,)
    with pytest.raises(BadInput, match="missing 1 required positional argument: 'hidden'"):
        read_user_class(tmp_path / "net.pth", name, "", "")
    with pytest.raises(BadInput, match="SystemExit"):
        read_user_class(tmp_path / "net.pth", f"{tmp_path / 'net.py'}:Ends", "", "")
    with pytest.raises(UsageError, match="names no class in a file"):
        read_user_class(tmp_path / "net.pth", "net", "", "")
    with pytest.raises(UsageError, match="are no arguments by name"):
        read_user_class(tmp_path / "net.pth", name, "[1]", "")
