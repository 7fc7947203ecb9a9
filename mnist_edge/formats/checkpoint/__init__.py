"""The weights as they were trained: what every other artifact is made from and measured by."""

from __future__ import annotations

from mnist_edge.formats.format import Backend, FileFormat, Loading, Written
from mnist_edge.formats.tolerances import Tolerance


class Checkpoint(FileFormat):
    """A safetensors file; `train` and `import` write it, and the recipe names its architecture."""

    name = "checkpoint"
    suffix = ".safetensors"
    tolerance = Tolerance(max_abs_error=1e-4)
    extra = "train"
    package = "torch"
    from_onnx = False

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        from mnist_edge.formats.checkpoint.run import EagerBackend

        assert how.recipe is not None
        return EagerBackend(written.data, how.recipe, how)
