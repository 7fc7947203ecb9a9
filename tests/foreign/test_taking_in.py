"""ONNX nets of others: found out how they read pictures, and taken in without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="reads them")

import onnx
import strangers as nets
from onnx import TensorProto, helper, numpy_helper

from mnist_edge import cli
from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.imported import Contract, Norm
from mnist_edge.bundle.manifest import SOURCE, Manifest
from mnist_edge.contract import Labels, RawImages, to_images
from mnist_edge.data.mnist import DATA_VARIABLE, IdxFile, read_mnist
from mnist_edge.errors import BadInput
from mnist_edge.foreign.contract import Trial, find_contract, ranked
from mnist_edge.foreign.net import Forced, ForeignNet
from mnist_edge.foreign.onnx import read_onnx
from mnist_edge.foreign.prepare import prepare
from mnist_edge.foreign.read import read_file_of_others
from mnist_edge.foreign.take_in import take_in
from mnist_edge.formats import open_backend, reference_logits
from mnist_edge.formats.original.feed import feed

node = helper.make_node
FIXED = np.array([1, 784], np.int64)
HALF = Contract(norm=Norm(mean=0.5, std=0.5))


def also(domain: str) -> nets.Change:
    """A file that states operators of another library, too."""
    return lambda model: model.opset_import.append(helper.make_opsetid(domain, 1))


VARIANTS: dict[str, tuple[Contract, bytes]] = {}


def variant(name: str, contract: Contract = HALF, **options: object) -> None:
    """One more file, of a net that reads pictures so."""
    VARIANTS[name] = (contract, nets.mlp(contract, **options))  # type: ignore[arg-type]


variant("open batch")
variant("0 to 1", Contract())
variant("0 to 255", Contract(norm=Norm(std=1 / 255)))
variant("-0.5 to 0.5", Contract(norm=Norm(mean=0.5)))
variant("MNIST's mean", Contract(norm=Norm(mean=0.1307, std=0.3081)))
variant("black on white", Contract(inverted=True))
variant("transposed", Contract(norm=HALF.norm, transposed=True))
variant("14 pixels", Contract(norm=HALF.norm, side=14, fit="resize"), shape=("N", 196))
variant("32 pixels", Contract(norm=HALF.norm, side=32, fit="pad"), shape=(1, 1, 32, 32))
variant("three channels", Contract(norm=HALF.norm, channels=3), shape=(1, 3, 28, 28))
variant(
    "three channels, last",
    Contract(norm=HALF.norm, channels=3, channels_last=True),
    shape=("N", 28, 28, 3),
)
variant("one picture", shape=(1, 1, 28, 28))
variant(
    "a channel without a batch",
    shape=(1, 28, 28),
    front=[node("Unsqueeze", ["in", "batch"], ["one"]), node("Flatten", ["one"], ["row"])],
    more={"batch": np.array([0], np.int64)},
)
variant("channels last", shape=("N", 28, 28, 1))
variant("no channels", shape=("N", 28, 28))
variant("a row", shape=("N", 784))
variant("a row without a batch", shape=(784,), front=[node("Identity", ["in"], ["row"])])
variant(
    "no batch",
    shape=(28, 28),
    front=[node("Reshape", ["in", "fixed"], ["row"])],
    more={"fixed": FIXED},
)
variant(
    "a shape that is computed",
    shape=(1, 1, 28, 28),
    front=[
        node("Shape", ["in"], ["all"]),
        node("Gather", ["all", "zero"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "places"], ["batches"]),
        node("Concat", ["batches", "rest"], ["wanted"], axis=0),
        node("Reshape", ["in", "wanted"], ["row"]),
    ],
    more={
        "zero": np.array(0, np.int64),
        "places": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
    },
)
variant("all sizes open", shape=("a", "b", "c", "d"))
variant(
    "bytes",
    Contract(norm=Norm(std=1 / 255)),
    kind=TensorProto.UINT8,
    front=[node("Cast", ["in"], ["float"], to=1), node("Flatten", ["float"], ["row"])],
)
variant("double", kind=TensorProto.DOUBLE, changes=[nets.of_type(TensorProto.DOUBLE, np.float64)])
variant("half", kind=TensorProto.FLOAT16, changes=[nets.of_type(TensorProto.FLOAT16, np.float16)])
variant("opset 7", opset=7)
variant("opset 22", opset=22)
variant("backwards", changes=[nets.backwards])
variant("weights as inputs", changes=[nets.weights_as_inputs])
variant("a function", changes=[nets.as_function])
variant("softmax", end=[node("Softmax", ["scores"], ["answer"], axis=1)])
variant("log-softmax", end=[node("LogSoftmax", ["scores"], ["answer"], axis=-1)])
variant(
    "the log of a softmax",
    end=[node("Softmax", ["scores"], ["share"], axis=1), node("Log", ["share"], ["answer"])],
)
variant(
    "a softmax in parts",
    end=[
        node("ReduceMax", ["scores"], ["most"], axes=[1]),
        node("Sub", ["scores", "most"], ["less"]),
        node("Exp", ["less"], ["powers"]),
        node("ReduceSum", ["powers", "axes"], ["sum"]),
        node("Div", ["powers", "sum"], ["answer"]),
    ],
    more={"axes": np.array([1], np.int64)},
)
variant(
    "sigmoid",
    Contract(norm=Norm(mean=0.1307, std=0.3081)),
    end=[node("Sigmoid", ["scores"], ["answer"])],
)
variant("the class as one of ten", end=[node("Hardmax", ["scores"], ["answer"], axis=1)])
variant("the class alone", end=[node("ArgMax", ["scores"], ["answer"], axis=1)])
variant("another output first", outputs=("positive", "scores"))
variant(
    "an output of another library",
    end=[node("ZipMap", ["scores"], ["answer"], domain="ai.onnx.ml")],
    outputs=("scores", "answer"),
    changes=[also("ai.onnx.ml")],
)


def classify(model: onnx.ModelProto) -> None:
    """The last product as scikit-learn's converter writes it."""
    (second,) = (t for t in model.graph.initializer if t.name == "second")
    weight = numpy_helper.to_array(second)
    model.graph.node[-2].CopyFrom(
        node(
            "LinearClassifier",
            ["positive"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            classlabels_ints=list(range(10)),
            coefficients=weight.T.reshape(-1).tolist(),
            intercepts=[0.0] * 10,
            post_transform="SOFTMAX",
        )
    )
    model.graph.output.insert(0, helper.make_empty_tensor_value_info("label"))


def fuse(model: onnx.ModelProto) -> None:
    """Products as ONNX Runtime writes them."""
    first, second = (t for t in model.graph.initializer if t.name in ("first", "second"))
    for tensor in (first, second):
        turned = np.ascontiguousarray(numpy_helper.to_array(tensor).T)
        tensor.CopyFrom(numpy_helper.from_array(turned, tensor.name))
    front, *_ = model.graph.node
    none = numpy_helper.from_array(np.zeros(1, np.float32), "none")
    model.graph.initializer.append(none)
    own: dict[str, Any] = {"domain": "com.microsoft", "transB": 1}
    options: dict[str, Any] = {"activation": "LeakyRelu", "activation_params": [0.0], **own}
    del model.graph.node[:]
    model.graph.node.extend(
        [
            front,
            node("FusedGemm", ["row", "first", "none"], ["positive"], **options),
            node("FusedMatMul", ["positive", "second"], ["scores"], alpha=1.0, **own),
        ]
    )


variant(
    "the probabilities of scikit-learn",
    end=[
        node("Scaler", ["scores"], ["half"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]),
        node("Softmax", ["half"], ["share"], axis=1),
        node("ZipMap", ["share"], ["answer"], domain="ai.onnx.ml", classlabels_int64s=range(10)),
    ],
    changes=[also("ai.onnx.ml")],
)
variant(
    "a linear classifier of scikit-learn",
    end=[node("ZipMap", ["scores"], ["answer"], domain="ai.onnx.ml")],
    changes=[also("ai.onnx.ml"), classify],
)
variant("as ONNX Runtime fuses it", changes=[also("com.microsoft"), fuse])

ONES, NONE = np.ones(10, np.float32), np.zeros(10, np.float32)
NORMAL = {"gain": ONES, "shift": NONE, "mean": NONE, "spread": ONES}
variant(
    "a normalisation of an opset whose evaluator trains it",
    opset=11,
    end=[node("BatchNormalization", ["scores", *NORMAL], ["answer"], momentum=0.9)],
    more=NORMAL,
)
variant(
    "amid a training",
    end=[
        node("BatchNormalization", ["scores", *NORMAL], ["n", "m", "v", "sm", "sv"]),
        node("Dropout", ["n", "half", "yes"], ["answer"]),
    ],
    more={**NORMAL, "half": np.array(0.5, np.float32), "yes": np.array(True)},
)
variant(
    "four at once",
    shape=(4, 1, 28, 28),
    front=[node("Reshape", ["in", "fixed"], ["row"])],
    more={"fixed": np.array([4, 784], np.int64)},
)
variant(
    "rows before pictures",
    shape=(1, 1, 28, 28),
    front=[
        node("Squeeze", ["in", "one"], ["rows"]),
        node("Transpose", ["rows"], ["turned"], perm=[1, 0, 2]),
        node("Reshape", ["turned", "same"], ["still"]),
        node("Transpose", ["still"], ["again"], perm=[1, 0, 2, 3]),
        node("Flatten", ["again"], ["row"]),
    ],
    more={"one": np.array([1], np.int64), "same": np.array([28, 1, 4, 7], np.int64)},
)
variant(
    "slid along rows",
    front=[
        node("Flatten", ["in"], ["pixels"]),
        node("Unsqueeze", ["pixels", "one"], ["line"]),
        node("Conv", ["line", "still"], ["slid"], kernel_shape=[3], pads=[1, 1]),
        node("MaxPool", ["slid"], ["largest"], kernel_shape=[1]),
        node("Flatten", ["largest"], ["row"]),
    ],
    more={
        "one": np.array([1], np.int64),
        "still": np.array([0, 1, 0], np.float32).reshape(1, 1, 3),
    },
)
variant(
    "the answer to the first picture",
    shape=(1, 1, 28, 28),
    end=[node("Gather", ["scores", "zero"], ["answer"], axis=0)],
    more={"zero": np.array(0, np.int64)},
)
variant(
    "a border whose widths are laid out as it runs",
    front=[
        node("Reshape", ["widths", "pairs"], ["ends"]),
        node("Slice", ["ends", "last", "before", "zeroth", "last"], ["starts"]),
        node("Transpose", ["starts"], ["sides"], perm=[1, 0]),
        node("Reshape", ["sides", "all"], ["flat"]),
        node("Pad", ["in", "flat"], ["wide"]),
        node("Slice", ["wide", "two", "thirty", "sides_of"], ["inner"]),
        node("Flatten", ["inner"], ["row"]),
    ],
    more={
        "widths": np.array([2, 2, 2, 2, 0, 0, 0, 0], np.int64),
        "pairs": np.array([-1, 2], np.int64),
        "last": np.array([-1], np.int64),
        "before": np.array([-(1 << 62)], np.int64),
        "zeroth": np.array([0], np.int64),
        "all": np.array([-1], np.int64),
        "two": np.array([2, 2], np.int64),
        "thirty": np.array([30, 30], np.int64),
        "sides_of": np.array([2, 3], np.int64),
    },
)


def read(data: bytes) -> tuple[ForeignNet, ...]:
    return read_onnx(data, Path("nowhere"))


def take(data: bytes, folder: Path, forced: Forced | None = None, **told: list[str]) -> Manifest:
    file = folder / "net.onnx"
    bundle = take_in(
        read(data),
        file,
        "0" * 64,
        nets.drawn(),
        folder / "b",
        forced=forced or Forced(),
        notice=told.get("said", []).append,
        warn=told.get("warned", []).append,
    )
    return bundle.manifest


@pytest.mark.parametrize("name", VARIANTS)
def test_a_net_comes_in_and_reads_pictures_as_it_was_trained(name: str, tmp_path: Path) -> None:
    contract, data = VARIANTS[name]
    manifest = take(data, tmp_path)
    assert manifest.imported is not None
    assert manifest.imported.contract == contract
    bundle = open_bundle(tmp_path / "b")
    weights, test = nets.trained(contract), nets.drawn()
    pixels = feed(to_images(test.test_images), contract).reshape(len(test.test_labels), -1)
    scores = np.maximum(pixels @ weights["first"], 0) @ weights["second"]
    with open_backend(bundle, bundle.artifact(SOURCE)) as backend:
        logits = backend.run(to_images(test.test_images))
    assert np.mean(logits.argmax(axis=1) == scores.argmax(axis=1)) > 0.99
    assert manifest.training.test_accuracy == np.mean(logits.argmax(axis=1) == test.test_labels)
    exact = reference_logits(bundle, to_images(test.test_images[:9]))
    np.testing.assert_allclose(logits[:9], exact, atol=1e-3)


def test_what_has_no_step_leaves_in_the_formats_that_run_it_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(nets.mlp(end=[node("Softsign", ["scores"], ["answer"])]), tmp_path)
    plain = ["export", "--bundle", str(tmp_path / "b")]
    assert cli.main(plain) == 0
    said = capsys.readouterr().err
    assert " is left out: no step can be made of the operator 'Softsign'" in said
    artifacts = open_bundle(tmp_path / "b").manifest.artifacts
    assert {each.name for each in artifacts} == {SOURCE, "onnx-float32", "ort-float32"}
    assert cli.main([*plain, "--format", "c"]) == 2
    assert "no step can be made of the operator 'Softsign'" in capsys.readouterr().err


def test_the_two_best_contracts_are_said(tmp_path: Path) -> None:
    said: list[str] = []
    take(VARIANTS["open batch"][1], tmp_path, said=said)
    assert said[0].startswith("it reads pixels -1 to 1: ")
    assert "; next best, pixels " in said[0]


def trial(right: int, loss: float, contract: Contract, *, rarity: int) -> Trial:
    """Of 1,000 digits; each of those that are wrong costs 1 nat more."""
    (prepared,) = prepare(*read(VARIANTS["open batch"][1]))
    correct = np.arange(1000) < right
    noise = 0.01 * np.random.default_rng(0).random(1000)
    losses = np.where(correct, loss, loss + 1) + noise
    return Trial(prepared=prepared, contract=contract, right=correct, losses=losses, rarity=rarity)


def test_of_contracts_that_are_as_good_the_plainest_is_believed() -> None:
    plain, odd = Contract(), Contract(norm=Norm(mean=0.5))
    near = [trial(990, 0.03, odd, rarity=1), trial(989, 0.03, plain, rarity=0)]
    assert [found.contract for found in ranked(near)] == [plain, odd]
    less_likely = [trial(990, 0.03, odd, rarity=1), trial(990, 0.04, plain, rarity=0)]
    assert [found.contract for found in ranked(less_likely)] == [odd, plain]
    less_right = [trial(990, 0.03, odd, rarity=1), trial(970, 0.01, plain, rarity=0)]
    assert [found.contract for found in ranked(less_right)] == [odd, plain]


def test_another_net_of_the_same_weights_must_be_right_as_often(tmp_path: Path) -> None:
    plain = trial(988, 0.04, Contract(), rarity=0)
    likelier, rightest = (trial(right, 0.02, Contract(), rarity=1) for right in (984, 988))
    assert ranked([plain, likelier])[0] is plain
    assert ranked([plain, rightest])[0] is rightest
    a_little = trial(988, 0.038, Contract(), rarity=1)
    assert ranked([plain, a_little])[0] is plain


def test_another_reading_that_is_as_good_is_said(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(VARIANTS["open batch"][1])
    for tensor in model.graph.initializer:
        if tensor.name == "second":
            fewer = onnx.numpy_helper.to_array(tensor).copy()
            fewer[2] = 0
            tensor.CopyFrom(onnx.numpy_helper.from_array(fewer, tensor.name))
    graphs = {"a feature less": model.SerializeToString(), "all": VARIANTS["open batch"][1]}
    found = [
        ForeignNet(graph=graph, said="weights", kind="torch", guessed=guessed)
        for guessed, graph in graphs.items()
    ]
    said: list[str] = []
    data = nets.drawn()
    take_in(found, tmp_path / "net", "0" * 64, data, tmp_path / "b", notice=said.append)
    assert "taken for a feature less (all is right as often)" in said[-1]


def test_what_the_user_says_of_the_contract_is_believed(tmp_path: Path) -> None:
    warned: list[str] = []
    forced = Forced.of(0.5, 1.0)
    manifest = take(VARIANTS["open batch"][1], tmp_path, forced, warned=warned)
    assert manifest.imported is not None
    assert manifest.imported.forced
    assert manifest.imported.contract == Contract(norm=Norm(mean=0.5))


def test_a_net_that_reads_no_digits_is_refused_and_nothing_written(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(nets.mlp())
    for tensor in model.graph.initializer:
        noise = np.random.default_rng(1).normal(size=tuple(tensor.dims)).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(noise, tensor.name))
    with pytest.raises(BadInput, match=r"net\.onnx: it is no classifier of drawn: at best"):
        take(model.SerializeToString(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_of_a_net_of_others_is_of_schema_2(tmp_path: Path) -> None:
    manifest = take(VARIANTS["softmax"][1], tmp_path)
    assert manifest.schema == 2
    text = codec.dumps(manifest)
    assert codec.loads(Manifest, text) == manifest
    with pytest.raises(ValueError, match="schema 1 knows no nets of others"):
        codec.loads(Manifest, text.replace('"schema": 2', '"schema": 1', 1))


# --- refused ------------------------------------------------------------------------------------


def bomb(model: onnx.ModelProto) -> None:
    """Forty functions, each of which calls the one before it twice."""
    opset = [helper.make_opsetid("", 13), helper.make_opsetid("bomb", 1)]
    kind, domain = "Identity", ""
    for number in range(40):
        calls = [node(kind, ["a"], ["b"], domain=domain), node(kind, ["b"], ["c"], domain=domain)]
        model.functions.append(
            helper.make_function("bomb", f"F{number}", ["a"], ["c"], calls, opset)
        )
        kind, domain = f"F{number}", "bomb"
    model.opset_import.append(opset[1])
    model.graph.node.insert(0, node(kind, ["in"], ["in2"], domain=domain))


def circle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "scores"


def renamed(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type, model.graph.node[1].domain = "Secret", "my.library"
    model.opset_import.append(helper.make_opsetid("my.library", 1))


BRANCH = helper.make_graph(
    [node("Neg", ["scores"], ["less"])], "branch", [], [helper.make_empty_tensor_value_info("less")]
)
REFUSED = {
    "nothing": (b"", "no ONNX file"),
    "half of one": (nets.mlp()[:5000], "damaged, or no ONNX file"),
    "a text that is none": (nets.mlp().replace(b"positive", b"pos\xfftive"), "is not UTF-8"),
    "no numbers": (
        nets.mlp(end=[node("Log", ["scores"], ["logs"]), node("Log", ["logs"], ["answer"])]),
        "its answers are no numbers",
    ),
    "a bomb": (nets.mlp(changes=[bomb]), "more than 1,000 operators"),
    "a circle": (nets.mlp(changes=[circle]), "in a circle"),
    "a stranger's operator": (nets.mlp(changes=[renamed]), r"my\.library\.Secret"),
    "old": (nets.mlp(opset=6), "opset 6; the oldest that is read is 7"),
    "two inputs": (
        nets.mlp(
            end=[node("Add", ["scores", "other"], ["answer"])],
            changes=[
                lambda model: model.graph.input.append(
                    helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 10])
                )
            ],
        ),
        "2 inputs, 'in', 'other'",
    ),
    "no picture": (nets.mlp(shape=("N", 5)), r"it takes \(\?, 5\), which is no picture"),
    "quantized": (
        nets.mlp(front=[
            node("DynamicQuantizeLinear", ["in"], ["bytes", "scale", "zero"]),
            node("DequantizeLinear", ["bytes", "scale", "zero"], ["float"]),
            node("Flatten", ["float"], ["row"]),
        ]),
        "quantized already",
    ),
    "a choice of graphs": (
        nets.mlp(
            end=[node("If", ["yes"], ["answer"], then_branch=BRANCH, else_branch=BRANCH)],
            more={"yes": np.array(True)},
        ),
        "its If holds graphs of its own",
    ),
    "trees": (
        nets.mlp(
            end=[node("TreeEnsembleClassifier", ["scores"], ["answer"], domain="ai.onnx.ml")],
            changes=[also("ai.onnx.ml")],
        ),
        "no neural net, as its TreeEnsembleClassifier shows",
    ),
    "features": (nets.mlp(outputs=("positive",)), "it has 200 classes, not 10"),
    "a huge result": (
        nets.mlp(
            front=[
                node("Expand", ["in", "huge"], ["big"]),
                node("ReduceMax", ["big"], ["small"], axes=[0], keepdims=0),
                node("Flatten", ["small"], ["row"]),
            ],
            more={"huge": np.array([1 << 30, 1, 1, 28, 28], np.int64)},
        ),
        "more than a picture may",
    ),
}  # fmt: skip


def test_what_tensorflow_writes_is_named(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").write_bytes(b"\x08\x01\x12\x17\n\x15__saved_model_init_op")
    frozen = tmp_path / "frozen.pb"
    frozen.write_bytes(b"\n\x10\n\x01x\x12\x0bPlaceholder")
    for path, said in ((saved, "a TensorFlow SavedModel"), (frozen, "a TensorFlow graph")):
        with pytest.raises(BadInput, match=said) as refused:
            read_file_of_others(path, lambda _: ())
        assert "tf2onnx" in str(refused.value.fix)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_in_is_refused_by_its_name(name: str) -> None:
    data, reason = REFUSED[name]
    images, labels = nets.drawn().train_images, nets.drawn().train_labels
    with pytest.raises(BadInput, match=reason):
        find_contract(read(data), images, labels)


def test_weights_in_a_file_beside_it_are_taken_inside_and_from_nowhere_else(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(nets.mlp())
    onnx.save(
        model,
        tmp_path / "net.onnx",
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
    )
    data = (tmp_path / "net.onnx").read_bytes()
    (net,) = read_onnx(data, tmp_path)
    assert len(net.graph) > len(data)
    (tmp_path / "sub").mkdir()
    with pytest.raises(BadInput, match=r"net\.data, which cannot be read") as caught:
        read_onnx(data, tmp_path / "sub")
    assert caught.value.fix == "put net.data beside it"
    elsewhere = data.replace(b"net.data", b"../t.dat")
    with pytest.raises(BadInput, match="no file beside it"):
        read_onnx(elsewhere, tmp_path / "sub")
    (tmp_path / "sub" / "net.data").symlink_to(tmp_path / "net.data")
    with pytest.raises(BadInput, match="is a link"):
        read_onnx(data, tmp_path / "sub")
    (tmp_path / "net.data").write_bytes(b"short")
    with pytest.raises(BadInput, match="shorter than the weights"):
        read_onnx(data, tmp_path)


# --- the command line ---------------------------------------------------------------------------


def write_idx(folder: Path, part: str, images: RawImages, labels: Labels) -> None:
    """Two files as those of MNIST."""
    folder.mkdir(exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
        header = IdxFile(shape=array.shape, sha256="").header
        (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())


WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
hidden = lambda name: name.split(".")[0] in ("torch", "matplotlib", "safetensors", "torchvision")
PathFinder.find_spec = lambda name, *rest: None if hidden(name) else find(name, *rest)
from mnist_edge.cli import main
sys.exit(main(sys.argv[1:]))
"""


def without_torch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs a C compiler")
def test_from_import_to_c_without_torch(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(VARIANTS["softmax"][1])
    data = nets.drawn()
    write_idx(tmp_path / "digits", "train", data.train_images, data.train_labels)
    write_idx(tmp_path / "digits", "t10k", data.test_images, data.test_labels)
    done = without_torch(tmp_path, "import", "net.onnx", "--bundle", "b", "--data", "digits")
    assert done.returncode == 0, done.stderr
    words = ("export", "--bundle", "b", "--format", "c", "--format", "onnx", "--no-verdict")
    done = without_torch(tmp_path, *words, "--precision", "float32", "--precision", "int8")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "b").iterdir()} >= {
        "source.onnx", "onnx-float32.onnx", "onnx-int8.onnx", "c-float32.c", "c-int8.c"
    }  # fmt: skip
    done = without_torch(tmp_path, "export", "--bundle", "b", "--format", "torchscript")
    assert done.returncode == 2
    assert "torch" in done.stderr.splitlines()[-1]
    done = without_torch(tmp_path, "verify", "--bundle", "b")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "source-float32" in done.stdout


# --- files of others, beside MNIST ----------------------------------------------------------------

MEAN = Contract(norm=Norm(mean=0.1307, std=0.3081))
# What each reaches on MNIST's test set under its contract.
FILES: dict[str, tuple[float, Contract]] = {
    "onnx-conv-dynamic.onnx": (98.13, Contract()),
    "onnx-lenet-softmax.onnx": (98.13, MEAN),
    "onnx-logsoftmax.onnx": (98.92, MEAN),
    "onnx-flat-mlp.onnx": (96.59, Contract()),
    "onnx-mlp.onnx": (97.46, MEAN),
    "onnx-32x32.onnx": (98.74, Contract(side=32, fit="resize")),
    "torch-lenet.pth": (98.13, MEAN),
    "torch-mlp.pth": (97.46, MEAN),
    "torch-seed-0.pth": (98.78, Contract()),
    "torch-lenet-like.pt": (98.59, Contract()),
    "torch-lenet5.pt": (99.05, Contract(norm=MEAN.norm, side=32, fit="resize")),
    "keras-mlp-batchnorm.h5": (98.80, Contract()),
    "keras-mlp.h5": (97.78, Contract()),
}
NOT_OF_DIGITS = {
    "onnx-untrained-tanh.onnx": "it is no classifier of mnist: at best",
    "onnx-emnist-27-classes.onnx": "it has 27 classes, not 10",
}


def file_of_others(mnist: Path, name: str) -> Path:
    """A file beside the folder that `MNIST_EDGE_DATA` names."""
    path = Path(os.environ[DATA_VARIABLE]).parent / "models" / name
    if not path.is_file():
        pytest.skip(f"needs {path.name} beside the folder of {DATA_VARIABLE}")
    return path


def nets_in(path: Path) -> tuple[ForeignNet, ...]:
    package = {".onnx": "onnx", ".h5": "h5py"}.get(path.suffix, "torch")
    pytest.importorskip(package)

    def read_torch(path: Path) -> tuple[ForeignNet, ...]:
        from mnist_edge.train.torch_nets import read_torch_nets

        return read_torch_nets(path)

    found, _ = read_file_of_others(path, read_torch)
    return found


@pytest.mark.real_data
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_others_reaches_what_its_author_measured(
    name: str, mnist_dir: Path, tmp_path: Path
) -> None:
    accuracy, contract = FILES[name]
    path = file_of_others(mnist_dir, name)
    bundle = take_in(nets_in(path), path, "0" * 64, read_mnist(mnist_dir), tmp_path / "b")
    assert bundle.manifest.imported is not None
    assert bundle.manifest.imported.contract == contract
    assert bundle.manifest.training.test_accuracy == pytest.approx(accuracy / 100, abs=5e-4)


@pytest.mark.real_data
@pytest.mark.parametrize("name", NOT_OF_DIGITS)
def test_a_file_that_reads_no_digits_is_refused(name: str, mnist_dir: Path, tmp_path: Path) -> None:
    path = file_of_others(mnist_dir, name)
    with pytest.raises(BadInput, match=NOT_OF_DIGITS[name]):
        take_in(nets_in(path), path, "0" * 64, read_mnist(mnist_dir), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
