"""TorchScript files, run by torch's interpreter.

Bytes are loaded only after a digest has vouched for them: torch reads the archive without Python's
unpickler, but a TorchScript program may call any operator, those that open files included.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mnist_edge.errors import BadInput
from mnist_edge.formats.archive import check_archive
from mnist_edge.formats.checkpoint.module import TorchModuleBackend, claim_device, torch_reason
from mnist_edge.formats.format import USUAL, Loading

_FIX = "give a TorchScript file as mnist-edge export wrote it"


class TorchScriptBackend(TorchModuleBackend):
    """A TorchScript file on one device.

    Raises:
        BadInput: not a TorchScript file, or one that does not map one tensor to one tensor.
    """

    def __init__(self, data: bytes, how: Loading = USUAL) -> None:
        claim_device(how.device, how.threads)
        check_archive(data, holds="/constants.pkl", kind="a TorchScript file", fix=_FIX)
        try:
            with torchscript_warnings_ignored():
                module = torch.jit.load(  # type: ignore[no-untyped-call]
                    io.BytesIO(data), map_location=how.device
                )
        except (RuntimeError, ValueError) as error:
            raise BadInput(f"not a TorchScript file: {torch_reason(error)}", fix=_FIX) from None
        _check_forward(module)
        super().__init__("torchscript", module.eval(), how)


@contextmanager
def torchscript_warnings_ignored() -> Iterator[None]:
    """Silence torch's notices that TorchScript is deprecated, and nothing else.

    `.pt2` is the named successor; until torch takes TorchScript out, its users know.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"`torch\.jit\.\w+` is (deprecated|not supported)"
        )
        yield


def _check_forward(module: torch.jit.ScriptModule) -> None:
    schema = getattr(getattr(module, "forward", None), "schema", None)
    arguments = [str(value.type) for value in schema.arguments[1:]] if schema else []
    returns = [str(value.type) for value in schema.returns] if schema else []
    if arguments != ["Tensor"] or returns != ["Tensor"]:
        raise BadInput(
            f"the TorchScript file maps ({', '.join(arguments)}) to ({', '.join(returns)}), "
            "expected one Tensor to one Tensor",
            fix=_FIX,
        )
