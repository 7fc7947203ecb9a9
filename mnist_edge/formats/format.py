"""What a format says of itself, and what each of its artifacts can do once it is loaded.

This module and the `__init__` of each room import the standard library alone, so that help, the
command line and the registry know every format before any runtime is loaded. What a method needs
it imports itself.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Literal,
    Protocol,
    TypeAlias,
    cast,
    get_args,
    runtime_checkable,
)

from mnist_edge.errors import BadInput, DeviceUnavailable, UsageError, missing_package
from mnist_edge.formats.seal import check_seal, check_sealed
from mnist_edge.formats.tolerances import (
    FLOAT16_TOLERANCE,
    FOREIGN_ERRORS,
    FOREIGN_FLOAT16_TOLERANCE,
    FOREIGN_INT8_TOLERANCE,
    GPU_TOLERANCE,
    INT8_TOLERANCE,
    Tolerance,
)
from mnist_edge.recipes.classes import DIGITS, parted
from mnist_edge.recipes.frozen import frozen
from mnist_edge.recipes.terms import Device, Format, Mode, Precision, Preprocessing, Runtime
from mnist_edge.recipes.train import TrainRecipe

if TYPE_CHECKING:
    from mnist_edge.bundle.manifest import Manifest
    from mnist_edge.contract import Images, Logits
    from mnist_edge.formats.source import Source

Optimization: TypeAlias = Literal["none", "basic", "extended", "all"]

PREPROCESSING = "preprocessing"
"""The key under which a file states it, where it is not that of digits."""

_FIX = "give a file as mnist-edge export wrote it"


class Backend(Protocol):
    """One artifact loaded on one device. Loading is construction; there is no unloaded state.

    Attributes:
        name: the runtime, in lower case: `torch`, `torch.export`, `onnxruntime`, `gcc` and so on.
        version: of the runtime.
        device: where it proved to run.
    """

    name: str
    version: str
    device: Device

    def run(self, images: Images) -> Logits:
        """Classify `images` (N, 1, 28, 28) float32 in [0, 1]; N may be 0.

        Returns (N, classes) float32 once the logits are in host memory; never changes `images`.

        Raises:
            BadInput: `images` break the input contract, or the logits are no numbers.
        """

    def close(self) -> None:
        """Free what the runtime holds. Safe to call twice."""


@runtime_checkable
class DeviceResident(Backend, Protocol):
    """A backend whose device may have memory of its own."""

    def time_resident(self, images: Images, runs: int) -> tuple[float, ...]:
        """Seconds of each of `runs` runs on images that already lie on the device.

        The logits stay there, too: what is left out is the way between host and device.
        """


@dataclass(frozen=True)
class Written:
    """The files of one artifact.

    Attributes:
        data: the main file.
        companions: the files that belong to it, by suffix, such as the header of a C file.
    """

    data: bytes
    companions: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def files(self) -> tuple[bytes, ...]:
        """All of them, the main one first."""
        return (self.data, *self.companions.values())


@frozen
class Wish:
    """What may be asked of a writer beside the precision; a file shows what was asked of it.

    Attributes:
        prefix: of the names that a file defines; empty for the recipe's name.
        tflm: whether a `.tflite` file comes with its sources for microcontrollers.
        picture: whether a C file reads pictures as they come, too.
    """

    prefix: str = ""
    tflm: bool = False
    picture: bool = False


NO_WISH = Wish()


@frozen
class Loading:
    """How an artifact is to be loaded.

    Attributes:
        recipe: names the architecture, for weights alone; None for a file without its bundle.
        classes: that it must tell apart; 0 for as many as the file says, where one says it.
        device: that must run it; a fall-back to another one is an error.
        threads: compute threads of the runtime; of torch they are those of the whole process.
        optimization: of the graph, for runtimes that have levels.
        mode: how torch runs a checkpoint.
        runtime: that runs it, where a format has several; empty for the usual one.
    """

    recipe: TrainRecipe | None = None
    classes: int = len(DIGITS)
    device: Device = "cpu"
    threads: int = 1
    optimization: Optimization = "all"
    mode: Mode = "plain"
    runtime: Runtime | Literal[""] = ""


USUAL = Loading()


def claim_cpu(how: Loading, what: str) -> Device:
    """The one device of what runs on the CPU alone. Raises DeviceUnavailable for another."""
    if how.device != "cpu":
        raise DeviceUnavailable(f"{what} cannot use {how.device} here", fix="choose --device cpu")
    return how.device


@frozen
class Header:
    """What a file says of itself beside its net; numbers are 0 where it is silent."""

    metadata: dict[str, str]
    ir_version: int = 0
    opset: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names; the ten digits where it is silent. Raises BadInput."""
        try:
            return parted(self.metadata["classes"]) if "classes" in self.metadata else DIGITS
        except ValueError as error:
            raise BadInput(f"the file states no classes: {error}", fix=_FIX) from None

    @property
    def preprocessing(self) -> Preprocessing:
        """Of pictures, before the net sees them. Raises BadInput."""
        stated = self.metadata.get(PREPROCESSING, "digit")
        if stated not in get_args(Preprocessing):
            raise BadInput(f"the file states the preprocessing {stated!r:.30}", fix=_FIX)
        return cast("Preprocessing", stated)


