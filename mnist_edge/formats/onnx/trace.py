"""A torch model to an ONNX graph of the opset that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from torch import nn

from mnist_edge.contract import BATCH_NAME, IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME
from mnist_edge.errors import UsageError
from mnist_edge.recipes.terms import OPSETS


def trace_onnx(model: nn.Module, opset: int) -> onnx.ModelProto:
    """The graph of a model, with a symbolic batch dimension.

    Args:
        model: on the CPU, in evaluation mode.
        opset: of the ONNX operators.

    Raises:
        UsageError: torch cannot write this opset; 18 is the oldest that it has operators for.
    """
    if opset not in OPSETS:
        raise _unwritable(opset)
    # With a batch of 1 the exporter would take the batch for a constant.
    example = torch.zeros(2, *IMAGE_SHAPE)
    with _errors_alone():
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: BATCH_NAME},),
            verbose=False,
        )
    assert program is not None
    # Taken from memory: to a path, torch writes the weights into a second file by default.
    graph = program.model_proto
    # torch raises an opset that it cannot write, and only logs that it did.
    written = {entry.domain: entry.version for entry in graph.opset_import}[""]
    if written != opset:
        raise _unwritable(opset)
    return graph


@contextmanager
def _errors_alone() -> Iterator[None]:
    """Have torch's exporter log errors alone: it warns that torchvision is absent, unasked."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _unwritable(opset: int) -> UsageError:
    return UsageError(
        f"torch {torch.__version__} cannot write opset {opset}",
        fix=f"choose --opset {OPSETS.start} to {OPSETS.stop - 1}",
    )
