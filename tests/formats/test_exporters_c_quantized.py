"""The C exporter on quantized graphs: the very answers of ONNX Runtime, on every target alike."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the writers need it")
pytest.importorskip("onnx")

import exported
import onnx
from onnx import NodeProto, helper, numpy_helper
from test_exporters_c import CC, build, conv, graph, needs_compiler, node, weights
from test_exporters_c import cache as cache  # the fixtures
from test_exporters_c import images as images

from mnist_edge.bundle.golden import KEY, pack_golden
from mnist_edge.contract import Images
from mnist_edge.errors import BadInput
from mnist_edge.formats import write_artifact
from mnist_edge.formats.c.emit8 import write_quantized
from mnist_edge.formats.c.run import CBackend
from mnist_edge.formats.c.write import Golden, export_c
from mnist_edge.formats.graph.layers import Shape
from mnist_edge.formats.graph.quantized import read_quantized
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.onnx.static import quantize_statically
from mnist_edge.recipes.terms import Format

Constants: TypeAlias = Mapping[str, NDArray[np.generic]]

SMALL = helper.make_node("Conv", ["x", "s"], ["small"], strides=[2, 2])
"""Most graphs begin with it, so that there is less to calculate."""


def quantized(float32: bytes) -> bytes:
    calibration = np.random.default_rng(2).random((8, 1, 28, 28), dtype=np.float32)
    model, _ = quantize_statically(onnx.load_model_from_string(float32), calibration)
    return bytes(model.SerializeToString())


def check(data: bytes, images: Images) -> None:
    """The C file gives what ONNX Runtime gives, to the last bit, however many it is asked."""
    backend = CBackend(export_c(data, name="test", golden=None, quantized=True))
    logits = backend.run(images)
    np.testing.assert_array_equal(logits, OrtBackend(data).run(images))
    assert len(np.unique(logits)) > 10
    # Nor does it matter what a workspace held before.
    ctypes.memset(backend._workspace, 0xA5, ctypes.sizeof(backend._workspace))
    alone = np.concatenate([backend.run(images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_array_equal(alone, logits)


DEEP: tuple[list[NodeProto], Constants, int] = (
    [
        conv("a", "x", pads=[1, 1, 1, 1]),
        node("Relu", "a", out="c"),
        node("MaxPool", "c", out="d", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["d", "v"], ["e"], pads=[1, 1, 1, 1]),
        node("Relu", "e", out="f"),
        node("MaxPool", "f", kernel_shape=[2, 2], strides=[2, 2]),
    ],
    {"w": weights(20, 1, 3, 3), "b": weights(20), "v": weights(35, 20, 3, 3)},
    35 * 7 * 7,
)
GRAPHS: dict[str, tuple[list[NodeProto], Constants, int]] = {
    "many channels, pooled, and again": DEEP,
    "a strided convolution whose border stands for less than the least byte": (
        [
            conv("a", "small"),
            helper.make_node("Conv", ["a", "v"], ["y"], pads=[2, 1, 0, 1], strides=[2, 3]),
        ],
        {"w": weights(5, 1, 1, 1), "b": weights(5), "v": weights(6, 5, 3, 2)},
        6 * 7 * 5,
    ),
    "convolutions in groups": (
        [
            helper.make_node("Conv", ["small", "w"], ["a"]),
            helper.make_node("Conv", ["a", "v"], ["c"], group=4, pads=[1, 0, 1, 0]),
            node("Relu", "c", out="d"),
            helper.make_node("Conv", ["d", "u"], ["y"], group=2),
        ],
        {"w": weights(4, 1, 1, 1), "v": weights(4, 1, 3, 3), "u": weights(6, 2, 3, 3)},
        6 * 12 * 10,
    ),
    "overlapping maxima with a border": (
        [node("MaxPool", "small", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        {},
        7 * 7,
    ),
    "another scale of the picture": (
        [
            node("Sub", "x", "m", out="a"),
            node("Div", "a", "d", out="c"),
            helper.make_node("Conv", ["c", "w"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2]),
        ],
        {
            "m": np.array(0.1307, np.float32),
            "d": np.array(0.3081, np.float32),
            "w": weights(3, 1, 3, 3),
        },
        3 * 14 * 14,
    ),
    "matrix products of which one is large": (
        [
            node("Flatten", "x", out="a"),
            node("Gemm", "a", "w", "b", out="c", transB=1),
            node("Relu", "c", out="d"),
            node("MatMul", "d", "v"),
        ],
        {"w": weights(90, 784), "b": weights(90), "v": weights(90, 34)},
        34,
    ),
}


@needs_compiler
@pytest.mark.parametrize("name", GRAPHS)
def test_the_c_file_gives_exactly_what_onnx_runtime_gives(name: str, images: Images) -> None:
    nodes, constants, features = GRAPHS[name]
    nodes = [SMALL, *nodes] if any("small" in node.input for node in nodes) else nodes
    constants = {**constants, "s": weights(1, 1, 2, 2)}
    check(quantized(graph(nodes, constants, features=features)), images)


HAND = """
<ir_version: 8, opset_import: ["" : 18]>
hand (float[N,1,28,28] images) => (float[N,10] logits) {
    bytes = QuantizeLinear (images, unit, middle)
    real = DequantizeLinear (bytes, unit, middle)
    small = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (real)
    row = Flatten (small)
    gemm = DequantizeLinear <axis = 0> (weight, scales, zeros)
    bias = DequantizeLinear <axis = 0> (offset, offset_scales)
    sums = Gemm <transB = 1> (row, gemm, bias)
    bytes2 = QuantizeLinear (sums, unit2, middle2)
    logits = DequantizeLinear (bytes2, unit2, middle2)
}
"""
END = HAND[HAND.index("sums =") :]


def by_hand(text: str = HAND, /, **changes: NDArray[np.generic]) -> bytes:
    """A quantized graph whose scales are powers of two, so that many numbers lie between two."""
    rng = np.random.default_rng(3)
    constants: dict[str, NDArray[np.generic]] = {
        "unit": np.array(2**-7, np.float32),
        "middle": np.array(37, np.uint8),
        "weight": rng.integers(-64, 65, (10, 49)).astype(np.int8),
        "scales": np.full(10, 2**-6, np.float32),
        "zeros": np.zeros(10, np.int8),
        "offset": rng.integers(-4000, 4000, 10).astype(np.int32),
        "offset_scales": np.full(10, 2**-13, np.float32),
        "unit2": np.array(2**-4, np.float32),
        "middle2": np.array(101, np.uint8),
    }
    model = onnx.parser.parse_model(text)
    for name, value in (constants | changes).items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    return bytes(model.SerializeToString())


@needs_compiler
@pytest.mark.parametrize("most", [64, 127], ids=["7 bits", "8 bits"])
def test_what_lies_between_two_bytes_goes_to_the_even_one(most: int) -> None:
    rng = np.random.default_rng(4)
    units = np.minimum(rng.integers(0, 128, (19, 1, 28, 28)) + 0.5, 128.0)
    weight = rng.integers(-most, most + 1, (10, 49)).astype(np.int8)
    offset = rng.integers(-4000, 4000, 10).astype(np.int32)
    source = export_c(
        by_hand(weight=weight, offset=offset), name="test", golden=None, quantized=True
    )
    logits = CBackend(source).run((units / 128).astype(np.float32))
    # Not by ONNX Runtime: with 8 bits, its sums overflow on processors without VNNI.
    pixels = np.rint(units).reshape(19, 7, 4, 7, 4).max(axis=(2, 4)).reshape(19, 49)
    results = (pixels @ weight.T + offset) * 2.0**-13 / 2.0**-4
    between = np.abs(results - np.rint(results)) == 0.5
    assert between.sum() > 0
    expected = (np.clip(np.rint(results) + 101, 0, 255) - 101) * 2.0**-4
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"middle": np.array(3, np.int8)}, "does not give unsigned bytes with one scale"),
        ({"unit": np.ones(28, np.float32)}, "does not give unsigned bytes with one scale"),
        ({"zeros": np.ones(10, np.int8)}, "other than signed whole numbers around zero"),
        ({"weight": np.ones((10, 49), np.uint8)}, "other than signed whole numbers around zero"),
        ({"scales": np.ones(7, np.float32)}, "Gemm: its weights have no scale for each output"),
        ({"offset_scales": np.ones(10, np.float32)}, "its bias has not the scale of its sums"),
        ({"offset": np.full(10, 2**31 - 1, np.int32)}, "its sums may pass 32 bits"),
        ({"unit2": np.array(np.nan, np.float32)}, "the weights 'unit2' hold NaN or infinity"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    changes: dict[str, NDArray[np.generic]], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        export_c(by_hand(**changes), name="test", golden=None, quantized=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MaxPool <", "LpPool <", "of the operator 'LpPool'"),
        ("(bytes, unit, middle)", "(images, unit, middle)", "its input is not quantized"),
        ("row =", "rest = Relu (small)\n row =", "Relu: it follows neither a Conv nor a Gemm"),
        ("row =", "rest = Add (small, unit)\n row =", "Add: only the picture, before it is quant"),
        ("transB = 1", "transB = 1, alpha = 0.5", "Gemm: it has factors"),
        ("(row, gemm, bias)", "(row, scales, bias)", "its weights 'scales' are not quantized"),
        ("logits =", "logits = Identity (sums)\n rest =", "its input is read as it is, too"),
        (END, "logits = Gemm <transB = 1> (row, gemm)\n}", "the logits are not quantized"),
    ],
)
def test_what_it_does_not_know_it_names(old: str, new: str, message: str) -> None:
    data = by_hand(HAND.replace(old, new, 1))
    with pytest.raises(BadInput, match=message):
        export_c(data, name="test", golden=None, quantized=True)


def test_a_picture_that_the_kernel_cannot_quantize_is_refused() -> None:
    quantized = read_quantized(by_hand(HAND))
    for picture in (Shape(1, 28, 12), Shape(3, 28, 28)):
        other = replace(quantized, net=replace(quantized.net, picture=picture))
        with pytest.raises(BadInput, match="one channel and at least 16 columns"):
            write_quantized(other)


@pytest.fixture(scope="module")
def deep() -> bytes:
    """The graph of a quantized net with all kinds of kernels."""
    nodes, constants, features = DEEP
    return quantized(graph(nodes, constants, features=features))


@pytest.fixture(scope="module")
def source(deep: bytes, images: Images) -> bytes:
    """Its C file, whose self-test wants ONNX Runtime's very answers."""
    pixels = np.round(images[:, 0] * 255).astype(np.uint8)
    logits = OrtBackend(deep).run((pixels[:, None] / np.float32(255)).astype(np.float32))
    golden = Golden(pictures=pixels, logits=logits.astype(np.float64), tolerance=1e-6)
    return export_c(deep, name="deep-net", golden=golden, quantized=True)


