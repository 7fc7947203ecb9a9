"""What may be asked of a writer beside the precision: names, sources for microcontrollers."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import cast

import pytest

pytest.importorskip("onnx")

from mnist_edge import cli
from mnist_edge.bundle.folder import SHIPPED_BUNDLES, open_bundle
from mnist_edge.errors import UsageError
from mnist_edge.formats import FORMATS, Wish, Written, export_pairs, write_artifact
from mnist_edge.formats.export import export_verified, prove_rebuildable
from mnist_edge.formats.source import Source, onnx_source
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import Precision

SHIPPED = SHIPPED_BUNDLES[-1]


@pytest.fixture(scope="module")
def source() -> Source:
    return onnx_source(open_bundle(SHIPPED), 18)


def test_a_name_stands_before_everything_that_a_c_file_defines(source: Source) -> None:
    pairs: tuple[tuple[Precision, str], ...] = (("float32", "gauge"), ("int8", "gauge_int8"))
    for precision, prefix in pairs:
        written = write_artifact(source, "c", precision, Wish(prefix="gauge"))
        text = written.companions[".h"].decode()
        assert f"{prefix}_logits(" in text
        assert "small" not in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        assert FORMATS["c"].wish_of(written) == Wish(prefix="gauge")
    plain = write_artifact(source, "c", "int8")
    assert FORMATS["c"].wish_of(plain) == Wish(prefix="small")
    assert write_artifact(source, "c", "int8", Wish(prefix="small")) == plain


@pytest.mark.parametrize("name", ["7up", "Gauge", "a b", "ü", "x" * 32])
def test_a_name_that_is_none_in_c_is_refused(name: str, source: Source) -> None:
    with pytest.raises(UsageError, match="cannot be the prefix"):
        write_artifact(source, "c", "float32", Wish(prefix=name))


def test_a_wish_that_no_format_knows_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="--tflm means nothing to onnx and c"):
        export_pairs(ExportRecipe(formats=("onnx", "c"), tflm=True))
    assert cli.main(["export", "--format", "onnx", "--name", "gauge", "--out", "nowhere"]) == 2
    assert "--name means nothing to onnx" in capfd.readouterr().err.replace("\n", " ")
    assert not Path("nowhere").exists()


@pytest.mark.skipif(bool(FORMATS["c"].absent()), reason="no C compiler")
def test_what_was_wished_is_made_again(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="without it nothing is made again")
    recipe = ExportRecipe(formats=("c",), precisions=("float32",), prefix="gauge")
    bundle, _ = export_verified(open_bundle(SHIPPED), recipe, out=tmp_path / "out")
    assert prove_rebuildable(bundle, artifacts=("c-float32",)) == ("c-float32",)


class TestMicrocontrollers:
    """The companions of a `.tflite` file."""

    @pytest.fixture(autouse=True)
    def _needs_tflm(self) -> None:
        pytest.importorskip("tflite_micro", reason="pip install 'mnist-edge[tflm]'")

    @pytest.fixture(params=["float32", "int8", "int8-io"])
    def written(self, request: pytest.FixtureRequest, source: Source) -> Written:
        return write_artifact(source, "litert", request.param, Wish(tflm=True))

    def test_the_same_bytes_come_again_and_the_file_is_what_it_was(
        self, written: Written, source: Source
    ) -> None:
        wish = FORMATS["litert"].wish_of(written)
        assert wish == Wish(prefix="small", tflm=True)
        precision = self._precision(written)
        assert write_artifact(source, "litert", precision, wish) == written
        assert write_artifact(source, "litert", precision) == Written(written.data)

    def test_the_source_is_the_file_and_the_arena_suffices(
        self, written: Written, tmp_path: Path
    ) -> None:
        from tflite_micro import runtime

        header = written.companions[".h"].decode()
        measured = int(re.search(r"arena of ([\d,]+) bytes", header)[1].replace(",", ""))  # type: ignore[index]
        arena = int(re.search(r"_ARENA (\d+)", header)[1])  # type: ignore[index]
        assert measured < arena <= measured + 1024 + 256
        assert runtime.Interpreter.from_bytes(written.data, arena_size=arena)
        with pytest.raises(RuntimeError):
            runtime.Interpreter.from_bytes(written.data, arena_size=measured // 2)

    @pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
    def test_they_compile_and_name_the_operators(self, written: Written, tmp_path: Path) -> None:
        name = re.search(r"const unsigned char (\w+)\[", written.companions[".h"].decode())[1]  # type: ignore[index]
        file = f"litert-{self._precision(written)}"
        for suffix, data in written.companions.items():
            (tmp_path / f"{file}{suffix}").write_bytes(data)
        (tmp_path / "main.cc").write_text(_PROGRAM.format(file=file, name=name, NAME=name.upper()))
        command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        files = [str(tmp_path / f"{file}.cc"), str(tmp_path / "main.cc")]
        subprocess.run([*command, "-o", str(tmp_path / "a.so"), *files], check=True)
        library = ctypes.CDLL(str(tmp_path / "a.so"))
        array = (ctypes.c_ubyte * len(written.data)).in_dll(library, name)
        assert bytes(array) == written.data
        assert ctypes.addressof(array) % 16 == 0
        assert library.operators() == library.expected() > 0

    def test_float16_is_refused_by_name(self, source: Source) -> None:
        with pytest.raises(UsageError, match="does not know float16"):
            write_artifact(source, "litert", "float16", Wish(tflm=True))

    @staticmethod
    def _precision(written: Written) -> Precision:
        stated = FORMATS["litert"].header(written.data).metadata["precision"]
        return cast("Precision", stated)


# TFLM's own headers are in no package: its resolver is stood in for by one that counts.
_PROGRAM = """\
#include "{file}.h"
struct Counting {{
    int count = 0;
    void AddConv2D() {{ count++; }}
    void AddDequantize() {{ count++; }}
    void AddFullyConnected() {{ count++; }}
    void AddMaxPool2D() {{ count++; }}
    void AddMul() {{ count++; }}
    void AddAdd() {{ count++; }}
    void AddPad() {{ count++; }}
    void AddPadV2() {{ count++; }}
    void AddQuantize() {{ count++; }}
    void AddReshape() {{ count++; }}
}};
extern "C" int operators() {{
    Counting resolver;
    {NAME}_ADD_OPERATORS(resolver);
    return resolver.count;
}}
extern "C" int expected() {{ return {name}[4] == 'T' ? {NAME}_OPERATORS : -1; }}
"""
