"""Graphs that take more than a picture is worth are refused before a runtime sees them."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hostile_onnx import ANSWER, HOSTILE, UINT8, ints, model, node, tensor
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel
from tiny_onnx import FLOAT, field, number, text, tiny_onnx

from mnist_edge.contract import Images
from mnist_edge.errors import BadInput
from mnist_edge.formats.graph.bounds import count_numbers
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.graph.outline import Operator, Outline, Tensor
from mnist_edge.formats.graph.rules import RULES
from mnist_edge.formats.graph.wire import Message
from mnist_edge.formats.onnx import run as running
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.ort.outline import read_outline as read_ort

pytestmark = pytest.mark.edge

DIGITS: Images = np.random.default_rng(0).random((9, 1, 28, 28), dtype=np.float32)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_graph_never_reaches_the_runtime(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError(case)

    monkeypatch.setattr(onnxruntime, "InferenceSession", loaded)
    data = HOSTILE[case]()
    start_s = time.process_time()
    with pytest.raises(BadInput, match="not one to run"):
        OrtBackend(data)
    assert time.process_time() - start_s < 10


def test_the_makers_make_what_a_runtime_takes() -> None:
    # Else the refusals above would be of something else than what is meant.
    for case in ("Expand", "Pad", "Range", "Resize", "Tile", "ConstantOfShape"):
        small = HOSTILE[case]()
        for large in (26_000, 900_000_000, 9000):
            size = np.array([large], np.int64).tobytes()
            small = small.replace(size, np.array([2], np.int64).tobytes())
        small = small.replace(np.array(9e8, "<f4").tobytes(), np.array(2, "<f4").tobytes())
        session = onnxruntime.InferenceSession(small)
        assert session.run(None, {"images": DIGITS[:1]})[0].shape == (1, 10)


def converted(data: bytes, folder: Path) -> bytes:
    """The same graph in ONNX Runtime's own format, as it stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(folder / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(data, options)
    return (folder / "model.ort").read_bytes()


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("Loop without an end", "of type 5|holds a graph"),
        ("ConstantOfShape", "ConstantOfShape"),
        ("Resize", "Resize"),
        ("Pad", "more than a picture may"),
        ("an Add that squares", "more than a picture may"),
        ("a Concat that doubles", "more than a picture may"),
        ("60,000 operators", "more than 65,536 entries"),
        ("a MatMul that squares", "more than a picture may"),
    ],
)
def test_a_hostile_graph_in_onnx_runtimes_own_format_is_refused_as_well(
    case: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=reason):
        OrtBackend(converted(HOSTILE[case](), tmp_path))


def test_both_readers_read_the_same_graph(tmp_path: Path) -> None:
    data = model(
        [node("Transpose", "images", "x", perm=[0, 1, 3, 2]), node("Flatten", "x", "y"), ANSWER]
    )
    ours, theirs = read_outline(data), read_ort(converted(data, tmp_path))
    assert theirs.inputs == ours.inputs
    assert theirs.constants == ours.constants
    assert theirs.outputs == ours.outputs
    assert {o.kind: o for o in theirs.operators}["Transpose"] == ours.operators[1]
    assert count_numbers(ours, 3) == count_numbers(theirs, 3)


def test_no_changed_byte_of_an_ort_file_escapes_as_another_error(tmp_path: Path) -> None:
    good = converted(tiny_onnx(), tmp_path)
    rng = np.random.default_rng(0)
    structure = [p for p in range(len(good)) if not 400 < p < len(good) - 1500] or range(len(good))
    refused = 0
    for _ in range(3000):
        bad = bytearray(good)
        bad[rng.choice(structure)] = rng.integers(256)
        try:
            read_ort(bytes(bad))
        except ValueError:
            refused += 1
    assert refused > 100


# --- what is let through ------------------------------------------------------------------------


