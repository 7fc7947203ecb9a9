"""An ONNX graph as typed steps, from which other formats are written."""
