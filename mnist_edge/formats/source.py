"""The net that is exported, whatever it came from: what the writers of all formats read.

Whatever is not torch's own is made from one float32 ONNX graph, and from what is quantized from
it. Each is made once, however many formats ask for it. The bytes depend on the model, the options
and the versions of the libraries alone: no date, path, host or process leaves a trace in them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle import golden
from mnist_edge.bundle.folder import Bundle, remedy
from mnist_edge.bundle.imported import FOREIGN
from mnist_edge.bundle.manifest import REJECT_BELOW, REJECT_TEMPERATURE, Artifact, DataRecord
from mnist_edge.bundle.storage import unpack_arrays
from mnist_edge.contract import IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME, Images, RawImages, to_images
from mnist_edge.data.mnist import balanced_sample
from mnist_edge.errors import BadInput, BundleError, MissingDependency, UsageError, missing_package
from mnist_edge.formats import seal
from mnist_edge.formats.format import PREPROCESSING
from mnist_edge.formats.graph.bounds import count_numbers
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.recipes.classes import DIGITS, are_digits, joined, parted
from mnist_edge.recipes.terms import DEFAULT_OPSET, Format, Precision

if TYPE_CHECKING:
    from torch import nn

    from mnist_edge.formats.graph.layers import Net

_DRAWN, _DRAWN_SEED = 1024, 7  # not the seed of what is shipped, or trained on
GOLDEN_SIZE = 10  # one of each digit: what every artifact carries must stay small


def _scores(classes: int) -> str:
    return f"{OUTPUT_NAME}: float32 (N, {classes}), unnormalised class scores"


_CONTRACT = {
    "producer": "mnist-edge",
    "input": f"{INPUT_NAME}: float32 (N, {', '.join(map(str, IMAGE_SHAPE))}), "
    "white digit on black, 0 to 1",
    "output": _scores(len(DIGITS)),
    "classes": joined(DIGITS),
}


@dataclass(kw_only=True, eq=False)
class Source(ABC):
    """A net to be exported.

    Attributes:
        opset: of the ONNX graph.
        origin: what artifacts say of where they come from, beside their contract.
        calibration: gives (N, 1, 28, 28) training digits, N at least 4, that set the ranges of
            static int8.
        sealed: whether files that can carry a digest of themselves do.
    """

    opset: int = DEFAULT_OPSET
    origin: Mapping[str, str]
    calibration: Callable[[], Images]
    sealed: bool = True
    _files: dict[Precision, bytes] = field(default_factory=dict, init=False)

    def make_do(self, quantized: bytes) -> None:
        """Do without training digits for the ranges of static int8.

        Args:
            quantized: the file of static int8 that is there; empty where there is none, and the
                ranges come from drawn digits.
        """
        if quantized:
            self._files["int8"] = quantized
        self.calibration = drawn_calibration

    @property
    def name(self) -> str:
        """The recipe's."""
        return self.origin["recipe"]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of what the net tells apart."""
        return parted(self.origin["classes"]) if "classes" in self.origin else DIGITS

    @property
    def reject_below(self) -> float:
        """What gets a smaller probability is no digit; 0 where nothing is said of it."""
        return float(self.origin.get(REJECT_BELOW, "0"))

    @property
    def reject_temperature(self) -> float:
        """What divides the logits before that probability is taken; 1 where nothing is said."""
        return float(self.origin.get(REJECT_TEMPERATURE, "1"))

    @cached_property
    def golden(self) -> tuple[RawImages, NDArray[np.float64]] | None:
        """Pictures (N, 28, 28) with the checkpoint's logits (N, classes), where there are any."""
        packed = self.origin.get(golden.KEY)
        return golden.unpack_golden(packed) if packed else None

    def metadata(self, format_: Format, precision: Precision) -> dict[str, str]:
        """What a file says of itself: the contract, and its origin."""
        from mnist_edge.formats import FORMATS

        stated: dict[str, str] = {"format": format_, "precision": precision}
        if self.sealed and FORMATS[format_].has_seal:
            stated[seal.KEY] = seal.OPEN
        return _CONTRACT | stated | dict(self.origin)

    @abstractmethod
    def torch(self, precision: Precision) -> nn.Module:
        """The net as a torch module on the CPU, in evaluation mode, folded for inference.

        Raises:
            MissingDependency, UsageError: there is no such module.
        """

    def onnx(self, precision: Precision) -> bytes:
        """The net as an ONNX file: one that `export --format onnx` writes, byte for byte.

        Raises:
            UsageError: the opset cannot be written, or there is nothing to quantize.
        """
        if precision not in self._files:
            make = self._float32 if precision == "float32" else partial(self._cast, precision)
            self._files[precision] = seal.sealed(make())
        return self._files[precision]

    @abstractmethod
    def _float32(self) -> bytes: ...

    def _cast(self, precision: Precision) -> bytes:
        import onnx

        from mnist_edge.formats.onnx.write import serialize_onnx

        graph = onnx.load_model_from_string(self.onnx("float32"))
        metadata = self.metadata("onnx", precision)
        match precision:
            case "float16":
                from mnist_edge.formats.onnx.half import halve_initializers

                return serialize_onnx(halve_initializers(graph), metadata)
            case "int8-dynamic":
                from mnist_edge.formats.onnx.dynamic import quantize_matrix_products

                return serialize_onnx(quantize_matrix_products(graph), metadata)
            case _:
                from mnist_edge.formats.onnx.static import quantize_statically

                drawn = self.calibration is drawn_calibration
                if drawn and not are_digits(self.classes):
                    raise UsageError(
                        "static int8 takes training pictures, which this bundle has let go",
                        fix="export from the bundle as it was trained",
                    )
                quantized, how = quantize_statically(graph, self.calibration())
                if drawn:
                    how["calibration_digits"] = "drawn: the training digits were not at hand"
                return serialize_onnx(quantized, metadata | how)


