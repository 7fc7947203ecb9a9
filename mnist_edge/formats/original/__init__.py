"""A net of others as it came: an ONNX graph around theirs that keeps our contract."""

from __future__ import annotations

from dataclasses import replace

from mnist_edge.formats.format import Backend, FileFormat, Loading, Written
from mnist_edge.formats.tolerances import Tolerance


class Original(FileFormat):
    """The graph of a net that others made; `import` writes it, and all else is made from it."""

    name = "source"
    suffix = ".onnx"
    # By how much it is off is what others are allowed; only its answers can be wrong.
    tolerance = Tolerance(accuracy_drop=0.05, min_sqnr_db=60.0, flips_allowed=True, chance=2.0)
    extra = "onnx"
    from_onnx = False

    def load(self, written: Written, how: Loading) -> Backend:
        """Without any optimisation: what its maker's framework computes in float32."""
        from mnist_edge.formats.original.run import OrtBackend

        return OrtBackend(written.data, replace(how, optimization="none"))
