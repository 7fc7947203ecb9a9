"""Other runtimes, one file each, run in environments of their own by `benchmarks/runtimes.py`.

Each module has `REQUIREMENTS` for pip, `SETTINGS` in words, `convert(bundle, folder)`, which turns
the bundle's float32 network into the runtime's own format once, and `load(folder, threads)`, which
gives a function from (N, 1, 28, 28) images to (N, 10) logits, both float32 in host memory.

Imported in an environment that has NumPy and what `REQUIREMENTS` names, and nothing else for sure.
"""

BATCH_SIZES = (1, 64)
"""Of which throughput is measured; runtimes with fixed shapes are given a net for each."""