def shapes(outline: Outline, batch: int) -> dict[str, tuple[int, ...]]:
    """What each operator gives, by its rule."""
    known = dict(outline.constants)
    known |= {
        name: Tensor(tuple(batch if size is None else size for size in shape))
        for name, shape in outline.inputs.items()
    }
    for operator in outline.operators:
        given = [known[name] for name in operator.inputs]
        known |= zip(operator.outputs, RULES[operator.kind](operator, given).tensors, strict=False)
    return {name: tensor.shape for name, tensor in known.items()}


KERNEL = tensor("kernel", np.ones((6, 1, 5, 4), np.float32))
BIASED = tensor("row", np.ones(10, np.float32))
AS_FLOAT = node("Cast", "y", "x", to=FLOAT)
ROWS = [node("Squeeze", "images one", "rows")]


def recurrent(*, gates: int, ways: int = 1) -> list[bytes]:
    """The weights of an operator over the rows of a picture."""
    return [
        ints("one", 1),
        tensor("input", np.ones((ways, 5 * gates, 28), np.float32)),
        tensor("hidden", np.ones((ways, 5 * gates, 5), np.float32)),
    ]


SHAPED: dict[str, tuple[list[bytes], list[bytes]]] = {
    "Conv": (
        [node("Conv", "images kernel", "x", strides=[2, 3], dilations=[2, 1], pads=[1, 0, 2, 1])],
        [KERNEL],
    ),
    "Conv SAME_UPPER": (
        [node("Conv", "images kernel", "x", auto_pad="SAME_UPPER", strides=[2, 3])],
        [KERNEL],
    ),
    "Conv VALID": ([node("Conv", "images kernel", "x", auto_pad="VALID")], [KERNEL]),
    "MaxPool": ([node("MaxPool", "images", "x", kernel_shape=[3, 2], strides=[3, 3])], []),
    "MaxPool ceil": (
        [node("MaxPool", "images", "x", kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1)],
        [],
    ),
    "AveragePool": (
        [node("AveragePool", "images", "x", kernel_shape=[2, 2], pads=[1, 1, 0, 0])],
        [],
    ),
    "GlobalMaxPool": ([node("GlobalMaxPool", "images", "x")], []),
    "SpaceToDepth": ([node("SpaceToDepth", "images", "x", blocksize=2)], []),
    "GlobalAveragePool": ([node("GlobalAveragePool", "images", "x")], []),
    "Gemm": ([node("Gemm", "flat weight", "x")], []),
    "Gemm turned": ([node("Gemm", "weight flat", "x", transA=1, transB=1)], []),
    "MatMul": ([node("MatMul", "flat weight", "x")], []),
    "MatMul of stacks": (
        [node("MatMul", "images square", "x")],
        [tensor("square", np.ones((28, 28), np.float32))],
    ),
    "Add": ([node("MatMul", "flat weight", "y"), node("Add", "y row", "x")], [BIASED]),
    "Mul": ([node("Mul", "images column", "x")], [tensor("column", np.ones((28, 1), np.float32))]),
    "Reshape": ([node("Reshape", "images shape", "x")], [ints("shape", 0, 4, -1)]),
    "Reshape by Shape": (
        [
            node("Shape", "images", "all"),
            node("Gather", "all first", "batch", axis=0),
            node("Unsqueeze", "batch zero", "batches"),
            node("Concat", "batches rest", "shape", axis=0),
            node("Reshape", "images shape", "x"),
        ],
        [tensor("first", np.array(0, np.int64)), ints("zero", 0), ints("rest", -1)],
    ),
    "Flatten": ([node("Flatten", "images", "x", axis=2)], []),
    "Transpose": ([node("Transpose", "images", "x", perm=[0, 2, 3, 1])], []),
    "Transpose plain": ([node("Transpose", "images", "x")], []),
    "Squeeze": ([node("Squeeze", "images one", "x")], [ints("one", 1)]),
    "Unsqueeze": ([node("Unsqueeze", "images places", "x")], [ints("places", -1, 0)]),
    "Concat": ([node("Concat", "images images", "x", axis=-1)], []),
    "Pad": ([node("Pad", "images pads", "x")], [ints("pads", 0, 0, 1, 2, 0, 0, 3, 4)]),
    "Resize": (
        [node("Resize", "images none none sizes", "x", mode="linear", axes=[2, 3])],
        [tensor("none", np.zeros(0, np.float32)), ints("sizes", 32, 14)],
    ),
    "Resize by scales": (
        [node("Resize", "images none scales", "x", mode="linear")],
        [
            tensor("none", np.zeros(0, np.float32)),
            tensor("scales", np.array([1, 1, 32 / 28, 0.5], np.float32)),
        ],
    ),
    "borders that are laid out": (
        [
            node("Reshape", "widths pairs", "ends"),
            node("Slice", "ends last before zeroth last", "starts"),
            node("Transpose", "starts", "sides", perm=[1, 0]),
            node("Reshape", "sides all", "borders"),
            node("Pad", "images borders", "x"),
        ],
        [
            *(ints("widths", 1, 2, 3, 4, 0, 0, 0, 0), ints("pairs", -1, 2), ints("last", -1)),
            *(ints("before", -(2**62)), ints("zeroth", 0), ints("all", -1)),
        ],
    ),
    "Softmax": ([node("Softmax", "images", "x", axis=-1)], []),
    "Cast": ([node("Cast", "images", "x", to=FLOAT)], []),
    "Constant": (
        [
            node("Constant", "", "shape", value=np.array([0, -1])),
            node("Reshape", "images shape", "x"),
        ],
        [],
    ),
    "ArgMax": ([node("ArgMax", "images", "y", axis=2, keepdims=0), AS_FLOAT], []),
    "ConstantOfShape": (
        [
            node("ConstantOfShape", "two", "sevens", value=np.array([7])),
            node("ConstantOfShape", "sevens", "x"),
        ],
        [ints("two", 2)],
    ),
    "ConvInteger": (
        [
            node("Cast", "images", "bytes", to=UINT8),
            node("ConvInteger", "bytes eight", "y"),
            AS_FLOAT,
        ],
        [tensor("eight", np.ones((6, 1, 5, 4), np.int8))],
    ),
    "DepthToSpace": (
        [
            node("SpaceToDepth", "images", "deep", blocksize=4),
            node("DepthToSpace", "deep", "x", blocksize=2),
        ],
        [],
    ),
    "Expand": ([node("Expand", "images sizes", "x")], [ints("sizes", 2, 1, 5, 1, 1)]),
    "LSTM": (
        [*ROWS, node("LSTM", "rows input hidden", "x last cell", hidden_size=5)],
        recurrent(gates=4),
    ),
    "GRU": ([*ROWS, node("GRU", "rows input hidden", "x", hidden_size=5)], recurrent(gates=3)),
    "GRU both ways": (
        [
            *ROWS,
            node("GRU", "rows input hidden", "every x", hidden_size=5, direction="bidirectional"),
        ],
        recurrent(gates=3, ways=2),
    ),
    "RNN": ([*ROWS, node("RNN", "rows input hidden", "x", hidden_size=5)], recurrent(gates=1)),
    "QLinearMatMul": (
        [
            node("QuantizeLinear", "flat scale zero", "bytes"),
            node("QLinearMatMul", "bytes scale zero eight scale zero scale zero", "y"),
            AS_FLOAT,
        ],
        [
            tensor("scale", np.array(1, np.float32)),
            tensor("zero", np.array(0, np.int8)),
            tensor("eight", np.ones((784, 3), np.int8)),
        ],
    ),
    "Range": (
        [node("Range", "first last step", "numbers"), node("ConstantOfShape", "numbers", "x")],
        [
            tensor("first", np.array(2, np.int64)),
            tensor("last", np.array(9, np.int64)),
            tensor("step", np.array(3, np.int64)),
        ],
    ),
    "ReduceMean": ([node("ReduceMean", "images axes", "x", keepdims=0)], [ints("axes", 2, -1)]),
    "ReduceMean of all": ([node("ReduceMean", "images", "x")], []),
    "Shape": (
        [node("Shape", "images", "sides", start=-3, end=-1), node("ConstantOfShape", "sides", "x")],
        [],
    ),
    "CastLike": ([node("CastLike", "images flat", "x")], []),
    "Slice": (
        [node("Slice", "images starts ends axes steps", "x")],
        [
            ints("starts", 1, -2),
            ints("ends", 2**63 - 1, -(2**63)),
            ints("axes", 2, -1),
            ints("steps", 3, -4),
        ],
    ),
    "Split": (
        [node("Split", "images parts", "y x", axis=-1)],
        [ints("parts", 20, 8)],
    ),
    "Split evenly": ([node("Split", "images", "y z x", axis=2, num_outputs=3)], []),
    "Tile": ([node("Tile", "images counts", "x")], [ints("counts", 1, 3, 2, 1)]),
    "TopK": ([node("TopK", "images count", "x places", axis=2)], [ints("count", 5)]),
    "Expand as torch does": (
        [
            node("Shape", "images", "all"),
            node("Equal", "wanted negative", "open"),
            node("Where", "open all wanted", "sizes"),
            node("Expand", "images sizes", "x"),
        ],
        [ints("wanted", -1, 7, -1, -1), ints("negative", -1)],
    ),
    "a part whose end is a remainder": (
        [node("Mod", "twenty seven", "six"), node("Slice", "images zero six one", "x")],
        [ints("twenty", 20), ints("seven", 7), ints("zero", 0), ints("one", 2)],
    ),
    "a size that is computed": (
        [
            node("Shape", "images", "all"),
            node("Slice", "all two four", "sides"),
            node("Cast", "sides", "narrow", to=6),
            node("Cast", "narrow", "wide", to=7),
            node("Mul", "wide three", "more"),
            node("Div", "more seven", "less"),
            node("Resize", "images none none less", "x", mode="linear", axes=[2, 3]),
        ],
        [
            tensor("none", np.zeros(0, np.float32)),
            *(ints("two", 2), ints("four", 4), ints("three", 3), ints("seven", 7)),
        ],
    ),
    "DynamicQuantizeLinear": ([node("DynamicQuantizeLinear", "images", "x scale zero")], []),
}


