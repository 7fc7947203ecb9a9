"""A web page: one HTML file that holds the net, what runs it, and what reads a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_edge.formats.format import Backend, FileFormat, Header, Loading, Written
from mnist_edge.formats.seal import sealed
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Precision

if TYPE_CHECKING:
    from mnist_edge.bundle.manifest import Manifest
    from mnist_edge.formats.source import Source


class Web(FileFormat):
    """One page, written from the typed graph; its WebAssembly is the same for every net.

    To run it here is not to run what somebody wrote into it: the net is data, and an engine that
    this project has not published is refused.
    """

    name = "web"
    suffix = ".html"
    precisions = ("float32", "int8")
    usual = "int8"
    tolerance = Tolerance(max_abs_error=1e-4)
    has_seal = True
    extra = "web"
    package = "wasmtime"
    default = False

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        from mnist_edge.formats.web.write import write_web

        return Written(sealed(write_web(source, precision)))

    def unfit(self, manifest: Manifest) -> str:
        """A page brings a picture into the form of digits alone."""
        kind = manifest.data.preprocessing
        if kind == "digit":
            return ""
        return f"a page brings pictures to a net as digits, and this one wants them {kind}"

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        from mnist_edge.formats.web.run import WebBackend

        return WebBackend(written.data, how)

    def is_one(self, data: bytes) -> bool:
        """By the mark in its head."""
        return b'<meta name="generator" content="mnist-edge">' in data[:2048]

    def header(self, data: bytes) -> Header:
        """See `FileFormat.header`."""
        from mnist_edge.formats.web.page import take_apart

        return Header(metadata=take_apart(data).metadata)