def self_test(program: list[str | Path]) -> None:
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("pass: 19 golden digits, largest error 0;"), done
    assert done.returncode == 0


def takes(compiler: str, flags: list[str], folder: Path) -> bool:
    """Whether a compiler knows the flags, and has what it needs to link with them."""
    command = [compiler, *flags, "-x", "c", "-", "-o", str(folder / "probe")]
    main = b"int main(void) { return 0; }"
    return subprocess.run(command, input=main, capture_output=True, check=False).returncode == 0


NATIVE = [] if platform.machine() in ("arm64", "aarch64") else ["-march=native"]
# Each takes one more from what the processor can do, so that all of them run on it.
FEWER = {
    "all it can": [],
    "no AVX-512 VNNI": ["-mno-avx512vnni"],
    "no AVX-512": ["-mno-avx512f"],
    "no VNNI": ["-mno-avx512f", "-mno-avxvnni"],
    "no AVX2": ["-mno-avx512f", "-mno-avx2"],
    "nothing": ["-DMNIST_EDGE_SCALAR"],
}


@needs_compiler
@pytest.mark.parametrize(
    ("fewer", "bits"),
    [*((fewer, 7) for fewer in FEWER), ("no AVX-512 VNNI", 8), ("no VNNI", 8)],
)
def test_every_instruction_set_gives_the_same_answers(
    source: bytes, tmp_path: Path, fewer: str, bits: int
) -> None:
    assert CC
    flags = [*NATIVE, *FEWER[fewer]]
    if not takes(CC, flags, tmp_path):
        pytest.skip(f"the compiler does not know {' '.join(flags)}")
    if bits == 8:
        source = source.replace(b"#define NARROW 1", b"#define NARROW 0")
    self_test([build(source, tmp_path, CC, "-std=c99", "-O1", *flags)])


