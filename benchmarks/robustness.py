"""Accuracy and agreement under distortion, of each artifact of a bundle.

    python benchmarks/robustness.py [--bundle exports/model] [--digits 2000]

Each distortion is applied to digits of MNIST's test set as a user's picture would carry it. Two
ways from picture to net are measured: `bare`, the pixels as they are, and `contract`, through
`mnist_edge.picture` as `mnist-edge predict` does. Agreement is the share of pictures for which an
artifact names the same digit as the float32 ONNX artifact. Quantized artifacts may lose here what
they keep on clean digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kinds
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageFilter
from runs import RESULTS

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.contract import SIDE, Images, Labels, RawImages, to_images
from mnist_edge.data.obtain import obtain_data
from mnist_edge.errors import MnistEdgeError
from mnist_edge.formats import open_backend
from mnist_edge.machine import Machine, describe_machine, library_versions
from mnist_edge.picture import to_picture
from mnist_edge.plots.style import BLUE, FAINT, GREEN, GREY, VERMILION, png, show_percent, styled
from mnist_edge.predict import Predictor
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT
from mnist_edge.render.table import Table
from mnist_edge.render.table import markdown as render

Distort = Callable[[Image.Image, float, np.random.Generator], Image.Image]

_COLOURS = (BLUE, VERMILION, GREEN, GREY)
_WIDTHS = (4.0, 1.4, 0.7)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One artifact under one distortion. Accuracy and agreement are shares, 0 to 1."""

    distortion: str
    level: float
    way: str
    artifact: str
    accuracy: float
    agreement: float


@dataclass(frozen=True, kw_only=True)
class KindsReport:
    """How each kind of drawing is answered, and what that was measured with."""

    bundle: str
    recipe: str
    seed: int
    machine: Machine
    versions: dict[str, str]
    rows: tuple[kinds.Answers, ...]


@dataclass(frozen=True, kw_only=True)
class RobustnessReport:
    """All rows, and what they were measured with."""

    bundle: str
    recipe: str
    digits: int
    seed: int
    machine: Machine
    versions: dict[str, str]
    rows: tuple[Row, ...]


def shift(image: Image.Image, pixels: float, random: np.random.Generator) -> Image.Image:
    angle = random.uniform(0, 2 * np.pi)
    return _mapped(image, (1, 0, -pixels * np.cos(angle), 0, 1, -pixels * np.sin(angle)))


def rotation(image: Image.Image, degrees: float, random: np.random.Generator) -> Image.Image:
    return image.rotate(degrees * random.choice((-1, 1)), Image.Resampling.BICUBIC)


def scale(image: Image.Image, factor: float, _: np.random.Generator) -> Image.Image:
    middle = (SIDE - 1) / 2 * (1 - 1 / factor)
    return _mapped(image, (1 / factor, 0, middle, 0, 1 / factor, middle))


def noise(image: Image.Image, sigma: float, random: np.random.Generator) -> Image.Image:
    grey = np.asarray(image) + random.normal(0, 255 * sigma, (SIDE, SIDE))
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


