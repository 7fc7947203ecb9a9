"""From a bundle to verified artifacts of other formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mnist_edge.bundle import card as model_card
from mnist_edge.bundle.folder import Bundle, open_bundle, refuse_shipped, save_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, Artifact, record
from mnist_edge.bundle.storage import lock
from mnist_edge.errors import NotEquivalent, needed_to
from mnist_edge.machine import process_as_it_was
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import DEFAULT_OPSET, Format, Precision

SUFFIXES: dict[Format, str] = {
    "torchscript": ".pt",
    "pt2": ".pt2",
    "onnx": ".onnx",
    "ort": ".ort",
    "c": ".c",
}
_FROM_ONNX: tuple[Format, ...] = ("onnx", "ort", "c")  # the opset shapes their bytes


@process_as_it_was()
def export_verified(
    bundle: Bundle, recipe: ExportRecipe, *, progress: Progress = silent
) -> tuple[Bundle, tuple[Artifact, ...]]:
    """Export artifacts, each verified over the reference before it enters the bundle.

    Returns:
        The bundle with its new manifest, and the artifacts written now.

    Raises:
        NotEquivalent: an artifact failed its gate, and the recipe does not allow to keep it;
            those that passed are kept.
        UsageError: a precision finds nothing to act on in this model, or the bundle is the
            shipped one.
        StorageError, MissingDependency: see there; the bundle is as it was.
    """
    refuse_shipped(bundle.path)
    with needed_to("export"):
        from mnist_edge.formats.c.write import header_of
        from mnist_edge.formats.running import judged_artifact
    with lock(bundle.path):
        bundle = open_bundle(bundle.path)  # again, now that nobody else writes it
        replaced = {f"{pair[0]}-{pair[1]}{SUFFIXES[pair[0]]}" for pair in recipe.pairs}
        bundle.check(but=replaced | {model_card.FILE})
        checkpoint = bundle.artifact(CHECKPOINT)
        reference = bundle.reference()
        export = _exporter(bundle)
        written: list[Artifact] = []
        contents: dict[str, bytes] = {}
        headers: dict[str, bytes] = {}
        failed: list[str] = []
        for number, (format_, precision) in enumerate(recipe.pairs):
            name = f"{format_}-{precision}"
            progress(number, len(recipe.pairs), name)
            data = export(format_, precision, recipe.opset)
            artifact = judged_artifact(
                data,
                bundle.manifest.recipe,
                reference,
                file=name + SUFFIXES[format_],
                format_=format_,
                precision=precision,
                opset=recipe.opset if format_ in _FROM_ONNX else 0,
                checkpoint_sha256=checkpoint.sha256,
                float32_error=bundle.manifest.float32_error,
            )
            if not artifact.parity.passed:
                failed.append(f"{name}: {artifact.parity.reason}")
            if artifact.parity.passed or recipe.allow_mismatch:
                written.append(artifact)
                contents[artifact.file] = data
                if format_ == "c":
                    headers[f"{name}.h"] = header_of(data)
        bundle = _with_extras(bundle.with_artifacts(tuple(written)), headers)
        bundle, card = model_card.with_model_card(bundle)
        save_bundle(bundle, contents | headers | card)
        progress(len(recipe.pairs), len(recipe.pairs), "")
    if failed and not recipe.allow_mismatch:
        raise NotEquivalent(
            f"not equivalent to the checkpoint, and not kept: {'; '.join(failed)}",
            fix="train another recipe, or keep the file, marked so, with --allow-mismatch",
        )
    return bundle, tuple(written)


@process_as_it_was()
def prove_rebuildable(
    bundle: Bundle, *, artifacts: tuple[str, ...] = (), progress: Progress = silent
) -> tuple[str, ...]:
    """Export artifacts again, and compare them with the bundle's byte by byte.

    Returns:
        The names of those that were made again; the checkpoint cannot be.

    Raises:
        NotEquivalent: the bytes of one differ, as they may with other versions of the libraries.
        UsageError: there is no artifact of that name.
        MissingDependency: torch or onnx is not installed.
    """
    names = artifacts or tuple(artifact.name for artifact in bundle.manifest.artifacts)
    chosen = [bundle.artifact(name) for name in names if name != CHECKPOINT]
    export = _exporter(bundle)
    changed = []
    for number, artifact in enumerate(chosen):
        progress(number, len(chosen), artifact.name)
        again = export(artifact.format, artifact.precision, artifact.opset or DEFAULT_OPSET)
        if again != bundle.read(artifact):
            changed.append(artifact.name)
    progress(len(chosen), len(chosen), "")
    if changed:
        raise NotEquivalent(
            f"{' and '.join(changed)}: made again, the bytes are others",
            fix="compare the versions in the manifest with doctor's, or export again",
        )
    return tuple(artifact.name for artifact in chosen)


def _exporter(bundle: Bundle) -> Callable[[Format, Precision, int], bytes]:
    """What exports a bundle's model: format, precision and opset to bytes."""
    with needed_to("export"):
        from mnist_edge.formats.source import artifact_metadata, calibration_images
        from mnist_edge.formats.writing import export_artifact
        from mnist_edge.models import load_weights
    model = load_weights(bundle.manifest.recipe, bundle.read(bundle.artifact(CHECKPOINT)))
    metadata = artifact_metadata(bundle)
    calibration = calibration_images(bundle)

    def export(format_: Format, precision: Precision, opset: int) -> bytes:
        return export_artifact(
            model,
            format_=format_,
            precision=precision,
            opset=opset,
            calibration=calibration,
            metadata=metadata,
        )

    return export


def _with_extras(bundle: Bundle, contents: dict[str, bytes]) -> Bundle:
    """The bundle with further files, or other bytes for those that it has."""
    kept = tuple(extra for extra in bundle.manifest.extras if extra.file not in contents)
    added = tuple(record(file, data) for file, data in contents.items())
    return replace(bundle, manifest=replace(bundle.manifest, extras=kept + added))
