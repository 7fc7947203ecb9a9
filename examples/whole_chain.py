"""The whole chain from Python: train, export, verify, measure, predict. Takes about a minute."""

from dataclasses import replace
from pathlib import Path

import mnist_edge as edge

if __name__ == "__main__":  # measuring starts further processes
    recipe = replace(edge.RECIPES["sprint"], epochs=1)
    data = edge.obtain_data("auto", None)
    bundle = edge.train_bundle(recipe, data, Path("exports/chain"))
    bundle, _ = edge.export_artifacts(bundle, edge.ExportRecipe(formats=("onnx",)))
    print("equivalent:", edge.verify_bundle(bundle, data=data).passed)
    report = edge.bench_bundle(bundle, edge.BenchRecipe(processes=1, duration_s=0.2))
    for row in report.rows:
        print(row.label, row.p50_s)
    with edge.Predictor.load(bundle.path) as predictor:
        print(predictor(data.test_images[0]).digit, data.test_labels[0])
