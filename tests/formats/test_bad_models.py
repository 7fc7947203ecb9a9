"""Model files and bundles that are not what they should be, through the commands a user types."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle, make_reference
from PIL import Image
from tiny_onnx import field, tiny_onnx, weight_matrix

from mnist_edge import cli
from mnist_edge.bundle.folder import Reference
from mnist_edge.bundle.golden import KEY, pack_golden
from mnist_edge.bundle.manifest import MANIFEST
from mnist_edge.contract import to_images
from mnist_edge.errors import BadInput
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.train import TrainRecipe

pytestmark = pytest.mark.edge

GOOD = tiny_onnx()
ONNX = "onnx-float32"


@dataclass(frozen=True)
class Said:
    """What one command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run the command line in this process, in a folder with one picture of a one."""
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    Image.fromarray(pixels).save("one.png")

    def run(*words: str) -> Said:
        code = cli.main(words)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


def entry(key: bytes, value: bytes) -> bytes:
    """One of the metadata of an ONNX file."""
    return field(14, field(1, key) + field(2, value))


def wrote(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def outside(**external: str) -> Callable[[Path], object]:
    """A model whose weights lie in another file, which is there."""

    def write(path: Path) -> None:
        (path.parent / "weights.bin").write_bytes(weight_matrix().tobytes())
        (path.parent / "link.bin").symlink_to("weights.bin")
        path.write_bytes(tiny_onnx(external=external))

    return write


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, ""),
    "directory": (Path.mkdir, ""),
    "empty": (wrote(b""), "it is an empty file"),
    "cut by one byte": (wrote(GOOD[:-1]), "not an ONNX file"),
    "random bytes": (wrote(np.random.default_rng(1).bytes(9000)), "not an ONNX file"),
    "web page": (wrote(b"<!DOCTYPE html><title>404</title>"), "it is a web page"),
    "LFS pointer": (wrote(b"version https://git-lfs.github.com/spec/v1\noid 0\n"), "git lfs pull"),
    "zip renamed": (wrote(b"PK\x03\x04" + bytes(99)), "archive"),
    "NaN weights": (wrote(tiny_onnx(np.full((784, 10), np.nan, np.float32))), "NaN"),
    "other names": (wrote(tiny_onnx(input_name="x", output_name="y")), "expected images"),
    "five classes": (wrote(tiny_onnx(weight_matrix()[:, :5].copy())), "expected images"),
    "other shape": (
        wrote(tiny_onnx(np.zeros((1024, 10), np.float32), input_shape=("N", 1, 32, 32))),
        "expected images",
    ),
    "external data": (outside(location="weights.bin"), "in other files"),
    "external ..": (outside(location="../weights.bin"), "in other files"),
    "external absolute": (outside(location="/etc/hostname"), "in other files"),
    "external symlink": (outside(location="link.bin"), "in other files"),
    "external 10^12": (outside(location="weights.bin", length=str(10**12)), "in other files"),
    "IR 99": (wrote(tiny_onnx(ir_version=99)), "IR version"),
    "opset 99": (wrote(tiny_onnx(opset=99)), "pset 99"),
    "custom domain": (wrote(tiny_onnx(domain="com.example")), "com.example"),
    "name not UTF-8": (wrote(GOOD.replace(b"images", b"imag\xff\xfe")), ""),
    "metadata not UTF-8": (wrote(GOOD + entry(b"recipe", b"\xff\xfe")), "not UTF-8"),
    "metadata twice": (
        wrote(GOOD + entry(b"recipe", b"a") + entry(b"recipe", b"b")),
        "has the key 'recipe' twice",
    ),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("verb", ["predict", "doctor"])
def test_a_bad_model_file_is_one_clear_error(
    call: Callable[..., Said], tmp_path: Path, verb: str, case: str
) -> None:
    write, part = FILES[case]
    write(tmp_path / "model.onnx")
    before = set(tmp_path.iterdir())
    words = ["predict", "one.png", "--model", "model.onnx"]
    said = call(*(words if verb == "predict" else ["doctor", "model.onnx"]))
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("mnist-edge: error: ")
    assert part in said.err
    assert "; " in said.err, "the fix is missing"
    assert said.err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_the_good_file_is_none_of_these(call: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(GOOD)
    said = call("predict", "one.png", "--model", "model.onnx")
    assert (said.code, said.err) == (0, "")
    assert call("doctor", "model.onnx").code == 0


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_file_of_other_weights_under_the_same_names_is_found_by_its_golden_vectors(
    call: Callable[..., Said], tmp_path: Path, place: int
) -> None:
    images = make_reference().images
    weight = weight_matrix()
    logits = to_images(images).reshape(len(images), -1).astype(np.float64) @ weight
    golden = entry(KEY.encode(), pack_golden(images, logits).encode())
    predict = ("predict", "one.png", "--model", "model.onnx")
    (tmp_path / "model.onnx").write_bytes(GOOD + golden)
    assert call("doctor", "model.onnx").code == 0
    assert call(*predict).code == 0
    # The sign of one weight of 7,840: the flipped bit that a runtime loads without a word.
    row = int(np.flatnonzero(images.any(axis=0))[place])
    weight[row, 3] *= -1
    (tmp_path / "model.onnx").write_bytes(tiny_onnx(weight) + golden)
    said = call("doctor", "model.onnx")
    assert said.code == 1
    assert "failed" in said.out
    said = call(*predict)
    assert (said.code, said.out) == (2, "")
    assert "model.onnx gives other answers than it says it should" in said.err
    strange = golden + entry(b"precision", b"float1")
    (tmp_path / "model.onnx").write_bytes(GOOD + strange)
    assert "claims the precision 'float1'" in call(*predict).err


# --- bundles --------------------------------------------------------------------------------

READERS = {
    "predict": ["predict", "one.png", "--bundle", "bundle"],
    "verify": ["verify", "--bundle", "bundle", "--out", "report.json"],
    "bench": ["bench", "--quick", "--bundle", "bundle", "--out", "report.json"],
    "report": ["report", "--bundle", "bundle", "--out", "report.html"],
    "doctor": ["doctor", "--bundle", "bundle"],
    "export": ["export", "--bundle", "bundle"],
}
PARTS = {
    MANIFEST: READERS.keys(),
    "checkpoint.safetensors": READERS.keys(),
    "reference.npz": READERS.keys(),
    "onnx-float32.onnx": READERS.keys() - {"export"},  # which mends it
    "history.json": READERS.keys(),
}


@pytest.mark.usefixtures("with_torch")
@pytest.mark.parametrize(
    ("file", "verb"), [(file, verb) for file, verbs in PARTS.items() for verb in sorted(verbs)]
)
def test_a_bundle_with_one_flipped_bit_is_refused(
    call: Callable[..., Said], tmp_path: Path, file: str, verb: str
) -> None:
    if verb == "export":
        pytest.importorskip("torch")
    if verb == "report":
        pytest.importorskip("matplotlib")
    make_bundle(tmp_path / "bundle", {ONNX: GOOD}, extras={"history.json": b"[]\n"})
    path = tmp_path / "bundle" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = set(tmp_path.rglob("*"))
    said = call(*READERS[verb], "--json")
    error = json.loads(said.out)["error"]
    assert (said.code, error["exit_code"]) == (2, 2)
    assert error["kind"] == ("BundleError" if file == MANIFEST else "DigestMismatch")
    assert file in error["message"]
    assert "mnist-edge" in error["fix"]
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "bundle" / ".lock"}


def test_no_flipped_bit_of_a_manifest_is_accepted(
    call: Callable[..., Said], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "bundle", {ONNX: GOOD})
    path = tmp_path / "bundle" / MANIFEST
    good = path.read_bytes()
    places = np.random.default_rng(0).choice(8 * len(good), 40, replace=False)
    # Those that JSON reads alike come by themselves: 1e-06 and 1E-06, the end of the file.
    for place in (8 * good.index(b"e-06") + 5, 8 * len(good) - 1, *places.tolist()):
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bad)
        said = call("predict", "one.png", "--bundle", "bundle")
        assert (said.code, said.out) == (2, ""), place
        assert "manifest" in said.err


def test_a_bundle_whose_answers_are_another_models_fails(
    call: Callable[..., Said], tmp_path: Path
) -> None:
    # Every digest is right: only the golden vectors tell.
    noise = make_reference()
    logits = to_images(noise.images).reshape(10, -1).astype(np.float64) @ weight_matrix()
    reference = Reference(images=noise.images, labels=noise.labels, logits=logits)
    swapped = {ONNX: tiny_onnx(weight_matrix()[:, ::-1].copy())}
    make_bundle(tmp_path / "bundle", swapped, reference=reference)
    assert call("doctor", "--bundle", "bundle").code == 1


# --- weights --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("missing", "has weight, not bias, weight"),
        ("extra", "no use for 2 widths"),
        ("mis-shaped", "shape"),
    ],
)
def test_weights_with_other_keys_or_shapes_are_refused(
    tmp_path: Path, change: str, part: str
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    from mnist_edge.models import build_model, load_weights
    from mnist_edge.train.importing import import_weights

    recipe = TrainRecipe(
        name="x", architecture="simple", widths=(4,), epochs=1, batch_size=1, learning_rate=0.1
    )
    weights = dict(build_model(recipe).state_dict())
    last = max(weights, key=lambda name: (int(name.partition(".")[0]), name.endswith("bias")))
    if change == "missing":
        del weights[last]
    elif change == "extra":
        weights["extra.weight"] = torch.zeros(2, 2)
    else:
        weights[last] = torch.zeros(len(DIGITS) + 1)
    with pytest.raises(BadInput, match="do not fit simple"):
        load_weights(recipe, save(weights))
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(BadInput, match="does not fit the architecture simple") as caught:
        import_weights(tmp_path / "weights.pth", recipe)
    assert part in caught.value.what
