"""Train a digit classifier, export it, prove the exports equal, predict without torch.

What `__all__` names is the Python interface; everything else may change from one version to the
next. A call leaves the process as it found it: torch's threads and random numbers, memory
settings, `sys.stdout`. One variable of the environment is set where it is unset, before ONNX
Runtime is first imported: `ORT_DISABLE_TELEMETRY`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.bench.report import BenchReport as BenchReport
    from mnist_edge.bench.session import bench as bench_bundle
    from mnist_edge.bundle.folder import Bundle as Bundle
    from mnist_edge.bundle.folder import open_bundle as open_bundle
    from mnist_edge.bundle.manifest import Artifact as Artifact
    from mnist_edge.data.mnist import DataSet as DataSet
    from mnist_edge.data.obtain import obtain_data as obtain_data
    from mnist_edge.doctor import DoctorReport as DoctorReport
    from mnist_edge.doctor import examine as check_machine
    from mnist_edge.errors import MnistEdgeError as MnistEdgeError
    from mnist_edge.formats.export import export_verified as export_artifacts
    from mnist_edge.predict import Prediction as Prediction
    from mnist_edge.predict import Predictor as Predictor
    from mnist_edge.recipes.bench import BenchRecipe as BenchRecipe
    from mnist_edge.recipes.catalogue import RECIPES as RECIPES
    from mnist_edge.recipes.export import ExportRecipe as ExportRecipe
    from mnist_edge.recipes.train import TrainRecipe as TrainRecipe
    from mnist_edge.train.session import import_bundle as import_bundle
    from mnist_edge.train.session import train_bundle as train_bundle
    from mnist_edge.verify.report import VerifyReport as VerifyReport
    from mnist_edge.verify.session import verify as verify_bundle

__version__ = "0.1.0"

__all__ = [
    "RECIPES",
    "Artifact",
    "BenchRecipe",
    "BenchReport",
    "Bundle",
    "DataSet",
    "DoctorReport",
    "ExportRecipe",
    "MnistEdgeError",
    "Prediction",
    "Predictor",
    "TrainRecipe",
    "VerifyReport",
    "bench_bundle",
    "check_machine",
    "export_artifacts",
    "import_bundle",
    "obtain_data",
    "open_bundle",
    "train_bundle",
    "verify_bundle",
]

# Where each lies. Lazy, so that `mnist-edge --version` and the like wait for none of it.
_HOMES = {
    "RECIPES": "recipes.catalogue:RECIPES",
    "Artifact": "bundle.manifest:Artifact",
    "BenchRecipe": "recipes.bench:BenchRecipe",
    "BenchReport": "bench.report:BenchReport",
    "Bundle": "bundle.folder:Bundle",
    "DataSet": "data.mnist:DataSet",
    "DoctorReport": "doctor:DoctorReport",
    "ExportRecipe": "recipes.export:ExportRecipe",
    "MnistEdgeError": "errors:MnistEdgeError",
    "Prediction": "predict:Prediction",
    "Predictor": "predict:Predictor",
    "TrainRecipe": "recipes.train:TrainRecipe",
    "VerifyReport": "verify.report:VerifyReport",
    "bench_bundle": "bench.session:bench",
    "check_machine": "doctor:examine",
    "export_artifacts": "formats.export:export_verified",
    "import_bundle": "train.session:import_bundle",
    "obtain_data": "data.obtain:obtain_data",
    "open_bundle": "bundle.folder:open_bundle",
    "train_bundle": "train.session:train_bundle",
    "verify_bundle": "verify.session:verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
