"""Web pages: the answers of ONNX Runtime from one engine for every net, and nothing but them."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import zlib
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("wasmtime", reason="pip install 'mnist-edge[web]'")

import wasmtime
import webassembly
from numpy.typing import NDArray
from sheets import sheets

from mnist_edge.bundle.folder import SHIPPED_BUNDLES, open_bundle
from mnist_edge.errors import BadInput
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.seal import sealed
from mnist_edge.formats.web.page import ENGINES, Page, part, put_together, take_apart
from mnist_edge.formats.web.records import HEAD, RECORD, Head, Kind, Record
from mnist_edge.formats.web.run import WebBackend
from mnist_edge.picture import to_picture
from mnist_edge.recipes.terms import Precision

DEMO = Path(__file__).parents[2] / "docs" / "demo.html"
MOST_KB = 70
"""What a page of the shipped net may take: docs/ship/browser.md accounts for what is beyond 60."""


def page_of(net: bytes, precision: Precision) -> bytes:
    """A page that says nothing of itself but what it must."""
    metadata = {"recipe": "some", "precision": precision}
    engine, reader = part(f"engine/{precision}.wasm"), part("engine/reader.wasm")
    return put_together(Page(metadata=metadata, engine=engine, reader=reader, net=net, answers=b""))


def random_images(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(3).random((count, 1, 28, 28), dtype=np.float32)


class TestDemo:
    """The page of the shipped net, as it is committed."""

    pytestmark = pytest.mark.edge

    def test_it_gives_the_very_bits_of_onnx_runtime(self) -> None:
        bundle = open_bundle(SHIPPED_BUNDLES[-1])
        expected = OrtBackend(bundle.read(bundle.artifact("onnx-int8")))
        images = np.concatenate([random_images(50), bundle.reference().images[:200, None] / 255])
        images = np.ascontiguousarray(images, dtype=np.float32)
        backend = WebBackend(DEMO.read_bytes())
        assert np.array_equal(backend.run(images), expected.run(images))

    def test_it_is_small(self) -> None:
        assert DEMO.stat().st_size <= MOST_KB * 1000

    def test_it_lets_nothing_in_or_out_but_what_it_holds(self) -> None:
        text = DEMO.read_text(encoding="utf-8")
        read = re.sub(r'<script type="text/plain".*?</script>', "", text)
        reaching = r"https?:|//[a-z]|src=|url\(|@import|fetch\(|XMLHttp|import\("
        assert re.search(reaching, read) is None
        policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
        assert len(policy) == 1
        assert policy[0].startswith("default-src 'none'; ")
        assert "unsafe-inline" not in policy[0]
        for tag in ("script", "style"):
            (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy[0]
        assert re.search(r'\son\w+="| style="', text) is None  # the policy would stop those

    def test_it_is_what_the_command_makes(self) -> None:
        pytest.importorskip("onnx")
        from mnist_edge.formats.source import onnx_source
        from mnist_edge.formats.web.write import write_web

        made = sealed(write_web(onnx_source(open_bundle(SHIPPED_BUNDLES[-1]), 18), "int8"))
        assert made == DEMO.read_bytes(), "run mnist-edge export --format web, and copy the page"

    def test_its_metadata_cannot_end_the_script_that_holds_it(self) -> None:
        page = take_apart(DEMO.read_bytes())
        evil = replace(page, metadata=page.metadata | {"recipe": "</script><script>alert(1)"})
        data = put_together(evil)
        assert b"<script>alert" not in data
        assert take_apart(data) == evil


@pytest.mark.edge
def test_every_engine_is_known_and_made_of_the_source_beside_it() -> None:
    built = json.loads(webassembly.BUILT.read_text())
    assert built.keys() == webassembly.MODULES.keys()
    for name, digests in built.items():
        why = "run python tools/webassembly.py"
        assert webassembly.digest(webassembly.sources(name).encode()) == digests["sources"], why
        assert webassembly.digest(part(f"engine/{name}.wasm")) == digests["module"], why
        if name in ENGINES:
            assert digests["module"] in ENGINES[name], "name it in formats/web/page.py"


class Reader:
    """The reader of a page, run by wasmtime."""

    def __init__(self, module: bytes) -> None:
        self._store = wasmtime.Store()
        compiled = wasmtime.Module(self._store.engine, module)
        self._exports: Any = wasmtime.Instance(self._store, compiled, []).exports(self._store)

    def read(self, rgba: NDArray[np.uint8]) -> tuple[int, NDArray[np.uint8]]:
        """What it says of (height, width, 4), and the (2, 28, 28) bytes for the net."""
        exports, store = self._exports, self._store
        exports["memory"].write(
            store, bytearray(rgba.tobytes()), exports["pixels"](store, rgba.size)
        )
        found = exports["read"](store, rgba.shape[1], rgba.shape[0])
        place = exports["readings"](store)
        data = exports["memory"].read(store, place, place + 2 * 784)
        return found, np.frombuffer(data, np.uint8).reshape(2, 28, 28)


def as_rgba(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As a browser gives what it has decoded."""
    colours = pixels if pixels.shape[2] > 1 else np.repeat(pixels, 3, axis=2)
    opaque = np.full_like(pixels[:, :, :1], 255)
    return np.ascontiguousarray(colours if colours.shape[2] == 4 else np.dstack([colours, opaque]))


