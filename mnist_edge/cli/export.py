"""`mnist-edge export`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from mnist_edge.cli import options, steps
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.errors import UsageError, install_advice
from mnist_edge.formats import FORMATS, export_pairs, exported_formats
from mnist_edge.recipes.classes import noun
from mnist_edge.recipes.export import ExportRecipe
from mnist_edge.recipes.fields import Setting
from mnist_edge.recipes.terms import DEFAULT_OPSET, OPSETS, Format, Precision, unknown_name

if TYPE_CHECKING:
    from mnist_edge.bundle.folder import Bundle

NAMES = exported_formats()


def _matrix() -> str:
    precisions = get_args(Precision)
    lines = ["[bold]What can be written[/bold]", " " * 12 + "".join(f"{p:14}" for p in precisions)]
    for name in NAMES:
        there = FORMATS[name].precisions
        cells = "".join(f"{'yes' if p in there else '-':14}" for p in precisions)
        lines.append(f"{name:12}{cells}".rstrip())
    lines.append("ort is for an ONNX Runtime built for little more than this net: half as fast")
    return "\n".join(lines)


EPILOG = f"""{_matrix()}

[bold]Examples[/bold]
mnist-edge export                            # every format, float32
mnist-edge export --format onnx --quantize   # ONNX, float32 and int8-dynamic
mnist-edge export --format c --out phone     # of the bundle that is shipped, too"""


