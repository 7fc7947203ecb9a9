"""The bundles that `accuracy.py --keep` left in a folder, with the artifacts to measure."""

from __future__ import annotations

import sys
from pathlib import Path

from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.formats import FORMATS
from mnist_edge.formats.export import export_verified
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.terms import Format, Precision

PRECISIONS: tuple[Precision, ...] = ("float32", "int8")


def kept_bundles(folder: Path, *formats: Format) -> list[Bundle]:
    """Every bundle of a folder, by name; what it lacks of float32 and int8 is exported into it.

    An artifact that its gate refuses is exported all the same: that is what is to be shown. Without
    any bundle the program ends.
    """
    bundles = []
    for path in sorted(file.parent for file in folder.glob("*/manifest.json")):
        bundle = open_bundle(path)
        for format_ in formats:
            known = {artifact.name for artifact in bundle.manifest.artifacts}
            missing = tuple(
                precision
                for precision in PRECISIONS
                if precision in FORMATS[format_].precisions
                and f"{format_}-{precision}" not in known
            )
            if missing:
                print(f"{path.name}: exporting {format_}", flush=True)
                recipe = ExportRecipe(formats=(format_,), precisions=missing, allow_mismatch=True)
                bundle, _ = export_verified(bundle, recipe)
        bundles.append(bundle)
    if not bundles:
        sys.exit(f"no bundle in {folder}; accuracy.py --keep {folder} leaves them")
    return bundles
