"""ONNX Runtime runs its own format as it runs ONNX files."""

from __future__ import annotations

from mnist_edge.formats.onnx.run import OrtBackend as OrtBackend
