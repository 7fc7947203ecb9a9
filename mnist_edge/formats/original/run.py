"""ONNX Runtime runs nets of others, too. Needs no torch."""

from __future__ import annotations

from mnist_edge.formats.onnx.run import OrtBackend as OrtBackend
