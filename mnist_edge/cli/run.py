"""`mnist-edge run`: every verb in order, in its quick mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mnist_edge.bundle import codec
from mnist_edge.cli import options, steps
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.recipes.bench import BENCH_RECIPES
from mnist_edge.recipes.catalogue import DEFAULT_RECIPE, train_recipe
from mnist_edge.recipes.classes import noun
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.render.answers import Answer, answers, line

if TYPE_CHECKING:
    from mnist_edge.bundle.folder import Bundle

EPILOG = """[bold]Examples[/bold]
mnist-edge run                   # MNIST, or digits drawn from fonts
mnist-edge run --data rendered   # needs no network"""


def command(
    recipe: steps.RecipeOption = DEFAULT_RECIPE,
    bundle: options.NewBundleOption = None,
    data: options.DataOption = "auto",
    data_dir: options.DataDirOption = None,
    preprocessing: options.PreprocessingOption = None,
    device: options.TrainDeviceOption = "auto",
    threads: options.TorchThreadsOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Train, export, verify, bench and predict in a few minutes: the whole chain at once."""
    from mnist_edge.bundle.folder import LOCAL_BUNDLE
    from mnist_edge.render import text
    from mnist_edge.render.bench import bench_table

    talk = Talk(quiet=quiet)
    folder = bundle or LOCAL_BUNDLE
    named = train_recipe(recipe)
    chosen = steps.start_training(talk, named, data, folder, device=device, threads=threads)
    digits = steps.get_data(talk, data, data_dir, preprocessing)
    trained = steps.train_model(talk, named, digits, folder, device=chosen, threads=threads)
    exported, _ = steps.export_artifacts(
        talk, trained, ExportRecipe(precisions=("float32", "int8-dynamic")), digits
    )
    verified, verify_path = steps.verify_artifacts(talk, exported, digits)
    measured, bench_paths = steps.measure_artifacts(talk, exported, BENCH_RECIPES["quick"])
    samples = steps.write_samples(exported)
    answered = _predict(exported, samples)
    files = [*steps.bundle_files(exported), verify_path, *bench_paths, *samples]
    if as_json:
        outcome = {"bundle": str(exported.path), "verify": verified, "bench": measured}
        outcome |= {"answers": answered, "files": [str(path) for path in files]}
        emit_json(codec.dumps(outcome))
    else:
        emit_table(text.verify_table(verified))
        emit("")
        emit_table(bench_table(measured))
        emit("")
        for answer in answered:
            emit(line(answer))
        emit("")
        emit_table(text.files_table(files))
        emit(text.training_line(exported.manifest))
    talk.suggest(
        f"mnist-edge predict{options.given_bundle(bundle)} {samples[len(samples) * 3 // 4]}",
        to=f"name a {noun(exported.manifest.data.classes)} of your own",
    )
    return int(not verified.passed)


def _predict(bundle: Bundle, pictures: list[Path]) -> list[Answer]:
    from mnist_edge.predict import Predictor, predict_files

    with Predictor.load(bundle.path) as predictor:
        results = predict_files(predictor, pictures)
        return [
            answer for result in results for answer in answers(str(result.source), result, top=3)
        ]
