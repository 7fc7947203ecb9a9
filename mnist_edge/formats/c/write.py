"""A net as one C99 file that needs no runtime, and the header that is the first part of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing

import numpy as np

from mnist_edge.contract import to_images
from mnist_edge.errors import UsageError
from mnist_edge.formats.c.document import Golden, write_document
from mnist_edge.formats.c.emit import write_program
from mnist_edge.formats.c.emit8 import write_quantized
from mnist_edge.formats.format import Header, Loading
from mnist_edge.formats.graph.layers import (
    Border,
    Convolution,
    Linear,
    Move,
    Pool,
    Scale,
    SpaceToDepth,
)
from mnist_edge.formats.graph.quantized import QuantizedNet, read_quantized
from mnist_edge.formats.graph.read import read_graph
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.source import Source
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import Precision

__all__ = ["Golden", "export_c", "header_of", "write_c"]


def write_c(
    source: Source, precision: Precision, *, prefix: str, tolerance: float, reads: bool = False
) -> bytes:
    """The C file of a net. See `export_c` for the errors.

    Args:
        source: the net.
        precision: float32 or int8.
        prefix: of what the file defines; int8 adds itself.
        tolerance: the largest error that its self-test lets pass.
        reads: whether it reads pictures as they come, too, which must be of digits.
    """
    if reads:
        check_reads_digits(source, precision)
    graph, quantized = source.onnx(precision), precision == "int8"
    golden = None
    if source.golden is not None:
        pictures, logits = source.golden
        if quantized:  # it must give the very answers of ONNX Runtime, not the checkpoint's
            with closing(OrtBackend(graph, Loading(classes=0))) as backend:
                logits = backend.run(to_images(pictures)).astype(np.float64)
            tolerance = max(tolerance, _step_of(read_quantized(graph)))
        golden = Golden(pictures=pictures, logits=logits, tolerance=tolerance)
    # Nets of two precisions may be linked into one program.
    name = prefix if precision == "float32" else f"{prefix}_{precision}"
    return export_c(
        graph,
        name=name,
        golden=golden,
        quantized=quantized,
        classes=source.classes,
        confidence=source.reject_below,
        temperature=source.reject_temperature,
        reads=reads,
    )


def check_reads_digits(source: Source, precision: Precision) -> None:
    """Raise UsageError for a net that pictures are brought to in another way than as digits."""
    preprocessing = Header(metadata=source.metadata("c", precision)).preprocessing
    if preprocessing != "digit":
        raise UsageError(
            f"--with-picture brings pictures to a net as digits, and this one wants them "
            f"{preprocessing}",
            fix="leave --with-picture away: bringing pictures to it is left to your own program",
        )


def _step_of(quantized: QuantizedNet) -> float:
    """How far the answers may be from ONNX Runtime's: not at all where only sums are rounded.

    Means, sums of results and functions end at halves, which the two may round either way: they
    may differ by two steps of the output.
    """
    exact = (Scale, Convolution, Linear, Move, Border, SpaceToDepth)
    if all(
        isinstance(s, exact) or (isinstance(s, Pool) and s.kind == "max")
        for s in quantized.net.steps
    ):
        return 0.0
    return 2.001 * float(quantized.grids[len(quantized.net.steps) - 1].scale)


def export_c(
    graph: bytes,
    *,
    name: str,
    golden: Golden | None,
    quantized: bool = False,
    classes: Sequence[str] = DIGITS,
    confidence: float = 0.0,
    temperature: float = 1.0,
    reads: bool = False,
) -> bytes:
    """The C file of a classifier.

    Args:
        graph: an ONNX file.
        name: the prefix of what the file defines; `-` becomes `_`.
        golden: digits for its self-test; without them it has none.
        quantized: the graph is a statically quantized one, else one of float32.
        classes: their names; of digits the file needs none.
        confidence: what gets a smaller probability is no digit.
        temperature: what divides the logits before that probability is taken.
        reads: whether it reads pictures as they come, too.

    Raises:
        UsageError: `name` is no C identifier.
        BadInput: the graph holds something that is not known here.
    """
    prefix = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", prefix):
        raise UsageError(
            f"{name!r:.60} cannot be the prefix of names in C",
            fix="give --name one of at most 31 lower-case letters, digits and _, a letter first",
        )
    program = (
        write_quantized(read_quantized(graph)) if quantized else write_program(read_graph(graph))
    )
    document = write_document(
        program,
        name=prefix,
        classes=classes,
        confidence=confidence,
        temperature=temperature,
        golden=golden,
        reads=reads,
    )
    return document.encode("ascii")


def prefix_of(source: bytes) -> str:
    """The prefix with which a C file was written; empty where it is none of ours."""
    found = re.search(rb"^void (\w+)_logits\(", source, re.MULTILINE)
    return found[1].decode().removesuffix("_int8") if found else ""


def reads_pictures(source: bytes) -> bool:
    """Whether a C file of ours reads pictures as they come, too."""
    return re.search(rb"^size_t \w+_read_bytes\(", source, re.MULTILINE) is not None


def header_of(source: bytes) -> bytes:
    """The header of a C file: the part of it between two marks."""
    return source.partition(b".h ---- */\n")[2].partition(b"/* ---- end of ")[0]
