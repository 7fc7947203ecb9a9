"""The course of a training, one line an epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of the history. Losses are mean cross-entropy in nats, accuracies 0 to 1.

    The training figures are the running ones of the pass itself, on digits as distorted and with
    dropout on; the test figures are those of the averaged weights. `duration_s` is the time of
    the pass: measuring is left out.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    learning_rate: float
    duration_s: float