def blur(image: Image.Image, radius: float, _: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def thickness(image: Image.Image, pixels: float, _: np.random.Generator) -> Image.Image:
    """Strokes wider by `pixels`, or thinner where it is negative; changed at fourfold size."""
    fine = image.resize((4 * SIDE, 4 * SIDE), Image.Resampling.BICUBIC)
    reach = 2 * round(2 * abs(pixels)) + 1
    kind = ImageFilter.MaxFilter(reach) if pixels > 0 else ImageFilter.MinFilter(reach)
    return fine.filter(kind).resize((SIDE, SIDE), Image.Resampling.BOX)


def inversion(image: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    return Image.eval(image, lambda value: 255 - value) if random.random() < share else image


def uneven_light(image: Image.Image, depth: float, random: np.random.Generator) -> Image.Image:
    """Dark ink on bright paper, on which the light falls off by `depth` from side to side."""
    paper = 235 - 0.8 * np.asarray(image)
    across = np.linspace(1, 1 - depth, SIDE)
    light = across[:: random.choice((-1, 1))]
    lit = paper * (light[None] if random.random() < 0.5 else light[:, None])
    return Image.fromarray(lit.astype(np.uint8))


DISTORTIONS: tuple[tuple[str, str, Distort, tuple[float, ...]], ...] = (
    ("shift", "pixels", shift, (0, 1, 2, 3, 4)),
    ("rotation", "degrees", rotation, (0, 10, 20, 30, 45)),
    ("scale", "factor", scale, (0.4, 0.6, 0.8, 1, 1.3)),
    ("noise", "standard deviation", noise, (0, 0.1, 0.2, 0.3, 0.4)),
    ("blur", "radius in pixels", blur, (0, 0.5, 1, 1.5, 2)),
    ("thickness", "change in pixels", thickness, (-1, -0.5, 0, 1, 2)),
    ("inversion", "share of the pictures", inversion, (0, 0.5, 1)),
    ("uneven light", "fall-off", uneven_light, (0, 0.25, 0.5, 0.75)),
)
"""Name, unit, function and levels of each distortion."""


def main() -> None:
    options = _options()
    bundle = open_bundle(options.bundle)
    data = obtain_data("mnist", options.data_dir)
    stem = options.out or RESULTS / "robustness"
    if options.only != "distortions":
        answered = _answers(bundle, data.test_images, data.test_labels, options)
        beside = stem.with_name(f"{stem.name}-kinds")
        atomic_write(beside.with_suffix(".json"), codec.dumps(answered).encode())
        atomic_write(beside.with_suffix(".md"), kinds_page(answered).encode())
        print(kinds_page(answered))
    if options.only != "kinds":
        count = options.digits
        report = measure(bundle, data.test_images[:count], data.test_labels[:count], options.seed)
        atomic_write(stem.with_suffix(".json"), codec.dumps(report).encode())
        atomic_write(stem.with_suffix(".md"), markdown(report).encode())
        atomic_write(stem.with_suffix(".png"), figure(report))
        print(markdown(report))


def measure(bundle: Bundle, images: RawImages, labels: Labels, seed: int) -> RobustnessReport:
    """Every artifact that runs here, over every distortion at every level, both ways."""
    inputs = {
        (name, level, way): batch
        for name, _, distort, levels in DISTORTIONS
        for level in levels
        for way, batch in _both_ways(images, distort, level, seed).items()
    }
    decisions = {}
    for artifact in bundle.manifest.artifacts:
        try:
            with open_backend(bundle, artifact) as backend:
                decisions[artifact.name] = {
                    key: np.concatenate(
                        [backend.run(part).argmax(axis=1) for part in np.array_split(batch, 10)]
                    )
                    for key, batch in inputs.items()
                }
        except MnistEdgeError as error:
            print(f"{artifact.name}: left out, {error.what}")
    reference = decisions[DEFAULT_ARTIFACT]
    rows = tuple(
        Row(
            distortion=key[0],
            level=key[1],
            way=key[2],
            artifact=artifact_name,
            accuracy=float(np.mean(named == labels)),
            agreement=float(np.mean(named == reference[key])),
        )
        for artifact_name, answers in decisions.items()
        for key, named in answers.items()
    )
    return RobustnessReport(
        bundle=bundle.path.name,
        recipe=bundle.manifest.own_recipe.name,
        digits=len(labels),
        seed=seed,
        machine=describe_machine(),
        versions=library_versions(),
        rows=rows,
    )


def _answers(
    bundle: Bundle, images: RawImages, labels: Labels, options: argparse.Namespace
) -> KindsReport:
    rows: list[kinds.Answers] = []
    for artifact in (DEFAULT_ARTIFACT, "onnx-int8"):
        with Predictor.load(bundle.path, artifact=artifact) as predictor:
            rows += kinds.answers(
                predictor, artifact, images, labels, count=options.pictures, seed=options.seed
            )
    return KindsReport(
        bundle=bundle.path.name,
        recipe=bundle.manifest.own_recipe.name,
        seed=options.seed,
        machine=describe_machine(),
        versions=library_versions(),
        rows=tuple(rows),
    )


def kinds_page(report: KindsReport) -> str:
    """One line a kind."""
    head, lines = kinds.table(report.rows)
    versions = ", ".join(f"{name} {report.versions[name]}" for name in ("onnxruntime", "pillow"))
    return f"""# What people draw beside, around and instead of one clean digit

* Recipe {report.recipe}; drawn with MNIST's test digits, seed {report.seed}
* Machine: {report.machine.processor}; {versions}
* Answered as `mnist-edge predict` answers, with `--many` where there are several digits. Right is
  a picture of which everything is read rightly, in its row; rejected one of which something is not
  read, or is no digit.

{render(Table(headers=head, rows=tuple(lines)))}"""


def markdown(report: RobustnessReport) -> str:
    """One line for each distortion, level and way; accuracy and agreement of each artifact."""
    artifacts = list(dict.fromkeys(row.artifact for row in report.rows))
    cells: dict[tuple[str, float, str], dict[str, Row]] = {}
    for row in report.rows:
        cells.setdefault((row.distortion, row.level, row.way), {})[row.artifact] = row
    versions = ", ".join(f"{name} {report.versions[name]}" for name in ("onnxruntime", "pillow"))
    page = f"""# Robustness: accuracy (and agreement with float32) under distortion

* Recipe {report.recipe}; {report.digits:,} digits of MNIST's test set, seed {report.seed}
* Machine: {report.machine.processor}; {versions}
* `bare`: the pixels as they are; `contract`: through the preprocessing of `mnist-edge predict`
* One standard error at 95 % is {100 * (0.95 * 0.05 / report.digits) ** 0.5:.1f} points

| distortion | level | way | {" | ".join(artifacts)} |
|---|---:|---|{"---:|" * len(artifacts)}
"""
    for (name, level, way), found in cells.items():
        figures = (f"{found[a].accuracy:.1%} ({found[a].agreement:.1%})" for a in artifacts)
        page += f"| {name} | {level:g} | {way} | {' | '.join(figures)} |\n"
    return page


@styled()
def figure(report: RobustnessReport) -> bytes:
    """One panel a distortion: accuracy over its level, solid through the contract, dashed bare."""
    # What names the same digits everywhere would only hide the line beneath.
    others = tuple(dict.fromkeys(row.artifact for row in report.rows if row.agreement < 1))
    page = Figure(figsize=(13, 7), layout="constrained")
    panels = page.subplots(2, 4, sharey=True).ravel()
    for axes, (name, unit, _, _) in zip(panels, DISTORTIONS, strict=True):
        _panel(axes, [row for row in report.rows if row.distortion == name], others)
        axes.set_ylim(0, 1.02)
        axes.set(title=name, xlabel=unit)
        show_percent(axes)
    for axes in panels[::4]:
        axes.set_ylabel("classified correctly")
    handles, labels = panels[0].get_legend_handles_labels()
    page.legend(handles, labels, loc="outside lower center", ncols=3)
    return png(page)


def _panel(axes: Axes, rows: list[Row], others: tuple[str, ...]) -> None:
    """float32 broad, and the others on it, each thinner than the one before."""
    for artifact, colour, width in (
        (DEFAULT_ARTIFACT, FAINT, 7.0),
        *zip(others, _COLOURS, _WIDTHS, strict=False),
    ):
        for way, style, said in (
            ("contract", "-", "as predict reads it"),
            ("bare", "--", "pixels as they are"),
        ):
            mine = [row for row in rows if (row.artifact, row.way) == (artifact, way)]
            axes.plot(
                [row.level for row in mine],
                [row.accuracy for row in mine],
                style,
                color=colour,
                linewidth=width,
                label=f"{artifact}, {said}",
            )


def _both_ways(images: RawImages, distort: Distort, level: float, seed: int) -> dict[str, Images]:
    random = np.random.default_rng(seed)  # the same draws for every level
    pictures = [distort(Image.fromarray(image), level, random) for image in images]
    bare = np.stack([np.asarray(picture) for picture in pictures])
    prepared = np.stack([to_picture(picture).pixels for picture in pictures])
    return {"bare": to_images(bare), "contract": to_images(prepared)}


def _mapped(image: Image.Image, inverse: tuple[float, ...]) -> Image.Image:
    return image.transform((SIDE, SIDE), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, help="with its ONNX artifacts")
    parser.add_argument("--data-dir", type=Path, help="of MNIST")
    parser.add_argument("--digits", type=int, default=2000)
    parser.add_argument("--only", choices=("distortions", "kinds"), help="one of the two reports")
    parser.add_argument("--pictures", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="of the JSON; Markdown and figure stand beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