@dataclass(eq=False)
class TorchSource(Source):
    """A net that torch holds.

    Attributes:
        model: as trained; what is exported is `models.deployable(model)`. It is not changed.
    """

    model: nn.Sequential

    def torch(self, precision: Precision) -> nn.Module:
        """See `Source.torch`."""
        from mnist_edge.formats.checkpoint.cast import cast
        from mnist_edge.models import deployable

        return cast(deployable(self.model).cpu(), precision)

    def _float32(self) -> bytes:
        from mnist_edge.formats.onnx.trace import trace_onnx
        from mnist_edge.formats.onnx.write import serialize_onnx

        graph = trace_onnx(self.torch("float32"), self.opset)
        return serialize_onnx(graph, self.metadata("onnx", "float32"))


@dataclass(eq=False)
class OnnxSource(Source):
    """A net of which there is an ONNX file, where torch is not installed.

    Attributes:
        graph: the float32 file.
        quantized: the file of static int8, or nothing where it is to be made.
    """

    graph: bytes
    quantized: bytes = b""

    def __post_init__(self) -> None:
        self._files["float32"] = self.graph
        if self.quantized:
            self._files["int8"] = self.quantized

    def torch(self, precision: Precision) -> nn.Module:
        """There is none."""
        del precision
        raise _missing("torch")

    def _float32(self) -> bytes:
        return self.graph


@dataclass(eq=False)
class ForeignSource(Source):
    """A net that others made.

    Attributes:
        graph: the file of it that `import` wrote.
    """

    graph: bytes

    @cached_property
    def _net(self) -> Net:
        from mnist_edge.formats.graph.fold import fold
        from mnist_edge.formats.graph.read import read_graph

        return fold(read_graph(self.graph))

    def torch(self, precision: Precision) -> nn.Module:
        """A module of its steps. Raises BadInput for an operator of which no step can be made."""
        from mnist_edge.formats.checkpoint.cast import cast
        from mnist_edge.formats.torchscript.steps import StepsModule

        return cast(StepsModule(self._net).eval(), precision)

    def _float32(self) -> bytes:
        import onnx
        from onnx.version_converter import convert_version

        from mnist_edge.formats.graph.write import write_graph
        from mnist_edge.formats.onnx.write import serialize_onnx

        try:
            graph = write_graph(self._net, self.opset)
        except BadInput:  # an operator of which no step can be made
            graph = onnx.load_model_from_string(self.graph)
            if self.opset != DEFAULT_OPSET:
                graph = convert_version(graph, self.opset)
        return serialize_onnx(graph, self.metadata("onnx", "float32"))


def missing_step(bundle: Bundle) -> str:
    """What in the net of a bundle cannot be written step by step; empty where all can be."""
    from mnist_edge.formats.graph.read import read_graph

    if bundle.manifest.imported is None:
        return ""
    try:
        read_graph(bundle.read(bundle.manifest.origin))
    except BadInput as error:
        return error.what
    return ""


def export_source(bundle: Bundle, opset: int) -> Source:
    """The net of a bundle, also of one that has let go of its training digits.

    Raises:
        BundleError, DigestMismatch, MissingDependency, UsageError: as for `open_source`.
    """
    source = open_source(bundle, opset)
    if bundle.find_extra("calibration") is None:
        source.make_do(_graph(bundle, _own(bundle, "int8", opset)))
    return source


def open_source(bundle: Bundle, opset: int = DEFAULT_OPSET) -> Source:
    """The net of a bundle: its weights or the graph of others, or its own ONNX artifacts.

    Raises:
        BundleError, DigestMismatch: a file of the bundle is missing or damaged.
        MissingDependency: torch is not installed, and there is no ONNX artifact.
        UsageError: the artifact has another opset.
    """
    recipe = bundle.manifest.recipe
    if recipe is not None and find_spec("torch") is not None:
        from mnist_edge.models import load_weights

        origin, calibration = artifact_metadata(bundle), partial(calibration_images, bundle)
        model = load_weights(recipe, bundle.read(bundle.manifest.origin))
        return TorchSource(model, opset=opset, origin=origin, calibration=calibration)
    return onnx_source(bundle, opset)