@pytest.mark.edge
def test_the_page_reads_every_vector_as_python_does() -> None:
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "pictures.json").read_text())
    reader = Reader(part("engine/reader.wasm"))
    for case in vectors["cases"]:
        pixels, *expected = (
            np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
            for text in (case["pixels"], case["digit"], *case["others"])
        )
        shape = (case["height"], case["width"], case["channels"])
        found, digits = reader.read(as_rgba(pixels.reshape(shape)))
        assert found == (0 if case["blank"] else len(expected)), case["name"]
        error = np.abs(digits[: max(found, 1)].astype(np.int16).reshape(-1, 784) - expected).max()
        assert error <= vectors["tolerance"], case["name"]


@pytest.mark.edge
def test_the_page_reads_pages_of_every_kind_as_python_does() -> None:
    reader, other = Reader(part("engine/reader.wasm")), []
    for number, image in enumerate(sheets(150)):
        picture = to_picture(image)
        expected = [picture.pixels, *(one.pixels for (one,) in picture.others)]
        found, digits = reader.read(as_rgba(np.asarray(image.convert("RGB"))))
        same = found == (0 if picture.blank else len(expected))
        off = np.abs(digits[: len(expected)].astype(np.int16) - expected).max()
        if not same or off > 2:
            other.append(number)
    assert len(other) <= 1, other  # another order of additions may tip a scale


@pytest.mark.edge
def test_the_reader_survives_any_picture() -> None:
    rng, reader = np.random.default_rng(4), Reader(part("engine/reader.wasm"))
    assert reader.read(np.zeros((1, 9, 4), np.uint8))[0] == -3  # too few pixels
    assert reader.read(np.zeros((9000, 5, 4), np.uint8))[0] == -5  # a line
    for _ in range(60):
        height, width = rng.integers(5, 300, 2)
        kind = rng.integers(0, 3)
        picture = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
        if kind:
            picture = (picture > 250 if kind == 1 else picture > 3).astype(np.uint8) * 255
        found, digits = reader.read(picture)
        assert found in (0, 1, 2)
        assert [one.any() for one in digits] == [found > 0, found > 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", webassembly.MODULES)
def test_the_compiler_gives_the_committed_bytes(name: str) -> None:
    try:
        found = version("ziglang")
    except PackageNotFoundError:
        found = "none"
    if found != webassembly.ZIG:
        pytest.skip(f"pip install ziglang=={webassembly.ZIG}: {found} is installed")
    assert webassembly.build(name) == part(f"engine/{name}.wasm")


def records_of(net: bytes) -> tuple[Head, list[Record]]:
    head = Head(*HEAD.unpack_from(net))
    return head, [
        Record(*RECORD.unpack_from(net, HEAD.size + i * RECORD.size)) for i in range(head.steps)
    ]


def with_record(net: bytes, index: int, record: Record) -> bytes:
    place = HEAD.size + index * RECORD.size
    return net[:place] + RECORD.pack(*record) + net[place + RECORD.size :]


@pytest.mark.edge
@pytest.mark.parametrize(
    "change",
    [
        {"out": 1 << 20},
        {"out": -64},
        {"height": 1 << 20, "width": 1 << 20},
        {"rows": 1 << 25, "run": 1 << 25},
        {"out_row": 1 << 24},
        {"channels": 1 << 16},
        {"kind": 77},
        {"weight": 1 << 25},
    ],
    ids=str,
)
def test_a_step_that_writes_elsewhere_or_never_ends_is_refused(change: dict[str, int]) -> None:
    page = take_apart(DEMO.read_bytes())
    _, records = records_of(page.net)
    index = next(i for i, r in enumerate(records) if r.kind in (Kind.LINE, Kind.POOLED_LINE))
    damaged = records[index]._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="the net of the page is damaged"):
        WebBackend(page_of(with_record(page.net, index, damaged), "int8"))