def command(
    bundle: options.BundleOption = None,
    formats: Annotated[
        list[str] | None,
        options.value(
            "--format",
            "NAME",
            f"What to write: {', '.join(NAMES)}, or all; may be repeated.",
            default="those without an extra",
            known=(*NAMES, "all"),
        ),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        options.value(
            "--precision",
            "NAME",
            f"In which precision: {', '.join(get_args(Precision))}; may be repeated.",
            default="float32, of web int8",
            known=get_args(Precision),
        ),
    ] = None,
    quantize: Annotated[
        bool, options.flag("--quantize", "Short for float32 and int8-dynamic.")
    ] = False,
    opset: Annotated[
        int,
        options.option(
            "opset",
            int,
            Setting(
                f"ONNX operator set, {OPSETS.start} to {OPSETS.stop - 1}.",
                OPSETS.start,
                OPSETS.stop - 1,
            ),
        ),
    ] = DEFAULT_OPSET,
    name: Annotated[
        str,
        options.value(
            "--name",
            "NAME",
            "The prefix of what C and C++ files define.",
            default="the recipe's name",
        ),
    ] = "",
    tflm: Annotated[
        bool,
        options.flag(
            "--tflm",
            "Of litert, write the C++ sources for microcontrollers (TensorFlow Lite Micro).",
        ),
    ] = False,
    picture: Annotated[
        bool,
        options.flag(
            "--with-picture",
            "Of c, also what brings a picture of one digit to the net as predict does.",
        ),
    ] = False,
    package: Annotated[
        Path | None,
        options.value(
            "--package",
            "FOLDER",
            "Of c, also a new folder that is an Arduino library and a CMake project.",
        ),
    ] = None,
    allow_mismatch: Annotated[
        bool,
        options.flag(
            "--allow-mismatch",
            "Keep an artifact that is not equivalent, marked so, instead of exit code 1.",
        ),
    ] = False,
    verdict: Annotated[
        bool,
        options.flag(
            "--verdict/--no-verdict",
            "Measure whether the smaller precisions pay on this machine.",
        ),
    ] = True,
    out: Annotated[
        Path | None,
        options.value(
            "--out",
            "FOLDER",
            "Export into the bundle in this folder, or begin one; --bundle stays as it is.",
            default="the bundle itself",
        ),
    ] = None,
    data_dir: options.DataDirOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Export the model, and verify each artifact as it is written."""
    from mnist_edge.bundle.folder import open_bundle
    from mnist_edge.render import text
    from mnist_edge.render.verify import quantization_table

    talk = Talk(quiet=quiet)
    asked, absent = _formats(formats or [])
    recipe = ExportRecipe(
        formats=asked,
        precisions=_precisions(precisions or [], quantize=quantize),
        opset=opset,
        allow_mismatch=allow_mismatch,
        prefix=name,
        tflm=tflm,
        picture=picture,
    )
    pairs = export_pairs(recipe)  # refuse what cannot be before the bundle is read
    if package is not None:
        _check_package(package, pairs)
    # A damaged artifact is what an export mends; the weights are checked as they are read.
    chosen = open_bundle(bundle)
    if absent:
        talk.warn(_left_out(absent))
    if bundle is None:
        talk.say(f"bundle: {chosen.path}")
    named = formats if formats and "all" not in formats else ()
    recipe = replace(recipe, formats=_fit(chosen, asked, named, talk))
    data = steps.known_test_set(talk, chosen, data_dir)
    exported, written = steps.export_artifacts(talk, chosen, recipe, data, out=out)
    for artifact in written:
        if package is not None and artifact.format == "c":
            _write_package(package, exported.read(artifact))
            talk.say(f"Arduino library and CMake project: {package}")
    weighed = None
    if verdict and len(recipe.precisions) > 1:
        weighed = steps.weigh_precisions(talk, exported, data)
    if as_json:
        emit_json(text.bundle_json(open_bundle(exported.path)))
    else:
        emit_table(text.artifact_table(exported.path, written))
        if weighed:
            emit("")
            emit_table(quantization_table(weighed, exported.manifest.data.classes))
    for artifact in written:
        if not artifact.parity.passed:
            reason = artifact.parity.reason
            talk.warn(f"{artifact.name} is not equivalent to the checkpoint, but kept: {reason}")
    what = noun(chosen.manifest.data.classes)
    talk.suggest(
        f"mnist-edge predict{options.given_bundle(out or bundle)} PICTURE", to=f"name a {what}"
    )


def _check_package(folder: Path, pairs: Collection[tuple[Format, Precision]]) -> None:
    """Refuse to write a folder of something else than one C file, or over something."""
    from mnist_edge.bundle.storage import check_free

    if len([format_ for format_, _ in pairs if format_ == "c"]) != 1:
        raise UsageError(
            "--package takes one C file", fix="give --format c, and --precision once at most"
        )
    check_free(folder, "--package")


def _write_package(folder: Path, source: bytes) -> None:
    from mnist_edge.bundle.storage import atomic_write_all
    from mnist_edge.formats.c.package import write_package

    atomic_write_all([(folder / name, data) for name, data in write_package(source).items()])


def _formats(asked: list[str]) -> tuple[tuple[Format, ...], dict[Format, str]]:
    """What to write, and of what nobody named, why it cannot be made here."""
    known = {alias: name for name in NAMES for alias in (name, *FORMATS[name].aliases)}
    for name in asked:
        if name not in (*known, "all"):
            raise unknown_name("format", name, (*known, "all"))
    wanted = {known[name] for name in asked if name != "all"}
    # Of what is not named, all that can be verified here.
    several = [name for name in NAMES if "all" in asked or (not asked and FORMATS[name].default)]
    absent = {
        name: why for name in several if name not in wanted and (why := FORMATS[name].absent())
    }
    chosen = (name for name in NAMES if name in wanted or (name in several and name not in absent))
    return tuple(chosen), absent


def _left_out(absent: Mapping[Format, str]) -> str:
    """Which formats are not written, and what to do about it, in one line."""
    lacking: dict[str, list[Format]] = {}
    for name in absent:
        lacking.setdefault(FORMATS[name].package, []).append(name)
    alone = [f"{name}, since {absent[name]}" for name in lacking.pop("", ())]
    needs = [
        f"{' and '.join(names)}, which {'needs' if len(names) == 1 else 'need'} {package}"
        for package, names in lacking.items()
    ]
    extras = dict.fromkeys(FORMATS[name].extra for name in absent if FORMATS[name].package)
    advice = [install_advice(lacking, extra=",".join(extras))] if lacking else []
    return f"left out: {'; '.join([*alone, *needs, *advice])}"


def _fit(
    bundle: Bundle, formats: tuple[Format, ...], named: Collection[str], talk: Talk
) -> tuple[Format, ...]:
    """Of formats that nobody named, those that can hold the net of a bundle."""
    from mnist_edge.formats.source import missing_step

    if named:
        return formats
    missing = missing_step(bundle)
    unfit = {
        name: FORMATS[name].unfit(bundle.manifest) or (missing if FORMATS[name].from_steps else "")
        for name in formats
    }
    for name, reason in unfit.items():
        if reason:
            talk.warn(f"{name} is left out: {reason}")
    return tuple(name for name, reason in unfit.items() if not reason)


def _precisions(asked: list[str], *, quantize: bool) -> tuple[Precision, ...]:
    for name in asked:
        if name not in get_args(Precision):
            raise unknown_name("precision", name, get_args(Precision))
    wanted = {*asked, "float32", "int8-dynamic"} if quantize else set(asked)
    return tuple(precision for precision in get_args(Precision) if precision in wanted)