@pytest.mark.parametrize("case", SHAPED)
def test_the_rules_say_what_the_runtime_gives(case: str) -> None:
    nodes, tensors = SHAPED[case]
    kind = UINT8 if case.startswith("Dynamic") else FLOAT
    data = model(nodes, tensors, outputs=[text(1, "x") + field(2, field(1, number(1, kind)))])
    try:
        session = onnxruntime.InferenceSession(data)
    except NoKernel as error:  # an older one
        pytest.skip(str(error))
    given = session.run(["x"], {"images": DIGITS[:3]})[0]
    assert given.shape == shapes(read_outline(data), 3)["x"]


def test_every_operator_of_the_table_is_tried_with_the_runtime_or_by_the_exporters() -> None:
    tried = {n for nodes, _ in SHAPED.values() for n in kinds(nodes)}
    alike = [RULES[kind] for kind in ("Relu", "Add", "ReduceMean", "ArgMax")]
    same = {kind for kind, rule in RULES.items() if rule in alike}
    passed_on = {"Identity"}
    exported = {"MatMulInteger", "QLinearConv", "Div", "Mul", "Sub"}
    written = {kind for kind in RULES if "." in kind}  # by ONNX Runtime itself
    assert tried | same | passed_on | exported | written == RULES.keys()


def kinds(nodes: list[bytes]) -> set[str]:
    return {operator.kind for operator in read_outline(model([*nodes, ANSWER])).operators}


