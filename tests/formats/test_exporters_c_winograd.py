"""Convolutions in whole numbers that multiply less: the same answers, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("torch", reason="the writers need it")
pytest.importorskip("onnx")

from test_exporters_c import CC, OPERATORS, build, conv, graph, needs_compiler, node, weights
from test_exporters_c_quantized import FEWER, NATIVE, quantized, self_test, takes

from mnist_edge.formats.c.emit8 import write_quantized
from mnist_edge.formats.c.write import Golden, export_c
from mnist_edge.formats.graph.layers import Convolution
from mnist_edge.formats.graph.quantized import read_quantized
from mnist_edge.formats.onnx.run import OrtBackend

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]


class Case(NamedTuple):
    """A 3×3 convolution: of so many channels to so many, and size² results, perhaps then halved."""

    depth: int
    outputs: int
    size: int
    pooled: bool


HALVED, WHOLE = Case(26, 35, 12, pooled=True), Case(14, 16, 9, pooled=False)
FEW = Case(8, 5, 4, pooled=True)
CASES = [
    HALVED,
    WHOLE,
    FEW,
    Case(18, 20, 14, pooled=True),
    Case(30, 32, 6, pooled=False),
]


def net(case: Case) -> bytes:
    """A quantized net with that convolution, after another one; borders and weights by chance."""
    rng = np.random.default_rng(case)
    border = rng.integers(2, size=4).tolist()
    before = case.size + 2 - border[0] - border[2], case.size + 2 - border[1] - border[3]
    stride = min(28 // side for side in before)
    first = weights(case.depth, 1, *(29 - (side - 1) * stride - 1 for side in before))
    nodes = [
        conv("a", "x", strides=[stride, stride]),
        node("Relu", "a", out="c"),
        node("Conv", "c", "v", out="d" if case.pooled else "y", pads=border),
    ]
    side = case.size
    if case.pooled:
        nodes.append(node("MaxPool", "d", kernel_shape=[2, 2], strides=[2, 2]))
        side //= 2
    constants = {
        "w": first / np.float32(first[0].size) ** np.float32(0.5),
        "b": weights(case.depth),
        "v": weights(case.outputs, case.depth, 3, 3),
    }
    return quantized(graph(nodes, constants, features=case.outputs * side * side))


def wide_kernel() -> bytes:
    """A quantized net whose first kernel is three strides wide, and its results are halved."""
    nodes, constants, features = OPERATORS["a kernel three strides wide, halved"]
    return quantized(graph(nodes, constants, features=features))


def source(data: bytes) -> bytes:
    """Its C file, whose self-test wants ONNX Runtime's very answers; many pixels are extreme."""
    pixels = np.random.default_rng(1).integers(-128, 384, (19, 28, 28)).clip(0, 255)
    logits = OrtBackend(data).run((pixels[:, None] / np.float32(255)).astype(np.float32))
    assert len(np.unique(logits)) > 10
    golden = Golden(
        pictures=pixels.astype(np.uint8), logits=logits.astype(np.float64), tolerance=1e-6
    )
    return export_c(data, name="deep-net", golden=golden, quantized=True)


@needs_compiler
@pytest.mark.parametrize("case", CASES, ids=str)
def test_fewer_products_give_the_same_answers(tmp_path: Path, case: Case) -> None:
    text = source(net(case))
    vectors = b"" if case.pooled else b" && %d %% LANES == 0" % case.outputs
    assert text.count(b"#if WINOGRAD && LANES <= %d%s\n" % (case.depth, vectors)) == 2
    assert (b"#define HALF_EMPTY 1" in text) == (case == FEW)  # narrow vectors on all targets
    gives_the_same(text, tmp_path)


@needs_compiler
def test_fewer_products_along_rows_give_the_same_answers(tmp_path: Path) -> None:
    text = source(wide_kernel())
    assert text.count(b"convolve_rows(") == 2  # what it is, and its call
    gives_the_same(text, tmp_path)


def gives_the_same(text: bytes, folder: Path) -> None:
    """Build for each target; any answer but ONNX Runtime's is an error."""
    assert CC
    for target in "no VNNI", "no AVX-512 VNNI":
        flags = [*NATIVE, *FEWER[target]]
        if not takes(CC, flags, folder):
            pytest.skip(f"the compiler does not know {' '.join(flags)}")
        self_test([build(text, folder, CC, "-std=c99", "-O1", *flags)])


@needs_compiler
@pytest.mark.parametrize(
    "make",
    [partial(net, HALVED), partial(net, WHOLE), wide_kernel],
    ids=["halved", "whole", "rows"],
)
def test_sanitizers_find_nothing_in_fewer_products(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    assert CC
    flags = [*SANITIZERS, "-O1", *NATIVE, *FEWER["no VNNI"]]
    if not takes(CC, flags, tmp_path):
        pytest.skip("the compiler has no sanitizers")
    self_test([build(source(make()), tmp_path, CC, *flags)])


def test_channels_that_make_no_pairs_multiply_as_they_stand() -> None:
    data = net(HALVED._replace(depth=11))
    assert b"winograd" not in export_c(data, name="a", golden=None, quantized=True)


def test_sums_that_could_pass_32_bits_are_left_as_they_stand() -> None:
    before = read_quantized(net(Case(256, 1, 4, pooled=True)))
    step = before.net.steps[2]
    assert isinstance(step, Convolution)
    for largest, suits in ((1841, True), (1842, False)):  # 36 · 255 · 127 · 1842 > 2³¹
        weight = np.zeros(step.weight.shape, np.float32)
        weight[0].flat[:largest] = 127
        steps = (*before.net.steps[:2], replace(step, weight=weight), *before.net.steps[3:])
        after = replace(before, net=replace(before.net, steps=steps))
        assert any("winograd" in file for file in write_quantized(after).kernels) == suits
