"""Train a digit classifier, export it, prove the exports equal, predict without torch."""

from __future__ import annotations

__version__ = "0.1.0"