@needs_compiler
@pytest.mark.parametrize("scalar", [["-DMNIST_EDGE_SCALAR"], NATIVE], ids=["scalar", "native"])
def test_sanitizers_find_nothing(source: bytes, tmp_path: Path, scalar: list[str]) -> None:
    assert CC
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1", *scalar]
    if not takes(CC, flags, tmp_path):
        pytest.skip("the compiler has no sanitizers")
    self_test([build(source, tmp_path, CC, *flags)])


@pytest.mark.parametrize(
    ("compiler", "march"),
    [
        ("aarch64-linux-gnu-gcc", "armv8.2-a"),
        ("aarch64-linux-gnu-gcc", "armv8.2-a+dotprod"),
        ("aarch64-linux-gnu-gcc", "armv8.2-a+i8mm"),
        ("arm-linux-gnueabihf-gcc", "armv7-a+simd"),
        ("arm-linux-gnueabihf-gcc", "armv7-a+fp"),
    ],
)
def test_it_gives_the_same_answers_on_arm(
    source: bytes, tmp_path: Path, compiler: str, march: str
) -> None:
    emulator = f"qemu-{compiler.partition('-')[0]}"
    if not (shutil.which(compiler) and shutil.which(emulator)):
        pytest.skip(f"needs {compiler} and {emulator}")
    program = build(source, tmp_path, compiler, "-O1", "-static", f"-march={march}")
    self_test([emulator, "-cpu", "max", program])


