"""Every operator that the C exporter knows against ONNX Runtime, and what it refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the writers need it")
pytest.importorskip("onnx")

import onnx
from factory import ROOT
from onnx import NodeProto, TensorProto, helper, numpy_helper

from mnist_edge.contract import Images
from mnist_edge.errors import BadInput, UsageError
from mnist_edge.formats.c.run import CBackend
from mnist_edge.formats.c.write import Golden, export_c, header_of
from mnist_edge.formats.graph import operators, quantized
from mnist_edge.formats.graph.rules import RULES
from mnist_edge.formats.onnx.run import OrtBackend

CC = shutil.which("cc")
needs_compiler = pytest.mark.skipif(CC is None, reason="needs a C compiler")

Weights: TypeAlias = Mapping[str, NDArray[np.generic]]

POOL = helper.make_node("MaxPool", ["x"], ["small"], kernel_shape=[4, 4], strides=[4, 4])
"""Most graphs begin with it: 7×7 pixels do for what they test."""


def weights(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng([seed, *shape]).normal(0, 0.3, shape).astype(np.float32)


def graph(
    nodes: Sequence[NodeProto],
    constants: Weights,
    *,
    features: int = 0,
    height: int | str = 28,
    output: str = "logits",
) -> bytes:
    """An ONNX file; with `features`, a Flatten of `y` and a Gemm to ten classes end it."""
    nodes = list(nodes)
    constants = dict(constants)
    if features:
        nodes.append(helper.make_node("Flatten", ["y"], ["row"]))
        nodes.append(helper.make_node("Gemm", ["row", "gemm", "offset"], ["logits"], transB=1))
        constants |= {"gemm": weights(10, features), "offset": weights(10)}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, height, 28])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 10])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    # Our signature's names, so that ONNX Runtime's backend takes it.
    for value in (*model.graph.input, *model.graph.output):
        _rename(model.graph, value.name, {"x": "images"}.get(value.name, value.name))
    return bytes(model.SerializeToString())


def _rename(proto: onnx.GraphProto, old: str, new: str) -> None:
    for node in proto.node:
        node.input[:] = [new if name == old else name for name in node.input]
    for value in proto.input:
        value.name = new if value.name == old else value.name


def conv(out: str = "y", source: str = "small", **options: Any) -> NodeProto:
    return helper.make_node("Conv", [source, "w", "b"], [out], **options)


def node(kind: str, *inputs: str, out: str = "y", **options: Any) -> NodeProto:
    return helper.make_node(kind, list(inputs), [out], **options)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Built libraries go where the tests end, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(1).random((19, 1, 28, 28), dtype=np.float32)


def golden(images: Images, logits: NDArray[np.float32]) -> Golden:
    pixels = np.round(images[:, 0] * 255).astype(np.uint8)
    return Golden(pictures=pixels, logits=logits.astype(np.float64), tolerance=1e-4)


WIDE = [weights(20, 1, 3, 3), weights(20)]
OPERATORS: dict[str, tuple[list[NodeProto], Weights, int]] = {
    "a strided convolution with an uneven border": (
        [conv(pads=[2, 1, 0, 1], strides=[2, 3])],
        {"w": weights(5, 1, 3, 2), "b": weights(5)},
        5 * 4 * 3,
    ),
    "a convolution without a bias": (
        [helper.make_node("Conv", ["small", "w"], ["y"])],
        {"w": weights(3, 1, 2, 2)},
        3 * 6 * 6,
    ),
    "a convolution in groups": (
        [
            helper.make_node("Conv", ["small", "w"], ["a"]),
            helper.make_node("Conv", ["a", "v"], ["y"], group=2, pads=[1, 1, 1, 1]),
        ],
        {"w": weights(4, 1, 1, 1), "v": weights(6, 2, 3, 3)},
        6 * 7 * 7,
    ),
    "a convolution of each channel by itself": (
        [
            helper.make_node("Conv", ["small", "w"], ["a"]),
            helper.make_node("Conv", ["a", "v"], ["c"], group=4, pads=[1, 0, 1, 0]),
            node("Relu", "c"),
        ],
        {"w": weights(4, 1, 1, 1), "v": weights(4, 1, 3, 3)},
        4 * 7 * 5,
    ),
    "many channels, pooled, and again": (
        [
            conv("a", "x", pads=[1, 1, 1, 1]),
            node("Relu", "a", out="c"),
            node("MaxPool", "c", out="d", kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Conv", ["d", "v"], ["e"], pads=[1, 1, 1, 1]),
            node("MaxPool", "e", out="f", kernel_shape=[2, 2], strides=[2, 2]),
            node("Relu", "f"),
        ],
        {"w": WIDE[0], "b": WIDE[1], "v": weights(35, 20, 3, 3)},
        35 * 7 * 7,
    ),
    "results that can be cut into threes": (
        [
            conv("a", "small", pads=[1, 1, 1, 1]),
            node("Relu", "a", out="c"),
            helper.make_node("Conv", ["c", "v"], ["d"], pads=[1, 1, 1, 1]),
            node("MaxPool", "d", kernel_shape=[2, 2], strides=[2, 2]),
        ],
        {"w": WIDE[0], "b": WIDE[1], "v": weights(35, 20, 3, 3)},
        35 * 3 * 3,
    ),
    "threes that nothing halves": (
        [
            conv("a", "small", pads=[1, 1, 0, 0]),
            helper.make_node("Conv", ["a", "v"], ["c"], pads=[1, 1, 1, 1]),
            node("Relu", "c"),
        ],
        {"w": WIDE[0], "b": WIDE[1], "v": weights(32, 20, 3, 3) / 2},
        32 * 6 * 6,
    ),
    "more threes than are worked on together, without a border": (
        [
            conv("a", "x"),
            helper.make_node("Conv", ["a", "v"], ["c"]),
            node("AveragePool", "c", kernel_shape=[4, 4], strides=[4, 4]),
        ],
        {"w": WIDE[0], "b": WIDE[1], "v": weights(16, 20, 3, 3) / 2},
        16 * 6 * 6,
    ),
    "an odd size, halved": (
        [conv("a"), node("MaxPool", "a", kernel_shape=[2, 2], strides=[2, 2])],
        {"w": WIDE[0], "b": WIDE[1]},
        20 * 2 * 2,
    ),
    "a kernel three strides wide, halved": (
        [
            conv("a", "x", pads=[2, 2, 2, 2], strides=[2, 2]),
            node("MaxPool", "a", kernel_shape=[2, 2], strides=[2, 2]),
        ],
        {"w": weights(20, 1, 6, 6), "b": WIDE[1]},
        20 * 7 * 7,
    ),
    "overlapping maxima with a border": (
        [node("MaxPool", "small", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        {},
        4 * 4,
    ),
    "means that count the border": (
        [
            node(
                "AveragePool",
                "small",
                kernel_shape=[3, 2],
                pads=[1, 0, 1, 1],
                count_include_pad=1,
            )
        ],
        {},
        7 * 7,
    ),
    "means that do not": (
        [node("AveragePool", "small", kernel_shape=[3, 2], pads=[1, 0, 1, 1])],
        {},
        7 * 7,
    ),
    "a mean of all pixels": (
        [conv("a"), node("GlobalAveragePool", "a")],
        {"w": WIDE[0], "b": WIDE[1]},
        20,
    ),
    "the largest of all pixels": (
        [conv("a"), node("GlobalMaxPool", "a")],
        {"w": WIDE[0], "b": WIDE[1]},
        20,
    ),
    "batch norm after a convolution": (
        [conv("a"), node("BatchNormalization", "a", "g", "h", "m", "v")],
        {
            "w": WIDE[0],
            "b": WIDE[1],
            "g": weights(20, seed=1),
            "h": weights(20, seed=2),
            "m": weights(20, seed=3),
            "v": np.abs(weights(20, seed=4)) + np.float32(0.1),
        },
        20 * 5 * 5,
    ),
    "a scale that nothing takes": (
        [node("Sub", "small", "m", out="a"), node("Div", "a", "s", out="c"), node("Relu", "c")],
        {"m": np.array(0.8, np.float32), "s": np.array([0.3], np.float32)},
        7 * 7,
    ),
    "a sum of two, one of which is read twice": (
        [conv("a"), node("Relu", "a", out="c"), node("Add", "a", "c", out="d"), node("Relu", "d")],
        {"w": WIDE[0], "b": WIDE[1]},
        20 * 5 * 5,
    ),
    "two names for the same numbers": (
        [
            conv("a"),
            node("Identity", "a", out="c"),
            node("Relu", "c", out="d"),
            node("Add", "a", "d"),
        ],
        {"w": WIDE[0], "b": WIDE[1]},
        20 * 5 * 5,
    ),
    "channels joined": (
        [conv("a"), node("Relu", "a", out="c"), node("Concat", "c", "a", "c", axis=1)],
        {"w": WIDE[0], "b": WIDE[1]},
        60 * 5 * 5,
    ),
    "space to depth": (
        [
            node("SpaceToDepth", "x", out="a", blocksize=4),
            node("SpaceToDepth", "a", out="c", blocksize=7),
            helper.make_node("Conv", ["c", "w"], ["y"]),
        ],
        {"w": weights(3, 784, 1, 1)},
        3,
    ),
    "a matrix product and a sum": (
        [
            node("Reshape", "small", "size", out="a"),
            node("MatMul", "a", "w", out="c"),
            node("Add", "c", "b", out="d"),
            node("Identity", "d", out="e"),
            node("Relu", "e"),
        ],
        {"size": np.array([-1, 49]), "w": weights(49, 7), "b": weights(7)},
        7,
    ),
    "large matrix products": (
        [
            node("Flatten", "x", out="a"),
            node("Gemm", "a", "w", "b", out="c", transB=1, alpha=0.5, beta=2.0),
            node("Relu", "c", out="d"),
            node("Gemm", "d", "v", out="y", transB=1),
        ],
        {"w": weights(33, 784), "b": weights(33), "v": weights(12, 33)},
        12,
    ),
}


@needs_compiler
@pytest.mark.parametrize("name", OPERATORS)
def test_the_c_file_gives_what_onnx_runtime_gives(name: str, images: Images) -> None:
    nodes, constants, features = OPERATORS[name]
    data = graph([POOL, *nodes], constants, features=features)
    expected = OrtBackend(data).run(images)
    backend = CBackend(export_c(data, name="test", golden=None))
    logits = backend.run(images)
    np.testing.assert_allclose(logits, expected, atol=2e-5, rtol=0)
    # An answer must not depend on how many pictures were asked about.
    alone = np.concatenate([backend.run(images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_array_equal(alone, logits)


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([node("Softmax", "x")], {}, "of the operator 'Softmax'"),
        ([node("Relu", "nowhere")], {}, "reads 'nowhere', which nothing before it gives"),
        ([node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])], {}, "it is dilated"),
        ([node("Div", "one", "x")], {}, "no step can be made of Div: it divides a constant"),
        ([node("Softmax", "x", name="last")], {}, r"the operator 'Softmax' \('last'\)"),
        ([node("Gemm", "x", "w", name="middle")], {}, "no step can be made of Gemm 'middle': it"),
        ([node("MatMul", "x", "w")], {}, "no step can be made of MatMul"),
        (
            [node("Concat", "x", "x", axis=0)],
            {},
            "of Concat: it does not stay within a picture",
        ),
        ([node("SpaceToDepth", "x", blocksize=3)], {}, "its block does not divide its input"),
        ([node("Conv", "x", "broken")], {}, "the weights 'broken' hold NaN or infinity"),
        ([node("Conv", "x", "whole")], {}, "'whole' is no float32 or float16 or float64 constant"),
        ([node("Reshape", "x", "all")], {}, "does not give one row a picture"),
        ([node("MaxPool", "x", kernel_shape=[30, 2])], {}, "larger than its input"),
    ],
)
def test_what_it_does_not_know_it_names(
    nodes: list[NodeProto], constants: Weights, message: str
) -> None:
    constants = {
        "one": np.ones((), np.float32),
        "w": weights(2, 1, 3, 3),
        "b": weights(2),
        "broken": np.full((1, 1, 1, 1), np.nan, np.float32),
        "whole": np.ones((1, 1, 1, 1), np.int64),
        "all": np.array([1, -1]),
        **constants,
    }
    with pytest.raises(BadInput, match=message):
        export_c(graph(nodes, constants, features=784), name="test", golden=None)


def test_a_picture_of_unknown_height_is_refused() -> None:
    with pytest.raises(BadInput, match="no fixed channels, height and width"):
        export_c(graph([], {}, height="H", features=784), name="test", golden=None)


def test_weights_in_another_file_are_refused() -> None:
    model = onnx.load_model_from_string(graph([node("Relu", "x")], {}, features=784))
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    with pytest.raises(BadInput, match="its weights in other files"):
        export_c(model.SerializeToString(), name="test", golden=None)


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(BadInput, match="not an ONNX file"):
        export_c(b"\xff\xff\xff\xff", name="test", golden=None)


@pytest.mark.parametrize("name", ["", "2fast", "a b", "größe", "int;", "A"])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the prefix of names in C"):
        export_c(graph([node("Relu", "x")], {}, features=784), name=name, golden=None)


@pytest.mark.parametrize(("outputs", "half_empty"), [(8, 1), (9, 0)])
def test_channels_that_would_leave_wide_vectors_half_empty_take_narrow_ones(
    outputs: int, half_empty: int
) -> None:
    constants = {"w": weights(outputs, 1, 3, 3), "b": weights(outputs)}
    nodes = [conv("a", "x"), node("MaxPool", "a", kernel_shape=[13, 13], strides=[13, 13])]
    source = export_c(graph(nodes, constants, features=outputs * 2 * 2), name="a", golden=None)
    assert b"#define HALF_EMPTY %d\n" % half_empty in source


def test_the_same_graph_gives_the_same_bytes() -> None:
    data = graph([node("Relu", "x")], {}, features=784)
    assert export_c(data, name="test", golden=None) == export_c(data, name="test", golden=None)


@pytest.fixture(scope="module")
def source(images: Images) -> bytes:
    """A net with all kinds of kernels, and its self-test."""
    nodes, constants, features = OPERATORS["many channels, pooled, and again"]
    data = graph(nodes, constants, features=features)
    pixels = (np.round(images * 255) / np.float32(255)).astype(np.float32)
    return export_c(data, name="deep-net", golden=golden(pixels, OrtBackend(data).run(pixels)))


def build(source: bytes, folder: Path, compiler: str, *flags: str) -> Path:
    """Compile with the self-test; any warning is an error."""
    (folder / "deep_net.c").write_bytes(source)
    command = [compiler, *flags, "-Wall", "-Wextra", "-pedantic", "-Werror", "-o", "test"]
    command += ["-DMNIST_EDGE_SELFTEST", "deep_net.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "test"


@needs_compiler
@pytest.mark.parametrize(
    "flags",
    [
        ["-std=c99", "-O1", "-DMNIST_EDGE_SCALAR"],
        ["-std=c99", "-O1", "-march=native"],
        ["-std=c99", "-O1", "-DMNIST_EDGE_SCALAR", "-fsanitize=address,undefined"],
        ["-O1", "-march=native", "-fsanitize=address,undefined"],
    ],
    ids=" ".join,
)
def test_the_self_test_passes_without_a_warning(
    source: bytes, tmp_path: Path, flags: list[str]
) -> None:
    assert CC
    sanitizers = [flag for flag in flags if "sanitize" in flag]
    if sanitizers:
        flags = [*flags, "-g", "-fno-sanitize-recover=all"]
        probe = subprocess.run(
            [CC, *sanitizers, "-x", "c", "-", "-o", "probe"],
            input=b"int main(void) { return 0; }",
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        if probe.returncode:
            pytest.skip("the compiler has no sanitizers")
    done = subprocess.run([build(source, tmp_path, CC, *flags)], capture_output=True, text=True)
    assert done.stdout.startswith("pass: 19 golden digits"), done.stdout + done.stderr
    assert done.returncode == 0


@needs_compiler
def test_the_self_test_fails_where_a_weight_is_wrong(source: bytes, tmp_path: Path) -> None:
    assert CC
    start = source.index(b"linear1_bias[")
    start = source.index(b"\n    ", start) + 5
    end = source.index(b",", start)
    test = build(source[:start] + b"9.0f" + source[end:], tmp_path, CC, "-O1")
    done = subprocess.run([test], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("FAIL: 19 golden digits")
    assert done.returncode == 1


@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")),
    reason="needs aarch64-linux-gnu-gcc and qemu-aarch64",
)
def test_it_gives_the_same_answers_on_64_bit_arm(source: bytes, tmp_path: Path) -> None:
    test = build(source, tmp_path, "aarch64-linux-gnu-gcc", "-O2", "-static")
    done = subprocess.run(["qemu-aarch64", test], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("pass: 19 golden digits"), done.stdout + done.stderr


@needs_compiler
def test_the_ten_lines_of_c_in_the_documentation_get_a_digit_out_of_a_picture(
    images: Images, tmp_path: Path
) -> None:
    assert CC
    page = (ROOT / "docs" / "ship" / "c.md").read_text()
    example, *_ = re.findall(r"^```c\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(example.splitlines()) <= 10
    nodes, constants, features = OPERATORS["many channels, pooled, and again"]
    source = export_c(graph(nodes, constants, features=features), name="quick", golden=None)
    (tmp_path / "c-float32.c").write_bytes(source)
    (tmp_path / "c-float32.h").write_bytes(header_of(source))
    (tmp_path / "main.c").write_text(example)
    command = [CC, "-O1", "-Wall", "-Wextra", "-Werror", "main.c", "c-float32.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    answers = CBackend(source).run(images).argmax(axis=1)
    assert len(set(answers.tolist())) > 1
    for image, answer in zip(images, answers, strict=True):
        done = subprocess.run(
            [tmp_path / "a.out"], input=image.tobytes(), capture_output=True, check=True
        )
        assert int(done.stdout) == answer


def test_what_is_written_as_c_may_be_run_as_onnx() -> None:
    assert operators.OPERATORS.keys() | quantized._OPERATORS.keys() <= RULES.keys()
