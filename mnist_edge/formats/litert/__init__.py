"""LiteRT, which was TensorFlow Lite: `.tflite` files, for phones and microcontrollers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_edge.formats.format import (
    NO_WISH,
    Backend,
    FileFormat,
    Header,
    Loading,
    Wish,
    Written,
)
from mnist_edge.formats.seal import sealed
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Precision

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source


_SOURCE = ".cc"


class LiteRt(FileFormat):
    """One flatbuffer, written from the typed graph; of int8 also one that takes and gives bytes."""

    name = "litert"
    aliases = ("tflite",)
    suffix = ".tflite"
    precisions = ("float32", "float16", "int8", "int8-io")
    tolerance = Tolerance(max_abs_error=1e-4)
    has_seal = True
    extra = "litert"
    package = "ai_edge_litert"
    wishes = ("prefix", "tflm")
    default = False

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        return self.write_as(source, precision, NO_WISH)

    def write_as(self, source: Source, precision: Precision, wish: Wish) -> Written:
        """See `FileFormat.write_as`."""
        from mnist_edge.formats.litert.write import write_litert

        quantized = precision in ("int8", "int8-io")
        graph = source.onnx("int8" if quantized else "float32")
        data = sealed(write_litert(graph, precision, source.metadata("litert", precision)))
        if quantized and source.golden is not None and not self.absent():
            from mnist_edge.contract import to_images
            from mnist_edge.formats.litert.agree import check_agreement

            check_agreement(data, graph, to_images(source.golden[0]))
        if not wish.tflm:
            return Written(data)
        from mnist_edge.formats.litert.tflm import write_tflm

        return Written(data, write_tflm(data, prefix=wish.prefix or source.name))

    def wish_of(self, written: Written) -> Wish:
        """See `FileFormat.wish_of`."""
        if _SOURCE not in written.companions:
            return NO_WISH
        from mnist_edge.formats.litert.tflm import prefix_of

        return Wish(tflm=True, prefix=prefix_of(written.companions[_SOURCE]))

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        from mnist_edge.formats.litert.run import LiteRtBackend

        return LiteRtBackend(written.data, how)

    def is_one(self, data: bytes) -> bool:
        """By the mark of its flatbuffer."""
        return data[4:8] == b"TFL3"

    def header(self, data: bytes) -> Header:
        """See `FileFormat.header`."""
        from mnist_edge.formats.litert.read import read_litert

        return Header(metadata=read_litert(data).metadata)
