"""Operators for the reference evaluator whose own are not those of the standard.

Its recurrent operators take the usual functions, whatever a graph names. Its normalisation of
before opset 14 computes what a training would, and its largest of all takes pictures alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx.reference.ops import (
    op_batch_normalization,
    op_global_max_pool,
    op_gru,
    op_lstm,
    op_rnn,
)

_Numbers: TypeAlias = NDArray[np.floating[Any]]
_Function: TypeAlias = Callable[[_Numbers], _Numbers]
# Untyped classes.
_Lstm: Any = op_lstm.LSTM
_Gru: Any = op_gru.GRU
_Rnn: Any = op_rnn.CommonRNN
_GlobalMaxPool: Any = op_global_max_pool.GlobalMaxPool
_Normalization: Any = op_batch_normalization.BatchNormalization_14

_FUNCTIONS: dict[str, _Function] = {
    "hardsigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
}


def _named(operator: Any, *usual: str) -> list[_Function]:
    """The functions of the gates of an operator, which are those of both directions."""
    given = [str(name).lower() for name in operator.activations or usual]
    ways = len(given) // len(usual)
    if given != given[: len(usual)] * ways or not set(given) <= _FUNCTIONS.keys():
        raise NotImplementedError(f"a recurrent operator with the functions {given}")
    for option in ("activation_alpha", "activation_beta", "clip", "input_forget"):
        if getattr(operator, option, None):
            raise NotImplementedError(f"a recurrent operator with {option}")
    return [_FUNCTIONS[name] for name in given[: len(usual)]]


class LSTM(_Lstm):  # type: ignore[misc]
    """Long short-term memory."""

    op_domain = ""

    def __init__(self, node: Any, parameters: Any) -> None:
        super().__init__(node, parameters)
        self.f, self.g, self.h = _named(self, "sigmoid", "tanh", "tanh")


class GRU(_Gru):  # type: ignore[misc]
    """Gated recurrent unit."""

    op_domain = ""

    def __init__(self, node: Any, parameters: Any) -> None:
        super().__init__(node, parameters)
        self.f, self.g = _named(self, "sigmoid", "tanh")


class RNN(_Rnn):  # type: ignore[misc]
    """The plain one."""

    op_domain = ""

    def choose_act(self, *named: Any) -> _Function:
        """See `_named`; called for each direction."""
        del named
        return _named(self, "tanh")[0]


class BatchNormalization(_Normalization):  # type: ignore[misc]
    """As in inference, whatever its opset."""

    op_domain = ""

    def _run(
        self,
        numbers: _Numbers,
        gain: _Numbers,
        shift: _Numbers,
        mean: _Numbers,
        variance: _Numbers,
        **options: Any,
    ) -> tuple[_Numbers]:
        factor = gain / np.sqrt(variance + options["epsilon"])
        along = (-1, *(1 for _ in numbers.shape[2:]))
        return (numbers * factor.reshape(along) + (shift - mean * factor).reshape(along),)


class GlobalMaxPool(_GlobalMaxPool):  # type: ignore[misc]
    """Of rows, too."""

    op_domain = ""

    def _run(self, numbers: _Numbers) -> tuple[_Numbers]:
        return (numbers.max(axis=tuple(range(2, numbers.ndim)), keepdims=True),)
