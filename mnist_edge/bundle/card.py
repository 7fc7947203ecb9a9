"""The `README.md` of a bundle: what a reader, and a model hub, must know of the model.

The front matter follows https://huggingface.co/docs/hub/model-cards. Everything in it comes from
the manifest, and nothing of when or where it was made, so the same model has the same card.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import (
    Artifact,
    DataRecord,
    Manifest,
    Score,
    TrainingRecord,
    told_parity,
)
from mnist_edge.contract import IMAGE_SHAPE, INPUT_NAME, OUTPUT_NAME
from mnist_edge.recipes.classes import are_digits, joined, noun
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT, DataName
from mnist_edge.recipes.train import TrainRecipe

FILE = "README.md"

# As the hub names it; what is drawn, or is somebody's own, is no data set of the hub's.
_HUB_MNIST = "ylecun/mnist"
_DATA: dict[DataName, str] = {
    "mnist": "MNIST",
    "rendered": "digits rendered from fonts",
    "drawn": "digits drawn by strokes",
    "fashion": "Fashion-MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "emnist-letters": "EMNIST Letters",
    "emnist-balanced": "EMNIST Balanced",
    "qmnist": "QMNIST",
    "folder": "pictures of a folder",
}

_SHAPE = ", ".join(map(str, IMAGE_SHAPE))


def with_model_card(bundle: Bundle) -> tuple[Bundle, dict[str, bytes]]:
    """The bundle with its card among its extra files, and the contents to save with it.

    A `README.md` that somebody else wrote into the folder stays, and there is no card.
    """
    return bundle.with_own_extra("model card", FILE, model_card(bundle.manifest).encode())


def model_card(manifest: Manifest) -> str:
    """The card as Markdown, with the hub's YAML before it."""
    return "\n".join(
        ("---", *_front_matter(manifest), "---", "", *_text(manifest), *_artifacts(manifest), "")
    )


def _front_matter(manifest: Manifest) -> Iterator[str]:
    formats = dict.fromkeys(artifact.format for artifact in manifest.artifacts)
    yield "license: mit"
    if "onnx" in formats:
        yield "library_name: onnx"
    yield "pipeline_tag: image-classification"
    yield "tags:"
    about = ("mnist",) if are_digits(manifest.data.classes) else ()
    for tag in (*about, *(name for name in formats if name != "checkpoint")):
        yield f"  - {tag}"
    if manifest.data.name == "mnist" and not manifest.training.imported:
        yield f"datasets:\n  - {_HUB_MNIST}"
    yield "metrics:\n  - accuracy"
    # An imported net has a recipe's architecture, and nothing else of it.
    imported = manifest.training.imported
    name = (
        f"{manifest.recipe.architecture}-imported"
        if imported and manifest.recipe
        else manifest.name
    )
    # JSON strings are YAML strings, whatever they hold.
    yield f"""model-index:
  - name: {json.dumps(f"mnist-edge-{name}")}
    results:
      - task:
          type: image-classification
        dataset:
          name: {json.dumps(_DATA[manifest.data.name])}
          type: {_hub_type(manifest.data)}
          split: test
        metrics:
          - type: accuracy
            value: {manifest.training.test_accuracy:.4f}"""


def _hub_type(data: DataRecord) -> str:
    if data.name == "mnist":
        return _HUB_MNIST
    return f"{data.name}-digits" if data.name in ("rendered", "drawn") else data.name


