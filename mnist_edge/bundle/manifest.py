"""What a bundle says of itself: its manifest, and the records in it."""

# No annotations as text here: a manifest is read by their types, and each text would be compiled.

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mnist_edge.bundle.codec import LATER
from mnist_edge.bundle.imported import ImportRecord
from mnist_edge.errors import UsageError
from mnist_edge.recipes.classes import DIGITS, check_classes
from mnist_edge.recipes.frozen import frozen
from mnist_edge.recipes.terms import DataName, Format, Precision, Preprocessing
from mnist_edge.recipes.train import TrainRecipe

MANIFEST = "manifest.json"
SIGNATURE = f"{MANIFEST}.sig"
CHECKPOINT = "checkpoint-float32"
SOURCE = "source-float32"
"""In place of the checkpoint where a net came from others: their graph, in our contract."""

REJECT_BELOW = "reject_below"
"""The key under which an ONNX file states the recipe's threshold, for use without its bundle."""

REJECT_TEMPERATURE = "reject_temperature"
"""The same for what divides the logits before the threshold is applied; 1 where it is missing."""

_MAX_FILE_BYTES = 1 << 30

# Names that mean the same file on every system: nothing hidden, no drive, stream, path or accent.
_FILE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


Role: TypeAlias = Literal[
    "", "calibration", "history", "training curves", "quantization", "model card"
]


@frozen
class FileRecord:
    """One file of a bundle.

    Attributes:
        file: its bare name.
        sha256: in hexadecimal.
        role: what an extra file is for; see `Bundle.find_extra`.
    """

    file: str
    size_bytes: int
    sha256: str
    role: Role = field(default="", metadata=LATER)

    def __post_init__(self) -> None:
        name = self.file
        if not _FILE_NAME.fullmatch(name) or name.casefold() in (MANIFEST, SIGNATURE):
            raise ValueError(f"{name!r:.80} is not a bare file name")
        if not 0 <= self.size_bytes <= _MAX_FILE_BYTES:
            raise ValueError(f"{name}: a size of {self.size_bytes!r:.30} bytes is out of range")
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"{name}: the digest is not a SHA-256")


@frozen
class Parity:
    """How far one artifact is from the reference; written by `formats.parity.compare`.

    Attributes:
        passed: whether the gate of its format and precision holds.
        images: how many digits were compared.
        max_abs_error: the largest absolute difference of any logit.
        sqnr_db: signal to quantization noise, 10·log10(Σ reference² / Σ difference²).
        flips: indices of the images whose top class differs.
        accuracy: share of the images that the candidate classifies correctly, 0 to 1.
        reference_accuracy: the same of the reference.
        reason: why the gate does not hold; empty if it does.
    """

    passed: bool
    images: int
    max_abs_error: float
    sqnr_db: float
    flips: tuple[int, ...]
    accuracy: float
    reference_accuracy: float
    reason: str


@dataclass(frozen=True)
class Score:
    """The share of so many images that are classified correctly, 0 to 1."""

    accuracy: float
    images: int

    @property
    def right(self) -> int:
        """How many that are."""
        return round(self.accuracy * self.images)


