"""The bundles that come with the package: trained ones without a pixel of their training data.

Their digits, in the reference and inside the artifacts, are drawn ones; what was measured on the
data set stays. They are made once a release: `make default BUNDLE=exports/model` the one that is
used where there is no other, `make teacher BUNDLE=exports/model` the one that recipes learn from.

    python tools/ship.py exports/model exports/default
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from mnist_edge.bundle.card import with_model_card
from mnist_edge.bundle.folder import Bundle, Reference, open_bundle, save_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST, Role, record
from mnist_edge.bundle.storage import LOCK, pack_arrays
from mnist_edge.contract import to_images
from mnist_edge.data.mnist import DataSet, find_mnist, read_mnist
from mnist_edge.data.strokes import stroke_digits
from mnist_edge.errors import UsageError
from mnist_edge.formats import Written
from mnist_edge.formats.checkpoint.run import float64_logits
from mnist_edge.formats.export import export_verified
from mnist_edge.formats.running import judged_artifact
from mnist_edge.formats.source import calibration_images
from mnist_edge.models import load_weights
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.train.write import REFERENCE_SIZE

# What runs on a device without torch, in the precisions that pay there. No C file: to check one, a
# compiler's output has to be kept in the user's cache folder, and this bundle writes nowhere.
_EXPORTS = ExportRecipe(formats=("onnx",), precisions=("float32", "int8"))
_SEED = 6  # other digits than those that a recipe with `strokes` trains on, whose seed is its own
_KEPT: tuple[Role, ...] = ("history", "calibration")


def ship(
    source: Bundle, folder: Path, *, data: DataSet | None = None, progress: Progress = silent
) -> Bundle:
    """Make the bundle to ship of a trained one; the same weights give the same bytes.

    Args:
        source: as `train` wrote it, with its calibration digits; it is not changed.
        folder: where it goes; a bundle that is there is replaced as a whole.
        data: as for `export_verified`.
        progress: told after each artifact.

    Raises:
        NotEquivalent: an artifact failed its gate; `folder` is then as it was.
        UsageError: `folder` holds something else than a bundle.
        BundleError, DigestMismatch: the source is damaged, or has no calibration digits.
    """
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is no bundle", fix="move it away, or name another folder")
    calibration_images(source)  # an export would make do with drawn ones
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ship-", dir=folder.parent) as scratch:
        fresh = Path(scratch, "new")
        _write_bare(source, fresh)
        exported, _ = export_verified(open_bundle(fresh), _EXPORTS, data=data, progress=progress)
        _drop_calibration(exported)
        (fresh / LOCK).unlink(missing_ok=True)
        if folder.exists():
            folder.rename(Path(scratch, "old"))
        fresh.rename(folder)
    return open_bundle(folder)


def _write_bare(source: Bundle, folder: Path) -> None:
    """The source's weights and record, with drawn digits in place of its reference."""
    manifest = source.manifest
    old = source.artifact(CHECKPOINT)
    weights = source.read(old)
    reference = _drawn_reference(source, weights)
    checkpoint = judged_artifact(
        Written(weights),
        manifest.own_recipe,
        reference,
        file="checkpoint.safetensors",
        format_=old.format,
        precision=old.precision,
        checkpoint_sha256=old.sha256,
    )
    found = [source.find_extra(role) for role in _KEPT]
    kept = [known for known in found if known is not None]
    packed = pack_arrays(asdict(reference))
    bare = Bundle(
        folder,
        replace(
            manifest,
            reference=record("reference.npz", packed),
            artifacts=(checkpoint,),
            extras=tuple(kept),
        ),
    )
    extras = {known.file: source.read(known) for known in kept}
    save_bundle(bare, {checkpoint.file: weights, "reference.npz": packed, **extras})


def _drawn_reference(source: Bundle, weights: bytes) -> Reference:
    images, labels = stroke_digits(REFERENCE_SIZE, seed=_SEED)
    model = load_weights(source.manifest.own_recipe, weights)
    logits = float64_logits(model, to_images(images))
    return Reference(images=images, labels=labels, logits=logits)


def _drop_calibration(bundle: Bundle) -> None:
    """Let go of the training digits, now that static int8 has its ranges from them."""
    digits = bundle.find_extra("calibration")
    kept = tuple(extra for extra in bundle.manifest.extras if extra != digits)
    bundle, card = with_model_card(replace(bundle, manifest=replace(bundle.manifest, extras=kept)))
    save_bundle(bundle, card)


def main() -> None:
    """Make the bundle to ship of the one that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a trained bundle")
    parser.add_argument("folder", type=Path, help="where the bundle to ship goes")
    options = parser.parse_args()
    mnist = find_mnist(None)
    data = read_mnist(mnist) if mnist else None
    ship(open_bundle(options.source), options.folder, data=data)


if __name__ == "__main__":
    main()
