from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save
from torch import nn

from mnist_edge.errors import BadInput
from mnist_edge.models import (
    ARCHITECTURES,
    build_model,
    count_multiply_adds,
    count_parameters,
    deployable,
    load_weights,
)
from mnist_edge.recipes.catalogue import RECIPES


@pytest.fixture(params=sorted(RECIPES))
def model(request: pytest.FixtureRequest) -> nn.Sequential:
    """A model of each recipe, its batch statistics moved away from 0 and 1."""
    torch.manual_seed(3)
    model = build_model(RECIPES[request.param])
    model.train()
    for _ in range(3):
        model(torch.rand(16, 1, 28, 28) * 1.5)
    return model.eval()


def test_every_architecture_has_a_recipe() -> None:
    assert {recipe.architecture for recipe in RECIPES.values()} == set(ARCHITECTURES)


def test_a_model_gives_ten_logits_for_each_digit(model: nn.Sequential) -> None:
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_the_deployed_form_is_the_same_function(model: nn.Sequential) -> None:
    images = torch.rand(32, 1, 28, 28)
    with torch.no_grad():
        expected = model.double()(images.double())
        # In double precision, so that only a mistake in the folding can show.
        given = deployable(model)(images.double())
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-12)


def test_the_deployed_form_has_only_plain_layers(model: nn.Sequential) -> None:
    gone = (nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.PixelUnshuffle)
    assert not any(isinstance(layer, gone) for layer in deployable(model))


def test_relu_comes_right_behind_each_convolution() -> None:
    kinds = [type(layer).__name__ for layer in deployable(build_model(RECIPES["quick"]))]
    block = ["Conv2d", "ReLU", "MaxPool2d"]
    assert kinds == [*block, *block, "Flatten", "Linear"]


def test_deploying_leaves_the_model_as_it_was(model: nn.Sequential) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    deployable(model)
    assert model.training
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_layer_sizes_are_those_of_the_projects() -> None:
    # Counted by hand from the layer lists of the projects.
    assert count_parameters(build_model(RECIPES["lenet"])) == 60 + 880 + 48_120 + 10_164 + 850
    wide = 320 + 18_496 + 3136 * 128 + 128 + 1290
    assert count_parameters(build_model(RECIPES["wide"])) == wide
    batchnorm = 320 + 64 + 9248 + 64 + 800 * 10 + 10
    assert count_parameters(build_model(RECIPES["batchnorm"])) == batchnorm


def test_our_smallest_nets_have_the_sizes_that_they_promise() -> None:
    most = {"nano": 2_000, "micro": 8_000, "small": 30_000, "large": 350_000}
    for name, parameters in most.items():
        assert count_parameters(build_model(RECIPES[name])) <= parameters


def test_multiply_adds_are_counted_by_position() -> None:
    lenet = 26 * 26 * 6 * 9 + 11 * 11 * 16 * 54 + 400 * 120 + 120 * 84 + 84 * 10
    assert count_multiply_adds(build_model(RECIPES["lenet"])) == lenet
    # The space-to-depth step folds into a 6×6 convolution with as many multiply-adds.
    first, second = RECIPES["quick"].widths
    quick = 12 * 12 * first * 36 + 6 * 6 * second * first * 9 + second * 9 * 10
    assert count_multiply_adds(build_model(RECIPES["quick"])) == quick


def test_weights_come_back_as_they_were_saved(model: nn.Sequential) -> None:
    recipe = RECIPES["quick"]
    trained = build_model(recipe)
    loaded = load_weights(recipe, save(trained.state_dict()))
    assert not loaded.training
    for name, value in trained.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x08" + bytes(200)])
def test_bytes_that_are_no_weights_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="no safetensors file"):
        load_weights(RECIPES["quick"], data)


def test_weights_of_another_architecture_are_refused() -> None:
    data = save(build_model(RECIPES["lenet"]).state_dict())
    with pytest.raises(BadInput, match="do not fit wide"):
        load_weights(RECIPES["wide"], data)


def test_the_normalisation_is_inside_the_graph() -> None:
    recipe = dataclasses.replace(RECIPES["wide"], mean=0.5, std=0.25)
    torch.manual_seed(0)
    with_step = build_model(recipe)
    torch.manual_seed(0)
    without = build_model(dataclasses.replace(recipe, mean=0.0, std=1.0))
    images = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(with_step(images), without((images - 0.5) / 0.25))


@pytest.mark.parametrize("gain", [-1.0, 0.0])
def test_a_normalisation_that_turns_the_maximum_round_stays_behind_its_pooling(gain: float) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(2)
    nn.init.constant_(norm.weight, gain)
    nn.init.constant_(norm.bias, 0.5)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), norm, nn.Flatten()).eval()
    images = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(deployable(model)(images), model(images))
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in deployable(model))


def test_our_nets_have_no_more_parameters_than_they_may() -> None:
    tiers = pytest.importorskip("tiers", reason="needs the benchmarks of a checkout")
    for name, tier in tiers.TIERS.items():
        assert count_parameters(build_model(RECIPES[name])) <= tier.parameters