@pytest.mark.edge
def test_webassembly_of_somebody_else_is_not_run() -> None:
    page = take_apart(DEMO.read_bytes())
    for engine in (page.reader, page.engine + b"\0\4\3abc", b""):
        with pytest.raises(BadInput, match="none of mnist-edge's"):
            WebBackend(put_together(replace(page, engine=engine)))


@pytest.mark.edge
def test_flipped_bits_of_a_net_are_refused_or_run_to_their_end() -> None:
    rng, page = random.Random(1), take_apart(DEMO.read_bytes())
    structure = HEAD.size + RECORD.size * records_of(page.net)[0].steps
    refused = 0
    for _ in range(150):
        net = bytearray(page.net)
        net[rng.randrange(structure)] ^= 1 << rng.randrange(8)
        try:
            WebBackend(page_of(bytes(net), "int8")).run(random_images(1))
        except BadInput:
            refused += 1
    assert refused > 30


@pytest.mark.edge
@pytest.mark.parametrize("cut", [0, 1, 2000, -1, -200])
def test_a_page_that_is_cut_or_has_other_parts_is_refused(cut: int) -> None:
    data = DEMO.read_bytes()
    damaged = data.replace(b'id="net"', b'id="nix"') if cut == -1 else data[:cut]
    if cut == -200:  # the end of the script is missing, and no part of what runs here
        take_apart(damaged)
        return
    with pytest.raises(BadInput, match="not a page of mnist-edge"):
        WebBackend(damaged)


class TestRecipes:
    """Nets of every recipe, and every step by itself."""

    @pytest.fixture(autouse=True)
    def _needs_torch(self) -> None:
        pytest.importorskip("torch", reason="the graphs are made with it")
        pytest.importorskip("onnx")

    @staticmethod
    def names() -> list[str]:
        from mnist_edge.recipes.catalogue import RECIPES

        return sorted(RECIPES)

    @pytest.mark.parametrize("name", names())
    def test_int8_gives_the_bits_and_float32_the_answers_of_onnx_runtime(self, name: str) -> None:
        from recipe_graphs import digits, recipe_graph

        from mnist_edge.formats.graph.quantized import read_quantized
        from mnist_edge.formats.graph.read import read_graph
        from mnist_edge.formats.web.program import write_net, write_quantized_net

        graph, graph8 = recipe_graph(name), recipe_graph(name, quantized=True)
        net, net8 = write_net(read_graph(graph)), write_quantized_net(read_quantized(graph8))
        assert net == write_net(read_graph(graph))
        expected, expected8 = (OrtBackend(data).run(digits()) for data in (graph, graph8))
        assert np.array_equal(WebBackend(page_of(net8, "int8")).run(digits()), expected8)
        largest = max(1.0, float(np.abs(expected).max()))
        given = WebBackend(page_of(net, "float32")).run(digits())
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5 * largest)

    def test_every_step_gives_what_onnx_runtime_gives(self) -> None:
        from recipe_graphs import digits
        from test_exporters_c import OPERATORS, POOL, graph

        from mnist_edge.formats.graph.read import read_graph
        from mnist_edge.formats.web.program import write_net

        for name, (nodes, constants, features) in OPERATORS.items():
            source = graph([POOL, *nodes], constants, features=features)
            expected = OrtBackend(source).run(digits())
            given = WebBackend(page_of(write_net(read_graph(source)), "float32")).run(digits())
            np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4, err_msg=name)
