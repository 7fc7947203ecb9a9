"""Latency and size of each recipe's float32 ONNX artifact, into benchmarks/latency.json.

    python benchmarks/latency.py FOLDER

FOLDER holds one bundle a recipe, as `accuracy.py --keep FOLDER` leaves them. Each is exported, and
measured by `mnist-edge bench` with its default settings: fresh processes, one thread, one digit.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from mnist_edge import codec
from mnist_edge.bench import bench
from mnist_edge.bundle import open_bundle
from mnist_edge.figures import Latency, recipe_digest
from mnist_edge.recipes import BENCH_RECIPES, DEFAULT_ARTIFACT, ExportRecipe
from mnist_edge.storage import atomic_write
from mnist_edge.workflow import export_verified

REPORT = Path(__file__).with_suffix(".json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    rows: dict[str, Latency] = {}
    if REPORT.exists():
        rows = codec.loads(dict[str, Latency], REPORT.read_text())
    for path in sorted(arguments.folder.iterdir()):
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(path, scratch, dirs_exist_ok=True)
            bundle, (artifact,) = export_verified(
                open_bundle(Path(scratch)), ExportRecipe(formats=("onnx",))
            )
            report = bench(bundle, BENCH_RECIPES["default"], artifacts=(DEFAULT_ARTIFACT,))
        (row,) = report.rows
        assert row.p50_s is not None, row.reason
        name, digest = bundle.manifest.recipe.name, recipe_digest(bundle.manifest.recipe)
        rows[digest] = Latency(
            p50_s=row.p50_s, size_bytes=artifact.size_bytes, processor=report.machine.processor
        )
        print(f"{name}: {row.p50_s * 1e6:.1f} µs, {artifact.size_bytes} bytes")
        atomic_write(REPORT, codec.dumps(rows).encode())


if __name__ == "__main__":
    main()
