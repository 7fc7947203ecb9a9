"""The architectures, each a plain `nn.Sequential`, and the form in which they are deployed.

Every model maps (N, 1, 28, 28) float32 in [0, 1] to (N, classes) logits. A softmax at the end of a
reproduced project is left out: cross-entropy contains it, and the logits say more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mnist_edge.contract import IMAGE_SHAPE
from mnist_edge.errors import BadInput
from mnist_edge.recipes.terms import Architecture
from mnist_edge.recipes.train import TrainRecipe


class Normalize(nn.Module):
    """Subtract the mean of the training pixels and divide by their standard deviation."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean = mean
        self.std = std

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 28, 28) in [0, 1] to the same shape, standardised."""
        return (images - self.mean) / self.std


def build_model(recipe: TrainRecipe) -> nn.Sequential:
    """The recipe's architecture with fresh weights from torch's global generator."""
    layers = ARCHITECTURES[recipe.architecture](recipe)
    if (recipe.mean, recipe.std) != (0.0, 1.0):
        layers.insert(0, Normalize(recipe.mean, recipe.std))
    return nn.Sequential(*layers)


def load_weights(recipe: TrainRecipe, data: bytes) -> nn.Sequential:
    """The recipe's architecture with weights from a safetensors file, in evaluation mode.

    Raises:
        BadInput: not a safetensors file, or weights of another architecture.
    """
    fix = "train again with mnist-edge train"
    try:
        weights = load_safetensors(data)
    except Exception as error:  # safetensors has one error class per way to be broken
        raise BadInput(f"the weights are no safetensors file: {error}", fix=fix) from None
    with torch.device("meta"):  # compared before there is room for it: widths multiply
        wanted = {name: tuple(t.shape) for name, t in build_model(recipe).state_dict().items()}
    for name, shape in wanted.items():
        found = tuple(weights[name].shape) if name in weights else None
        if found != shape:
            reason = f"{name} has the shape {found or 'of nothing'}, not {shape}"
            raise BadInput(f"the weights do not fit {recipe.architecture}: {reason}", fix=fix)
    model = build_model(recipe)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise BadInput(f"the weights do not fit {recipe.architecture}: {reason}", fix=fix) from None
    return model.eval()


def deployable(model: nn.Sequential) -> nn.Sequential:
    """The model as it is exported and run: in evaluation mode, its linear algebra folded.

    Batch normalisation goes into the convolution before it, dropout goes away, and a
    space-to-depth step with the 3×3 convolution after it becomes one strided convolution. The
    function is the same up to rounding. The given model is not changed.
    """
    folded: list[nn.Module] = []
    for layer in copy.deepcopy(model).eval():
        previous = folded[-1] if folded else None
        if isinstance(layer, (nn.Dropout, nn.Dropout2d)):
            continue
        if isinstance(layer, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            folded[-1] = fuse_conv_bn_eval(previous, layer)
        elif isinstance(layer, nn.BatchNorm2d) and _folds_before_pool(folded, layer):
            folded[-2] = fuse_conv_bn_eval(cast("nn.Conv2d", folded[-2]), layer)
        elif isinstance(layer, nn.ReLU) and isinstance(previous, nn.MaxPool2d):
            # The same function, and runtimes fuse a ReLU with the convolution right before it.
            folded.insert(-1, layer)
        elif isinstance(layer, nn.Conv2d) and isinstance(previous, nn.PixelUnshuffle):
            folded[-1] = _strided(previous.downscale_factor, layer)
        else:
            folded.append(layer)
    return nn.Sequential(*folded).eval().requires_grad_(requires_grad=False)


def count_parameters(model: nn.Module) -> int:
    """How many numbers training learns."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_multiply_adds(model: nn.Sequential) -> int:
    """Multiply-adds that the convolutions and linear layers spend on one digit."""
    total = 0
    values = torch.zeros(1, *IMAGE_SHAPE)
    with torch.no_grad():
        for layer in deployable(model):
            values = layer(values)
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                positions = values.numel() // values.shape[1]
                total += layer.weight.numel() * positions
    return total


def _folds_before_pool(folded: list[nn.Module], normalisation: nn.BatchNorm2d) -> bool:
    """Whether the last two layers are a convolution that may take it, and a max pooling."""
    return (
        len(folded) > 1
        and isinstance(folded[-2], nn.Conv2d)
        and isinstance(folded[-1], nn.MaxPool2d)
        # max(s·x) = s·max(x) for s > 0 only.
        and bool((normalisation.weight > 0).all())
    )


def _strided(factor: int, convolution: nn.Conv2d) -> nn.Conv2d:
    """One convolution that does what `PixelUnshuffle(factor)` and `convolution` do."""
    out_channels, in_channels, height, width = convolution.weight.shape
    planes = in_channels // factor**2
    padding = convolution.padding
    assert convolution.stride == (1, 1)
    assert not isinstance(padding, str)
    strided = nn.Conv2d(
        planes,
        out_channels,
        (height * factor, width * factor),
        stride=factor,
        padding=(padding[0] * factor, padding[1] * factor),
        bias=convolution.bias is not None,
    )
    # PixelUnshuffle puts pixel (y, x) of each factor×factor cell into channel y·factor + x.
    weight = convolution.weight.reshape(out_channels, planes, factor, factor, height, width)
    weight = weight.permute(0, 1, 4, 2, 5, 3).reshape(strided.weight.shape)
    strided.weight = nn.Parameter(weight.contiguous())
    strided.bias = convolution.bias
    return strided.eval()