def test_nets_of_others_are_let_through(mnist_dir: Path) -> None:
    folder = mnist_dir.parents[1] / "models"
    found = sorted(folder.glob("*.onnx"))
    if not found:
        pytest.skip("needs the nets of others beside MNIST_EDGE_DATA")
    for path in found:
        assert count_numbers(read_outline(path.read_bytes()), 1) > 0, path


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_that_takes_too_much_is_run_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = OrtBackend(tiny_onnx()).run(DIGITS)
    backend = OrtBackend(tiny_onnx())
    sizes = []
    real = backend._session
    assert real is not None
    run = real.run

    class Watched:
        def run(self, outputs: list[str], inputs: dict[str, Images]) -> object:
            sizes.append(len(inputs["images"]))
            return run(outputs, inputs)

    backend._session = Watched()
    monkeypatch.setattr(running, "MOST_IN_A_BATCH", 3 * (784 * 2 + 20))
    np.testing.assert_array_equal(backend.run(DIGITS), whole)
    assert sorted(sizes) == [2, 2, 2, 3]


def test_a_graph_that_grows_faster_than_its_batch_is_refused_for_a_large_one() -> None:
    # Every picture times every other: fine for one, and for two.
    squares = model(
        [
            node("Transpose", "flat", "turned", perm=[1, 0]),
            node("Reshape", "flat row", "long"),
            node("Reshape", "turned column", "tall"),
            node("MatMul", "tall long", "square"),
            ANSWER,
        ],
        [ints("row", 1, -1), ints("column", -1, 1)],
    )
    backend = OrtBackend(squares)
    assert backend.run(DIGITS[:1]).shape == (1, 10)
    many = np.zeros((60, 1, 28, 28), np.float32)
    with pytest.raises(BadInput, match="cannot run 60 at once"):
        backend.run(many)


