"""ONNX Runtime's own format."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar

from mnist_edge.formats.format import Header, Loading, Written
from mnist_edge.formats.onnx import Onnx
from mnist_edge.recipes.terms import Precision, Runtime

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source


class Ort(Onnx):
    """The graph as ONNX Runtime has optimized it, for builds that know only its operators."""

    name = "ort"
    suffix = ".ort"
    precisions = ("float32", "int8")
    runtimes: ClassVar[Mapping[Runtime, str]] = {"onnxruntime": ""}

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        from mnist_edge.formats.ort.write import export_ort

        return Written(export_ort(source.onnx(precision)))

    def is_one(self, data: bytes) -> bool:
        """By the mark of its flatbuffer."""
        return data[4:8] == b"ORTM"

    def header(self, data: bytes) -> Header:
        """See `FileFormat.header`; the runtime must tell."""
        from mnist_edge.formats.onnx.run import OrtBackend

        with closing(OrtBackend(data, Loading(classes=0))) as backend:
            return Header(metadata=backend.metadata())
