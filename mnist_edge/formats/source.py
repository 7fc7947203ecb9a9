"""The net that is exported: what an artifact says of it, and its calibration digits."""

from __future__ import annotations

from mnist_edge.bundle import golden
from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import CHECKPOINT, REJECT_BELOW
from mnist_edge.bundle.storage import unpack_arrays
from mnist_edge.contract import Images, to_images
from mnist_edge.data.mnist import balanced_sample
from mnist_edge.errors import BadInput, BundleError

CALIBRATION_STEM = "calibration"
GOLDEN_SIZE = 10  # one of each class: what every artifact carries must stay small


def calibration_images(bundle: Bundle) -> Images:
    """The training digits that `write_bundle` put by for static quantization, (N, 1, 28, 28).

    Raises:
        BundleError: the bundle has none, or they are damaged.
    """
    fix = f"mnist-edge train --bundle {bundle.path}"
    for extra in bundle.manifest.extras:
        if extra.file.startswith(CALIBRATION_STEM):
            try:
                return to_images(unpack_arrays(bundle.read(extra))["images"])
            except (BadInput, KeyError, ValueError) as error:
                raise BundleError(
                    f"the calibration digits of {bundle.path} are damaged: {error}", fix=fix
                ) from None
    raise BundleError(f"{bundle.path} has no calibration digits", fix=fix)


def artifact_metadata(bundle: Bundle) -> dict[str, str]:
    """What an artifact says of itself: no date, path or host, so the bytes stay the same."""
    manifest = bundle.manifest
    reference = bundle.reference()
    sample = balanced_sample(reference.labels, GOLDEN_SIZE)
    return {
        golden.KEY: golden.pack_golden(reference.images[sample], reference.logits[sample]),
        "recipe": manifest.recipe.name,
        "architecture": manifest.recipe.architecture,
        "seed": str(manifest.recipe.seed),
        REJECT_BELOW: str(manifest.recipe.reject_below),
        "data": manifest.data.name,
        "data_sha256": manifest.data.sha256,
        "checkpoint_sha256": manifest.artifact(CHECKPOINT).sha256,
        "checkpoint_test_accuracy": f"{manifest.training.test_accuracy:.4f}",
    }
