"""What torch is given to load: TorchScript archives and checkpoints."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import exported
from safetensors.torch import load, save
from torch import Tensor, nn

from mnist_edge.contract import Images
from mnist_edge.errors import BadInput, DeviceUnavailable
from mnist_edge.formats.checkpoint.module import TorchModuleBackend
from mnist_edge.formats.checkpoint.run import EagerBackend, checkpoint_logits, float64_logits
from mnist_edge.formats.format import Loading
from mnist_edge.formats.torchscript.run import TorchScriptBackend, torchscript_warnings_ignored

DIGITS: Images = np.random.default_rng(0).random((6, 1, 28, 28), dtype=np.float32)


def script(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    with torchscript_warnings_ignored(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit.script` is")
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class TwoInputs(nn.Module):
    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        return images * mask


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def state_dict_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, buffer)
    return buffer.getvalue()


GOOD = exported.artifact("torchscript", "float32")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a TorchScript file"),
        (b"<!DOCTYPE html>", "not a TorchScript file"),
        (np.random.default_rng(0).bytes(5000), "not a TorchScript file"),
        (GOOD[:-1], "not a TorchScript file"),
        (GOOD[: len(GOOD) // 2], "not a TorchScript file"),
        (exported.artifact("onnx", "float32"), "not a TorchScript file"),
        (exported.artifact("checkpoint", "float32"), "not a TorchScript file"),
        (zipped({"a.txt": b"hello"}), "another zip archive"),
        (state_dict_file(), "another zip archive"),
        (zipped({"archive/constants.pkl": b"\x80\x02}."}), "not a TorchScript file"),
        (
            zipped(
                {"archive/constants.pkl": b"", "archive/zeros": bytes(10**7)},
                zipfile.ZIP_DEFLATED,
            ),
            "compressed",
        ),
        (script(Pair()), "(Tensor) to (Tuple[Tensor, Tensor])"),
        (script(TwoInputs()), "(Tensor, Tensor) to (Tensor)"),
    ],
)
def test_a_file_that_is_no_torchscript_of_ours_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        TorchScriptBackend(data)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Flatten(), "shape (6, 784)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(10, 10)), "cannot run"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10).double()), "cannot run"),
    ],
)
def test_a_torchscript_file_of_another_net_is_noticed_when_it_runs(
    module: nn.Module, message: str
) -> None:
    backend = TorchScriptBackend(script(module))
    with pytest.raises(BadInput) as caught:
        backend.run(DIGITS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


class Exploit:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.place,))


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    place = tmp_path / "executed"
    attack = pickle.dumps(Exploit(place), protocol=2)
    archive = {
        "archive/constants.pkl": attack,
        "archive/data.pkl": attack,
        "archive/version": b"3\n",
    }
    for data in (attack, zipped(archive)):
        with pytest.raises(BadInput):
            TorchScriptBackend(data)
        with pytest.raises(BadInput):
            EagerBackend(data, exported.RECIPE)
    assert not place.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        exported.artifact("checkpoint", "float32")[:-1],
        GOOD,
        save({}),
        save({**load(exported.artifact("checkpoint", "float32")), "extra": torch.zeros(1)}),
        save(
            {
                k: v[:1]
                for k, v in load(exported.artifact("checkpoint", "float32")).items()
                if v.ndim
            }
        ),
    ],
    ids=["empty", "truncated", "torchscript", "no keys", "an extra key", "other shapes"],
)
def test_a_checkpoint_of_another_net_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        EagerBackend(data, exported.RECIPE)


def test_broken_weights_are_noticed_in_the_answer() -> None:
    weights = load(exported.artifact("checkpoint", "float32"))
    spoilt = {name: tensor * torch.nan for name, tensor in weights.items() if tensor.ndim > 1}
    backend = EagerBackend(save(weights | spoilt), exported.RECIPE)
    with pytest.raises(BadInput, match="NaN or infinity"):
        backend.run(DIGITS)


def on_cuda(kind: str) -> TorchModuleBackend:
    if kind == "torchscript":
        return TorchScriptBackend(GOOD, Loading(device="cuda"))
    return EagerBackend(
        exported.artifact("checkpoint", "float32"), exported.RECIPE, Loading(device="cuda")
    )


@pytest.mark.parametrize("kind", ["eager", "torchscript"])
def test_a_device_that_is_not_there_is_refused(kind: str) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DeviceUnavailable) as caught:
        on_cuda(kind)
    assert "cuda" in caught.value.what
    assert "--device cpu" in caught.value.fix


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["eager", "torchscript"])
def test_the_gpu_gives_the_answers_of_the_reference(kind: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    exact = float64_logits(exported.model(), DIGITS)
    backend = on_cuda(kind)
    assert backend.device == "cuda"
    np.testing.assert_allclose(backend.run(DIGITS), exact, atol=1e-4)


def test_eager_runs_what_is_exported_and_agrees_with_the_model_as_trained() -> None:
    data = exported.artifact("checkpoint", "float32")
    exact = checkpoint_logits(data, exported.RECIPE, DIGITS)
    backend = EagerBackend(data, exported.RECIPE)
    np.testing.assert_allclose(backend.run(DIGITS), exact, atol=1e-5)
    layers = [type(layer).__name__ for layer in backend._module.modules()]  # type: ignore[union-attr]
    assert "Conv2d" in layers
    assert "BatchNorm2d" not in layers


def test_the_reference_is_computed_in_double_precision() -> None:
    exact = float64_logits(exported.model(), DIGITS)
    assert exact.dtype == np.float64
    with torch.no_grad():
        single = exported.model().eval()(torch.from_numpy(DIGITS)).numpy()
        expected = exported.model().double()(torch.from_numpy(DIGITS).double()).numpy()
    exported.model().float().train()
    assert 0 < np.abs(exact - single).max() < 1e-4
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-12)


def test_the_reference_leaves_the_model_as_it_was_and_does_not_depend_on_its_mode() -> None:
    model = exported.model()
    model.train()
    training = float64_logits(model, DIGITS)
    assert model.training
    assert next(model.parameters()).dtype == torch.float32
    np.testing.assert_array_equal(float64_logits(model.eval(), DIGITS), training)
    model.train()


def test_the_reference_is_told_batch_by_batch() -> None:
    counts: list[int] = []
    images = np.zeros((1100, 1, 28, 28), np.float32)
    logits = float64_logits(
        nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), images, on_batch=counts.append
    )
    assert logits.shape == (1100, 10)
    assert counts == [500, 500, 100]
