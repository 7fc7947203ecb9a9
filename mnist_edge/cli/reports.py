"""Where the reports of `verify` and `bench` are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

_LONGEST_NAME = 60

if TYPE_CHECKING:
    from mnist_edge.bench.report import BenchReport
    from mnist_edge.contract import RawImages
    from mnist_edge.verify.report import VerifyReport
    from mnist_edge.verify.thorough import ThoroughReport


def report_path(out: Path | None, *, bundle: str, verb: str, processor: str) -> Path:
    """Where to write a report: `out`, else named by bundle, verb and processor model.

    Never by host name: reports are published.
    """
    if out is not None:
        return out
    model = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    # Of a folder's name what a file may bear anywhere, with room for what is put behind it.
    name = re.sub(r"[^\w.+-]+", "-", bundle).strip("-.")[:_LONGEST_NAME]
    return Path("benchmarks", f"{name or 'bundle'}-{verb}-{model or 'unknown'}.json")


def write_bench_page(path: Path, report: BenchReport) -> list[Path]:
    """Write a benchmark as Markdown beside its JSON, with figures where matplotlib is installed.

    Returns:
        The files.
    """
    from mnist_edge.bundle.storage import atomic_write_all
    from mnist_edge.render.bench import bench_markdown
    from mnist_edge.render.bench.figures import bench_figures

    pictures = {
        title: (path.with_name(f"{path.stem}-{title.lower().replace(' ', '-')}.png"), png)
        for title, png in bench_figures(report).items()
    }
    links = [(title, picture.name) for title, (picture, _) in pictures.items()]
    page = bench_markdown(report, links).encode()
    files = [*pictures.values(), (path.with_suffix(".md"), page)]
    atomic_write_all(files)
    return [file for file, _ in files]


def write_verify_page(path: Path, report: ThoroughReport, images: RawImages) -> list[Path]:
    """Write a thorough verification as JSON and Markdown, and the changed digits as a picture.

    Args:
        path: of the JSON; the others lie beside it.
        report: what was found.
        images: (N, 28, 28), the digits that it lists by index.

    Returns:
        The files, the JSON first.
    """
    from mnist_edge.bundle import codec
    from mnist_edge.bundle.storage import atomic_write_all
    from mnist_edge.render.verify import flip_picture, thorough_markdown

    picture = path.with_name(f"{path.stem}-flips.png")
    sheet = flip_picture(report, images)
    page = thorough_markdown(report, picture.name if sheet else "")
    files = [(path, codec.dumps(report).encode()), (path.with_suffix(".md"), page.encode())]
    if sheet:
        files.append((picture, sheet))
    atomic_write_all(files)
    return [file for file, _ in files]


def write_report(path: Path, report: BenchReport | VerifyReport) -> None:
    """Write a report as JSON, whole or not at all. Raises StorageError."""
    from mnist_edge.bundle import codec
    from mnist_edge.bundle.storage import atomic_write

    atomic_write(path, codec.join_numbers(codec.dumps(report)).encode())
