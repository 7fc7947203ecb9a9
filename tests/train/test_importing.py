from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file
from torch import Tensor, nn

from mnist_edge.errors import BadInput
from mnist_edge.models import build_model
from mnist_edge.recipes.catalogue import RECIPES
from mnist_edge.train.importing import import_weights


class TheirNet(nn.Module):
    """The batch-norm project's net as its author might have written it: layers out of order."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.fc = nn.Linear(width * 25, 10)
        self.bn2 = nn.BatchNorm2d(width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(1, width, 3)
        self.conv2 = nn.Conv2d(width, width, 3)


def lenet_weights() -> dict[str, Tensor]:
    torch.manual_seed(4)
    names = ["conv1", "conv2", "fc1", "fc2", "fc3"]
    state = build_model(RECIPES["lenet"]).state_dict()
    layers = dict(zip(sorted({key.split(".")[0] for key in state}, key=int), names, strict=True))
    return {f"{layers[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in state.items()}


def same_tensors(model: nn.Module, weights: dict[str, Tensor]) -> bool:
    pairs = zip(model.state_dict().values(), weights.values(), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_state_dict_with_other_names_is_taken_in_order(tmp_path: Path) -> None:
    weights = lenet_weights()
    torch.save(weights, tmp_path / "model.pth")
    recipe, model = import_weights(tmp_path / "model.pth", RECIPES["lenet"])
    assert recipe.widths == (6, 16, 120, 84)
    assert same_tensors(model, weights)
    assert not model.training


def test_safetensors_keep_no_order_and_are_taken_all_the_same(tmp_path: Path) -> None:
    weights = lenet_weights()
    save_file(weights, tmp_path / "model.safetensors")
    _, model = import_weights(tmp_path / "model.safetensors", RECIPES["lenet"])
    assert same_tensors(model, weights)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_weights_inside_a_training_checkpoint_are_found(tmp_path: Path, key: str) -> None:
    weights = OrderedDict(lenet_weights())
    torch.save({"epoch": 3, key: weights, "loss": 0.5}, tmp_path / "checkpoint.pt")
    _, model = import_weights(tmp_path / "checkpoint.pt", RECIPES["lenet"])
    assert same_tensors(model, weights)


def test_the_widths_are_read_off_the_file(tmp_path: Path) -> None:
    theirs = TheirNet(width=12)
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    recipe, model = import_weights(tmp_path / "model.pth", RECIPES["batchnorm"])
    assert recipe.widths == (12, 12)
    first, second = (layer for layer in model if isinstance(layer, nn.Conv2d))
    assert torch.equal(first.weight, theirs.conv1.weight)
    assert torch.equal(second.weight, theirs.conv2.weight)


def test_imported_weights_do_not_inherit_the_calibration_of_a_recipe(tmp_path: Path) -> None:
    recipe = replace(RECIPES["lenet"], teacher="ab" * 32, temperature=0.8, reject_below=0.7)
    torch.save(build_model(recipe).state_dict(), tmp_path / "model.pth")
    imported, _ = import_weights(tmp_path / "model.pth", recipe)
    assert (imported.teacher, imported.temperature, imported.reject_below) == ("", 1.0, 0.0)


def test_layers_of_each_kind_keep_the_order_of_the_file(tmp_path: Path) -> None:
    theirs = TheirNet()
    nn.init.constant_(theirs.bn1.weight, 5.0)
    torch.save(dict(theirs.state_dict()), tmp_path / "model.pth")
    _, model = import_weights(tmp_path / "model.pth", RECIPES["batchnorm"])
    norms = [layer for layer in model if isinstance(layer, nn.BatchNorm2d)]
    # bn2 stands before bn1 in that file: order is all that is known of foreign names.
    assert [norm.weight[0].item() for norm in norms] == [1.0, 5.0]


def refused(path: Path, recipe: str = "lenet") -> str:
    with pytest.raises(BadInput) as caught:
        import_weights(path, RECIPES[recipe])
    assert str(path) in caught.value.what
    return caught.value.what


def test_weights_of_another_architecture_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(lenet_weights(), path)
    assert "does not fit the architecture batchnorm" in refused(path, "batchnorm")
    assert "does not fit the architecture wide" in refused(path, "wide")
    assert "4 widths" in refused(path, "dropout")
    torch.save(build_model(RECIPES["wide"]).state_dict(), path)
    assert "shape" in refused(path, "dropout")


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("pwned",))


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Malicious()}, tmp_path / "evil.pth")
    assert "not named weights" in refused(tmp_path / "evil.pth")
    assert not (tmp_path / "pwned").exists()


def test_of_a_pickled_model_the_weights_are_taken(tmp_path: Path) -> None:
    theirs = TheirNet()
    torch.save(theirs, tmp_path / "model.pth")
    _, model = import_weights(tmp_path / "model.pth", RECIPES["batchnorm"])
    convolution = next(layer for layer in model if isinstance(layer, nn.Conv2d))
    assert torch.equal(convolution.weight, theirs.conv1.weight)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04broken", b"\x80\x02broken", b"<html></html>", bytes(500)],
    ids=["empty", "zip", "pickle", "html", "zeros"],
)
def test_a_file_that_is_no_weights_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    refused(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    assert "cannot read" in refused(tmp_path / "absent.pth")
    assert "cannot read" in refused(tmp_path)


def test_lists_empty_dicts_and_broken_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save([1, 2], path)
    assert "holds a list" in refused(path)
    torch.save({"epoch": 3}, path)
    assert "not named weights" in refused(path)
    weights = lenet_weights()
    weights["fc1.weight"][0, 0] = float("nan")
    torch.save(weights, path)
    assert "NaN" in refused(path)
