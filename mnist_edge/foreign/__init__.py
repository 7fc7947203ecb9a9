"""Nets that others made: read into one ONNX graph, their contract found on digits and kept in it.

    alternatives = onnx.read_onnx(data, folder)     # or what reads Keras and torch files
    found = contract.find_contract(alternatives, images, labels)
    graph = wrap.wrap(found.prepared, found.contract)

A reader gives several graphs where a file leaves things open, such as where a ReLU stands; the
digits decide among them, too.
"""
