"""An ONNX file taken apart: typed steps with shapes, from which other formats are written.

    net = read_graph(data)             # float32
    quantized = read_quantized(data)   # statically quantized: the same steps, and their grids

`read` and `quantized` read, `layers` says what a step is, `operators` what becomes of each ONNX
operator, and `reader` where the reading stands. What a step cannot say is refused by name with
BadInput; nothing in here knows who will write the steps, or with what vectors.
"""