def _text(manifest: Manifest) -> Iterator[str]:
    recipe, training, data = manifest.recipe, manifest.training, manifest.data
    architecture = f"architecture `{manifest.architecture}`"
    digits, tests = are_digits(data.classes), f"test {noun(data.classes)}s"
    kind = "digit classifier" if digits else f"classifier into {len(data.classes)} classes,"
    white, count = "a white digit" if digits else "white", len(data.classes)
    yield f"# A {kind} of {training.parameters:,} parameters\n"
    if manifest.imported:
        yield f"Trained elsewhere and imported into mnist-edge from {manifest.imported.said},"
        architecture = f"which reads {manifest.imported.contract}"
    elif recipe and not training.imported:
        epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
        yield f"Trained by mnist-edge for {epochs}, seed {recipe.seed},"
    else:
        yield "Trained elsewhere and imported into mnist-edge,"
    yield f"""{architecture}. Accuracy {training.test_accuracy:.2%} and loss
{training.test_loss:.4f} over {data.test_size:,} {tests}: {_DATA[data.name]}, SHA-256
`{data.sha256}`.{_teacher(recipe) if recipe else ""}{_lesson(training)}

## Use

    mnist-edge predict picture.png --bundle FOLDER
    mnist-edge doctor --bundle FOLDER

Every file has the same contract:

- input `{INPUT_NAME}`: float32 (N, {_SHAPE}), {white} on black, 0 to 1;
  normalisation, if any, is inside the graph
- output `{OUTPUT_NAME}`: float32 (N, {count}), unnormalised scores of the {_scored(data)}"""
    if any(artifact.name == DEFAULT_ARTIFACT for artifact in manifest.artifacts):
        file = manifest.artifact(DEFAULT_ARTIFACT).file
        yield f"""
With ONNX Runtime alone:

    import numpy, onnxruntime
    session = onnxruntime.InferenceSession("{file}")
    images = numpy.zeros((1, {_SHAPE}), numpy.float32)
    (logits,) = session.run(["{OUTPUT_NAME}"], {{"{INPUT_NAME}": images}})"""
    yield from _limits(manifest)


def _scored(data: DataRecord) -> str:
    if are_digits(data.classes):
        return f"digits\n  {data.classes[0]} to {data.classes[-1]}"
    # In a span of code nothing is Markdown, but a grave accent ends it.
    return "classes\n  `" + joined(data.classes).replace("`", "'") + "`"


def _limits(manifest: Manifest) -> Iterator[str]:
    recipe = manifest.recipe
    yield "\n## Limits\n"
    if not are_digits(manifest.data.classes):
        yield f"""\
It knows these classes and no other: whatever it is given, it names one of them. Give it a picture
as it comes from a camera and it will be wrong; `mnist-edge predict` brings it into the form of its
training pictures (`{manifest.data.preprocessing}`) first."""
        return
    yield """\
It knows digits, each alone, as MNIST has them: tight, centred by mass, 20 pixels in 28. Give it a
picture as it comes from a camera and it will be wrong; `mnist-edge predict` brings it into that
form first."""
    if recipe and recipe.reject_below:
        divided = recipe.reject_temperature
        of = "" if divided == 1 else f", of the logits divided by {divided:g},"
        yield f"""Take an answer whose largest probability{of} is under {recipe.reject_below:.0%}
for no digit, as `predict` does. Letters and signs that look like a digit are read as one all the
same."""
    else:
        yield "Letters, several digits or scribbles get a confident answer all the same."


def _teacher(recipe: TrainRecipe) -> str:
    if not recipe.taught:
        return ""
    return f"""

Besides the labels it learnt another net's answers, that of the weights with the SHA-256
`{recipe.teacher}`."""


def _lesson(training: TrainingRecord) -> str:
    lesson = training.lesson
    if lesson is None:
        return ""
    return f"""

It went on from the weights with the SHA-256
`{lesson.source_sha256}`, which {lesson.train_size} corrected pictures of a folder were mixed in
for: of {lesson.test_size} others held back it reads {lesson.right_after} rightly, where it read
{lesson.right_before}; on the test set above it had {lesson.test_accuracy_before:.2%}."""


def _artifacts(manifest: Manifest) -> Iterator[str]:
    images = manifest.origin.parity.images
    them = f"{noun(manifest.data.classes)}s"
    yield f"""
## Files

Each was compared with the {manifest.origin.format} in double precision over the {images} {them} in
`{manifest.reference.file}`; `mnist-edge verify` does it again. Accuracy is that on the test {them},
or the count of those {images} where the test {them} were not at hand.

| artifact | file | kB | largest error | flips | accuracy | verdict |
| --- | --- | ---: | ---: | ---: | --- | --- |"""
    for artifact in manifest.artifacts:
        yield _row(artifact, manifest.test_score(artifact))
    yield f"""
The {manifest.origin.format}'s SHA-256 is `{manifest.origin.sha256}`."""


def _row(artifact: Artifact, score: Score | None) -> str:
    cells = (
        artifact.name,
        f"`{artifact.file}`",
        f"{artifact.size_bytes / 1000:,.1f}",
        *told_parity(artifact.parity, score),
        "equivalent" if artifact.parity.passed else "differs",
    )
    return f"| {' | '.join(cells)} |"
