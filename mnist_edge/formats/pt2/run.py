"""`.pt2` files, run by torch: the graph that `torch.export` captured.

Bytes are loaded only after a digest has vouched for them: a graph may call any operator.
"""

from __future__ import annotations

import io

import torch
from torch.export.passes import move_to_device_pass

from mnist_edge.errors import BadInput
from mnist_edge.formats.archive import check_archive
from mnist_edge.formats.checkpoint.module import TorchModuleBackend, claim_device, torch_reason
from mnist_edge.formats.format import USUAL, Loading

_FIX = "give a .pt2 file as mnist-edge export wrote it"


class ProgramBackend(TorchModuleBackend):
    """A `.pt2` file on one device.

    Raises:
        BadInput: not a `.pt2` file, or one that does not map one tensor to one tensor.
    """

    def __init__(self, data: bytes, how: Loading = USUAL) -> None:
        claim_device(how.device, how.threads)
        check_archive(data, holds="/models/model.json", kind="a .pt2 file", fix=_FIX)
        try:
            program = torch.export.load(io.BytesIO(data))
        except Exception as error:  # torch has no class for a damaged program
            raise BadInput(f"not a .pt2 file: {torch_reason(error)}", fix=_FIX) from None
        signature = program.graph_signature
        counts = (len(signature.user_inputs), len(signature.user_outputs))
        if counts != (1, 1):
            raise BadInput(
                f"the .pt2 file maps {counts[0]} values to {counts[1]}, expected one to one",
                fix=_FIX,
            )
        if how.device != "cpu":
            program = move_to_device_pass(program, how.device)
        super().__init__("torch.export", program.module(), how)
