"""Pictures to digits and probabilities, on a device without torch.

predictor = Predictor.load()
print(predictor("seven.png").digit)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.folder import read_settled
from mnist_edge.bundle.imported import FOREIGN
from mnist_edge.bundle.manifest import REJECT_BELOW, REJECT_TEMPERATURE
from mnist_edge.bundle.signing import Trust, open_trusted, vouching_bundle
from mnist_edge.bundle.storage import read_file, readable
from mnist_edge.contract import IMAGE_SHAPE, Images, to_images
from mnist_edge.errors import BadInput, BundleError, MnistEdgeError, UsageError
from mnist_edge.formats import (
    FORMATS,
    Backend,
    Loading,
    companions_of,
    find_artifact,
    load_artifact,
    load_backend,
)
from mnist_edge.formats.format import FileFormat, Header
from mnist_edge.formats.running import run_as_deployed
from mnist_edge.picture import Picture, Source, load_picture, other_readings
from mnist_edge.picture.several import load_pictures
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.classes import DIGITS, are_digits
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT, Device, Preprocessing, Runtime

Status: TypeAlias = Literal["digit", "no digit", "label", "no label"]

LOW_CONFIDENCE = 0.8
"""Below it a prediction carries a warning."""

SURE = 0.9
"""Of digits that touch, each must be so probable for them to be parted, and less than the whole."""

BATCH_SIZE = 256
"""Pictures classified at once: enough to keep a runtime busy, few enough to stream."""

_MAX_MODEL_BYTES = 1 << 30
_INPUT_SHAPES = (IMAGE_SHAPE, (1, *IMAGE_SHAPE))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a net says of one picture.

    Attributes:
        status: `digit`, or `no digit` where there was nothing to read, or nothing like a digit;
            `label` and `no label` where the classes are others.
        digit: 0 to 9; None where there is none.
        probability: of `label`, 0 to 1; 0 where there is none.
        probabilities: of each class, adding up to 1; empty where there was nothing to read.
        notes: what a user should know before trusting it, such as low confidence, and why there
            is no digit.
        classes: the names of the classes, in the order of `probabilities`.
        label: the name of the class; None where there is none.
    """

    status: Status
    digit: int | None
    probability: float
    probabilities: tuple[float, ...]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = DIGITS
    label: str | None = None

    def top(self, count: int = 3) -> tuple[tuple[int, float], ...]:
        """The most probable classes, by number, with their probabilities, the best first."""
        ranked = sorted(enumerate(self.probabilities), key=lambda pair: -pair[1])
        return tuple(ranked[:count])


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """One digit of a picture: what the net was fed and what it said."""

    picture: Picture
    prediction: Prediction


@dataclass(frozen=True, kw_only=True, eq=False)
class FileResult:
    """What came of one source: its readings, or the error that stopped it.

    Attributes:
        source: as it was given.
        readings: one, or with `many` one for each digit from left to right; empty on an error.
        error: why there is no reading.
    """

    source: Source
    readings: tuple[Reading, ...] = ()
    error: MnistEdgeError | None = None


