"""TorchScript archives and `.pt2` programs of others: only by consent, and with their answers."""

from __future__ import annotations

import io
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import strangers
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge import cli
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.imported import Contract, Norm
from mnist_edge.foreign.prepare import prepare
from mnist_edge.formats.torchscript.run import torchscript_warnings_ignored
from mnist_edge.train.program import read_program


class Net(nn.Module):
    """The kinds of things that are in tutorials: dropout two ways, a view, a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6)
        self.out, self.drop = nn.Linear(6 * 144, 10), nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            x = x.unsqueeze(1)
        x = functional.max_pool2d(functional.relu(self.norm(self.conv(x))), 2)
        x = functional.dropout(self.drop(x.view(x.size(0), -1)), training=self.training)
        return functional.log_softmax(self.out(x), dim=1)


torch.manual_seed(0)
NET = Net().eval()
ONE = torch.rand(1, 1, 28, 28)


def script(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    return buffer.getvalue()


def program(count: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    example = torch.rand(count, 1, 28, 28)
    torch.export.save(torch.export.export(NET, (example,), **options), buffer)
    return buffer.getvalue()


MAKERS: dict[str, Callable[[], bytes]] = {
    "traced": lambda: script(torch.jit.trace(NET, ONE)),
    "scripted": lambda: script(torch.jit.script(NET)),
    "frozen": lambda: script(torch.jit.freeze(torch.jit.script(NET))),
    "half": lambda: script(torch.jit.trace(deepcopy(NET).bfloat16(), ONE.bfloat16())),
    "one picture": lambda: program(1),
    "eight pictures": lambda: program(8),
    "any number": lambda: program(2, dynamic_shapes=({0: torch.export.Dim("n")},)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_program_of_torch_comes_in_with_its_answers(name: str, tmp_path: Path) -> None:
    with torchscript_warnings_ignored():
        (tmp_path / "net.pt").write_bytes(MAKERS[name]())
    (net,) = read_program(tmp_path / "net.pt", "a program")
    (prepared,) = prepare(net)
    images = torch.rand(5, 1, 28, 28)
    near = 0.1 if name == "half" else 1e-4
    expected = NET(images).detach().numpy()
    session = onnxruntime.InferenceSession(prepared.model.SerializeToString())
    (scores,) = session.run(None, {prepared.entry.name: images.numpy()})
    given = torch.from_numpy(scores).log_softmax(dim=1).numpy()
    np.testing.assert_allclose(given, expected, atol=near)


def trained() -> nn.Module:
    """A net that reads drawn digits, black and white as we have them or not."""
    weights = strangers.trained(Contract(norm=Norm(mean=0.5, std=0.5)))
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    state = {"1.bias": torch.zeros(200), "3.bias": torch.zeros(10)}
    state |= {
        name: torch.from_numpy(weights[key].T.copy())
        for name, key in (("1.weight", "first"), ("3.weight", "second"))
    }
    net.load_state_dict(state)
    return net.eval()


def test_from_torchscript_to_torchscript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from test_taking_in import write_idx

    monkeypatch.chdir(tmp_path)
    with torchscript_warnings_ignored():
        Path("net.pt").write_bytes(script(torch.jit.trace(trained(), ONE)))
    data = strangers.drawn()
    write_idx(Path("digits"), "train", data.train_images, data.train_labels)
    write_idx(Path("digits"), "t10k", data.test_images, data.test_labels)
    words = ["import", "net.pt", "--bundle", "b", "--data", "digits"]
    assert cli.main(words) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "net.pt is a TorchScript archive: that is a program" in said
    assert said.endswith("give --trust if you know its maker")
    assert not Path("b").exists()
    assert cli.main([*words, "--trust"]) == 0
    assert "it reads pixels -1 to 1" in capsys.readouterr().err
    formats = ["--format", "torchscript", "--format", "pt2", "--no-verdict"]
    precisions = ["--precision", "float32", "--precision", "float16"]
    assert cli.main(["export", "--bundle", "b", *formats, *precisions]) == 0
    bundle = open_bundle(Path("b"))
    names = [f"{name}-{bits}" for name in ("torchscript", "pt2") for bits in ("float32", "float16")]
    assert sorted(a.name for a in bundle.manifest.artifacts) == sorted([*names, "source-float32"])
    assert cli.main(["verify", "--bundle", "b", "--rebuild"]) == 0