def _simple(recipe: TrainRecipe) -> list[nn.Module]:
    (width,) = recipe.widths
    return [
        *_pooled(1, width, padding=1),
        nn.Flatten(),
        nn.Linear(width * 14 * 14, recipe.outputs),
    ]


def _dropout(recipe: TrainRecipe) -> list[nn.Module]:
    first, second, hidden = recipe.widths
    return [
        nn.Conv2d(1, first, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(first, second, 5),
        nn.Dropout2d(),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second * 4 * 4, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, recipe.outputs),
    ]


def _lenet(recipe: TrainRecipe) -> list[nn.Module]:
    first, second, third, fourth = recipe.widths
    return [
        *_pooled(1, first, padding=0),
        *_pooled(first, second, padding=0),
        nn.Flatten(),
        nn.Linear(second * 5 * 5, third),
        nn.ReLU(),
        nn.Linear(third, fourth),
        nn.ReLU(),
        nn.Linear(fourth, recipe.outputs),
    ]


def _batchnorm(recipe: TrainRecipe) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 1
    for width in recipe.widths:
        layers += [
            nn.Conv2d(channels, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
        ]
        channels = width
    return [*layers, nn.Flatten(), nn.Linear(channels * 5 * 5, recipe.outputs)]


def _wide(recipe: TrainRecipe) -> list[nn.Module]:
    first, second, hidden = recipe.widths
    return [
        *_pooled(1, first, padding=1),
        *_pooled(first, second, padding=1),
        nn.Flatten(),
        nn.Linear(second * 7 * 7, hidden),
        nn.ReLU(),
        nn.Linear(hidden, recipe.outputs),
    ]


def _compact(recipe: TrainRecipe) -> list[nn.Module]:
    """Our own: small, and quick both to train and to run.

    Space-to-depth first: a quarter of the positions at four times the depth, so that most
    multiply-adds stand where vector units are full. The first convolution is not padded, since
    MNIST's outermost pixels are empty. Pooling comes before normalisation and ReLU, which then
    have a quarter of the work; without a gain the normalisation still folds (see `deployable`).
    """
    first, second = recipe.widths
    return [
        nn.PixelUnshuffle(2),
        *_block(4, first, padding=0, pool=True),
        *_block(first, second, padding=1, pool=True),
        nn.Flatten(),
        nn.Linear(second * 3 * 3, recipe.outputs),
    ]


def _deep(recipe: TrainRecipe) -> list[nn.Module]:
    """Our own for accuracy: as `_compact`, with several convolutions before each pooling.

    Half as wide and twice as deep costs the same multiply-adds and gives fewer errors; width
    beyond 16 and 32 channels gives hardly any.
    """
    half = len(recipe.widths) // 2
    layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
    channels = 4
    for stage in (recipe.widths[:half], recipe.widths[half:]):
        for number, width in enumerate(stage, 1):
            padding = int(len(layers) > 1)
            layers += _block(channels, width, padding=padding, pool=number == len(stage))
            channels = width
    return [*layers, nn.Flatten(), nn.Linear(channels * 3 * 3, recipe.outputs)]


def _tiny(recipe: TrainRecipe) -> list[nn.Module]:
    """Our own for the fewest parameters: every pixel is looked at, since that costs none.

    Convolutions without padding take the place of a third pooling, down to 3×3: at 5×5 the linear
    layer alone would have about as many parameters as all else.
    """
    first, second, third, fourth = recipe.widths
    return [
        *_block(1, first, padding=0, pool=True),
        *_block(first, second, padding=1, pool=False),
        *_block(second, third, padding=0, pool=True),
        *_block(third, fourth, padding=0, pool=False),
        nn.Flatten(),
        nn.Linear(fourth * 3 * 3, recipe.outputs),
    ]


def _pooled(channels: int, width: int, *, padding: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]


def _block(channels: int, width: int, *, padding: int, pool: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, width, 3, padding=padding, bias=False)
    pooling = [nn.MaxPool2d(2)] if pool else []
    return [convolution, *pooling, _shift_only_norm(width), nn.ReLU()]


def _shift_only_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with a learned shift but no gain: the next layer can scale as well."""
    norm = nn.BatchNorm2d(channels)
    norm.weight.requires_grad = False
    return norm


ARCHITECTURES: dict[Architecture, Callable[[TrainRecipe], list[nn.Module]]] = {
    "simple": _simple,
    "dropout": _dropout,
    "lenet": _lenet,
    "batchnorm": _batchnorm,
    "wide": _wide,
    "compact": _compact,
    "deep": _deep,
    "tiny": _tiny,
}