class FileFormat(ABC):
    """One format: how its artifacts are named, written, recognised and run.

    Its room is the folder of the module that defines it, with the writer in `write.py` and what
    loads and runs it in `run.py`.

    Attributes:
        name: as in `recipes.terms.Format`.
        aliases: other names by which `export` knows it.
        suffix: of the main file.
        precisions: that it can hold; none where `export` does not write it.
        usual: that it is written in where none is asked for.
        tolerance: the gate of float32 on the CPU.
        extra: of pyproject.toml, that installs what runs it; empty for the base dependencies.
        package: that is imported to run it, where it is none of the base dependencies.
        wishes: the fields of `Wish` that it knows.
        default: whether `export` writes it where no format is asked for.
        needs: the suffixes of the companions without which the main file cannot run.
        runs_code: whether to open a file is to run what somebody wrote into it.
        from_onnx: whether it is made from the ONNX graph, whose opset then shapes its bytes.
        from_steps: whether a net of others is written into it step by step.
        runtimes: that can run it, where there are several, the usual one first, each with the
            extra that installs it.
        levels: of graph optimisation that its runtime has.
        has_seal: whether its files carry a digest of themselves: see `seal`.
        by_hand: the command that tests a file which `doctor` does not load; `{}` is the file.
    """

    name: ClassVar[Format]
    aliases: ClassVar[tuple[str, ...]] = ()
    suffix: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]] = ()
    usual: ClassVar[Precision] = "float32"
    tolerance: ClassVar[Tolerance]
    extra: ClassVar[str] = ""
    package: ClassVar[str] = ""
    wishes: ClassVar[tuple[str, ...]] = ()
    default: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    runs_code: ClassVar[bool] = False
    from_onnx: ClassVar[bool] = True
    from_steps: ClassVar[bool] = True
    runtimes: ClassVar[Mapping[Runtime, str]] = {}
    levels: ClassVar[tuple[Optimization, ...]] = ("all",)
    has_seal: ClassVar[bool] = False
    by_hand: ClassVar[str] = ""

    def write(self, source: Source, precision: Precision) -> Written:
        """The files of one artifact; the caller has checked `precision`."""
        del source
        raise self.refuse(precision)

    def write_as(self, source: Source, precision: Precision, wish: Wish) -> Written:
        """`write`, with what is wished as far as the format knows it."""
        del wish
        return self.write(source, precision)

    def wish_of(self, written: Written) -> Wish:
        """What was asked when these files were written."""
        del written
        return NO_WISH

    @abstractmethod
    def load(self, written: Written, how: Loading) -> Backend:
        """Load an artifact from its bytes. Raises as `formats.load_backend` does."""

    def import_runtime(self, runtime: Runtime | Literal[""] = "") -> None:
        """Import what `load` needs, so that its time can be told from that of the loading."""
        usual = next(iter(self.runtimes), "")
        module = "run" if runtime in ("", usual) else runtime
        importlib.import_module(f"{type(self).__module__}.{module}")

    def absent(self) -> str:
        """Why its artifacts cannot run on this machine, and what to do; empty if they can."""
        if self.package and importlib.util.find_spec(self.package) is None:
            missing = ModuleNotFoundError(name=self.package)
            return str(missing_package(missing, f"run {self.name} files", extra=self.extra))
        return ""

    def unfit(self, manifest: Manifest) -> str:
        """Why it cannot hold the net of a bundle; empty if it can."""
        del manifest
        return ""

    def is_one(self, data: bytes) -> bool:
        """Whether the bytes look like its main file."""
        del data
        return False

    def header(self, data: bytes) -> Header:
        """What a file says of itself. Raises BadInput where it is damaged."""
        del data
        return Header(metadata={})

    def whole_header(self, data: bytes) -> Header:
        """What a file that left its bundle says of itself, once its own digest is known to hold.

        Raises:
            DigestMismatch: it does not.
            BadInput: the file is damaged otherwise.
        """
        has_one = check_seal(data)
        header = self.header(data)
        if not has_one:
            check_sealed(header.metadata)
        return header

    def gate(
        self,
        precision: Precision,
        device: Device = "cpu",
        *,
        float32_error: float = 0.0,
        foreign: bool = False,
    ) -> Tolerance:
        """When an artifact counts as equivalent to the checkpoint.

        Args:
            precision: of the artifact.
            device: that runs it.
            float32_error: of the checkpoint's own float32 against the float64 reference. It is
                added to the constant: an export of the very same results cannot be nearer.
            foreign: whether others made the net.
        """
        if precision == "float16":
            return FOREIGN_FLOAT16_TOLERANCE if foreign else FLOAT16_TOLERANCE
        if precision in ("int8", "int8-dynamic", "int8-io"):
            return FOREIGN_INT8_TOLERANCE if foreign else INT8_TOLERANCE
        gate = self.tolerance if device == "cpu" else GPU_TOLERANCE
        return gate.widened(float32_error * FOREIGN_ERRORS if foreign else float32_error)

    def refuse(self, precision: Precision) -> UsageError:
        """The error for a precision that it cannot hold."""
        return UsageError(
            f"{self.name} cannot hold {precision}", fix="see the matrix in mnist-edge export --help"
        )