def test_it_is_smaller_than_the_float32_file_and_needs_less_memory(source: bytes) -> None:
    nodes, constants, features = DEEP
    float32 = export_c(graph(nodes, constants, features=features), name="deep", golden=None)
    assert 2 * len(source) < len(float32)
    assert 3 * workspace(source) < workspace(float32)


def workspace(source: bytes) -> int:
    (size,) = re.findall(rb"^#define \w+_WORKSPACE (\d+)$", source, re.MULTILINE)
    return int(size)


def test_the_same_graph_gives_the_same_bytes(deep: bytes) -> None:
    first, second = (export_c(deep, name="a", golden=None, quantized=True) for _ in range(2))
    assert first == second


@needs_compiler
def test_an_artifact_names_its_graph_and_carries_the_graphs_answers(tmp_path: Path) -> None:
    assert CC
    pixels = np.random.default_rng(5).integers(0, 256, (19, 28, 28), np.uint8)
    # Not the checkpoint's answers, which are all zero here: int8 is not that near to them.
    text = pack_golden(pixels, np.zeros((19, 10)))
    metadata = exported.METADATA | {"recipe": "deep-net", KEY: text}
    formats: tuple[Format, ...] = ("c", "onnx")
    net = exported.source(exported.model(), origin=metadata)
    source, graph_bytes = (write_artifact(net, format_, "int8").data for format_ in formats)
    assert hashlib.sha256(graph_bytes).hexdigest().encode() in source
    self_test([build(source, tmp_path, CC, "-O1")])