class Predictor:
    """A classifier ready for pictures. May be called from several threads at once.

    Args:
        backend: runs the net; closed with the predictor.
        batch_invariant: whether a picture's answer may depend on its batch. If it may, pictures
            are classified one at a time, so that a folder gives what its files give alone.
        reject_below: the confidence threshold: what is under it is no digit; a bundle's recipe
            states it.
        reject_temperature: divides the logits, and the largest probability that they then give is
            the confidence. The probabilities that are shown are those of the logits as they are.
        artifact: what the backend runs, by name.
        classes: the names of what the net tells apart, in the order of its outputs.
        preprocessing: what is done to a picture before the net sees it.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        batch_invariant: bool = True,
        reject_below: float = 0.0,
        reject_temperature: float = 1.0,
        artifact: str = DEFAULT_ARTIFACT,
        classes: tuple[str, ...] = DIGITS,
        preprocessing: Preprocessing = "digit",
    ) -> None:
        if not 0 <= reject_below <= 1:  # as NaN is not, under which nothing would be rejected
            raise UsageError(
                f"reject_below is {reject_below}, which is no probability",
                fix="give one from 0 to 1",
            )
        if not 0.01 <= reject_temperature <= 100:
            raise UsageError(
                f"reject_temperature is {reject_temperature}, which is out of range",
                fix="give one from 0.01 to 100",
            )
        self._backend = backend
        self._batch_invariant = batch_invariant
        self._reject_below = reject_below
        self._reject_temperature = reject_temperature
        self.artifact = artifact
        self._classes = classes
        self.preprocessing: Preprocessing = preprocessing
        self._nothing = _nothing(classes)

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        *,
        artifact: str | None = None,
        device: Device = "cpu",
        threads: int = 1,
        backend: Runtime | Literal[""] = "",
        allow_mismatch: bool = False,
        key: Path | str | None = None,
        not_before: int | None = None,
        trust: bool = False,
    ) -> Predictor:
        """Load one artifact of a bundle, or a file that `mnist-edge export` wrote.

        Args:
            path: a bundle, or an `.onnx` or `.ort` file; by default the bundle in
                `exports/model`, else the one that is shipped.
            artifact: which of the bundle's, by default `onnx-float32`, or the only one that is
                there; of no meaning for a file.
            device: where to run.
            threads: of the runtime.
            backend: the runtime, where a format has several; empty for the usual one.
            allow_mismatch: also take an artifact that was found to differ from its checkpoint.
            key: the public key that must have signed the bundle: a `.pub` file, or a line of one.
                The one that `MNIST_EDGE_KEY` names must have signed it in any case.
            not_before: the least serial number that the signature may have.
            trust: whether an artifact that is a program may run, whoever wrote it.

        Raises:
            Untrusted: the bundle is not signed by whom it should be, or is older, or the artifact
                is a program and nothing vouches for who wrote it.
            BundleError: there is no such bundle or file, or it is damaged.
            UsageError: the bundle has no such artifact, or it failed its comparison.
            DeviceUnavailable: the device is not there.
            MissingDependency: the runtime is not installed.
        """
        place = None if path is None else Path(path)
        asked = Trust(key=key, not_before=not_before, code=trust)
        how = Loading(device=device, threads=threads, runtime=backend)
        if place is not None and place.is_file():
            return _load_file(place, asked, how)

        def load() -> Predictor:
            bundle = open_trusted(place, asked)
            chosen = find_artifact(
                bundle, bundle.default_artifact if artifact is None else artifact
            )
            bundle.check(but={chosen.file})  # that one is checked as it is read
            if not (allow_mismatch or chosen.parity.passed):
                raise UsageError(
                    f"{chosen.name} gave other answers than its checkpoint: {chosen.parity.reason}",
                    fix="choose another --artifact, or take it all the same with --allow-mismatch",
                )
            return cls(
                load_artifact(bundle, chosen, how),
                batch_invariant=chosen.batch_invariant,
                reject_below=bundle.manifest.reject_below,
                reject_temperature=bundle.manifest.reject_temperature,
                artifact=chosen.name,
                classes=bundle.manifest.data.classes,
                preprocessing=bundle.manifest.data.preprocessing,
            )

        return read_settled(place, load)

    def __call__(self, image: Source) -> Prediction:
        """Name the digit in one picture.

        Args:
            image: a path, the bytes of a file, a binary stream, a PIL image or an array. Arrays
                (H, W), (H, W, 3) and (H, W, 4) are pictures: uint8 in 0 to 255, floats in 0 to 1,
                or bool, of either polarity. An array (1, 28, 28) or (1, 1, 28, 28) of float32 is
                the net's own input, white digit on black in [0, 1], and is taken as it is.

        Raises:
            BadInput: it is no picture, or an array of another shape, type or range.
        """
        if isinstance(image, np.ndarray) and image.shape[-3:] == IMAGE_SHAPE:
            return self.predict_images(_as_input(image))[0]
        return self.predict_pictures([load_picture(image, self.preprocessing)])[0]

    def predict_images(self, images: Images) -> list[Prediction]:
        """Classify the net's own input, (N, 1, 28, 28) float32 in [0, 1], white on black."""
        if not len(images):
            return []
        logits = run_as_deployed(
            self._backend,
            images,
            batch_invariant=self._batch_invariant,
            batch_size=len(images),
        )
        return [
            _prediction(row, self._classes, self._reject_below, self._reject_temperature)
            for row in logits.tolist()
        ]

    def predict_pictures(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """Classify pictures that are already normalised; blank ones never reach the net."""
        return [reading.prediction for reading in map(self._whole, self._readings(pictures))]

    def read_pictures(self, pictures: Sequence[Picture]) -> list[tuple[Reading, ...]]:
        """Classify pictures as `predict_pictures` does, and part digits that touch.

        Of each picture one reading, or those of the digits that it was parted into.
        """
        return [self._parted(self._whole(reading)) for reading in self._readings(pictures)]

    def _readings(self, pictures: Sequence[Picture]) -> list[Reading]:
        readable = [picture for picture in pictures if not picture.blank]
        answers: Iterator[Prediction] = iter(())
        if readable:
            images = np.concatenate([picture.images for picture in readable])
            answers = iter(self.predict_images(images))
        return [
            Reading(picture=p, prediction=_noted(self._nothing if p.blank else next(answers), p))
            for p in pictures
        ]

    def _whole(self, reading: Reading) -> Reading:
        """Of one digit that may lie in pieces, the pieces together where they are surer."""
        others = [way for way in reading.picture.others if len(way) == 1]
        if not others:
            return reading
        together = [self._readings(way)[0] for way in others]
        return max((reading, *together), key=_certainty)

    def _parted(self, reading: Reading, depth: int = 2) -> tuple[Reading, ...]:
        """The digits that touch in what is not read surely; itself if it cannot be parted so."""
        if reading.picture.ink is None or not depth or _certainty(reading) >= SURE:
            return (reading,)
        best: tuple[Reading, ...] = (reading,)
        most = SURE
        for way in other_readings(reading.picture):
            found = self._readings(way)
            unsure = [half for half in found if _certainty(half) < SURE]
            if len(unsure) < len(found):
                parts = tuple(part for half in found for part in self._parted(half, depth - 1))
                if (least := min(map(_certainty, parts))) >= most:
                    best, most = parts, least
        return best

    def close(self) -> None:
        """Free the runtime. Safe to call twice."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def predict_files(
    predictor: Predictor,
    sources: Sequence[Source],
    *,
    many: bool = False,
    batch_size: int = BATCH_SIZE,
    processes: int = 1,
    progress: Progress = silent,
) -> Iterator[FileResult]:
    """Classify many pictures in batches; results stream in the order of the sources.

    Args:
        predictor: does the work.
        sources: paths, streams or pictures in memory.
        many: read every digit of a picture, from left to right, instead of one.
        batch_size: sources read before they are classified together.
        processes: that read pictures at once, where that pays; see `load_pictures`.
        progress: told after each batch.

    Yields:
        One result a source. One that cannot be read gives its error, and the rest goes on.
    """
    done = 0
    if many and predictor.preprocessing == "plain":
        raise UsageError(
            "this net reads pictures whole, and cannot part them",
            fix="leave --many out",
        )
    loaded = load_pictures(
        sources, many=many, preprocessing=predictor.preprocessing, processes=processes
    )
    remaining = zip(sources, loaded, strict=True)
    while batch := list(islice(remaining, batch_size)):
        pictures = [p for _, item in batch if isinstance(item, tuple) for p in item]
        answers = iter(predictor.read_pictures(pictures))
        for source, item in batch:
            if isinstance(item, MnistEdgeError):
                yield FileResult(source=source, error=item)
                continue
            readings = tuple(reading for _ in item for reading in next(answers))
            yield FileResult(source=source, readings=readings)
        done += len(batch)
        progress(done, len(sources))


def _nothing(classes: tuple[str, ...], *notes: str) -> Prediction:
    """The answer where there is none: to a blank picture, if `notes` say nothing else."""
    told = are_digits(classes)
    return Prediction(
        status="no digit" if told else "no label",
        digit=None,
        probability=0.0,
        probabilities=(),
        notes=notes or ("no digit found" if told else "nothing found",),
        classes=classes,
    )


def _prediction(
    logits: list[float], classes: tuple[str, ...], reject_below: float, reject_temperature: float
) -> Prediction:
    probabilities = _softmax(logits, 1.0)
    probability = max(probabilities)
    label = classes[probabilities.index(probability)]
    confidence = probability
    if reject_temperature != 1:
        confidence = max(_softmax(logits, reject_temperature))
    if confidence < reject_below:
        kind = "a digit" if are_digits(classes) else "any class"
        why = f"not like {kind}: the nearest, {label}, has {probability:.0%}"
        return replace(_nothing(classes, why), probabilities=probabilities)
    return Prediction(
        status="digit" if label in DIGITS else "label",
        digit=int(label) if label in DIGITS else None,
        probability=probability,
        probabilities=probabilities,
        notes=("low confidence",) if probability < LOW_CONFIDENCE else (),
        classes=classes,
        label=label,
    )


def _softmax(logits: list[float], temperature: float) -> tuple[float, ...]:
    # For ten numbers plain Python takes a third of the time of NumPy.
    largest = max(logits)
    powers = [math.exp((logit - largest) / temperature) for logit in logits]
    total = sum(powers)
    return tuple([power / total for power in powers])


def _certainty(reading: Reading) -> float:
    """The largest probability, also of what is rejected; 0 where there was nothing to read."""
    return max(reading.prediction.probabilities, default=0.0)


def _noted(prediction: Prediction, picture: Picture) -> Prediction:
    """With what is to be known of the picture, and, where the answer is not sure, why."""
    seen: tuple[str, ...] = ()
    if prediction.probability < LOW_CONFIDENCE and not picture.blank:
        seen = picture.seen or (_between(prediction),)
    notes = (*prediction.notes, *seen, *picture.notes)
    return replace(prediction, notes=notes) if notes != prediction.notes else prediction


def _between(prediction: Prediction) -> str:
    """What is to be said where only the shape is at fault."""
    found = prediction.probabilities
    first, second = sorted(range(len(found)), key=lambda index: -found[index])[:2]
    classes = prediction.classes
    return f"its shape lies between {classes[first]} and {classes[second]}"


def _as_input(image: NDArray[np.generic]) -> Images:
    if image.dtype != np.float32 or image.shape not in _INPUT_SHAPES:
        raise BadInput(
            f"an array of {image.dtype} and shape {image.shape} is not one input of the net",
            fix="pass one picture (28, 28), or float32 (N, 1, 28, 28) to predict_images",
        )
    return image.view(np.float32).reshape(_INPUT_SHAPES[1])


def _load_file(path: Path, trust: Trust, how: Loading) -> Predictor:
    """A model file without its artifact's record: what it says of itself is all that is known."""
    from mnist_edge.foreign.kinds import refuse_stranger  # a bundle does not wait for it

    # Others need the digest of a manifest before they may be opened.
    loose = [known for known in FORMATS.values() if known.precisions and not known.runs_code]
    with readable(path, BundleError, "make the file readable"):
        data = read_file(path, most=_MAX_MODEL_BYTES)
    vouching = vouching_bundle(path, data, trust)
    named = next((known for known in loose if known.suffix == path.suffix), None)
    format_ = next((known for known in loose if known.is_one(data)), named)
    if vouching is None or format_ is None:
        refuse_stranger(path, data, format_)
    assert format_ is not None
    companions = companions_of(path, format_, vouching)
    header = format_.whole_header(data)
    backend = load_backend(
        data,
        format_.name,
        classes=len(header.classes),
        companions=companions,
        device=how.device,
        threads=how.threads,
        runtime=how.runtime,
    )
    if vouching is None:
        _check_golden(path, backend, format_, header)
    stated = {REJECT_BELOW: "0", REJECT_TEMPERATURE: "1"} | header.metadata
    below, temperature = stated[REJECT_BELOW], stated[REJECT_TEMPERATURE]
    try:
        return Predictor(
            backend,
            batch_invariant=False,
            reject_below=float(below),
            reject_temperature=float(temperature),
            classes=header.classes,
            preprocessing=header.preprocessing,
        )
    except (ValueError, UsageError):
        raise BadInput(
            f"{path} states {REJECT_BELOW} as {below!r:.30}, and {REJECT_TEMPERATURE} as"
            f" {temperature!r:.30}",
            fix="give a file as mnist-edge export wrote it",
        ) from None


def _check_golden(path: Path, backend: Backend, format_: FileFormat, header: Header) -> None:
    """Let a file vouch for itself where no manifest does, by the answers that it carries."""
    from mnist_edge.bundle.golden import KEY, unpack_golden
    from mnist_edge.formats.parity import compare

    packed, precision = header.metadata.get(KEY), header.metadata.get("precision", "float32")
    if not packed:
        return
    if precision not in format_.precisions:
        raise BadInput(
            f"{path} claims the precision {precision!r:.40}",
            fix="copy it again from where it was made, or export it again",
        )
    images, logits = unpack_golden(packed)
    parity = compare(
        run_as_deployed(backend, to_images(images), batch_invariant=False),
        logits,
        logits.argmax(axis=1),
        format_.gate(precision, foreign=FOREIGN in header.metadata),
    )
    if not parity.passed:
        raise BadInput(
            f"{path} gives other answers than it says it should: {parity.reason}",
            fix="copy it again from where it was made, or export it again",
        )