@frozen
class Artifact(FileRecord):
    """One exported file in a bundle.

    Attributes:
        name: `<format>-<precision>`.
        opset: of the ONNX graph that it is or was made from; 0 where there is none.
        checkpoint_sha256: the weights that it was made from.
        parity: against the reference, measured as the artifact was written.
        batch_invariant: whether an image's logits keep its top class whatever its batch mates.
        companions: further files of a format that takes several; see `Bundle.companions`.
        test_score: on the test set of the bundle's data, as the artifact is deployed; None where
            that was not at hand. That of the checkpoint stands in the record of its training.
    """

    name: str
    format: Format
    precision: Precision
    opset: int
    checkpoint_sha256: str
    parity: Parity
    batch_invariant: bool
    companions: tuple[FileRecord, ...] = field(default=(), metadata=LATER)
    test_score: Score | None = field(default=None, metadata=LATER)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all its files, the main one first."""
        return (self.file, *(companion.file for companion in self.companions))


@frozen
class DataRecord:
    """The data set that a model was trained on, and what is in its pictures.

    Attributes:
        sha256: of its arrays; see `data.mnist.DataSet`.
        train_size: pictures to train on, and
        test_size: to judge by.
        classes: their names, in the order of the net's outputs.
        preprocessing: what is done to any other picture before the net sees it.
    """

    name: DataName
    sha256: str
    train_size: int
    test_size: int
    classes: tuple[str, ...] = field(default=DIGITS, metadata=LATER)
    preprocessing: Preprocessing = field(default="digit", metadata=LATER)

    def __post_init__(self) -> None:
        check_classes(self.classes)


@frozen
class Lesson:
    """What corrected pictures taught a net that was there, and what that cost.

    Attributes:
        source_sha256: of the weights that it went on from.
        sha256: of the corrected pictures, as `data.mnist.DataSet` defines it.
        train_size: how many were trained on, and
        test_size: were held back.
        right_before: of those held back, read rightly before the lesson, and
        right_after: after it.
        test_accuracy_before: on the test set of the net's own data, 0 to 1.
        cost: in percentage points of accuracy, on training pictures that the lesson left out.
        share: of the way from the old weights to those that the lesson ended with, 0 to 1.
    """

    source_sha256: str
    sha256: str
    train_size: int
    test_size: int
    right_before: int
    right_after: int
    test_accuracy_before: float
    cost: float
    share: float


@frozen
class TrainingRecord:
    """How a training ended. Losses are mean cross-entropy in nats, accuracies 0 to 1.

    `false_reject_rate` is the share of the test digits that the recipe's `reject_below` rejects.
    """

    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    duration_s: float
    parameters: int
    device: str
    false_reject_rate: float = 0.0
    lesson: Lesson | None = field(default=None, metadata=LATER)

    @property
    def imported(self) -> bool:
        """Whether the weights were trained elsewhere: their training took no time here."""
        return not self.duration_s


@frozen
class Manifest:
    """Everything that a bundle says of itself.

    Attributes:
        schema: counts incompatible changes; 1 where nothing in it needs a later one.
        recipe: that the net was trained by, or has the architecture of; None for a net of others.
        imported: where such a one came from; None for all else.
    """

    schema: Literal[1, 2]
    recipe: TrainRecipe | None = field(default=None, metadata=LATER)
    data: DataRecord
    training: TrainingRecord
    versions: dict[str, str]
    reference: FileRecord
    artifacts: tuple[Artifact, ...]
    extras: tuple[FileRecord, ...] = ()
    imported: ImportRecord | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        if (self.recipe is None) == (self.imported is None):
            raise ValueError("it names neither a recipe nor an import, or both")
        if self.imported and self.schema == 1:
            raise ValueError("schema 1 knows no nets of others")
        names = [artifact.name for artifact in self.artifacts]
        # Two names that differ in case alone are one file on Windows and macOS.
        files = [record.file.casefold() for record in self.records]
        for kind, counts in (("artifact", Counter(names)), ("file", Counter(files))):
            for name, count in counts.items():
                if count > 1:
                    raise ValueError(f"the {kind} {name!r:.60} stands twice")
        first = SOURCE if self.imported else CHECKPOINT
        if first not in names:
            raise ValueError(f"the artifact {first} is missing")
        if self.recipe and self.recipe.outputs != len(self.data.classes):
            raise ValueError(
                f"a net of {self.recipe.outputs} outputs for {len(self.data.classes)} classes"
            )
        for artifact in self.artifacts:
            if artifact.name != f"{artifact.format}-{artifact.precision}":
                raise ValueError(f"{artifact.name!r:.60} is not its format and precision")
            if artifact.checkpoint_sha256 != self.origin.sha256:
                raise ValueError(f"{artifact.name} was made from other weights")

    @property
    def records(self) -> tuple[FileRecord, ...]:
        """Every file that the bundle names."""
        companions = (file for artifact in self.artifacts for file in artifact.companions)
        return (self.reference, *self.artifacts, *companions, *self.extras)

    @property
    def origin(self) -> Artifact:
        """What all other artifacts were made from, and are judged by."""
        return self.artifact(SOURCE if self.imported else CHECKPOINT)

    @property
    def name(self) -> str:
        """The recipe's; for people, and as the stem of names."""
        return self.recipe.name if self.recipe else "imported"

    @property
    def architecture(self) -> str:
        """Of the net: the name of one of ours, or what the file of others is."""
        if self.recipe:
            return self.recipe.architecture
        return self.imported.said if self.imported else ""

    @property
    def reject_below(self) -> float:
        """The confidence threshold; 0 where there is none."""
        return self.recipe.reject_below if self.recipe else 0.0

    @property
    def reject_temperature(self) -> float:
        """Divides the logits before that threshold."""
        return self.recipe.reject_temperature if self.recipe else 1.0

    @property
    def own_recipe(self) -> TrainRecipe:
        """The recipe of a net that torch can build.

        Raises:
            UsageError: it is a net of others.
        """
        if self.recipe is None:
            raise UsageError(
                f"the net is {self.architecture}, and none of our recipes",
                fix="take a bundle that mnist-edge train made",
            )
        return self.recipe

    @property
    def float32_error(self) -> float:
        """The largest error of the origin's own float32 against its float64."""
        return self.origin.parity.max_abs_error

    def artifact(self, name: str) -> Artifact:
        """The artifact of that name. Raises KeyError."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        raise KeyError(name)

    def test_score(self, artifact: Artifact) -> Score | None:
        """What an artifact is said to reach on the test set of `data`; None where nothing is."""
        if artifact.name == self.origin.name:
            return Score(self.training.test_accuracy, self.data.test_size)
        return artifact.test_score


def told_parity(parity: Parity, score: Score | None) -> tuple[str, str, str]:
    """The largest error, how many answers flipped, and `told_accuracy`, as tables show them."""
    return f"{parity.max_abs_error:.1e}", str(len(parity.flips)), told_accuracy(parity, score)


def told_accuracy(parity: Parity, score: Score | None) -> str:
    """The accuracy on a test set; without one, how many of the reference digits were right.

    A share of those few, which any good net gets right, would look like its accuracy.
    """
    if score is None:
        few = Score(parity.accuracy, parity.images)
        return f"{few.right:,} of {few.images:,}"
    return f"{score.accuracy:.2%} of {score.images:,}"


def record(file: str, data: bytes, role: Role = "") -> FileRecord:
    """What the manifest says of a file with these bytes."""
    return FileRecord(file=file, size_bytes=len(data), sha256=sha256(data), role=role)


def sha256(data: bytes) -> str:
    """The digest of these bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
