"""What a manifest claims, held against its bundle and the very test set that it names."""

from __future__ import annotations

from mnist_edge.bundle.folder import Reference
from mnist_edge.bundle.manifest import Artifact, Manifest, Score
from mnist_edge.contract import Labels, RawImages
from mnist_edge.data.mnist import DataSet
from mnist_edge.formats.running import gate_of

# Another processor rounds otherwise, which may change the answers to a few digits in 10,000.
_SPARE = 5 / 10_000


def score_fault(manifest: Manifest, artifact: Artifact, found: Score) -> str:
    """How an artifact's accuracy on the test set belies the manifest; empty if it does not.

    It must be what the manifest says of the artifact, and within its gate of what the manifest
    says of the checkpoint.
    """
    own = manifest.test_score(artifact)
    if own and abs(own.accuracy - found.accuracy) > _spare(found):
        return f"{own.accuracy:.2%} of the test set is claimed, {_told(found)}"
    trained = manifest.training.test_accuracy
    drop = gate_of(manifest, artifact).accuracy_drop
    if trained - found.accuracy > _spare(found) + drop / 100:
        return (
            f"{trained:.2%} of the test set is claimed for {manifest.origin.name}, {_told(found)}"
        )
    return ""


def reference_fault(manifest: Manifest, reference: Reference) -> str:
    """How the reference's labels belie the manifest; empty if they do not.

    Its logits are the checkpoint's, and the manifest says how many of them are right.
    """
    parity = manifest.origin.parity
    claimed = Score(parity.reference_accuracy, parity.images).right
    right = int((reference.logits.argmax(axis=1) == reference.labels).sum())
    if right == claimed:
        return ""
    return (
        f"{manifest.origin.name} is right on {right} of {len(reference.labels)} reference "
        f"pictures, where {claimed} are claimed"
    )


def label_fault(reference: Reference, data: DataSet) -> str:
    """How the reference's digits differ from those of the test set; empty if they do not.

    Drawn digits, as in the bundles that come with the package, are in no test set.
    """
    test_set = set(_labelled(data.test_images, data.test_labels))
    images = {image for image, _ in test_set}
    digits = _labelled(reference.images, reference.labels)
    strange = sum(image not in images for image, _ in digits)
    wrong = sum(digit not in test_set for digit in digits) - strange
    if wrong:
        return f"{wrong} of {len(digits)} reference pictures have other labels than in the test set"
    if 0 < strange < len(digits):
        return f"{strange} of {len(digits)} reference pictures are not in the test set"
    return ""


def _spare(found: Score) -> float:
    # One digit of 500 is 0.2 points already; half a digit is for the rounding of the shares.
    return (max(1.0, _SPARE * found.images) + 0.5) / found.images


def _told(found: Score) -> str:
    return f"but {found.accuracy:.2%} of its {found.images:,} pictures are classified correctly"


def _labelled(images: RawImages, labels: Labels) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), label) for image, label in zip(images, labels.tolist(), strict=True)]