def onnx_source(bundle: Bundle, opset: int) -> Source:
    """The net of a bundle as its own ONNX artifacts hold it. Raises as `open_source` does."""
    origin, calibration = artifact_metadata(bundle), partial(calibration_images, bundle)
    imported = bundle.manifest.imported
    if imported is not None and find_spec("onnx") is not None:
        data = bundle.read(bundle.manifest.origin)
        return ForeignSource(data, opset=opset, origin=origin, calibration=calibration)
    graph = _own(bundle, "float32")
    if graph is None:
        raise _missing("torch") if imported is None else _missing("onnx")
    if graph.opset != opset:
        raise UsageError(
            f"without torch there is no opset {opset}: {graph.file} has {graph.opset}",
            fix=f"choose --opset {graph.opset}",
        )
    return OnnxSource(
        _graph(bundle, graph),
        _graph(bundle, _own(bundle, "int8", opset)),
        opset=opset,
        origin=origin,
        calibration=calibration,
    )


def _own(bundle: Bundle, precision: Precision, opset: int = 0) -> Artifact | None:
    """The ONNX artifact that lies in a bundle, where it gives the checkpoint's answers."""
    for artifact in bundle.manifest.artifacts:
        if (artifact.format, artifact.precision) == ("onnx", precision):
            usable = artifact.parity.passed and bundle.holds(artifact)
            return artifact if usable and opset in {0, artifact.opset} else None
    return None


def _graph(bundle: Bundle, artifact: Artifact | None) -> bytes:
    """The file of an ONNX artifact, which may be a stranger's; empty where there is none."""
    if artifact is None:
        return b""
    data = bundle.read(artifact)
    try:
        count_numbers(read_outline(data), 1)
    except ValueError as error:
        raise BadInput(
            f"nothing can be made of {artifact.file}: {error}",
            fix="export from the bundle as it was trained",
        ) from None
    return data


def calibration_images(bundle: Bundle) -> Images:
    """The training digits that `write_bundle` put by for static quantization, (N, 1, 28, 28).

    Raises:
        BundleError: the bundle has none, or they are damaged.
    """
    fix = remedy(bundle.path, "train")
    known = bundle.find_extra("calibration")
    if known is None:
        raise BundleError(f"{bundle.path} has no calibration digits", fix=fix)
    try:
        return to_images(unpack_arrays(bundle.read(known))["images"])
    except (BadInput, KeyError, ValueError) as error:
        raise BundleError(
            f"the calibration digits of {bundle.path} are damaged: {error}", fix=fix
        ) from None


def drawn_calibration() -> Images:
    """Digits of our own generator, (1024, 1, 28, 28), where the training digits are not at hand."""
    from mnist_edge.data.strokes import stroke_digits

    images, _ = stroke_digits(_DRAWN, seed=_DRAWN_SEED)
    return to_images(images)


def _missing(package: str) -> MissingDependency:
    return missing_package(ModuleNotFoundError(name=package), "export")


def nothing_to_quantize(what: str) -> UsageError:
    """The error for a model that has nothing of the kind which int8-dynamic acts on."""
    return UsageError(
        f"int8-dynamic finds nothing to quantize: the model has no {what}",
        fix="choose --precision float32, or a recipe with a linear layer",
    )


def artifact_metadata(bundle: Bundle) -> dict[str, str]:
    """What an artifact says of itself: no date, path or host, so the bytes stay the same."""
    manifest = bundle.manifest
    reference = bundle.reference()
    sample = balanced_sample(reference.labels, GOLDEN_SIZE)
    softened = manifest.reject_temperature
    return {
        golden.KEY: golden.pack_golden(reference.images[sample], reference.logits[sample]),
        "recipe": manifest.name,
        "architecture": manifest.architecture,
        **({"seed": str(manifest.recipe.seed)} if manifest.recipe else {}),
        **({FOREIGN: manifest.imported.sha256} if manifest.imported else {}),
        REJECT_BELOW: str(manifest.reject_below),
        # Left out at its default, so that artifacts of before are rebuilt byte for byte.
        **({REJECT_TEMPERATURE: str(softened)} if softened != 1 else {}),
        "data": manifest.data.name,
        "data_sha256": manifest.data.sha256,
        "checkpoint_sha256": manifest.origin.sha256,
        "checkpoint_test_accuracy": f"{manifest.training.test_accuracy:.4f}",
        **_other_contract(manifest.data),
    }


def _other_contract(data: DataRecord) -> dict[str, str]:
    """What an artifact says of its contract where that is not the one of digits."""
    if are_digits(data.classes) and data.preprocessing == "digit":
        return {}
    return {
        "input": _CONTRACT["input"].replace("white digit", "white"),
        "output": _scores(len(data.classes)),
        "classes": joined(data.classes),
        PREPROCESSING: data.preprocessing,
    }