# --- the readers --------------------------------------------------------------------------------


def test_an_outline_is_what_stands_in_the_file() -> None:
    outline = read_outline(
        model([node("Gather", "flat at", "x", axis=-2), ANSWER], [ints("at", 3, -1)])
    )
    assert outline.inputs == {"images": (None, 1, 28, 28)}
    assert outline.outputs == ("logits",)
    assert outline.constants == {"at": Tensor((2,), (3, -1)), "weight": Tensor((784, 10))}
    assert outline.operators[1] == Operator(
        kind="Gather", inputs=("flat", "at"), outputs=("x",), attributes={"axis": -2}
    )


def test_numbers_that_are_not_raw_are_counted_as_well() -> None:
    listed = number(1, 3) + number(2, 7) + text(8, "at") + field(7, b"\x01\x80\x01\x02")
    single = number(1, 2) + number(2, 7) + text(8, "on") + number(7, 5) + number(7, 6)
    outline = read_outline(model([ANSWER], [listed, single]))
    assert outline.constants["at"] == Tensor((3,), (1, 128, 2))
    assert outline.constants["on"] == Tensor((2,), (5, 6))
    with pytest.raises(ValueError, match="holds 3 numbers"):
        read_outline(model([ANSWER], [number(1, 4) + listed[2:]]))
    with pytest.raises(ValueError, match="several kinds"):
        read_outline(model([ANSWER], [listed + field(9, bytes(24))]))


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x08" + b"\xff" * 11,
        field(7, b"x" * 5)[:-1],
        field(7, b"\x0b\x0c"),
        b"\x00\x01",
        b"\xff\xff\xff\xff\xff\x01\x01",
        number(7, 5),
        field(7, field(1, b"")) * 2,
    ],
)
def test_bytes_that_are_no_message_are_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_outline(data)


def test_unknown_fields_are_passed_over_as_the_format_demands() -> None:
    unknown = number(900, 1) + field(901, b"?") + b"\xb1\x38" + bytes(8) + b"\xb5\x38" + bytes(4)
    assert read_outline(unknown + tiny_onnx()) == read_outline(tiny_onnx())
    assert 900 in Message.of(unknown)


def test_too_many_entries_are_refused_before_they_cost_time() -> None:
    with pytest.raises(ValueError, match="more than 65,536 entries"):
        read_outline(number(1, 8) * 70_000)


def test_the_largest_tensor_is_as_large_as_its_numbers_say() -> None:
    assert math.prod(read_outline(tiny_onnx()).constants["weight"].shape) == 7840
